"""From the strategy's name in the task file to its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedcore.config.federation import FederationSection
from fedcore.strategies.adaptive import Adaptive, Variant, adagrad, adam, yogi
from fedcore.strategies.asynchronous import Buffered, Mixed
from fedcore.strategies.averaging import Averaging
from fedcore.strategies.coordinatewise import median, trimmed_mean
from fedcore.strategies.geometric_median import geometric_median
from fedcore.strategies.krum import krum, multi_krum
from fedcore.strategies.momentum import Momentum
from fedcore.strategies.norm_clipping import norm_clipping
from fedcore.strategies.normalised import Normalised
from fedcore.strategies.robust import Combine, Robust
from fedcore.strategies.rule import Rule
from fedcore.strategies.scaffold import Scaffold
from fedcore.strategies.summed import Summing


def _lr(federation: FederationSection, default: float = 1.0) -> float:
    return default if federation.server_lr is None else federation.server_lr


def _adaptive(variant: Variant, federation: FederationSection, beta1: float = 0.9) -> Adaptive:
    """`beta1` is the variant's default."""
    return Adaptive(
        variant,
        lr=_lr(federation, 0.1),
        beta1=beta1 if federation.beta1 is None else federation.beta1,
        beta2=federation.beta2,
        tau=federation.tau,
        initial=0.0 if federation.initial_v == "zero" else None,
    )


# From all updates of a round and the task file's section to the step.
ROBUST: Mapping[str, Combine] = {
    "median": lambda updates, _: median(updates),
    "trimmed_mean": lambda updates, said: trimmed_mean(updates, said.hostile),
    "krum": lambda updates, said: krum(updates, said.hostile),
    "multi_krum": lambda updates, said: multi_krum(updates, said.hostile, said.selected),
    "geometric_median": lambda updates, _: geometric_median(updates),
    "norm_clipping": lambda updates, said: norm_clipping(updates, said.max_norm),
}

# What can be added up in groups.
SUMS: Mapping[str, Callable[[FederationSection], Summing]] = {
    "fedavg": lambda said: Averaging(_lr(said)),
    "fedavgm": lambda said: Momentum(_lr(said), said.server_momentum),
    "fedadam": lambda said: _adaptive(adam, said),
    "fedyogi": lambda said: _adaptive(yogi, said),
    "fedadagrad": lambda said: _adaptive(adagrad, said, beta1=0.0),
    "fedprox": lambda said: Averaging(_lr(said)),
    "fednova": lambda said: Normalised(_lr(said)),
    "scaffold": lambda said: Scaffold(_lr(said)),
    "fedbn": lambda said: Averaging(_lr(said)),
    "fedper": lambda said: Averaging(_lr(said)),
    "fedrep": lambda said: Averaging(_lr(said)),
    "ditto": lambda said: Averaging(_lr(said)),
}

ASYNCHRONOUS: Mapping[str, Callable[[FederationSection], Rule]] = {
    "fedbuff": lambda said: Buffered(said.staleness_exponent, _lr(said)),
    "fedasync": lambda said: Mixed(said.mixing, said.staleness_exponent),
}


def rule_for(federation: FederationSection) -> Rule:
    """A fresh rule for one round."""
    if federation.strategy in ROBUST:
        return Robust(federation, ROBUST[federation.strategy], _lr(federation))
    if federation.strategy in ASYNCHRONOUS:
        return ASYNCHRONOUS[federation.strategy](federation)
    return summing_rule_for(federation)


def summing_rule_for(federation: FederationSection) -> Summing:
    """A fresh rule for one group of a round, or for joining the groups of one.

    `KeyError` for a strategy that is no sum; the task file has none with `combining: tree`.
    """
    return SUMS[federation.strategy](federation)
