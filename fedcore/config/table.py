"""The task file's section `data.table`: a clinical table, column by column.

What a party does to its table follows from this section alone, so that the same column means the
same to every party and the model has the same number of inputs everywhere.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, misfit
from fedcore.config.cells import Rule, written
from fedcore.config.feature import Feature, Strategy, spelled_out

MISSING = ("", "?", "NA", "NaN", "nan", "null")


class TableSection(Section):
    """Where a party's table is, and how its rows become the model's inputs and labels."""

    files: str | None = Field(
        None,
        description="the table's file in the data folder, * and ? for several; by default "
        "every .csv, .tsv, .data and .parquet",
    )
    format: Literal["auto", "csv", "parquet"] = Field(
        "auto", description="auto: Parquet where the name ends in .parquet, text otherwise"
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="between the cells of a text file; by default comma, semicolon or tab",
    )
    header: bool = Field(True, description="whether a text file's first line names the columns")
    columns: tuple[str, ...] | None = Field(
        None, description="names of all columns in order, for files without a header"
    )
    id: str | None = Field(
        None, description="column that tells patients apart; by default every row is a patient"
    )
    features: tuple[Feature, ...] | None = Field(
        None, description="the columns that the model sees; by default the rest of columns"
    )
    drop: tuple[str, ...] = Field(
        (), description="columns that are left out where features are not named"
    )
    target: str | None = Field(
        None, description="column of the class, or a rule such as 'num > 0' that is true or false"
    )
    time: str | None = Field(
        None, description="survival: column of the time to the event or to the last look"
    )
    event: str | None = Field(
        None, description="survival: column or rule that says whether the event happened (1) or not"
    )
    missing_values: tuple[str, ...] = Field(MISSING, description="cells that mean: missing")
    missing: Strategy = Field(
        "drop_row", description="what is done where a cell is missing, unless a feature says else"
    )
    unknown: Literal["quarantine", "ignore"] = Field(
        "quarantine", description="an undeclared category: set the row aside, or encode it as none"
    )
    drop_first: bool = Field(
        False, description="leave the first category's column out of every one-hot encoding"
    )
    standardise: Literal["none", "party", "federated"] = Field(
        "party",
        description="whether columns are scaled, and by which training rows: the party's own, or "
        "all parties' together",
    )
    scaling: Literal["standard", "min_max"] = Field(
        "standard",
        description="standard: less the mean, by the standard deviation; min_max: from 0 at the "
        "lowest to 1 at the highest, federated from 0 to 1 over each feature's range",
    )
    standardise_columns: Literal["numeric", "all"] = Field(
        "numeric", description="which columns are scaled: numeric ones, or one-hot ones, too"
    )
    ddof: Literal[0, 1] = Field(
        0, description="standard deviations divide by n (0: numpy) or n - 1 (1: torch, pandas)"
    )
    split: Literal["hash", "exact", "stratified", "column", "file"] = Field(
        "hash",
        description="how patients are split: each by its own hash, in exact shares, in exact "
        "shares of each class, or as a column or a file says",
    )
    test_files: str | None = Field(
        None,
        description="names of the files whose rows are the test split, * and ? allowed; the share "
        "data.test is then none of the others",
    )
    validation_files: str | None = Field(
        None, description="the same for the validation split and data.validation"
    )
    split_column: str | None = Field(None, description="column of the split, for split: column")
    split_file: str | None = Field(
        None, description="CSV file beside the table, for split: file: row, index or id, and split"
    )

    @field_validator("features", mode="before")
    @classmethod
    def _spelled_out(cls, values: Any) -> Any:
        if isinstance(values, str | dict):
            values = [values]
        if not isinstance(values, list | tuple):
            return values
        return [fields for item in values for fields in spelled_out(item)]

    @field_validator("missing_values", mode="before")
    @classmethod
    def _cells(cls, values: Any) -> Any:
        return [written(one) for one in values] if isinstance(values, list | tuple) else values

    @field_validator("target", "event")
    @classmethod
    def _rules(cls, text: str | None) -> str | None:
        if text is not None:
            Rule.read(text)
        return text

    @model_validator(mode="before")
    @classmethod
    def _rest_of_the_columns(cls, content: Any) -> Any:
        """Write out `features` where they follow from `columns`."""
        if not isinstance(content, dict) or content.get("features") is not None:
            return content
        columns = content.get("columns")
        if not isinstance(columns, list | tuple):
            return content
        named = [content.get(name) for name in ("id", "time", "split_column")]
        rules = [content.get(name) for name in ("target", "event")]
        other = [*named, *(Rule.read(text).column for text in rules if isinstance(text, str))]
        dropped = content.get("drop")
        other += dropped if isinstance(dropped, list | tuple) else []
        return {**content, "features": [name for name in columns if name not in other]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._require_columns()
        self._require_features()
        self._require_split()
        self._require_ranges()
        return self

    def _require_columns(self) -> None:
        if not self.header and self.columns is None:
            raise misfit("header", self.header, "name the columns in columns")
        if self.columns is None:
            return
        if len(set(self.columns)) != len(self.columns):
            raise misfit("columns", self.columns, "name each column once")
        for field, name in self._named():
            if name not in self.columns:
                raise misfit(field, name, f"columns has no {name!r}; correct one of the two")

    def _require_features(self) -> None:
        features = self.features or ()
        if not features:
            raise misfit("features", self.features, "name the columns that the model sees")
        names = [one.name for one in features]
        if len(set(names)) != len(names):
            raise misfit("features", names, "name each column once")
        for field, name in self._named():
            if field != "features" and name in names:
                raise misfit(field, name, "the model may not see it: take it out of features")
        for one in features:
            if one.kind == "categorical" and self.strategy(one) in ("mean", "median"):
                remedy = f"{one.name} is categorical: give it a missing of its own"
                raise misfit("missing", self.missing, remedy)
            if self.strategy(one) == "constant" and one.fill is None:
                raise misfit("missing", self.missing, f"{one.name} has no fill: add it")

    def _require_split(self) -> None:
        if (self.split == "column") != (self.split_column is not None):
            remedy = f"give it together with split: column, or neither: split is {self.split}"
            raise misfit("split_column", self.split_column, remedy)
        if (self.split == "file") != (self.split_file is not None):
            remedy = f"give it together with split: file, or neither: split is {self.split}"
            raise misfit("split_file", self.split_file, remedy)

    def _require_ranges(self) -> None:
        """The lowest and highest value of all parties are never told, so they have to be agreed."""
        if self.standardise != "federated" or self.scaling != "min_max":
            return
        for one in self.features or ():
            if one.kind == "numeric" and (one.range is None or one.range[0] == one.range[1]):
                remedy = (
                    f"no party tells its lowest and highest value: give {one.name} a range, or "
                    "write standardise: party"
                )
                raise misfit("scaling", self.scaling, remedy)

    @property
    def pools_statistics(self) -> bool:
        """Whether the scaling needs what all parties tell of their columns before the training."""
        return self.standardise == "federated" and self.scaling == "standard"

    def _named(self) -> list[tuple[str, str]]:
        """Field and column for every column that the section names."""
        rules = {"target": self.target_rule, "event": self.event_rule}
        found = [(field, rule.column) for field, rule in rules.items() if rule]
        plain = {"id": self.id, "time": self.time, "split_column": self.split_column}
        found += [(field, name) for field, name in plain.items() if name]
        return found + [("features", one.name) for one in self.features or ()]

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Every column that is read, features first."""
        names = [name for field, name in self._named() if field == "features"]
        names += [name for field, name in self._named() if field != "features"]
        return tuple(dict.fromkeys(names))

    @property
    def target_rule(self) -> Rule | None:
        """The target as a rule; `None` where there is none."""
        return Rule.read(self.target) if self.target is not None else None

    @property
    def event_rule(self) -> Rule | None:
        """The event as a rule; `None` where there is none."""
        return Rule.read(self.event) if self.event is not None else None

    def strategy(self, feature: Feature) -> Strategy:
        """What is done where a cell of `feature` is missing."""
        return feature.missing or self.missing

    def inputs_of(self, feature: Feature) -> tuple[str, ...]:
        """The names of the model's inputs that a feature gives."""
        if feature.kind == "categorical":
            first = self.drop_first if feature.drop_first is None else feature.drop_first
            names = [f"{feature.name}={level}" for level in feature.levels[int(first) :]]
        else:
            names = [feature.name]
        if self.strategy(feature) == "indicator":
            names.append(f"{feature.name} missing")
        return tuple(names)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all inputs of the model, in order."""
        return tuple(name for one in self.features or () for name in self.inputs_of(one))
