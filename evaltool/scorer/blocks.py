"""Blocks of rows through an engine, several at work at the same time, in order."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from evaltool.block import Block
from evaltool.devices import is_out_of_memory
from evaltool.engines import Engine
from evaltool.errors import EvaltoolError
from evaltool.readers import Rows, borrowed

BLOCK_NUMBERS = 1 << 18  # predictions in a block by default: 1 MB of float32, which stays in a core's cache
BLOCK_ROWS = 1 << 16
NUMBERS_AT_WORK = 1 << 22  # predictions in all blocks at work: with what is computed of them, some 200 MB


def scored_blocks(preds: Rows, labels: Rows, engine: Engine, batch_size: int | None) -> Iterator[tuple[int, Block]]:
    """Yield the scored blocks in order, as many at work as the engine and the memory allow."""
    n = preds.shape[0]
    row = max(1, int(np.prod(preds.shape[1:], dtype=np.int64)))
    step = min(n, batch_size or max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // row)))
    starts = range(0, n, step)
    read = borrowed if engine.borrows else _read
    workers = min(engine.workers, len(starts), max(1, NUMBERS_AT_WORK // (step * row)))

    def scored(start: int) -> tuple[int, Block]:
        stop = min(start + step, n)
        try:
            return start, engine.score(read(preds, start, stop), read(labels, start, stop))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise EvaltoolError(
                f"out of memory\n  rows {start} to {stop} of {preds.name} on {engine.device}\n"
                f"  Pass a smaller --batch-size than {stop - start}."
            ) from error

    if workers == 1:
        yield from map(scored, starts)
        return
    pool = ThreadPoolExecutor(workers, initializer=engine.enter_thread)
    try:
        at_work: deque[Future[tuple[int, Block]]] = deque()
        for start in starts:
            at_work.append(pool.submit(scored, start))
            if len(at_work) > workers:
                yield at_work.popleft().result()
        while at_work:
            yield at_work.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(rows: Rows, start: int, stop: int) -> Any:
    return rows.read(start, stop)
