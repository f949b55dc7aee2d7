"""MXNet's files of parameters: what MXNet 1.9.1 wrote, older kinds, and files that lie."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcis_tf.convert.mxnet_params import read_mxnet_params
from fcis_tf.errors import UserError

# mx.nd.save("f.params", {"arg:a_weight": mx.nd.array(numpy.arange(6).reshape(2, 3)),
#                         "aux:b_moving_mean": mx.nd.array([1.5, 2.5], dtype="float16")})
WRITTEN_BY_MXNET = bytes.fromhex(
    "120100000000000000000000000000000200000000000000c9fa93f90000000002000000020000000000000003000000000000000100"
    "00000000000000000000000000000000803f0000004000004040000080400000a040c9fa93f9000000000100000002000000000000000"
    "10000000000000002000000003e004102000000000000000c000000000000006172673a615f77656967687411000000000000006175783a"
    "625f6d6f76696e675f6d65616e"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model-0000.params"


def file_of(*arrays, names=None, count=None):
    """A file of arrays given as bytes."""
    names = [f"arg:{i}" for i in range(len(arrays))] if names is None else names
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count), *arrays]
    parts += [struct.pack("<Q", len(names)), *(struct.pack("<Q", len(name)) + name.encode() for name in names)]
    return b"".join(parts)


# Of an array of the second version, which is dense.
HEAD = struct.pack("<Ii", 0xF993FAC9, 0)


def array_of(shape, values, head=HEAD, dimension="q", type_number=0):
    shape = struct.pack(f"<i{len(shape)}{dimension}", len(shape), *shape)
    return head + shape + struct.pack("<iii", 1, 0, type_number) + values


def message(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_mxnet_params(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_file_that_mxnet_wrote(path):
    path.write_bytes(WRITTEN_BY_MXNET)
    arrays = read_mxnet_params(path)
    assert {name: values.dtype.name for name, values in arrays.items()} == {
        "arg:a_weight": "float32",
        "aux:b_moving_mean": "float16",
    }
    np.testing.assert_array_equal(arrays["arg:a_weight"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(arrays["aux:b_moving_mean"], [1.5, 2.5])


@pytest.mark.parametrize(
    "head, dimension",
    [(struct.pack("<I", 0xF993FAC8), "q"), (b"", "I"), (struct.pack("<Ii", 0xF993FACA, 0), "q")],
)
def test_other_versions_of_arrays(path, head, dimension):
    path.write_bytes(file_of(array_of((2, 1), struct.pack("<2f", 7, 8), head, dimension)))
    np.testing.assert_array_equal(read_mxnet_params(path)["arg:0"], [[7], [8]])


def test_files_that_are_something_else(path):
    assert "no such file" in str(pytest.raises(UserError, read_mxnet_params, path).value)
    assert "not a file" in str(pytest.raises(UserError, read_mxnet_params, path.parent).value)
    for content in (b"", b"hello", b"PK\x03\x04" * 100):
        assert "not a file of MXNet's parameters" in message(path, content)
    # The byte order of another machine.
    assert "begins with 0x1201000000000000" in message(path, struct.pack(">QQQ", 0x112, 0, 0))


@pytest.mark.parametrize(
    "content, problem",
    [
        (file_of(array_of((2,), b"12345678"))[:-3], "bytes from"),
        (file_of(array_of((2**30, 2**30), b"")), "bytes from"),
        (file_of(array_of((2**62, 2**62), b"")), "bytes from"),
        (file_of(count=2**60), "expected at most 10000"),
        (file_of(array_of((-1,), b"")), "shape (-1,)"),
        (file_of(array_of((1,), b"1234", struct.pack("<Ii", 0xF993FAC9, 1))), "sparse"),
        (file_of(array_of((1,), b"1234", type_number=77)), "type 77"),
        (file_of(array_of((1,), b"1234"), names=[]), "0 names for 1 arrays"),
        (file_of(array_of((), b"")), "without a shape"),
        (file_of(struct.pack("<I", 2**31)), "dimensions"),
        (file_of(array_of((1,), b"1234")) + b"more", "behind its end"),
    ],
)
def test_files_that_lie(path, content, problem):
    assert problem in message(path, content)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(WRITTEN_BY_MXNET) - 1), st.integers(0, 255), st.integers(1, len(WRITTEN_BY_MXNET)))
def test_damaged_files_are_read_or_refused(tmp_path_factory, position, value, length):
    content = bytearray(WRITTEN_BY_MXNET)
    content[position] = value
    path = tmp_path_factory.mktemp("fuzz") / "f.params"
    path.write_bytes(content[:length])
    try:
        read_mxnet_params(path)
    except UserError as error:
        assert str(path) in str(error)
