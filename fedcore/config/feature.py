"""A column of a clinical table as the task file declares it: what it holds, what is done to it."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, misfit
from fedcore.config.cells import number_of, written

Strategy = Literal["drop_row", "mean", "median", "most_frequent", "constant", "indicator"]
SPAN = re.compile(r"(.*?)(\d+)\.\.(.*?)(\d+)")
LONGEST_SPAN = 100_000


class Feature(Section):
    """One column that the model sees; the same encoding at every party follows from it alone."""

    name: str = Field(min_length=1, description="the column's name; x0..x29 stands for 30 columns")
    kind: Literal["numeric", "categorical", "binary"] = Field(
        "numeric", description="a number, one of several categories (one-hot), or one of two (0, 1)"
    )
    categories: tuple[str, ...] | None = Field(
        None, description="every category in order; a binary column's are 0 and 1 by default"
    )
    drop_first: bool | None = Field(
        None, description="leave the first category's column out; by default as the table's"
    )
    missing: Strategy | None = Field(
        None, description="what is done where a cell is missing; by default as the table's"
    )
    fill: str | None = Field(
        None,
        description="stands in for missing cells with missing: constant, and for mean, median and "
        "most_frequent where a party has no value at all",
    )
    missing_values: tuple[str, ...] = Field(
        (), description="impossible values that mean missing here, such as 0 for a cholesterol"
    )
    range: tuple[float, float] | None = Field(
        None, description="lowest and highest credible number; rows outside are quarantined"
    )

    @field_validator("categories", "missing_values", mode="before")
    @classmethod
    def _cells(cls, values: Any) -> Any:
        return [written(one) for one in values] if isinstance(values, list | tuple) else values

    @field_validator("fill", mode="before")
    @classmethod
    def _cell(cls, value: Any) -> Any:
        return None if value is None else written(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._require_categories()
        if self.kind == "categorical" and self.missing in ("mean", "median"):
            raise misfit("missing", self.missing, "categories have no mean: write most_frequent")
        if self.missing == "constant" and self.fill is None:
            raise misfit("missing", self.missing, "say in fill what stands in for a missing cell")
        if self.range is not None and (self.kind != "numeric" or self.range[0] > self.range[1]):
            raise misfit("range", self.range, "write lowest, highest, for a numeric column alone")
        self._require_fill()
        return self

    def _require_categories(self) -> None:
        if self.kind == "numeric" and self.categories is not None:
            raise misfit("categories", self.categories, "write kind: categorical or binary")
        if self.kind == "categorical" and not self.categories:
            remedy = "name every category that any party may have"
            raise misfit("categories", self.categories, remedy)
        known = self.levels
        if len(set(known)) != len(known):
            raise misfit("categories", self.categories, "name each category once")
        if self.kind == "binary" and len(known) != 2:
            raise misfit("categories", self.categories, "a binary column has two")

    def _require_fill(self) -> None:
        if self.fill is None:
            return
        if self.kind == "categorical" and self.fill not in self.levels:
            raise misfit("fill", self.fill, "name one of the categories")
        if self.kind == "numeric" and number_of(self.fill) is None:
            raise misfit("fill", self.fill, "write a number")
        if self.kind == "binary" and self.fill not in self.levels:
            raise misfit("fill", self.fill, "name one of the two categories")

    @property
    def levels(self) -> tuple[str, ...]:
        """The categories in order; none for a numeric column."""
        if self.categories is None and self.kind == "binary":
            return ("0", "1")
        return self.categories or ()


def spelled_out(item: Any) -> list[Any]:
    """A feature as people write it as fields; a span such as `x0..x29` becomes its columns."""
    fields = {"name": item} if isinstance(item, str) else item
    name = fields.get("name") if isinstance(fields, dict) else None
    span = SPAN.fullmatch(name) if isinstance(name, str) else None
    if span is None or span[1] != span[3]:
        return [fields]
    first, last = int(span[2]), int(span[4])
    if not first < last <= first + LONGEST_SPAN:
        raise ValueError(f"{name} is no span of columns: write it as x0..x29")
    return [{**fields, "name": f"{span[1]}{number}"} for number in range(first, last + 1)]
