"""The code inside a registered model: MLflow runs this file in whatever process loads the model.

It is stored with the model as models-from-code, beside a safetensors file, a JSON description and
the fedcore package itself; nothing is pickled. torch is imported when the model is loaded, not
when this file is, so the coordinator can register a model without it. Nobody imports this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class FederatedClassifier(PythonModel):
    """Probabilities (N, classes) float32 for images (N, channels, height, width) in 0..1.

    For a table, of a data frame's rows; a survival model gives (N, 1) log relative hazards.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Rebuild the network from description and weights; raises `ModelError` on misfit."""
        from fedcore.models.predictor import Predictor  # noqa: PLC0415

        artifacts = {name: Path(path) for name, path in context.artifacts.items()}
        self.predictor = Predictor.from_files(artifacts["description"], artifacts["weights"])

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  # the place that MLflow gives it
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> npt.NDArray[np.float32]:
        """What `Predictor.answers` says, the rows in the order of the images or rows asked.

        A cross-modal model needs the parameter `modality`.
        """
        return self.predictor.answers(model_input, (params or {}).get("modality") or None)


set_model(FederatedClassifier())
