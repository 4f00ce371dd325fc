"""The task file's section `evaluation`: what the final test looks at besides the global model."""

from __future__ import annotations

from pydantic import Field

from fedcore.config.base import Section


class EvaluationSection(Section):
    """What the final test scores besides the best and the final model."""

    cross_site: bool = Field(
        False,
        description="score every party's last local model at every party; each hospital's policy "
        "must allow that the others receive its local model (leaving.local_model)",
    )
