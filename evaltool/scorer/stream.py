"""From the blocks of an engine to the table, the counts and the watcher."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evaltool.block import Block
from evaltool.progress import Watcher
from evaltool.run.buffer import SETS, RowBuffer
from evaltool.run.hardest import Hardest
from evaltool.run.state import State
from evaltool.run.table import record_batch
from evaltool.run.writer import RunWriter

if TYPE_CHECKING:
    from evaltool.scorer.scores import TableInMemory


def streamed(
    blocks: Iterable[tuple[int, Block]],
    schema: pa.Schema,
    ids: "pa.Array[Any] | None",
    state: State,
    sink: "TableInMemory | RunWriter",
    watcher: Watcher,
    total: int,
) -> Hardest:
    """Take every block to the table, the counts and the watcher; return the hardest rows.

    The table is written in a thread of its own, a few row groups behind: encoding takes longer than most kernels.
    """
    hardest = Hardest(state.losses[0])
    buffer = RowBuffer(total)
    at_work: deque[Future[None]] = deque()

    def write(start: int, group: Block) -> None:
        part = None if ids is None else ids[start : start + len(group.status)]
        batch = record_batch(schema, group, start, part, copy=sink.keeps)
        hardest.add(batch, group)
        sink.add(batch)

    def take(groups: Iterable[tuple[int, Block]]) -> None:
        for start, group in groups:
            at_work.append(pool.submit(write, start, group))
            if len(at_work) == SETS:
                at_work.popleft().result()

    pool = ThreadPoolExecutor(1)
    try:
        for start, block in blocks:
            state.add(block)
            take(buffer.add(block))
            watcher.progressed(start + len(block.status), total)
        take(buffer.rest())
        while at_work:
            at_work.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    return hardest
