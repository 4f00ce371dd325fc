"""From the strategy's name in the task file to its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedcore.config.federation import FederationSection
from fedcore.strategies.averaging import Averaging
from fedcore.strategies.rule import Rule

RULES: Mapping[str, Callable[[FederationSection], Rule]] = {
    "fedavg": lambda _: Averaging(),
    "fedprox": lambda _: Averaging(),
    "fedbn": lambda _: Averaging(),
    "fedper": lambda _: Averaging(),
    "fedrep": lambda _: Averaging(),
    "ditto": lambda _: Averaging(),
}


def rule_for(federation: FederationSection) -> Rule:
    """A fresh rule for one round."""
    return RULES[federation.strategy](federation)
