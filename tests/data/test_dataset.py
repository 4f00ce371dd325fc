"""`MedicalImageDataset`: tensors and class numbers by the published transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from data_story import dicom, noise, task_file, two_classes, write

from fedcore.config.data import DataSection
from fedcore.data import MedicalImageDataset
from fedcore.data.cohort import survey_folder
from fedcore.data.dataset import IMAGENET_MEAN, IMAGENET_STD, default_transform
from fedcore.errors import DataError


def test_a_damaged_file_is_named_and_can_be_left_out(tmp_path):
    folder = two_classes(tmp_path, 4)
    write(folder / "A" / "a_broken.png", b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"A/a_broken\.png"):
        MedicalImageDataset(folder)[0]
    assert len(MedicalImageDataset(folder, exclude={"A/a_broken.png"})) == 4


def test_an_unknown_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="unknown class"):
        MedicalImageDataset(two_classes(tmp_path, 4), classes=["A", "C"])


def test_items_are_normalised_tensors_with_class_numbers(tmp_path):
    dataset = MedicalImageDataset(two_classes(tmp_path, 4))
    tensor, label = dataset[0]
    assert (tensor.shape, tensor.dtype, label) == ((3, 224, 224), torch.float32, 0)
    assert [label for _, label in dataset.samples] == [0, 0, 1, 1]
    assert dataset.classes == ("A", "B")
    low, high = -IMAGENET_MEAN[1] / IMAGENET_STD[1], (1 - IMAGENET_MEAN[1]) / IMAGENET_STD[1]
    assert low <= float(tensor[1].min()) < float(tensor[1].max()) <= high


def test_the_cohort_holds_the_same_pixels(tmp_path):
    folder = two_classes(tmp_path / "data", 6)
    rules = {"validation": 0, "test": 0}
    cohort = survey_folder(folder, task_file((3, 32, 32), **rules), tmp_path / "state")
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    plain = MedicalImageDataset(folder, default_transform(32))
    cached = torch.from_numpy(cohort.train.batch(np.arange(6))).float() / 255
    for image, label in (plain[number] for number in range(6)):
        same = [torch.allclose((one - mean) / std, image, atol=1e-5) for one in cached]
        assert same.count(True) == 1
        assert cohort.train.labels[same.index(True)] == label


def test_labels_may_come_from_an_attribute(tmp_path):
    for number in range(4):
        content = dicom(noise(number), BodyPartExamined="CHEST" if number % 2 else "HAND")
        write(tmp_path / f"{number}.dcm", content)
    rules = DataSection(labels="attribute", label_attribute="BodyPartExamined")
    dataset = MedicalImageDataset(tmp_path, rules=rules)
    assert dataset.classes == ("CHEST", "HAND")
    assert [label for _, label in dataset.samples] == [1, 0, 1, 0]
