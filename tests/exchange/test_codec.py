"""Bodies: the same arrays give the same bytes, and nothing but a sound body is ever opened."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedcore import params
from fedcore.errors import Refused
from fedcore.exchange.codec import Draft, Tensors, decode, encode
from fedcore.exchange.header import DTYPES
from fedcore.exchange.memory import MemoryStore

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(sorted(DTYPES.values())).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
PARAMS = st.dictionaries(st.text(min_size=1, max_size=12), ARRAYS, max_size=5)
SMALL = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7, dtype=np.int64)}


def body_of(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"1234567", "truncated"),
        (zipped(), "not_safetensors"),
        (b"\x80\x04\x95" + bytes(range(60)), "not_safetensors"),
        (pickle.dumps({"w": list(range(500))}), "not_safetensors"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "not_safetensors"),
        ((100).to_bytes(8, "little") + b"{}", "truncated"),
        (body_of(b"\xff\xfe", b""), "not_safetensors"),
        (body_of(b"[" * 200_000, b""), "not_safetensors"),
        (body_of(b'{"a":' * 100_000, b""), "not_safetensors"),
        (body_of([], b""), "not_safetensors"),
        (body_of({"w": 1}, b""), "not_safetensors"),
        (body_of({"w": {**entry(), "more": 1}}, b"1234"), "not_safetensors"),
        (body_of({"w": entry(dtype="BF16", offsets=(0, 2))}, b"12"), "dtype"),
        (body_of({"w": entry(dtype=["F32"])}, b"1234"), "dtype"),
        (body_of({"w": entry(dtype="O")}, b"1234"), "dtype"),
        (body_of({"w": entry(shape=(-1,))}, b"1234"), "offsets"),
        (body_of({"w": entry(shape=(1.0,))}, b"1234"), "offsets"),
        (body_of({"w": entry(shape=(True,))}, b"1234"), "offsets"),
        (body_of({"w": entry(shape=(1 << 40,))}, b"1234"), "offsets"),
        (body_of({"w": entry(shape=[1] * 40)}, b"1234"), "offsets"),
        (body_of({"w": entry(shape=(2,))}, b"1234"), "offsets"),
        (body_of({"w": entry(offsets=(4, 0))}, b"1234"), "offsets"),
        (body_of({"w": entry(offsets=(0, 4, 8))}, b"1234"), "offsets"),
        (body_of({"w": entry(offsets=(4, 8))}, b"12345678"), "offsets"),
        (body_of({"v": entry(), "w": entry()}, b"1234"), "offsets"),
        (body_of({"v": entry(), "w": entry(offsets=(2, 6))}, b"123456"), "offsets"),
        (body_of({"w": entry(shape=(1 << 30,), offsets=(0, 1 << 32))}, b"1234"), "truncated"),
        (body_of({"w": entry()}, b"123"), "truncated"),
        (body_of({"w": entry()}, b"12345"), "not_safetensors"),
        (body_of(b'{"w":%b,"w":%b}' % ((json.dumps(entry()).encode(),) * 2), b"1234"), None),
        (body_of({"w": entry(dtype="BOOL", shape=(4,))}, b"\x00\x01\x02\x00"), "dtype"),
    ],
)
def test_what_is_no_sound_body_is_refused(body, reason):
    with pytest.raises(Refused) as refused:
        decode(body)
    assert refused.value.reason == (reason or "not_safetensors")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else(body):
    with pytest.raises(Refused):
        decode(body)


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_gives_arrays(place, bit):
    body = bytearray(encode(SMALL))
    body[place % len(body)] ^= 1 << bit
    try:
        opened = decode(bytes(body))
    except Refused:
        return
    assert sum(array.nbytes for array in opened.values()) <= len(body)


@given(st.integers(0, 500))
def test_every_cut_is_refused(length):
    body = encode(SMALL)
    with pytest.raises(Refused):
        decode(body[: min(length, len(body) - 1)])


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({"w": ("float32", (2, 3))}, "schema"),
        ({"w": ("float32", (2, 3)), "n": ("int64", ()), "x": ("int64", ())}, "schema"),
        ({"w": ("float64", (2, 3)), "n": ("int64", ())}, "dtype"),
        ({"w": ("float32", (3, 2)), "n": ("int64", ())}, "shape"),
        ({"w": ("float32", (2, 3)), "n": ("int64", (1,))}, "shape"),
    ],
)
def test_another_schema_is_refused_before_a_number_is_read(expected, reason):
    read = []
    body = encode(SMALL)

    def reader(start: int, length: int) -> bytes:
        read.append(start + length)
        return body[start : start + length]

    with pytest.raises(Refused) as refused:
        Tensors(reader, len(body), expected)
    assert refused.value.reason == reason
    assert max(read) == 8 + int.from_bytes(body[:8], "little")


@pytest.mark.parametrize("dtype", ["complex64", "object", "datetime64[s]", "U3", "longdouble"])
def test_a_dtype_that_nobody_would_accept_is_not_written(dtype):
    with pytest.raises(ValueError, match="w"):
        encode({"w": np.zeros(2, dtype=dtype)})


@given(PARAMS)
def test_arrays_come_back_bit_for_bit(arrays):
    body = encode(arrays)
    opened = decode(body, params.schema(arrays))
    assert params.digest(opened) == params.digest(arrays)
    assert params.schema(opened) == params.schema(arrays)
    assert all(array.flags.writeable for array in opened.values())


@given(PARAMS)
def test_equal_arrays_give_equal_bytes_whatever_their_order_and_layout(arrays):
    turned = {
        name: np.asarray(array, dtype=array.dtype.newbyteorder(">"), order="F")
        for name, array in reversed(arrays.items())
    }
    assert encode(turned) == encode(arrays)


@given(PARAMS)
def test_the_bytes_are_those_that_the_library_writes(arrays):
    assert encode(arrays) == safetensors.numpy.save(
        {name: np.ascontiguousarray(one).reshape(one.shape) for name, one in arrays.items()}
    )


@given(PARAMS)
def test_the_library_reads_the_same(arrays):
    loaded = safetensors.numpy.load(bytes(encode(arrays)))
    assert params.digest(loaded) == params.digest(arrays)


def test_strided_arrays_are_written_as_they_look():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::-2, 1::2]
    assert np.array_equal(decode(encode({"w": array}))["w"], array)


def test_metadata_of_other_tools_is_passed_over():
    body = safetensors.numpy.save(SMALL, metadata={"format": "pt"})
    assert params.digest(decode(body)) == params.digest(SMALL)


def test_tensors_are_read_one_at_a_time_from_file_and_store(tmp_path):
    store = MemoryStore()
    store.put_once("a/model", encode(SMALL))
    (tmp_path / "model").write_bytes(encode(SMALL))
    for opened in (
        Tensors.from_store(store, "a/model", params.schema(SMALL)),
        Tensors.from_file(tmp_path / "model", params.schema(SMALL)),
    ):
        assert opened.names == ["n", "w"]
        assert opened.schema == params.schema(SMALL)
        assert np.array_equal(opened.tensor("w"), SMALL["w"])
        assert params.digest(dict(opened)) == params.digest(SMALL)
        with pytest.raises(KeyError):
            opened.tensor("x")


def test_a_file_that_shrinks_under_the_reader_is_refused(tmp_path):
    (tmp_path / "model").write_bytes(encode(SMALL))
    opened = Tensors.from_file(tmp_path / "model")
    (tmp_path / "model").write_bytes(encode(SMALL)[:-4])
    with pytest.raises(Refused, match="truncated"):
        list(opened)


def test_what_is_computed_into_a_draft_is_not_copied_and_gives_the_same_bytes():
    wanted = {"b": np.arange(3, dtype=np.float32), "a": np.int64(4), "c": np.ones((2, 2))}
    arrays = {name: np.asarray(array) for name, array in wanted.items()}
    draft = Draft(params.schema(arrays))
    into = params.subtract(
        arrays, {name: array - array for name, array in arrays.items()}, draft.arrays
    )
    body = encode(into, draft)
    assert body == encode(arrays)
    assert np.shares_memory(np.frombuffer(body, np.uint8), draft.arrays["b"])
    with pytest.raises(ValueError, match="read-only"):
        draft.arrays["b"][0] = 1


def test_a_draft_of_other_arrays_is_left_aside():
    draft = Draft({"a": ("float32", (2,))})
    other = {"a": np.ones(3, np.float32)}
    assert encode(other, draft) == encode(other)
