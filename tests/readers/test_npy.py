"""Files of every layout give the same rows as numpy.load."""

import numpy as np
import pytest

from evaltool.errors import EvaltoolError
from evaltool.readers import open_labels, open_preds
from evaltool.readers.npy import NpyFile


def whole(rows, step=7):
    """Read rows in uneven blocks."""
    return np.concatenate([rows.read(a, min(a + step, rows.shape[0])) for a in range(0, rows.shape[0], step)])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_header_versions(tmp_path, version, rng):
    array = rng.normal(size=(20, 3))
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    assert np.array_equal(whole(NpyFile(tmp_path / "a.npy")), array)


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<i4", ">i8", "|u1", "|b1", ">u2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(20,), (20, 3), (20, 2, 3, 2)])
def test_layouts(tmp_path, dtype, order, shape, rng):
    array = np.asarray(rng.uniform(0, 2, shape), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    got = whole(open_labels(tmp_path / "a.npy"))
    assert np.array_equal(got, array)
    assert got.dtype.isnative
    assert got.flags.c_contiguous


def test_bfloat16_bits(tmp_path):
    values = np.array([[1.5, -2.0, 3.25]] * 5, np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    np.save(tmp_path / "a.npy", bits.view("V2"))
    assert np.array_equal(whole(open_preds(tmp_path / "a.npy", dtype="bfloat16")), values)
    np.save(tmp_path / "b.npy", bits)
    assert np.array_equal(whole(open_preds(tmp_path / "b.npy", dtype="bfloat16")), values)


def test_scaled_integers(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 51, 255]] * 3, np.uint8))
    got = whole(open_preds(tmp_path / "a.npy", scale=255))
    np.testing.assert_allclose(got, [[0, 0.2, 1]] * 3, rtol=1e-7)
    assert got.dtype == np.float32


def test_file_that_becomes_shorter_while_it_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100, 4), np.float32))
    rows = NpyFile(tmp_path / "a.npy")
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:500])
    rows.read(0, 10)
    with pytest.raises(EvaltoolError, match="became shorter while it was read"):
        rows.read(50, 60)


def test_header_is_never_evaluated(tmp_path):
    """A header that is a call is data, not code."""
    text = "{'descr': __import__('os').system('touch evil'), 'fortran_order': False, 'shape': (1,)}\n"
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    (tmp_path / "a.npy").write_bytes(head + bytes(8))
    with pytest.raises(EvaltoolError, match="header is damaged"):
        NpyFile(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(2**62, 4), (2**40, 2**40), (10**30,)])
def test_header_that_claims_more_than_the_file_holds(tmp_path, shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n"
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    (tmp_path / "a.npy").write_bytes(head + bytes(64))
    with pytest.raises(EvaltoolError, match="the file is truncated"):
        NpyFile(tmp_path / "a.npy")
