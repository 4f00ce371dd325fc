"""Codecs: what each may change of an update, what it costs in bytes, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedcore.config.update import CODECS
from fedcore.errors import Refused
from fedcore.exchange import codec, packing
from fedcore.params import CONTROL, Params, digest, finite_norm, schema
from fedcore.strategies import WeightedMean

FLOATS = st.floats(-(2.0**20), 2.0**20, width=32)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)
WEIGHTS = SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=FLOATS))
UPDATES = st.dictionaries(st.sampled_from(["a.weight", "b.bias", "c"]), WEIGHTS, min_size=1)
LOSSY = [name for name in CODECS if name != "float32"]


def sent(update: Params, name: str, share: float = 0.1, seed: int = 0) -> Params:
    """The update as it arrives, through the very bytes."""
    body = codec.encode(packing.pack(update, name, share, seed))
    tensors = codec.Tensors.from_bytes(body)
    packing.require_packed(tensors.schema, schema(update), name)
    return dict(packing.Unpacked(codec.Lazy(tensors), name, schema(update)))


def counters() -> Params:
    """What no codec may touch."""
    return {
        "n.num_batches_tracked": np.array(7, np.int64),
        "n.running_var": np.array([1e-5, 3.0], np.float32),
        f"{CONTROL}a.weight": np.array([0.1, 0.2], np.float32),
        "double": np.array([0.1], np.float64),
    }


@pytest.mark.parametrize("name", CODECS)
@given(update=UPDATES, seed=st.integers(0, 2**64 - 1))
def test_what_arrives_has_the_schema_and_equal_arguments_give_equal_bytes(name, update, seed):
    whole = {**update, **counters()}
    arrived = sent(whole, name, seed=seed)
    assert schema(arrived) == schema(whole)
    assert digest(arrived) == digest(sent(whole, name, seed=seed))
    for plain, value in counters().items():
        assert arrived[plain].tobytes() == value.tobytes()


@pytest.mark.parametrize("name", CODECS)
@given(update=UPDATES, data=st.data())
def test_any_block_of_an_array_is_that_part_of_the_whole(name, update, data):
    whole = {**update, **counters()}
    packed = packing.pack(whole, name, 0.1, 0)
    unpacked = packing.Unpacked(packed, name, schema(whole))
    for one, array in unpacked.items():
        blocks = unpacked.blocks(one)
        assert (blocks.dtype, blocks.shape, blocks.size) == (array.dtype, array.shape, array.size)
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, array.size)] * 2)))
        part = np.ravel(array)[start:stop]
        assert blocks.read(slice(start, stop)).tobytes() == part.tobytes()


@pytest.mark.parametrize("name", LOSSY)
@given(update=UPDATES)
def test_an_update_that_is_added_as_it_is_unpacked_has_the_bits_of_the_unpacked_one(name, update):
    unpacked = packing.Unpacked(packing.pack(update, name, 0.1, 0), name, schema(update))
    straight, whole = WeightedMean(), WeightedMean()
    for _ in range(2):
        straight.add(unpacked, 3.0, 0.7)
        whole.add(dict(unpacked), 3.0, 0.7)
    assert digest(straight.result()) == digest(whole.result())
    assert finite_norm(unpacked, CONTROL) == finite_norm(dict(unpacked), CONTROL)


@given(update=UPDATES)
def test_int8_is_the_step_times_the_scale_of_its_row(update):
    packed = packing.pack(update, "int8", 0.1, 0)
    for one, array in packing.Unpacked(packed, "int8", schema(update)).items():
        steps, scales = packed[one].astype(np.float32), packed[one + packing.SCALE]
        rows = scales.reshape(-1, *[1] * (steps.ndim - 1)) if steps.ndim > 1 else scales
        assert array.tobytes() == (steps * rows).tobytes()


@given(update=UPDATES)
def test_float32_is_exact(update):
    assert digest(sent(update, "float32")) == digest(update)


@given(update=UPDATES)
def test_bfloat16_errs_by_a_256th_of_each_number_at_most(update):
    for name, array in sent(update, "bfloat16").items():
        error = np.abs(array.astype(np.float64) - update[name])
        # Below the smallest normal number the steps no longer shrink with the number.
        assert (error <= np.maximum(2.0**-8 * np.abs(update[name]), 2.0**-133)).all()


def test_bfloat16_rounds_as_torch_does():
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    ours = sent({"w": values}, "bfloat16")["w"]
    theirs = torch.from_numpy(values).bfloat16().float().numpy()
    assert ours.tobytes() == theirs.tobytes()


@given(update=UPDATES, seed=st.integers(0, 2**64 - 1))
def test_int8_errs_by_less_than_one_step_of_its_row(update, seed):
    for name, array in sent(update, "int8", seed=seed).items():
        count = len(update[name]) if array.ndim > 1 else 1
        rows = update[name].reshape(count, array.size // count if count else 0)
        steps = np.abs(rows).max(axis=1, initial=0) / 127
        error = np.abs(array.reshape(rows.shape) - rows)
        room = np.maximum(steps * (1 + 1e-5), 127 * np.finfo(np.float32).tiny)
        assert (error <= room[:, np.newaxis]).all()


def test_int8_is_right_on_average():
    values = np.random.default_rng(1).standard_normal((4, 500)).astype(np.float32)
    times = 400
    mean = sum(sent({"w": values}, "int8", seed=one)["w"].astype(float) for one in range(times))
    steps = np.abs(values).max(axis=1, keepdims=True) / 127
    # Five standard errors of a mean of `times` roundings; each deviates by half a step at most.
    assert (np.abs(mean / times - values) <= 5 * steps / 2 / math.sqrt(times)).all()


@given(update=UPDATES, share=st.floats(0.01, 1))
def test_topk_sends_the_largest_numbers_as_they_are_and_nothing_else(update, share):
    arrived = sent(update, "topk", share)
    flat = np.concatenate([np.ravel(update[name]) for name in sorted(update)])
    there = np.concatenate([np.ravel(arrived[name]) for name in sorted(update)])
    count = packing.kept_count(len(flat), share) if len(flat) else 0
    assert ((there == flat) | (there == 0)).all()
    kept = np.sort(np.abs(flat))[::-1][:count]
    assert np.sort(np.abs(there[there != 0])).tolist() == np.sort(kept[kept != 0]).tolist()


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so_and_can_be_refused(name, wrong):
    values = np.ones((3, 50), np.float32)
    values[1, 3] = wrong
    assert not np.isfinite(sent({"w": values}, name)["w"]).all()


@pytest.mark.parametrize(
    ("name", "most"), [("float32", 1.001), ("bfloat16", 0.501), ("int8", 0.26), ("topk", 0.022)]
)
def test_the_bytes_of_an_update_are_as_few_as_promised(name, most):
    random = np.random.default_rng(2)
    update = {f"{one}.weight": random.standard_normal((64, 64, 3, 3)) for one in range(6)}
    update = {key: value.astype(np.float32) for key, value in update.items()}
    plain = sum(value.nbytes for value in update.values())
    packed = packing.pack(update, name, 0.01, 0)
    assert len(codec.encode(packed)) <= most * plain
    values = sum(value.nbytes for value in packed.values())
    assert values <= packing.most_values(schema(update), name, 0.01)


def changed(name: str, **arrays: np.ndarray | None) -> Params:
    """A packed update with some arrays exchanged or, with `None`, left out."""
    update = {"w": np.arange(12, dtype=np.float32).reshape(3, 4)}
    packed = {**packing.pack(update, name, 0.5, 0), **arrays}
    return {key: value for key, value in packed.items() if value is not None}


HOSTILE = [
    ("bfloat16", changed("bfloat16", w=np.zeros((3, 4), np.float32)), "dtype"),
    ("bfloat16", changed("bfloat16", w=np.zeros(12, np.uint16)), "shape"),
    ("int8", changed("int8", **{"w:scale": None}), "schema"),
    ("int8", changed("int8", **{"w:scale": np.ones(1, np.float32)}), "shape"),
    ("int8", changed("int8", w=np.zeros((3, 4), np.uint8)), "dtype"),
    ("topk", changed("topk", **{"w:index": np.zeros(13, np.uint32)}), "shape"),
    ("topk", changed("topk", **{"w:value": np.zeros((2, 3), np.float32)}), "shape"),
    ("topk", changed("topk", **{"w:value": None}), "schema"),
    ("topk", changed("topk", **{"w:index": np.array([0, 1, 2, 3, 4, 12], np.uint32)}), "index"),
    ("topk", changed("topk", **{"w:index": np.array([0, 1, 1, 3, 4, 5], np.uint32)}), "index"),
    ("topk", changed("topk", **{"w:index": np.array([1, 0, 2, 3, 4, 5], np.uint32)}), "index"),
]


@pytest.mark.parametrize(("name", "packed", "reason"), HOSTILE)
def test_what_no_codec_writes_is_refused(name, packed, reason):
    expected = schema({"w": np.zeros((3, 4), np.float32)})

    def read() -> Params:
        packing.require_packed(schema(packed), expected, name)
        return dict(packing.Unpacked(packed, name, expected))

    with pytest.raises(Refused) as refused:
        read()
    assert refused.value.reason == reason
