"""The laws of the parameters' algebra: what is refused, what is bounded, what comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedcore import params
from fedcore.errors import Refused

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
WHOLE = st.integers(-(2**20), 2**20)
FLOATS = st.floats(-1e6, 1e6, width=32)
ANY_NUMBER = st.floats(-(2.0**90), 2.0**90, width=32, allow_subnormal=False)
FLOATING = hnp.arrays(np.float32, SHAPES, elements=ANY_NUMBER)
COUNTERS = hnp.arrays(np.int64, SHAPES, elements=WHOLE)
MODELS = st.dictionaries(NAMES, FLOATING | COUNTERS, min_size=1, max_size=4)
# Whole numbers as floats: their sums and differences are exact, so laws can be asked to the bit.
EXACT = st.dictionaries(
    NAMES, hnp.arrays(np.float64, SHAPES, elements=WHOLE) | COUNTERS, min_size=1, max_size=4
)


def same(left: params.Params, right: params.Params) -> bool:
    """Bit by bit."""
    return params.schema(left) == params.schema(right) and all(
        left[name].tobytes() == right[name].tobytes() for name in left
    )


def test_different_names_are_refused_on_either_side():
    one, two = {"a": np.ones(2)}, {"a": np.ones(2), "b": np.ones(2)}
    for operation in (params.add, params.subtract):
        for left, right in ((one, two), (two, one)):
            with pytest.raises(Refused, match="'b' is on one side only") as refused:
                operation(left, right)
            assert refused.value.reason == "schema"


@pytest.mark.parametrize("operation", [params.add, params.subtract])
def test_shapes_are_never_stretched_to_fit(operation):
    with pytest.raises(Refused, match=r"shape: a: \(3,\) against \(1,\)"):
        operation({"a": np.ones(3)}, {"a": np.ones(1)})


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "schema"),
        ({"a": np.ones(2, np.float32), "b": np.ones(1)}, "schema"),
        ({"b": np.ones(2, np.float32)}, "schema"),
        ({"a": np.ones(2, np.float64)}, "dtype"),
        ({"a": np.ones(2, ">f4")}, "dtype"),
        ({"a": np.ones(3, np.float32)}, "shape"),
        ({"a": np.ones((2, 1), np.float32)}, "shape"),
    ],
)
def test_whatever_breaks_the_schema_is_refused_with_its_reason(found, reason):
    expected = params.schema({"a": np.ones(2, np.float32)})
    with pytest.raises(Refused) as refused:
        params.require_schema(found, expected)
    assert refused.value.reason == reason


def test_a_schema_that_went_through_json_still_fits():
    params.require_schema({"a": np.ones((2, 1), np.float32)}, {"a": ("float32", [2, 1])})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_value_that_is_not_finite_is_refused(bad, dtype):
    array = np.zeros((3, 3), dtype)
    array[1, 2] = bad
    with pytest.raises(Refused, match="weight holds NaN or infinity") as refused:
        params.require_finite({"bias": np.zeros(2), "weight": array})
    assert refused.value.reason == "not_finite"


@given(MODELS)
def test_finite_values_pass_and_a_model_fits_its_own_schema(model):
    params.require_finite(model)
    params.require_schema(model, params.schema(model))


@given(EXACT, st.randoms(use_true_random=False))
def test_what_was_subtracted_can_be_added_again(model, random):
    other = {name: np.asarray(array + random.randint(-5, 5)) for name, array in model.items()}
    assert same(params.add(params.subtract(other, model), model), other)


@given(EXACT)
def test_a_model_minus_itself_is_zero_and_has_no_length(model):
    nothing = params.subtract(model, model)
    assert params.schema(nothing) == params.schema(model)
    assert params.norm(nothing) == 0
    assert same(params.add(model, nothing), model)


@given(MODELS, FLOATS)
def test_scaling_keeps_names_kinds_and_counters(model, factor):
    scaled = params.scale(model, factor)
    assert params.schema(scaled) == params.schema(model)
    assert all(type(array) is np.ndarray for array in scaled.values())
    counters = {name for name in model if not params.is_float(model[name])}
    assert same(params.select(scaled, counters), params.select(model, counters))


@given(MODELS)
def test_scaling_by_one_changes_nothing_and_gives_copies(model):
    scaled = params.scale(model, 1.0)
    assert same(scaled, model)
    assert not any(np.shares_memory(scaled[name], model[name]) for name in model)


@given(EXACT)
def test_sums_of_scalars_stay_arrays(model):
    for result in (params.add(model, model), params.subtract(model, model)):
        assert all(type(array) is np.ndarray for array in result.values())


@given(MODELS)
def test_the_norm_is_the_length_of_all_floating_values_in_one_row(model):
    floating = [array.ravel() for array in model.values() if params.is_float(array)]
    row = np.concatenate([np.zeros(1), *floating]).astype(np.float64)
    assert params.norm(model) == pytest.approx(math.sqrt(math.fsum(row**2)), rel=1e-12)


@given(MODELS, st.floats(-8, 8))
def test_the_norm_grows_with_the_factor(model, factor):
    wide = {name: array.astype(np.float64) for name, array in model.items()}
    scaled = params.norm(params.scale(wide, factor))
    assert scaled == pytest.approx(abs(factor) * params.norm(wide), rel=1e-9)


@given(MODELS, st.floats(1e-3, 1e9), st.sampled_from([np.float16, np.float32, np.float64]))
def test_clipping_keeps_the_bound_the_direction_and_its_own_results(model, bound, dtype):
    limit = min(float(np.finfo(dtype).max) / 2, 2.0**90)
    model = {
        name: array.clip(-limit, limit).astype(dtype) if params.is_float(array) else array
        for name, array in model.items()
    }
    clipped = params.clip(model, bound)
    assert params.schema(clipped) == params.schema(model)
    assert params.norm(clipped) <= bound
    assert same(params.clip(clipped, bound), clipped)
    for name in model:
        assert np.all(np.sign(clipped[name]) * np.sign(model[name]) >= 0)


@given(MODELS)
def test_what_is_short_enough_is_not_touched_by_clipping(model):
    assert same(params.clip(model, params.norm(model)), model)
    assert same(params.clip(model, None), model)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_what_is_clipped_ends_at_the_bound(seed, bound):
    model = {"a": np.random.default_rng(seed).normal(size=1000).astype(np.float32) * 1000}
    assert params.norm(params.clip(model, bound)) == pytest.approx(bound, rel=1e-6)


@given(MODELS)
def test_the_digest_does_not_depend_on_order_or_layout(model):
    turned = dict(reversed(model.items()))
    spread = {name: np.array(array, order="F") for name, array in turned.items()}
    assert params.digest(model) == params.digest(spread)


@given(MODELS, MODELS)
def test_digests_are_equal_only_for_identical_models(left, right):
    assert (params.digest(left) == params.digest(right)) == same(left, right)


@given(MODELS, st.data())
def test_one_bit_changes_the_digest(model, data):
    name = data.draw(st.sampled_from(sorted(model)))
    assume(model[name].size)
    body = bytearray(model[name].tobytes())
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    array = np.frombuffer(bytes(body), model[name].dtype).reshape(model[name].shape)
    assert params.digest(model | {name: array}) != params.digest(model)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": np.float32(1)}, {"a": np.ones(1, np.float32)}),
        ({"a": np.zeros((0, 2))}, {"a": np.zeros((2, 0))}),
        ({"a": np.zeros(2, np.int64)}, {"a": np.zeros(2, np.float64)}),
        ({"a": np.zeros(1)}, {"a": -np.zeros(1)}),
        (
            {"a": np.zeros(0), "b": np.zeros(1)},
            {"a|<f8|(0,)|b": np.zeros(1)},
        ),
    ],
)
def test_digests_tell_apart_what_looks_alike(left, right):
    assert params.digest(left) != params.digest(right)


def test_a_name_that_is_not_there_cannot_be_selected():
    with pytest.raises(KeyError):
        params.select({"a": np.ones(1)}, ["a", "b"])
    assert list(params.select({"a": np.ones(1), "b": np.ones(1)}, ["b"])) == ["b"]


@given(MODELS, st.sampled_from(["control/", "x/"]))
def test_what_stands_under_a_prefix_comes_back_and_nothing_else(model, prefix):
    named = params.prefixed(prefix, model)
    assert same(params.part({**named, "other": np.ones(1)}, prefix), model)


def test_gradients_move_floats_and_none_of_batch_norms_statistics():
    names = ["bn.weight", "bn.running_mean", "running_var", "x.num_batches_tracked"]
    state = {name: np.zeros(2, np.float32) for name in names} | {"count": np.zeros(2, np.int64)}
    assert list(params.learned(state)) == ["bn.weight"]


def test_the_finite_norm_is_the_norm_of_what_is_not_left_out() -> None:
    random = np.random.default_rng(3)
    bounded = {
        "b": random.standard_normal(20_000).astype(np.float32),
        "a": random.standard_normal((3, 5)).astype(np.float32),
        "count": np.array(7, np.int64),
    }
    controls = {f"control/{name}": array for name, array in bounded.items()}
    assert params.finite_norm({**bounded, **controls}, "control/") == params.norm(bounded)


@pytest.mark.parametrize("name", ["weight", "control/weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_finite_norm_refuses_what_is_not_finite_also_where_it_is_left_out(name, value) -> None:
    odd = {"weight": np.ones(3, np.float32), "control/weight": np.ones(3, np.float32)}
    odd[name][1] = value
    with pytest.raises(Refused, match="not_finite"):
        params.finite_norm(odd, "control/")


def test_numbers_too_large_to_be_squared_are_long_and_not_infinite() -> None:
    with np.errstate(over="ignore"):
        assert params.finite_norm({"weight": np.array([1e300])}, "control/") == math.inf
