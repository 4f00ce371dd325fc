"""The task file's section `pretrain`: a stage on public images before the first round."""

from __future__ import annotations

from pydantic import Field

from fedcore.config.base import Section

NO_FOLDER = (
    "the task file: pretrain asks the guest for a folder of public images: name it with "
    "--pretrain, or as local.pretrain in the guest's party file"
)


class PretrainSection(Section):
    """The guest trains on a folder of public images before it hands out the initial model.

    Where the folder lies is the guest's own affair: the task file says that there is one.
    """

    epochs: int = Field(ge=1, le=1000, description="passes over the public images")
    lr: float | None = Field(
        None, gt=0, le=100, description="learning rate of this stage; by default federation.lr"
    )
    batch_size: int | None = Field(
        None, ge=1, le=65_536, description="images per step; by default federation.batch_size"
    )
    num_classes: int | None = Field(
        None, ge=2, le=1000, description="classes of the public images; by default the model's"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="their names in the order of their numbers; by default sorted names"
    )
