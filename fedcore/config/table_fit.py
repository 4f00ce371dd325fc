"""Whether the task file's other sections fit a table, or the lack of one."""

from __future__ import annotations

from collections.abc import Iterator

from fedcore.config.data import DataSection
from fedcore.config.federation import FederationSection
from fedcore.config.model import TABLE_MODELS, ModelSection
from fedcore.config.table import TableSection
from fedcore.config.training import TrainingSection
from fedcore.metrics import metrics_of

Misfit = tuple[str, object, str]
OF_CLASSES = ("class_weights", "positive_weight", "focal_gamma", "label_smoothing")
OF_COX = ("ties", "cox_mean")


def table_misfits(
    task_type: str,
    model: ModelSection,
    federation: FederationSection,
    data: DataSection,
    training: TrainingSection,
) -> Iterator[Misfit]:
    """Field, value and remedy of everything that does not fit together, the weightiest first."""
    survival, table = task_type == "survival", data.table
    if table is not None:
        yield from _image_fields(model, data)
        if training.augment != "none":
            yield (
                "training.augment",
                training.augment,
                "it changes images: leave it out for a table",
            )
    if table is None:
        if survival:
            yield "data.table", None, "survival needs a table: add it with time and event"
        yield from _image_misfits(model)
    else:
        yield from _label_misfits(survival, table, model)
        yield from _model_misfits(survival, model)
    yield from _loss_misfits(survival, training)
    known = metrics_of(task_type)
    if federation.select_by.removeprefix("average_") not in known:
        remedy = f"write {', '.join(known[:-1])} or {known[-1]}"
        yield "federation.select_by", federation.select_by, remedy


def _loss_misfits(survival: bool, training: TrainingSection) -> Iterator[Misfit]:
    """What only the other kind of loss knows, and this one would leave aside unsaid."""
    fields = OF_CLASSES if survival else OF_COX
    remedy = "it is for classes" if survival else "it is for task_type: survival alone"
    for field in fields:
        value, default = getattr(training, field), TrainingSection.model_fields[field].default
        if value != default:
            yield f"training.{field}", value, f"{remedy}: leave it out"


def _image_misfits(model: ModelSection) -> Iterator[Misfit]:
    if model.name in TABLE_MODELS:
        yield "model.name", model.name, "it learns from a table: add data.table, or name another"
    if model.init != "default":
        yield "model.init", model.init, "it is for the models of tables: write default"
    if model.dropout:
        remedy = f"it is for mlp and cox alone: write 0, {model.name} stays as it is"
        yield "model.dropout", model.dropout, remedy
    if model.norm != "none":
        remedy = f"it adds layers to mlp and cox alone: write none, {model.name} stays as it is"
        yield "model.norm", model.norm, remedy


def _image_fields(model: ModelSection, data: DataSection) -> Iterator[Misfit]:
    if data.split_file is not None:
        yield "data.split_file", data.split_file, "a table's is data.table.split_file"
    if model.modalities is not None:
        yield "model.modalities", sorted(model.modalities), "modalities are kinds of image"


def _label_misfits(survival: bool, table: TableSection, model: ModelSection) -> Iterator[Misfit]:
    for name in ("time", "event"):
        given = getattr(table, name)
        if (given is not None) != survival:
            remedy = "survival needs it" if survival else "it is for task_type: survival alone"
            yield f"data.table.{name}", given, remedy
    if (table.target is None) != survival:
        remedy = "survival has time and event in its place" if survival else "name the class"
        yield "data.table.target", table.target, remedy
    rule = table.target_rule
    if rule is not None and rule.operator and model.num_classes != 2:
        yield "model.num_classes", model.num_classes, "a rule is true or false: write 2"


def _model_misfits(survival: bool, model: ModelSection) -> Iterator[Misfit]:
    if survival != (model.name == "cox") or model.name not in TABLE_MODELS:
        remedy = "survival is learned by cox" if survival else "tables take logistic or mlp"
        yield "model.name", model.name, remedy
    if model.name == "mlp" and not model.hidden:
        yield "model.hidden", model.hidden, "give the widths of the hidden layers, such as [32]"
    if model.name == "logistic" and model.hidden:
        yield "model.hidden", model.hidden, "a logistic model has none: write mlp"
    if model.dropout and not model.hidden:
        remedy = "no hidden layer is there for it to thin out: write 0, or give model.hidden"
        yield "model.dropout", model.dropout, remedy
    if model.norm != "none" and not model.hidden:
        other = "take mlp with" if model.name == "logistic" else "give"
        remedy = f"no hidden layer is there for it to follow: write none, or {other} model.hidden"
        yield "model.norm", model.norm, remedy
