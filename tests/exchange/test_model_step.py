"""A model's step: how far from the model that was meant, and the same bits on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_packing import FLOATS, SHAPES, changed, counters

from fedcore.errors import Refused
from fedcore.exchange import codec, packing
from fedcore.exchange.model_step import after_step, step_to
from fedcore.params import Params, digest, schema

NAMES = ("bfloat16", "int8")
SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def moves(draw: st.DrawFn) -> tuple[Params, Params]:
    """A model and the one that is meant to follow it."""
    shapes = draw(st.dictionaries(st.sampled_from(["a.weight", "b.bias"]), SHAPES, min_size=1))
    numbers = st.lists(FLOATS, min_size=1, max_size=8)
    start, meant = dict(counters()), dict(counters())
    for name, shape in shapes.items():
        for model in (start, meant):
            drawn = np.array(draw(numbers), np.float32)
            model[name] = np.resize(drawn, shape)
    meant["n.num_batches_tracked"] = np.array(11, np.int64)
    meant["n.running_var"] = np.array([2e-5, 0.1], np.float32)
    return start, meant


def stepped(start: Params, meant: Params, name: str, seed: int = 0) -> tuple[Params, Params]:
    """The model of who makes the step, and that of who has the first model and the step's bytes."""
    made = dict(meant)
    body = codec.encode(step_to(made, start, name, seed))
    return made, after_step(start, codec.Tensors.from_bytes(body), name, schema(start))


@pytest.mark.parametrize("name", NAMES)
@given(pair=moves(), seed=SEEDS)
def test_both_sides_have_the_same_bits_and_what_is_not_packed_is_exact(name, pair, seed):
    start, meant = pair
    made, received = stepped(start, meant, name, seed)
    assert schema(received) == schema(meant)
    assert digest(received) == digest(made) == digest(stepped(start, meant, name, seed)[0])
    for one in counters():
        assert made[one].tobytes() == meant[one].tobytes()


@pytest.mark.parametrize("name", NAMES)
@given(pair=moves(), seed=SEEDS)
def test_the_error_is_within_the_codecs_bound_of_the_step_not_of_the_model(name, pair, seed):
    start, meant = pair
    made, _ = stepped(start, meant, name, seed)
    for one in meant.keys() - counters().keys():
        way = np.abs(meant[one].astype(np.float64) - start[one])
        if name == "int8":
            (rows,) = packing.packed_schema(schema(meant), "int8")[one + packing.SCALE][1]
            each = way.size // rows if rows else 0
            bound = np.repeat(way.reshape(rows, each).max(axis=1, initial=0) / 127, each)
        else:
            bound = way.ravel() / 256
        error = np.abs(made[one].astype(np.float64) - meant[one]).ravel()
        # Subtracting and adding round, too, each by half a unit in the last place of float32.
        size = np.maximum(np.abs(made[one]), np.abs(way)).ravel()
        assert (error <= bound * (1 + 1e-5) + size * 2.0**-23 + 2e-36).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_relative_to_itself_so_small_steps_of_large_weights_arrive(name):
    """A model in bfloat16 would lose all of these: 0.001 is far below a 256th of 100."""
    start = {"w": np.full((2, 500), 100, np.float32)}
    meant = {"w": start["w"] + np.float32(0.001)}
    made, _ = stepped(start, meant, name)
    np.testing.assert_allclose(made["w"] - start["w"], meant["w"] - start["w"], rtol=0.01)


def test_int8_steps_of_many_rounds_are_right_on_average():
    """Nothing is carried from round to round, and nothing needs to be."""
    random = np.random.default_rng(0)
    model = {"w": np.zeros((4, 500), np.float32)}
    way = random.standard_normal((4, 500)).astype(np.float32)
    rounds = 200
    for number in range(rounds):
        meant = {"w": model["w"] + way}
        step_to(meant, model, "int8", number)
        model = meant
    step = np.abs(way).max(axis=1, keepdims=True) / 127
    # Five standard errors of a mean of so many roundings; each deviates by half a step at most.
    assert (np.abs(model["w"] / rounds - way) <= 5 * step / 2 / np.sqrt(rounds)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(name, wrong):
    start = {"w": np.ones((3, 50), np.float32)}
    meant = {"w": start["w"].copy()}
    meant["w"][1, 3] = wrong
    made, _ = stepped(start, meant, name)
    assert not np.isfinite(made["w"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_models_that_it_leads_from_are_left_as_they_are(name):
    start, meant = {"w": np.zeros(5, np.float32)}, {"w": np.ones(5, np.float32)}
    for array in (start["w"], meant["w"]):
        array.flags.writeable = False
    made, received = stepped(start, meant, name)
    assert made["w"] is not meant["w"]
    assert received["w"].flags.writeable


def test_what_is_no_step_is_refused():
    body = codec.encode(changed("int8", w=np.zeros((3, 4), np.uint8)))
    expected = schema({"w": np.zeros((3, 4), np.float32)})
    with pytest.raises(Refused) as refused:
        after_step(
            {"w": np.zeros((3, 4), np.float32)}, codec.Tensors.from_bytes(body), "int8", expected
        )
    assert refused.value.reason == "dtype"
