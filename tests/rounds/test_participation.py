"""Rounds that invite a share of the parties: who is drawn, who scores, and what is said of whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from failing_store import Failing
from hypothesis import given
from hypothesis import strategies as st
from rounds_story import ByHand, model, task_file
from test_server_strategies import memory_of, update
from worlds import bits, opened, stories, world

from fedcore.config.federation import FederationSection
from fedcore.data.cohort import Cohort
from fedcore.errors import QuorumNotMet, TaskFileError, Unreachable
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.explain.report import write_report
from fedcore.params import CONTROL, Params, part
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.admission import admission_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.drawing import drawn
from fedcore.rounds.messages import Agreement, Combined, Invitation, Member, line
from fedcore.simulation import Outcome, World, simulate_cohorts

IDS = ("1", "2", "3", "4")


@given(
    st.sets(st.text("abc019", min_size=1, max_size=6), min_size=1, max_size=30),
    st.integers(1, 30),
    st.integers(0, 2**31 - 1),
    st.integers(1, 100_000),
    st.randoms(use_true_random=False),
)
def test_a_draw_has_its_size_is_of_the_parties_and_always_the_same(
    parties, seats, seed, number, shuffle
) -> None:
    found = drawn(parties, seats, seed, number)
    assert len(found) == min(seats, len(parties))
    assert set(found) <= parties
    assert list(found) == sorted(found)
    mixed = sorted(parties)
    shuffle.shuffle(mixed)
    assert drawn(mixed, seats, seed, number) == found
    # Who is drawn stays drawn when somebody else is not there.
    for gone in parties - set(found):
        assert drawn(parties - {gone}, seats, seed, number) == found


@pytest.mark.parametrize("seats", [1, 3, 7])
def test_over_many_rounds_every_party_is_drawn_about_equally_often(seats) -> None:
    parties, rounds = [str(9990 + one) for one in range(10)], 4000
    drawings = [drawn(parties, seats, 0, number) for number in range(1, rounds + 1)]
    share = seats / len(parties)
    # Five standard deviations of a binomial count.
    allowed = 5 * np.sqrt(rounds * share * (1 - share))
    counts = Counter(party for found in drawings for party in found)
    assert all(abs(counts[party] - rounds * share) < allowed for party in parties)
    assert drawings != [drawn(parties, seats, 1, number) for number in range(1, rounds + 1)]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_the_share_of_the_parties_is_to_the_nearest_and_at_least_one(members, thousandths) -> None:
    share = FederationSection(participation=thousandths / 1000)
    exact = (2 * members * thousandths + 1000) // 2000
    assert share.seats(members) == max(1, exact)


def section(participation: float = 0.5, **federation: object) -> dict[str, object]:
    return {"participation": participation, "quorum": None, **federation}


@pytest.mark.parametrize(
    ("federation", "sentence"),
    [
        ({"quorum": 3}, r"quorum is 3: the party file names 4 parties, of which federation\.part"),
        ({"strategy": "median"}, r"hostile is 1: median needs 3 parties for that and .* invites 2"),
    ],
)
def test_more_than_a_round_invites_is_not_asked_for(federation, sentence, tmp_path) -> None:
    hand = ByHand(tmp_path, IDS, **section(**federation))
    with pytest.raises(TaskFileError, match=sentence):
        coordinator.found(hand.desk)


def test_a_round_needs_the_replies_of_all_invited_parties_and_names_no_other(tmp_path) -> None:
    hand = ByHand(tmp_path, IDS, **section())
    invitation = hand.open()
    assert len(invitation.parties) == len(invitation.not_invited) == 2
    first, second = invitation.parties
    hand.reply(invitation, first, update(1.0))
    with pytest.raises(QuorumNotMet) as void:
        close(hand, invitation)
    said = str(void.value)
    assert "1 reply and the quorum is 2" in said
    assert [one for one in IDS if f"-{one}:" in said] == [second]


def close(hand: ByHand, invitation: Invitation) -> None:
    """Combine what the invited parties have sent by now."""
    number, now = invitation.round, hand.time.clock()
    answers = {one: coordinator.ask(hand.desk, number, one, now) for one in invitation.parties}
    coordinator.combine(hand.desk, number, answers)


def play(hand: ByHand, invitation: Invitation, values: Mapping[str, tuple[float, float]]) -> None:
    for party in invitation.parties:
        hand.reply(invitation, party, update(*values[party]))
    close(hand, invitation)


@pytest.mark.parametrize("weighting", ["equal", "patients"])
def test_scaffolds_common_control_moves_by_what_the_drawn_are_of_all(weighting, tmp_path) -> None:
    """c += |S| / N * mean of the changes (line 17 of algorithm 1), and x += mean of the updates."""
    hand = ByHand(tmp_path, IDS, **section(strategy="scaffold", weighting=weighting))
    hand.patients = {"1": 10, "2": 20, "3": 30, "4": 40}
    weights = {one: 1.0 if weighting == "equal" else float(hand.patients[one]) for one in IDS}
    invitation, moved, control = hand.open(), 0.0, 0.0
    for number in (1, 2, 3):
        values = {one: (float(one) + number, float(one) * number) for one in IDS}
        play(hand, invitation, values)
        share = {one: weights[one] for one in invitation.parties}
        total = sum(share.values())
        moved += sum(share[one] * values[one][0] for one in share) / total
        change = sum(share[one] * values[one][1] for one in share) / total
        control += total / sum(weights.values()) * change
        combined = combined_of(hand.desk, number)
        found = codec.decode(sealed.fetch(hand.store, combined.model))["weight"]
        np.testing.assert_allclose(found, [moved] * 4, rtol=1e-6)
        kept = memory_of(hand, number)["control/weight"]
        np.testing.assert_allclose(kept, [control] * 4, rtol=1e-6)
        invitation = coordinator.invite(hand.desk, number + 1, combined.model)


@pytest.mark.parametrize(("strategy", "known"), [("fedavg", 1.0), ("scaffold", 40.0)])
def test_everybodys_weight_is_reckoned_for_scaffold_alone(strategy, known, tmp_path) -> None:
    hand = ByHand(tmp_path, IDS, **section(strategy=strategy))
    invitation = hand.open()
    assert admission_of(hand.desk, invitation, model()).everyone == known


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"), ("1", "2", "3"))


def train(folder: Path, cohorts: Mapping[str, Cohort], store=None, **federation: object) -> Outcome:
    task = task_file(**{"participation": 0.67, "epochs": 3, "local_steps": 2, **federation})
    return simulate_cohorts(task, cohorts, world(folder, store))


@pytest.fixture(scope="module")
def outcome(cohorts, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return train(tmp_path_factory.mktemp("drawn"), cohorts)


def test_who_is_not_invited_scores_and_is_no_absence(outcome) -> None:
    for record in outcome.records:
        statuses = {party: said.status for party, said in record.parties.items()}
        assert sorted(statuses.values()) == ["admitted", "admitted", "not_invited"]
        assert all(said.loss is not None for said in record.parties.values())
        (resting,) = (party for party in statuses if statuses[party] == "not_invited")
        assert record.parties[resting].weight == 0
        named = "Guest" if resting == "1" else f"Host {resting}"
        assert f"{named} " not in line(record, task_file())
    kinds = [kind for kind, _ in outcome.ledgers["coordinator"].story()]
    assert "update_absent" not in kinds


def test_the_report_lists_no_party_as_missing_that_was_not_invited(outcome, tmp_path) -> None:
    members = tuple(
        Member(party_id=party, role="guest" if party == "1" else "host") for party in outcome.hellos
    )
    task = task_file(participation=0.67)
    agreement = Agreement(
        run=outcome.end.run,
        task=task.model_dump(mode="json"),
        task_hash=task.fingerprint(),
        parties=members,
        code_version="test",
    )
    path = tmp_path / "report.html"
    write_report(path, task, agreement, outcome.hellos, outcome.records, outcome.end, {})
    assert "not_invited" not in path.read_text()


@pytest.mark.parametrize(
    "federation",
    [
        {"strategy": "scaffold"},
        {"strategy": "fedbn", "epochs": 2},
        {"strategy": "ditto", "epochs": 2},
    ],
    ids=["scaffold", "fedbn", "ditto"],
)
def test_a_training_that_draws_has_the_same_bits_again(federation, cohorts, tmp_path) -> None:
    first = train(tmp_path / "a", cohorts, **federation)
    again = train(tmp_path / "b", cohorts, **federation)
    assert bits(first) == bits(again)
    assert stories(first) == stories(again)


def test_all_parties_invited_is_the_training_without_a_draw(cohorts, tmp_path) -> None:
    every = train(tmp_path / "a", cohorts, participation=0.9, epochs=1)
    plain = train(tmp_path / "b", cohorts, participation=1, epochs=1)
    assert bits(every) == bits(plain)


def test_scaffold_between_real_parties_keeps_c_the_mean_of_all_own_controls(
    cohorts, tmp_path
) -> None:
    """c_i is the sum of the changes that party i sent; who was never drawn has none."""
    place: World = world(tmp_path)
    task = task_file(strategy="scaffold", participation=0.67, epochs=4, local_steps=3)
    outcome = simulate_cohorts(task, cohorts, place)
    run, owns = outcome.end.run, {party: Counter[str]() for party in cohorts}
    weights = {party: float(one.train.patients) for party, one in cohorts.items()}
    lead = place.key("coordinator").public
    for number in range(1, 5):
        key = keys.combined(run, number)
        combined = sealed.read(place.store, key, Combined, lead)
        assert len(combined.weights) == 2
        for party in combined.weights:
            sent = codec.decode(place.store.get(keys.update(party, run, number)))
            for name, change in part(sent, CONTROL).items():
                owns[party][name] = owns[party][name] + change.astype(np.float64)
        assert combined.memory is not None
        common: Params = part(codec.decode(sealed.fetch(place.store, combined.memory)), CONTROL)
        for name, array in common.items():
            total = sum(weights[party] * owns[party][name] for party in cohorts)
            expected = np.broadcast_to(total / sum(weights.values()), array.shape)
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)


def test_a_training_that_draws_and_is_stopped_at_every_write_ends_with_the_same_bits(
    cohorts, tmp_path
) -> None:
    fields = {"strategy": "scaffold", "epochs": 2, "local_steps": 1}
    whole = train(tmp_path / "whole", cohorts, **fields)
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        try:
            outcome = train(tmp_path / "cut", cohorts, Failing(exchange, after=True), **fields)
        except Unreachable:
            stops += 1
    assert stops >= 12
    assert bits(outcome) == bits(whole)
