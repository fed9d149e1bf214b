"""Rows on their way to a GPU: read into pinned memory and copied there while other rows are scored.

A reader's thread fills a ring of pinned buffers; a stream of copies empties them, one block ahead of the kernels.
Memory is that of the ring and of two blocks on the GPU, whatever the file's size.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaltool.block import Array
from evaltool.engines.ring import Ring
from evaltool.readers import Rows, borrowed, peek

SLOTS = 3  # one is read into, one is copied from, one waits
READERS = 2  # threads; one alone copies no faster than a core does
AHEAD = 1  # blocks copied before they are scored
BLOCK_BYTES = 1 << 26
BLOCK_ROWS = 1 << 19


class Staged(NamedTuple):
    """A block on its way: ``ready`` is recorded behind its copy."""

    start: int
    stop: int
    preds: Tensor
    labels: Tensor
    ready: "torch.cuda.Event | None"


class HostBuffer:
    """A block's bytes in memory that a GPU can read by itself; grows to what it is given.

    Args:
        pinned: whether a GPU reads it.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def filled(self, block: Any) -> Tensor:
        """Return a block, array or tensor, copied here; what was here before is gone."""
        if isinstance(block, Tensor):
            return self._room(block.shape, block.dtype).copy_(block)
        room = self._room(block.shape, torch.from_numpy(np.empty(0, block.dtype)).dtype)
        np.copyto(room.numpy(), block)  # lets other threads run
        return room

    def _room(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > len(self._bytes):
            self._bytes = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
        return self._bytes[:size].view(dtype).reshape(shape)


class HostSlot(NamedTuple):
    """What the ring fills."""

    preds: HostBuffer
    labels: HostBuffer


def block_rows(preds: Rows, batch_size: int | None) -> int:
    """Return how many rows a block has: enough to keep a GPU and the bus to it busy."""
    row = max(1, int(np.prod(preds.shape[1:], dtype=np.int64)) * preds.dtype.itemsize)
    return batch_size or max(1, min(BLOCK_ROWS, BLOCK_BYTES // row))


def staged_blocks(
    preds: Rows, labels: Rows, device: torch.device, batch_size: int | None = None
) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield the first row, the end, predictions and labels of blocks, in order, on the device.

    Tensors that are on a GPU already are passed on as slices.

    Args:
        preds: the predictions.
        labels: the labels.
        device: where to.
        batch_size: rows of a block; by default ``block_rows``.
    """
    n = preds.shape[0]
    step = block_rows(preds, batch_size)
    bounds = [(start, min(start + step, n)) for start in range(0, n, step)]
    if _on_gpu(preds) or _on_gpu(labels):
        for start, stop in bounds:
            yield start, stop, preds.read(start, stop), labels.read(start, stop)
        return

    def fill(slot: HostSlot, number: int) -> tuple[Tensor, Tensor]:
        start, stop = bounds[number]
        given = slot.preds.filled(borrowed(preds, start, stop))
        # bfloat16 of a file comes as its bits
        given = given.view(torch.bfloat16) if given.dtype == torch.uint16 else given
        return given, slot.labels.filled(borrowed(labels, start, stop))

    pinned = device.type == "cuda"
    slots = [HostSlot(HostBuffer(pinned=pinned), HostBuffer(pinned=pinned)) for _ in range(SLOTS)]
    # rows of a file can be read in any order; others may be computed one block after another
    readers = READERS if preds.path is not None else 1
    with Ring(slots, fill, len(bounds), threads=readers) as ring:
        yield from _sent(ring, bounds, device)


def _sent(
    ring: Ring[HostSlot, tuple[Tensor, Tensor]], bounds: list[tuple[int, int]], device: torch.device
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Yield the ring's blocks on the device, each while the next one is on its way."""
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    waiting: deque[Staged] = deque()
    for number, slot, given in ring:
        with torch.cuda.stream(copies) if copies is not None else nullcontext():
            # without a GPU the buffer would be filled again under the block
            preds, labels = (block.to(device, non_blocking=True) if copies else block.clone() for block in given)
            ready = copies.record_event() if copies is not None else None
        ring.give_back(slot, None if ready is None else ready.synchronize)
        waiting.append(Staged(*bounds[number], preds, labels, ready))
        if len(waiting) > AHEAD:
            yield _received(waiting.popleft())
    while waiting:
        yield _received(waiting.popleft())


def _received(block: Staged) -> tuple[int, int, Tensor, Tensor]:
    if block.ready is not None:
        here = torch.cuda.current_stream(block.preds.device)
        here.wait_event(block.ready)
        # its memory is the copies' stream's: not to be used again while it is read here
        block.preds.record_stream(here)
        block.labels.record_stream(here)
    return block.start, block.stop, block.preds, block.labels


def _on_gpu(rows: Rows) -> bool:
    one: Array | Tensor = peek(rows, 0, 1)
    return isinstance(one, Tensor) and one.is_cuda
