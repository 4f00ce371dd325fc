"""The fields of robust and asynchronous strategies and of trees: what contradicts itself."""

from __future__ import annotations

import pytest
import yaml
from test_task_file import PUBLISHED, refusal

from fedcore.config.task import parse_task_file

# The section `federation` -> what does not fit together in it.
MISFITS = [
    ({"strategy": "fedbuff", "late": "discard"}, "federation.late is 'discard': fedbuff lives on"),
    ({"strategy": "fedasync", "buffer_size": 3}, "federation.buffer_size is 3: fedasync takes one"),
    ({"strategy": "fedbuff", "quorum": 3}, "federation.quorum is 3: a round closes with 2 replies"),
    ({"strategy": "krum", "quorum": 4}, "federation.quorum is 4: krum needs 5 updates"),
    ({"strategy": "median", "hostile": 2, "quorum": 4}, "federation.quorum is 4: median needs 5"),
    ({"strategy": "multi_krum", "selected": 4, "quorum": 6}, "quorum is 6: multi_krum needs 7"),
    ({"strategy": "median", "combining": "tree"}, "combining is 'tree': median looks at all"),
    ({"strategy": "fedbuff", "combining": "tree"}, "combining is 'tree': a round of fedbuff"),
    ({"group_size": 8}, "group_size is 8: all updates are one sum: leave it out, or write"),
    ({"combining": "trees"}, "combining is 'trees': write 'flat' or 'tree'"),
    ({"strategy": "norm_clipping", "quorum": 2}, "quorum is 2: norm_clipping needs 3 updates"),
]


@pytest.mark.parametrize(("federation", "sentence"), MISFITS)
def test_fields_that_do_not_fit_together_are_one_sentence(federation, sentence):
    content = yaml.safe_load(PUBLISHED)
    content["federation"] |= federation
    assert sentence in refusal(yaml.safe_dump(content))


@pytest.mark.parametrize("strategy", ["fedbuff", "fedasync"])
def test_late_updates_count_where_rounds_close_early_also_when_read_again(strategy):
    first = parse_task_file(PUBLISHED.replace("fedavg", strategy), "task.yaml")
    assert first.federation.late == "next_round"
    assert parse_task_file(first.to_yaml(), "again.yaml") == first


def test_norm_clipping_to_a_given_norm_needs_no_majority():
    text = PUBLISHED.replace("fedavg", "norm_clipping, max_norm: 1.5, quorum: 1")
    assert parse_task_file(text, "task.yaml").federation.least_updates == 1


@pytest.mark.parametrize(
    ("parties", "size"), [(1, 2), (2, 2), (8, 4), (50, 10), (64, 12), (1000, 45), (10_000, 142)]
)
def test_a_group_has_by_default_so_many_that_it_costs_what_the_groups_cost(parties, size):
    """sqrt(2 N), rounded up: then N / g sums of twice the bytes are no more than g updates."""
    section = parse_task_file(
        PUBLISHED.replace("fedavg", "fedavg, combining: tree"), "t"
    ).federation
    assert section.group_of(parties) == size
    assert 2 * parties / size <= size
