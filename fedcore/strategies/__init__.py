"""The coordinator's half of learning: how admitted replies become the next global model.

A strategy is a `Rule`: contributions go in one by one, the next global model comes out. Numpy only.
"""

from fedcore.strategies.choice import rule_for, summing_rule_for
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.rule import Contribution, Rule, Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Partial, Summing
from fedcore.strategies.weighting import weight_of, weighting_of

__all__ = [
    "Contribution",
    "Partial",
    "Rule",
    "Step",
    "Summing",
    "WeightedMean",
    "advance",
    "rule_for",
    "summing_rule_for",
    "weight_of",
    "weighting_of",
]
