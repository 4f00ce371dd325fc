"""FedAdam, FedYogi and FedAdagrad: each parameter steps by a learning rate of its own.

Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2, without bias correction:

    m = beta1 * m + (1 - beta1) * mean
    v = tau^2 in the beginning (or 0, as published code has it), then as the variant says
    model += lr * m / (sqrt(v) + tau)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fedcore.params import Array, Params, learned
from fedcore.strategies.rule import Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Summed

FIRST, SECOND = "first/", "second/"
Floats = npt.NDArray[np.float64]
Variant = Callable[[Floats, Floats, float], Floats]


def adam(before: Floats, mean: Floats, beta2: float) -> Floats:
    """Adam: v = beta2 * v + (1 - beta2) * mean^2."""
    return beta2 * before + (1.0 - beta2) * mean**2


def yogi(before: Floats, mean: Floats, beta2: float) -> Floats:
    """Yogi: v = v - (1 - beta2) * mean^2 * sign(v - mean^2); it stays at 0 or above."""
    square = mean**2
    return before - (1.0 - beta2) * square * np.sign(before - square)


def adagrad(before: Floats, mean: Floats, _: float) -> Floats:
    """Adagrad: v = v + mean^2."""
    return before + mean**2


class Adaptive(Summed):
    """One of the three variants.

    Only what gradients move is stepped so; BatchNorm's statistics and counters move by their mean,
    as a running variance must not become negative. With beta1 = 0 no first moment is remembered.
    With beta1 = 0, beta2 = 1 and lr = 2 * tau, adam and yogi take FedAvg's step.
    """

    def __init__(
        self,
        variant: Variant,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        tau: float,
        initial: float | None = None,
    ) -> None:
        """Nothing is added yet; betas in [0, 1], `tau` above 0; v begins at `initial`, or tau^2."""
        super().__init__()
        self._initial = tau**2 if initial is None else initial
        self._variant, self._lr, self._tau = variant, lr, tau
        self._beta1, self._beta2 = beta1, beta2

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; both moments are remembered in the dtype of the updates."""
        mean = self._mean.result()
        moves, known = dict(mean), dict(memory)
        for name, array in learned(mean).items():
            moves[name], moments = self._stepped(name, array, memory)
            known |= moments
        return Step(advance(start, moves), known)

    def _stepped(
        self, name: str, array: Array, memory: Mapping[str, Array]
    ) -> tuple[Array, Params]:
        """How far a parameter goes, and its moments from then on; reckoned in float64."""
        mean = array.astype(np.float64)
        first = self._first(mean, memory.get(FIRST + name))
        second = self._variant(
            self._second_before(mean, memory.get(SECOND + name)), mean, self._beta2
        )
        move = self._lr * first / (np.sqrt(second) + self._tau)
        moments: Params = {SECOND + name: np.asarray(second, dtype=array.dtype)}
        if self._beta1:
            moments[FIRST + name] = np.asarray(first, dtype=array.dtype)
        return np.asarray(move, dtype=array.dtype), moments

    def _first(self, mean: Floats, before: Array | None) -> Floats:
        if self._beta1 == 0.0:
            return mean
        fresh = (1.0 - self._beta1) * mean
        return fresh if before is None else self._beta1 * before.astype(np.float64) + fresh

    def _second_before(self, mean: Floats, before: Array | None) -> Floats:
        if before is None:
            return np.full(mean.shape, self._initial)
        return before.astype(np.float64)
