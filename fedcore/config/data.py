"""The task file's section `data`: labels, splits, pixels or columns, and the data contract."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fedcore.config.base import Section, misfit
from fedcore.config.table import TableSection


class DataSection(Section):
    """Where labels come from, how patients are split, and what a party's data must satisfy."""

    labels: Literal["auto", "folders", "file", "attribute"] = Field(
        "auto",
        description="auto: labels.csv or labels.parquet where present, else sub-folder names",
    )
    label_attribute: str | None = Field(
        None, description="DICOM keyword that holds the label, for labels: attribute"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="class names in the order of their numbers; by default sorted names"
    )
    frame: Literal["first", "middle", "last", "all"] = Field(
        "middle", description="which frame of a multi-frame object is used"
    )
    normalize: Literal["imagenet", "none", "own"] = Field(
        "imagenet",
        description="mean and standard deviation of images; own: each party's training pixels'",
    )
    validation: float = Field(0.15, ge=0, lt=1, description="share of patients for validation")
    test: float = Field(0.15, ge=0, lt=1, description="share of patients for the final test")
    split_file: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(csv|parquet)$",
        description="a .csv or .parquet in each party's data folder that says each image's split",
    )
    min_patients: int = Field(5, ge=1, description="fewer training patients break the contract")
    require_all_classes: bool = Field(
        True, description="each party must have every class among its training images"
    )
    max_quarantined: float = Field(
        0.2, ge=0, le=1, description="a larger share of unusable files breaks the contract"
    )
    min_reported: int = Field(
        5, ge=1, description="metrics over fewer patients are withheld at the hospital"
    )
    statistics: Literal["none", "counts", "full"] = Field(
        "none",
        description="what is told of the data before the training: nothing, how many of which "
        "kind, or also means, standard deviations and histograms",
    )
    table: TableSection | None = Field(
        None, description="the data is a clinical table with these columns, in place of images"
    )

    @property
    def never_validates(self) -> bool:
        """Whether no party can have validation data: a share of 0, and nothing else that names it.

        Images may lie in folders of splits, and a file may name each image's or row's.
        """
        if self.validation > 0 or self.split_file is not None:
            return False
        if self.table is not None:
            return self.table.split not in ("column", "file")
        return self.labels == "attribute"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation + self.test >= 0.9:
            both = f"leave more than 0.1 for training: test is {self.test}"
            raise misfit("validation", self.validation, both)
        if (self.labels == "attribute") != (self.label_attribute is not None):
            both = f"give it together with labels: attribute, or neither: labels is {self.labels}"
            raise misfit("label_attribute", self.label_attribute, both)
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise misfit("classes", self.classes, "name each class once")
        return self
