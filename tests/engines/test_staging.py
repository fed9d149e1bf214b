"""Rows on their way to a GPU: nothing is lost, mixed up or overwritten, and memory stays bounded."""

import numpy as np
import pytest
import torch

from evaltool.engines.staging import BLOCK_BYTES, block_rows, staged_blocks
from evaltool.readers import open_labels, open_preds

DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]


@pytest.fixture(params=[np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def arrays(request, rng):
    return rng.normal(size=(103, 7)).astype(request.param), rng.integers(0, 7, 103).astype(np.uint8)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("source", ["file", "array", "tensor"])
def test_every_row_arrives_once_and_in_order(arrays, source, device, tmp_path):
    given = arrays
    if source == "file":
        np.save(tmp_path / "preds.npy", arrays[0])
        np.save(tmp_path / "labels.npy", arrays[1])
        given = tmp_path / "preds.npy", tmp_path / "labels.npy"
    elif source == "tensor":
        given = tuple(map(torch.from_numpy, arrays))
    # all of them kept: a block that shares memory with a later one would show
    blocks = list(staged_blocks(open_preds(given[0]), open_labels(given[1]), device, 10))
    assert [(start, stop) for start, stop, *_ in blocks] == [(i, min(i + 10, 103)) for i in range(0, 103, 10)]
    preds, labels = (torch.cat([block[k] for block in blocks]) for k in (2, 3))
    assert preds.device.type == device.type
    assert np.array_equal(preds.cpu().numpy(), arrays[0])
    assert preds.cpu().numpy().dtype == arrays[0].dtype
    assert np.array_equal(labels.cpu().numpy(), arrays[1])


def test_an_error_in_the_reader_reaches_the_caller(arrays):
    class Broken:
        name, shape, dtype, path = "preds.npy", (103, 7), np.dtype(np.float32), None

        def read(self, start, stop):
            if start >= 40:
                raise OSError("read failed")
            return np.zeros((stop - start, 7), np.float32)

    seen = []
    with pytest.raises(OSError, match="read failed"):
        seen.extend(staged_blocks(Broken(), open_labels(arrays[1]), torch.device("cpu"), 10))
    blocks = staged_blocks(Broken(), open_labels(arrays[1]), torch.device("cpu"), 10)
    assert [next(blocks)[0] for _ in range(3)] == [0, 10, 20]


def test_a_caller_who_stops_ends_the_readers(arrays):
    import threading

    before = threading.active_count()
    blocks = staged_blocks(open_preds(arrays[0]), open_labels(arrays[1]), torch.device("cpu"), 10)
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


def test_blocks_are_sized_by_bytes(arrays):
    rows = open_preds(np.zeros((3, 50_000), np.float16))
    assert block_rows(rows, None) == BLOCK_BYTES // 100_000
    assert block_rows(rows, 2) == 2


@pytest.mark.gpu
def test_tensors_on_the_gpu_are_not_copied(arrays):
    preds = torch.from_numpy(arrays[0]).cuda()
    blocks = list(staged_blocks(open_preds(preds), open_labels(arrays[1]), torch.device("cuda"), 50))
    assert blocks[0][2].data_ptr() == preds.data_ptr()
