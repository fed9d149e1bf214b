"""Predictions as rows that nobody has stored: a model runs block by block on the rows that are read.

Blocks lie on a grid of ``step`` rows from row 0, so that a row's batch, and with it the last bits of its prediction,
depends on the grid alone and not on who reads how much.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from evaltool.devices import is_out_of_memory
from evaltool.errors import EvaltoolError
from evaltool.predictor.inputs import Feed
from evaltool.predictor.models import AnotherBatchError, Model
from evaltool.progress import Watcher
from evaltool.readers.rows import TENSOR_DTYPES

BATCH_BYTES = {"cpu": 1 << 24, "cuda": 1 << 26}  # inputs and outputs of a batch, by default
BATCH_ROWS = {"cpu": 1 << 12, "cuda": 1 << 14}
KEPT_BYTES = 1 << 26  # where all predictions take no more, none is computed twice
KEPT_BLOCKS = 4  # else the last ones stay, for readers that are late
# a model that squeezes its batch's axis away is right for every number of rows but one
FEWEST_ROWS = 2
# integers that few operators take for ids; a file that does not say what it takes is given them as they are
NARROW = {torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32}

Result = TypeVar("Result")


class ModelRows:
    """One output of a model over all rows of its inputs; see ``readers.Rows``.

    Args:
        model: the model, which these rows close.
        feeds: its inputs.
        output_name: which output; by default the first.
        batch_size: rows per batch; None for a size by bytes, which is halved when memory runs out.
        watcher: is told of casts, choices and halvings.

    Attributes:
        step: rows per batch.
        output: the output's name.
        coarse: whether the predictions are bfloat16, which NumPy takes for float32.

    Raises:
        EvaltoolError: the model fails on the first rows, or gives no such output, or not one row per sample.
    """

    path = None

    def __init__(
        self, model: Model, feeds: Sequence[Feed], *, output_name: str | None, batch_size: int | None, watcher: Watcher
    ) -> None:
        self.model = model
        self.feeds = feeds
        self.device = model.device
        self._watcher = watcher
        self._n = feeds[0].rows.shape[0]
        self._asked = batch_size
        self._blocks: OrderedDict[int, Tensor] = OrderedDict()
        self._keeps_all = False
        self._fills = False  # a model may take one number of rows alone: the last block is then filled up to the step
        # a thread of its own: engines let those that read compute with one core each
        self._worker = ThreadPoolExecutor(1)
        self.output = output_name
        self.shape: tuple[int, ...] = ()
        watcher.decided([feed.cast for feed in feeds if feed.cast])
        first = self._in_worker(self._first)
        self.name = f"{self.output} of {model.path}"
        kind = str(first.dtype).removeprefix("torch.")
        if kind not in TENSOR_DTYPES or first.dtype.is_complex:
            raise EvaltoolError(
                f"predictions have to be real numbers\n  {self.name}: dtype {kind}\n  Export the model with another."
            )
        self.coarse = kind == "bfloat16"
        self.dtype = np.dtype("float32" if self.coarse else kind)
        self._keeps_all = self._n * int(np.prod(self.shape[1:], dtype=np.int64)) * first.itemsize <= KEPT_BYTES

    def read(self, start: int, stop: int) -> Tensor:
        """Return rows start to stop, computed with their blocks."""
        return self._in_worker(lambda: self._joined(start, stop, on_grid=True))

    def peek(self, start: int, stop: int) -> Tensor:
        """Return rows start to stop, read out of order: only these are computed where blocks cannot be kept."""
        return self._in_worker(lambda: self._joined(start, stop, on_grid=self._keeps_all))

    def close(self) -> None:
        """Give back the model's memory and the thread."""
        self._worker.shutdown(cancel_futures=True)
        self._blocks.clear()
        self.model.close()

    def _in_worker(self, work: Callable[[], Result]) -> Result:
        @torch.inference_mode()
        def alone() -> Result:
            return work()

        return self._worker.submit(alone).result()

    def _first(self) -> Tensor:
        """Return the output for the first rows, and choose the step."""
        self.step = self._asked or FEWEST_ROWS
        self._fit_step()
        first = self._joined(0, min(self._n, self.step), on_grid=True)
        self.shape = (self._n, *first.shape[1:])
        self._check_other_batch()
        if not self._asked and self.step >= FEWEST_ROWS:  # else memory ran out at two rows
            self._blocks.clear()
            numbers = int(np.prod(first.shape[1:], dtype=np.int64)) * first.itemsize
            row = max(1, numbers + sum(feed.row_bytes for feed in self.feeds))
            kind = self.device.type
            fits = min(BATCH_ROWS[kind], BATCH_BYTES[kind] // row)
            self.step = max(FEWEST_ROWS, 1 << max(fits, 1).bit_length() - 1)
            self._fit_step()
        return first

    def _check_other_batch(self) -> None:
        """Run another number of rows: where sizes coincide, one alone does not tell rows from a reduced batch.

        Raises:
            EvaltoolError: the output does not follow the number of rows.
        """
        if self.step == 1 or self._fills or self.model.most is not None:
            return
        other = max(self.model.fewest, FEWEST_ROWS) + 1
        other += other == self._size(min(self._n, self.step))
        try:
            self._batch(0, min(self._n, other), other)
        except AnotherBatchError:
            self._fit_step()
        except (MemoryError, RuntimeError):
            pass  # it takes the first number of rows alone, or memory is full: the batches that are needed will tell

    def _fit_step(self) -> None:
        """Let the step be one that the model takes."""
        fewest, most = self.model.fewest, self.model.most
        fitting = max(self.step, fewest) if most is None else min(max(self.step, fewest), most)
        if self._asked and fitting != self._asked:
            takes = f"{fewest}" if fewest == most else f"{fewest} to {most}" if most else f"at least {fewest}"
            raise EvaltoolError(
                f"the model takes batches of {takes} rows only\n  {self.model.path}: --batch-size {self._asked}\n"
                "  Leave --batch-size out."
            )
        self.step = fitting
        self._blocks.clear()

    def _joined(self, start: int, stop: int, *, on_grid: bool) -> Tensor:
        """Return rows start to stop from blocks of the grid, or from batches of just these rows."""
        parts = []
        while start < stop:
            first = start - start % self.step if on_grid else start
            block = self._blocks.get(first) if on_grid else None
            if block is None:
                last = min(first + self.step, self._n if on_grid else stop)
                try:
                    block = self._batch(first, last, self._size(last - first))
                except AnotherBatchError:
                    self._fit_step()
                    continue
                except (MemoryError, RuntimeError) as error:
                    if self._asked and self._size(last - first) < self.step and not is_out_of_memory(error):
                        self._fills = True
                    else:
                        self._halve(error, first, last)
                    continue
                if on_grid:
                    self._keep(first, block)
            end = min(stop, first + len(block))
            parts.append(block[start - first : end - first])
            start = end
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _keep(self, first: int, block: Tensor) -> None:
        self._blocks[first] = block
        if not self._keeps_all and len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)

    def _halve(self, error: Exception, first: int, last: int) -> None:
        """Halve the step after running out of memory.

        Raises:
            EvaltoolError: it cannot be halved, or the error is another one.
        """
        if not is_out_of_memory(error):
            raise self._failed(error, first, last) from error
        if self._asked or self.step == self.model.fewest:
            hint = "Use a smaller model or another device."
            hint = f"Pass a smaller --batch-size than {self.step}." if self._asked and self.step > 1 else hint
            raise EvaltoolError(
                f"out of memory\n  rows {first} to {last} of {self.feeds[0].rows.name} through {self.model.path} on "
                f"{self.device}\n  {hint}"
            ) from error
        self.step = max(self.model.fewest, min(self.step, last - first) // 2)
        self._blocks.clear()
        self._watcher.warned(f"out of memory: going on with batches of {self.step} rows")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _failed(self, error: Exception, first: int, last: int) -> EvaltoolError:
        given = ", ".join(feed.text(self._size(last - first)) for feed in self.feeds)
        hint = ""
        if any(feed.spec.dtype is None and feed.dtype in NARROW for feed in self.feeds):
            hint += " Save ids as int64, as in array.astype(np.int64), and quantities as float32."
        if not self._asked and not self.shape:
            hint += " Or pass the batch it was traced with by --batch-size."
        return EvaltoolError(
            f"the model failed on rows {first} to {last}\n  {self.model.path}: {error}\n"
            f"  It was given {given}: is that what it takes?{hint}"
        )

    def _size(self, count: int) -> int:
        """Return how many rows a batch of ``count`` rows is filled up to."""
        return max(count, self.model.fewest, self.step if self._fills else min(self.step, FEWEST_ROWS))

    def _batch(self, first: int, last: int, size: int) -> Tensor:
        """Return the output for rows first to last, run as one batch of ``size`` rows."""
        count = last - first
        feeds = {feed.spec.name: feed.read(first, last, size) for feed in self.feeds}
        try:
            outputs = self.model(feeds)
        except (AnotherBatchError, EvaltoolError, MemoryError, RuntimeError):
            raise
        except Exception as error:
            raise RuntimeError(str(error) or type(error).__name__) from error
        output = self._chosen(outputs)
        expected = (size, *self.shape[1:]) if self.shape else (size, *output.shape[1:])
        if tuple(output.shape) != expected:
            raise EvaltoolError(
                f"the output is not one row per sample\n  {self.output} of {self.model.path}: shape "
                f"{list(output.shape)} for {size} rows, expected {list(expected)}\n"
                "  Export the model without reducing over the batch, or choose another output with --output-name."
            )
        return output[:count]

    def _chosen(self, outputs: dict[str, Tensor]) -> Tensor:
        names = ", ".join(outputs)
        if not outputs:
            raise EvaltoolError(
                f"the model returns no tensor\n  {self.model.path}\n  Export it with tensors to return."
            )
        if self.output is None:
            self.output = next(iter(outputs))
            if len(outputs) > 1:
                self._watcher.decided([f"output: {self.output}, the first of {names}; --output-name takes another"])
        if self.output not in outputs:
            raise EvaltoolError(
                f"the model has no output {self.output!r}\n  {self.model.path}: returns {names}\n"
                "  Pass one of them to --output-name."
            )
        return outputs[self.output]
