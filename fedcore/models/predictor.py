"""The served model: a small JSON description and a safetensors file, rebuilt into a predictor.

torch is imported when a network is rebuilt, not when this module is: whoever only writes the
description (the coordinator, when it registers a model) needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fedcore.config.base import validate
from fedcore.config.model import ModelSection
from fedcore.config.table import TableSection
from fedcore.config.task import TaskFile
from fedcore.encoding.scaling import Scaling
from fedcore.encoding.served import served
from fedcore.errors import ModelError, problem
from fedcore.models.pixels import OWN_NOTE, Normalisation, by_modality, normalisation
from fedcore.models.table_reader import TableReader

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Description:
    """All that is needed besides the weights: network, normalisation, class names in order.

    With `own`, images come normalised by whoever asks, with the numbers of their own images. Of a
    cross-modal network, `modalities` holds each modality's normalisation.
    """

    model: ModelSection
    normalisation: Normalisation
    classes: tuple[str, ...]
    own: bool = False
    modalities: Mapping[str, Normalisation] = field(default_factory=dict)
    table: TableSection | None = None
    scaling: Scaling | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be stored beside the weights."""
        return {
            "model": self.model.model_dump(mode="json", exclude={"weights"}),
            "normalisation": {
                **self.normalisation.to_json(),
                **({"own": OWN_NOTE} if self.own else {}),
            },
            "classes": list(self.classes),
            **self._of_table(),
            "modalities": {name: one.to_json() for name, one in self.modalities.items()},
        }

    def _of_table(self) -> dict[str, Any]:
        if self.table is None:
            return {}
        scaling = self.scaling.to_json() if self.scaling else None
        return {"table": self.table.model_dump(mode="json"), "scaling": scaling}

    @classmethod
    def from_json(cls, content: dict[str, Any], where: object = "the model description") -> Self:
        """The inverse of `to_json`; raises `ModelError` on anything else."""
        try:
            constants = Normalisation.from_json(content["normalisation"])
            named = content.get("modalities", {})
            modalities = {str(name): Normalisation.from_json(one) for name, one in named.items()}
            classes = tuple(str(name) for name in content["classes"])
            section = content["model"]
            own = "own" in content["normalisation"]
            given = content.get("scaling")
            scaling = None if given is None else Scaling.from_json(given)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ModelError(
                f"{where}: it lacks model, normalisation or classes: give the file that was stored "
                "with the model"
            ) from None
        model = validate(ModelSection, section, str(where), ModelError)
        table = content.get("table")
        if table is not None:
            table = validate(TableSection, table, str(where), ModelError)
        return cls(model, constants, classes, own, modalities, table, scaling)


def describe(task: TaskFile, classes: Sequence[str] | None = None) -> Description:
    """The description of a task's model; class names default to the task's, else to numbers."""
    names = classes or task.data.classes or [str(n) for n in range(task.model.num_classes)]
    constants = normalisation(task.data, task.model.input_size[0])
    own = task.data.normalize == "own"
    kinds = by_modality(task.data, task.model)
    found = Description(task.model, constants, tuple(names), own, kinds)
    return Description.from_json({**found.to_json(), **served(task)})


class Predictor:
    """A model that is ready to be asked, on the CPU; normalisation is inside."""

    def __init__(self, description: Description, weights: Path) -> None:
        """Rebuild the network; raises `ModelError` when the weights are of another one."""
        import torch  # noqa: PLC0415

        from fedcore.models import catalogue, inference, state  # noqa: PLC0415
        from fedcore.models.weights import read_weights  # noqa: PLC0415
        from fedcore.params import schema  # noqa: PLC0415

        self.description = description
        inputs = len(description.table.inputs) if description.table else None
        self._network = catalogue.build(
            description.model, seed=0, where="the model description", inputs=inputs
        )
        fresh = state.to_params(self._network)
        state.load_params(self._network, fresh | read_weights(weights, schema(fresh)).params)
        inference.lay_out(self._network, "cpu", torch.channels_last)
        self._network.eval()
        self._normalise: dict[str | None, inference.Normalise] = {
            name: inference.Normalise(one) for name, one in description.modalities.items()
        }
        self._normalise[None] = inference.Normalise(description.normalisation)

    @classmethod
    def from_files(cls, description: Path, weights: Path) -> Self:
        """Rebuild from the two files; raises `ModelError` when one is missing or does not fit."""
        try:
            content = json.loads(description.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ModelError(
                f"{description}: no readable model description: give the JSON file that was stored "
                "with the model"
            ) from None
        return cls(Description.from_json(content, description), weights)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities' columns."""
        return self.description.classes

    def answers(self, asked: Any, modality: str | None = None) -> Floats:
        """`probabilities` of images; of a table's columns what `TableReader` reads of them.

        For a table (N, classes) probabilities, or (N, 1) log relative hazards of a survival model;
        NaN for a row that training would have set aside. Raises `ModelError` for what lacks a
        column or holds something else.
        """
        table = self.description.table
        if table is None:
            return self.probabilities(asked, modality)
        rows, usable = TableReader(table, self.description.scaling).read(asked)
        return np.where(usable[:, None], self.answers_to_inputs(rows), np.float32("nan"))

    def answers_to_inputs(self, inputs: Floats) -> Floats:
        """What `answers` says of a table's rows that are encoded and scaled already, (N, F)."""
        import torch  # noqa: PLC0415

        from fedcore.models import inference  # noqa: PLC0415

        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(inputs))
            survival = self.description.model.name == "cox"
            return outputs.numpy() if survival else inference.probabilities_of(outputs)

    def probabilities(self, images: npt.ArrayLike, modality: str | None = None) -> Floats:
        """Probabilities (N, classes) of float images (N, C, H, W) in 0..1.

        A cross-modal network must be told the `modality` of the images.

        Bit-equal to what evaluation counts for the same pixels (byte / 255, in the same order and
        with the same number of threads). Raises `ModelError` for another shape or range.
        """
        import torch  # noqa: PLC0415

        from fedcore.models import crossmodal, inference  # noqa: PLC0415

        pixels = self._checked(images, modality)
        network, normalise = crossmodal.see_as(self._network, modality), self._normalise[modality]
        parts: list[Floats] = [np.empty((0, len(self.classes)), dtype=np.float32)]
        with torch.inference_mode():
            for start, end in inference.slices(len(pixels)):
                batch = torch.from_numpy(pixels[start:end])
                logits = network(normalise.floats(batch, torch.channels_last))
                parts.append(inference.probabilities_of(logits))
        return np.concatenate(parts)

    def _checked(self, images: npt.ArrayLike, modality: str | None) -> Floats:
        pixels = np.array(images, dtype=np.float32)
        section = self.description.model
        if not section.knows(modality):
            known = ", ".join(sorted(section.modalities or ())) or "none"
            raise ModelError(problem("the request", "modality", modality, f"known are: {known}"))
        size = section.size_of(modality)
        if pixels.ndim != 4 or pixels.shape[1:] != size:
            wanted = f"give shape (N, {size[0]}, {size[1]}, {size[2]})"
            raise ModelError(problem("the request", "images", pixels.shape, wanted))
        if self.description.own:
            return pixels
        if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
            span = (float(pixels.min()), float(pixels.max()))
            raise ModelError(
                problem("the request", "images", span, "give pixels from 0 to 1, bytes over 255")
            )
        return pixels
