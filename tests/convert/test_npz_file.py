"""Archives of NumPy arrays that are not to be trusted."""

import io
import zipfile

import numpy as np
import pytest

from fcis_tf.convert.npz_file import NpzFile
from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.errors import UserError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


def write(path, name, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)


def header_of(shape, descr="<f4"):
    """The beginning of an .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def message(path, name="a"):
    with pytest.raises(UserError) as error:
        np.asarray(NpzFile(path)[name])
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_as_they_were_saved(path, save):
    arrays = {"a/W": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(6, dtype=np.int8).reshape(3, 2))}
    save(path, **arrays)
    file = NpzFile(path)
    assert sorted(file) == sorted(arrays)
    for name, values in arrays.items():
        assert file[name].shape == values.shape and file[name].dtype == values.dtype
        np.testing.assert_array_equal(np.asarray(file[name]), values)


def test_files_that_are_no_archives(path):
    for content in (b"", b"hello", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not an archive of NumPy arrays"):
            NpzFile(path)
    with pytest.raises(UserError, match="no such file"):
        NpzFile(path.with_name("missing.npz"))


def test_pickles_are_refused(path):
    np.savez(path, a=np.array([{"x": 1}], dtype=object))
    assert "pickled objects" in message(path)


@pytest.mark.parametrize("shape", [(2**60,), (2**31, 2**31, 2**31), (5,), (-1,)])
def test_announced_shapes_are_not_believed(path, shape):
    write(path, "a.npy", header_of(shape) + b"1234")
    assert "not an array that can be read" in message(path)


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', 'fortran_order'", b"\x00" * 64, b"(" * 5000, b"{'descr': [], 'shape': 3}"]
)
def test_headers_that_make_parsers_stumble(path, header):
    write(path, "a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert "not an array that can be read" in message(path)
    write(path, "a.npy", b"\x93NUMPY\x02\x00" + (3 * 10**9).to_bytes(4, "little") + header)
    assert "version (2, 0)" in message(path)


def test_members_that_are_damaged_or_no_arrays(path):
    write(path, "a.npy", b"hello")
    assert "not an array" in message(path)
    content = header_of((1000,)) + np.random.default_rng(0).bytes(4000)
    write(path, "a.npy", content)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert "CRC" in message(path)


def test_arrays_of_another_shape_are_not_read(path):
    write(path, "a.npy", header_of((10**6,)) + bytes(4 * 10**6), zipfile.ZIP_DEFLATED)
    arrays = SourceArrays(NpzFile(path), path)
    with pytest.raises(UserError, match=r"a has shape \(1000000,\); expected \(3, 4\)"):
        arrays.take("a", [3, 4])


def test_values_must_be_finite_numbers(path):
    np.savez(path, a=np.float32([1, np.nan]), b=np.array(["x"]))
    arrays = SourceArrays(NpzFile(path), path)
    with pytest.raises(UserError, match="a has values that are not finite"):
        arrays.take("a", [2])
    with pytest.raises(UserError, match="expected numbers"):
        arrays.take("b", [1])
