"""The robust strategies, and how many updates each needs so that the hostile ones cannot decide."""

from __future__ import annotations

ROBUST = (
    "median",
    "trimmed_mean",
    "krum",
    "multi_krum",
    "geometric_median",
    "norm_clipping",
)


def least_updates(strategy: str, hostile: int, selected: int | None) -> int:
    """The fewest updates among which `hostile` ones do no harm; 1 for what promises nothing.

    Krum and Multi-Krum: 2 f + 3 (Blanchard et al. 2017), and f + 2 more than Multi-Krum averages
    (El Mhamdi et al. 2018). The others need an honest majority: 2 f + 1.
    """
    if strategy not in ROBUST:
        return 1
    if strategy == "krum":
        return 2 * hostile + 3
    if strategy == "multi_krum":
        return max(2 * hostile + 3, (selected or 0) + hostile + 2)
    return 2 * hostile + 1
