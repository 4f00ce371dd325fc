"""A tree's sums against the flat sum: the same but for the order of additions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_story import THREE, controlled, numbers, step

from fedcore.config.federation import STRATEGIES, FederationSection
from fedcore.config.robust import ROBUST
from fedcore.config.strategy_fields import ASYNCHRONOUS
from fedcore.errors import Refused
from fedcore.params import Params
from fedcore.strategies import Contribution, Partial, Step, summing_rule_for

SUMS = [name for name in STRATEGIES if name not in (*ROBUST, *ASYNCHRONOUS)]
WHOLE = st.lists(st.integers(-1024, 1024), min_size=3, max_size=3)
# Powers of two divide and multiply without rounding.
PARTY = st.tuples(WHOLE, st.integers(1, 500), st.sampled_from([0.25, 1.0, 8.0]))
GROUPS = st.lists(st.lists(PARTY, max_size=3), min_size=1, max_size=4)
EVERYONE = 4096.0


def contribution(strategy: str, party: tuple) -> Contribution:
    values, weight, normaliser = party
    update = controlled(values, values) if strategy == "scaffold" else numbers(values)
    update |= {"bn.num_batches_tracked": np.array(values[0], np.int64)}
    return Contribution("", weight, update, normaliser, 0, EVERYONE)


def tree(strategy: str, groups: Sequence[Sequence[tuple]], start: Params, memory: Params) -> Step:
    """Each group by a rule of its own, then all by one."""
    top = summing_rule_for(FederationSection(strategy=strategy))
    for group in groups:
        if group:
            leaf = summing_rule_for(FederationSection(strategy=strategy))
            for party in group:
                leaf.add(contribution(strategy, party))
            top.join(leaf.partial())
    return top.finish(start, memory)


def flat(strategy: str, groups: Sequence[Sequence[tuple]], start: Params, memory: Params) -> Step:
    rule = summing_rule_for(FederationSection(strategy=strategy))
    for group in groups:
        for party in group:
            rule.add(contribution(strategy, party))
    return rule.finish(start, memory)


def bits(params: Params) -> dict[str, tuple[str, bytes]]:
    return {name: (str(array.dtype), array.tobytes()) for name, array in params.items()}


@pytest.mark.parametrize("strategy", SUMS)
@given(GROUPS.filter(any), THREE)
def test_where_sums_are_exact_a_tree_is_the_flat_sum_to_the_bit(strategy, groups, start) -> None:
    """Model and memory, over two rounds; a group in which nobody is admitted adds nothing."""
    model = numbers(start) | {"bn.num_batches_tracked": np.array(3, np.int64)}
    ours = theirs = Step(model)
    for _ in range(2):
        ours = tree(strategy, groups, ours.model, ours.memory)
        theirs = flat(strategy, groups, theirs.model, theirs.memory)
    assert bits(ours.model) == bits(theirs.model)
    assert bits(ours.memory) == bits(theirs.memory)


@given(
    st.lists(
        st.lists(st.tuples(THREE, st.integers(1, 10_000)), min_size=1, max_size=5),
        min_size=1,
        max_size=5,
    )
)
def test_a_tree_is_the_flat_sum_within_the_rounding_of_float64(groups) -> None:
    """Sums of n terms differ by at most 2 n 2^-53 of the sum of their sizes (Higham 2002, 4.2)."""
    parties = [party for group in groups for party in group]
    top = summing_rule_for(FederationSection())
    for group in groups:
        leaf = summing_rule_for(FederationSection())
        for values, weight in group:
            leaf.add(Contribution("", weight, {"w": np.array(values, np.float64)}))
        top.join(leaf.partial())
    ours = top.finish({"w": np.zeros(3)}, {}).model["w"]
    flat_updates = [({"w": np.array(values, np.float64)}, weight) for values, weight in parties]
    theirs = step({"w": np.zeros(3)}, flat_updates, strategy="fedavg").model["w"]
    total = sum(weight for _, weight in parties)
    sizes = sum(weight * np.abs(values) for values, weight in parties) / total
    assert (np.abs(ours - theirs) <= (2 * len(parties) + 4) * 2.0**-53 * sizes).all()


def test_sums_of_another_shape_are_refused() -> None:
    top = summing_rule_for(FederationSection())
    notes = {"total/w": 1.0, "kind/w": "float32"}
    top.join(Partial(notes, [("w", np.zeros(3))]))
    with pytest.raises(Refused, match="shape"):
        top.join(Partial(notes, [("w", np.zeros(4))]))
