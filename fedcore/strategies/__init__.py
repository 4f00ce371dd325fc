"""The coordinator's half of learning: how admitted replies become the next global model.

A strategy is two small functions: how much a reply weighs, and how the weighted mean of the
updates moves the global model. Numpy only.
"""

from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.step import advance
from fedcore.strategies.weighting import weight_of

__all__ = ["WeightedMean", "advance", "weight_of"]
