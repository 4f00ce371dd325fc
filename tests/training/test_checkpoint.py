"""A round that is broken off anywhere goes on to the same bits; what does not fit is left alone."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcore.errors import Interrupted
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.checkpoint import NOTE, SHARE, Checkpoint
from fedcore.training.hardware import Hardware
from fedcore.training.local import train_round

NUMBERS = itertools.count()
AIDS = {
    "l1": 0.01,
    "max_grad_norm": 0.5,
    "warmup_steps": 20,
    "backbone_lr": 0.5,
    "freeze": [{"layers": "4"}],
    "optimizer_state": "kept",
    "loader": "continuing",
}
BOUND = {"base": "b" * 64, "contract": "c" * 64}


class Stop(Exception):
    """A kill: nothing that was not on the disk survives it."""


@pytest.fixture
def train(make_images, make_network, cpu):
    """Train round 2 in a fresh network; `stop_after` kills it after that many steps."""

    def go(task, checkpoint=None, stop_after=None, hardware=cpu, seen=None, kill=Stop, **options):
        network = make_network(task)
        channels, side, _ = task.model.input_size

        def watch(done, total, loss):
            if seen is not None:
                seen.append(done)
            if done == stop_after:
                raise kill("killed")

        return train_round(
            network,
            options.get("start") or to_params(network),
            make_images(options.get("amount", 12), channels=channels, side=side),
            task,
            party_id=options.get("party", "1"),
            number=options.get("number", 2),
            hardware=hardware,
            on_step=watch,
            checkpoint=checkpoint,
            carried=options.get("carried"),
        )

    return go


@pytest.fixture
def kept(tmp_path):
    """A checkpoint that is due after every step, in a folder of its own."""

    def make(folder=None, bound=BOUND, **options):
        place = tmp_path / (folder or f"checkpoint-{next(NUMBERS)}")
        return Checkpoint(place, bound, **{"every": 0.0, "clock": lambda: 0.0, **options})

    return make


def files(tmp_path, folder):
    return sorted(path.name for path in (tmp_path / folder).iterdir())


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.integers(2, 8), min_size=1, max_size=2, unique=True).map(sorted),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    momentum=st.sampled_from([0.0, 0.9]),
    augment=st.sampled_from(["none", "flip"]),
    batch_norm=st.sampled_from(["average", "local"]),
    mu=st.sampled_from([0.0, 0.1]),
    schedule=st.sampled_from(["constant", "onecycle"]),
    aids=st.sampled_from([{}, AIDS]),
)
def test_a_round_killed_after_any_step_ends_with_the_same_bits(
    train, kept, make_task, stops, optimizer, momentum, augment, batch_norm, mu, schedule, aids
):
    task = make_task(
        optimizer=optimizer, momentum=momentum, augment=augment, batch_norm=batch_norm,
        strategy="fedprox", mu=mu, schedule=schedule, batch_size=4, local_epochs=3,
        weight_decay=0.01, **aids,
    )  # fmt: skip
    whole = train(task)
    folder = f"checkpoint-{next(NUMBERS)}"
    for stop in stops:
        with pytest.raises(Stop):
            train(task, kept(folder), stop)
    seen: list[int] = []
    again = train(task, kept(folder), seen=seen)
    assert seen == list(range(stops[-1], 10))  # the step that it was killed in, and the rest
    assert digest(again.params) == digest(whole.params)
    assert again.metrics == whole.metrics
    assert (again.steps, again.images) == (whole.steps, whole.images)


@pytest.mark.parametrize(
    ("name", "hardware", "optimizer"),
    [
        ("resnet18", Hardware(), "adam"),
        ("resnet18", Hardware(bfloat16=True, channels_last=True), "sgd"),
        ("mobilenet_v3_small", Hardware(bfloat16=True, channels_last=True), "adam"),
    ],
)
def test_large_networks_with_dropout_and_batch_norm_go_on_as_well(
    train, kept, make_task, name, hardware, optimizer
):
    task = make_task(name, (1, 32, 32), optimizer=optimizer, batch_size=4, augment="flip")
    whole = train(task, hardware=hardware)
    with pytest.raises(Stop):
        train(task, kept("here"), 2, hardware=hardware)
    again = train(task, kept("here"), hardware=hardware)
    assert digest(again.params) == digest(whole.params)
    assert again.metrics == whole.metrics


def test_a_checkpoint_alone_changes_no_bit(train, kept, make_task):
    task = make_task(batch_size=4, augment="flip")
    assert digest(train(task, kept()).params) == digest(train(task).params)


def test_whoever_ends_a_training_politely_loses_no_step(train, kept, make_task):
    task = make_task(batch_size=4)
    with pytest.raises(Interrupted):
        train(task, kept("here", every=1e9), 2, kill=Interrupted)
    seen: list[int] = []
    train(task, kept("here"), seen=seen)
    assert seen == [3]


@pytest.mark.parametrize("field", sorted(BOUND))
def test_a_checkpoint_of_another_training_is_ignored_and_removed(
    train, kept, make_task, tmp_path, field
):
    task, heard, seen = make_task(batch_size=4), [], []
    with pytest.raises(Stop):
        train(task, kept("here"), 3)
    assert len(files(tmp_path, "here")) == 2
    other = kept("here", {**BOUND, field: 9}, every=1e9, say=heard.append)
    train(task, other, seen=seen)
    assert seen == [1, 2, 3]
    assert files(tmp_path, "here") == []
    assert heard == []


def test_another_task_party_round_start_cohort_or_machine_begins_anew(
    train, kept, make_task, make_network
):
    task = make_task(batch_size=4)
    other = to_params(make_network(make_task(seed=5)))
    for changed in (
        {"start": other},
        {"amount": 11},
        {"party": "2"},
        {"number": 3},
        {"task": make_task(batch_size=4, optimizer="sgd")},
        {"hardware": Hardware(channels_last=True)},
    ):
        with pytest.raises(Stop):
            train(task, kept("here"), 3)
        seen: list[int] = []
        train(changed.pop("task", task), kept("here"), seen=seen, **changed)
        assert seen[0] == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_what_is_carried_stays_as_it_was_and_a_killed_round_with_it_goes_on(
    train, kept, make_task, optimizer
):
    task = make_task(batch_size=4, optimizer=optimizer, optimizer_state="kept")
    carried = train(task).carried
    before = carried.fingerprint()
    with pytest.raises(Stop):
        train(task, kept("here"), 3, carried=carried)
    assert carried.fingerprint() == before
    seen: list[int] = []
    again = train(task, kept("here"), seen=seen, carried=carried)
    assert seen == [3]
    assert digest(again.params) == digest(train(task, carried=carried).params)


def test_a_torn_or_changed_checkpoint_is_said_and_the_round_begins_anew(
    train, kept, make_task, tmp_path
):
    task = make_task(batch_size=4)
    whole = digest(train(task).params)
    folder = tmp_path / "here"

    def numbers():
        return next(folder.glob("training-*.safetensors"))

    spoilers = [
        lambda: numbers().write_bytes(numbers().read_bytes()[:-7]),
        lambda: numbers().write_bytes(numbers().read_bytes()[:-1] + b"\x55"),
        lambda: numbers().write_bytes(b""),
        lambda: numbers().unlink(),
        lambda: (folder / NOTE).write_bytes((folder / NOTE).read_bytes()[:-9]),
        lambda: (folder / NOTE).write_bytes(b"\x80\x04pickled"),
    ]
    for spoil in spoilers:
        with pytest.raises(Stop):
            train(task, kept("here"), 3)
        spoil()
        heard: list[str] = []
        seen: list[int] = []
        again = train(task, kept("here", every=1e9, say=heard.append), seen=seen)
        assert seen == [1, 2, 3]
        assert digest(again.params) == whole
        assert len(heard) == 1
        assert "the round begins anew" in heard[0]
        assert files(tmp_path, "here") == []


def test_a_note_may_not_lead_out_of_its_folder(train, kept, make_task, tmp_path):
    task = make_task(batch_size=4)
    with pytest.raises(Stop):
        train(task, kept("here"), 3)
    note = json.loads((tmp_path / "here" / NOTE).read_bytes())
    numbers = tmp_path / "here" / note["numbers"]
    numbers.rename(tmp_path / note["numbers"])
    note["numbers"] = f"../{note['numbers']}"
    (tmp_path / "here" / NOTE).write_text(json.dumps(note))
    seen: list[int] = []
    train(task, kept("here"), seen=seen)
    assert seen[0] == 1


def test_a_disk_that_refuses_is_said_and_the_training_goes_on(train, kept, make_task, tmp_path):
    task, heard = make_task(batch_size=4), []
    (tmp_path / "file").write_bytes(b"")
    result = train(task, kept("file/below", say=heard.append))
    assert digest(result.params) == digest(train(task).params)
    assert "the training goes on without" in heard[0]


def test_it_is_saved_by_the_clock_and_more_rarely_on_a_slow_disk(tmp_path):
    now = [0.0]

    def slow() -> float:
        now[0] += 1.0  # a save looks at the clock before and after: it takes two seconds
        return now[0]

    kept = Checkpoint(tmp_path, BOUND, every=30.0, clock=lambda: now[0])
    assert not kept.due
    now[0] = 30.0
    assert kept.due
    kept.save(1, {"a": np.zeros(3)})
    assert not kept.due
    laggard = Checkpoint(tmp_path, BOUND, every=2.0, clock=slow)
    laggard.save(2, {"a": np.zeros(3)})
    begun = now[0]
    while not laggard.due:
        pass
    assert now[0] - begun >= 1.0 / SHARE


def test_one_checkpoint_is_kept_and_removing_leaves_nothing(kept, tmp_path):
    one = kept("here")
    for step in (1, 2, 3):
        one.save(step, {"a": np.full(3, step)})
    assert len(files(tmp_path, "here")) == 2
    again = kept("here")
    saved = again.find(dict)
    assert (saved.step, saved.arrays["a"].tolist()) == (3, [3, 3, 3])
    again.remove()
    assert files(tmp_path, "here") == []
    again.remove()
