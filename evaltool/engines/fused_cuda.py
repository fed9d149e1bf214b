"""The engine ``fused`` on a GPU: Triton kernels that compute every column of a block in one read of it."""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evaltool.block import Array, Block
from evaltool.engines.class_losses import class_sums, part_sums
from evaltool.engines.modules import ModuleEngine, Run, counted, to_device, whole_labels
from evaltool.engines.staging import staged_blocks
from evaltool.errors import EvaltoolError
from evaltool.metrics import Scorecard
from evaltool.numerics.elementary import at_smallest
from evaltool.readers import Rows
from evaltool.schema import BAD_LABEL, OK
from evaltool.triton_kernels.task import kernel_task, refusal

if TYPE_CHECKING:
    from evaltool.triton_kernels.launch import Columns

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LEAST_CAPABILITY = (8, 0)
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # Triton runs its kernels with NumPy
WHOLE = ("pred", "n_valid", "worst_class")  # columns that are int64 in a block


class FusedCudaEngine(ModuleEngine):
    """Scores blocks with kernels; arguments are those of ModuleEngine.

    Blocks of float64 predictions and of labels between 0 and 1 (binary) are computed by the losses' modules, as the
    engine ``torch`` does: the kernels know neither.

    Raises:
        EvaltoolError: the kernels cannot do the job (``refusal``), or the device is no GPU.
    """

    name = "fused"
    provider = "Triton"

    @staticmethod
    def hindrance(losses: Mapping[str, Any], *, device: torch.device, **job: Any) -> str | None:
        """Return why the kernels cannot do a job on a device, as half a sentence, None if they can.

        Args:
            losses: modules by column.
            device: where to compute.
            job: task, foreground, soft_labels and num_classes, as ModuleEngine takes them; others are not looked at.
        """
        if find_spec("triton") is None:
            return "Triton is not installed"
        if device.type != "cuda" and not INTERPRETED:
            return f"its kernels do not run on the device {device}"
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
            return "Triton needs a GPU of compute capability 8.0 or above"
        return refusal(losses, **{name: job[name] for name in ("task", "foreground", "soft_labels", "num_classes")})

    def __init__(self, *, losses: Mapping[str, Any], device: torch.device, **job: Any) -> None:
        if (why := self.hindrance(losses, device=device, **job)) is not None:
            raise EvaltoolError(
                f"the engine fused cannot do this job on a GPU\n  --engine fused: {why}\n"
                "  Leave --engine out, or name torch, which does every job."
            )
        known = ("task", "preds_are", "foreground", "tolerance", "ignore_index")
        self._kernel_task = kernel_task(losses, device=device, **{name: job[name] for name in known})
        super().__init__(losses=losses, device=device, **job)

    def _prepared(self, card: Scorecard) -> Run:
        return card

    def staged(self, preds: Rows, labels: Rows, batch_size: int | None) -> Iterator[tuple[int, int, Any, Any]]:
        """Yield the first row, the end, predictions and labels of blocks, in order, on the engine's device."""
        return staged_blocks(preds, labels, self._device, batch_size)

    @torch.inference_mode()
    def score(self, preds: Any, labels: Any) -> Block:
        """Return the scores of preds [n, ...] and labels [n, ...]."""
        preds, labels = to_device(preds, self._device), to_device(labels, self._device)
        if not preds.is_cuda:
            return self._scored(preds, labels)
        with torch.cuda.device(preds.device):  # Triton launches on the current one
            return self._scored(preds, labels)

    def _scored(self, preds: Tensor, labels: Tensor) -> Block:
        given = self._labels(labels)
        if not given.numel() or preds.dtype not in DTYPES or _has_fractions(given):
            return super().score(preds, labels)
        classes = whole_labels(given) if given.is_floating_point() else given
        if self.task == "segmentation":
            return self._score_maps(preds, given, classes)
        classes, given = classes.reshape(-1), given.reshape(-1)
        return self._score_rows(preds if self._softmax else preds.reshape(-1), given, classes)

    def _score_rows(self, preds: Tensor, given: Tensor, classes: Tensor) -> Block:
        from evaltool.triton_kernels.launch import row_columns  # here: it takes Triton

        columns = row_columns(preds.contiguous(), classes.contiguous(), self._kernel_task)
        known, host = columns.of(columns.buffer), _on_host(columns)
        ok = known["status"] == OK
        block = self._block(host, given, known["status"])
        block.columns["label"] = self._label_column(classes.cpu().numpy(), given, ok)
        pred = known["pred"].to(torch.int64)
        block.confusion = counted(classes[ok] * self.num_classes + pred[ok])
        self._add_counts(block, preds, classes, pred, ok)
        for column in self._columns:
            block.class_loss[column] = class_sums(block.columns[column], block.columns["label"], self.num_classes)
        if self.preds_are == "probs":
            block.n_clamped = int((at_smallest(known["p_label"]) & ok).sum())
        return block

    def _score_maps(self, preds: Tensor, given: Tensor, classes: Tensor) -> Block:
        from evaltool.triton_kernels.launch import map_columns

        n = len(preds)
        flat = preds.reshape(n, -1) if self.foreground else preds.flatten(2)
        labels = classes.reshape(n, -1)
        found = map_columns(flat.contiguous(), labels.contiguous(), self._kernel_task)
        status, host = found.columns.of(found.columns.buffer)["status"], _on_host(found.columns)
        ok = status == OK
        block = self._block(host, given, status)
        pred = found.pred.to(torch.int64)
        kept, pred_kept = labels[ok], pred[ok]
        valid = kept != self.ignore_index
        block.confusion = counted((kept * self.num_classes + pred_kept)[valid])
        self._add_counts(block, preds, classes, pred.reshape(classes.shape), ok)
        for column, values in found.losses.items():
            block.class_loss[column] = class_sums(
                values[ok][valid].cpu().numpy(), kept[valid].cpu().numpy(), self.num_classes
            )
        for column, parts in found.parts.items():
            block.class_loss[column] = part_sums(parts[ok][:, 1:] if self.foreground else parts[ok], self.num_classes)
        if self.preds_are == "probs":
            block.n_clamped = int((host["clamped"].astype(bool) & (host["status"] == OK)).sum())
        return block

    def _block(self, host: Mapping[str, Array], given: Tensor, status: Tensor) -> Block:
        """Return a block of the columns without its counts; a loss of a row that is not ok is NaN."""
        ok = host["status"] == OK
        columns = {name: values for name, values in host.items() if name not in ("status", "clamped")}
        for name in WHOLE:
            if name in columns:
                columns[name] = columns[name].astype(np.int64)
        for name in self._columns:
            columns[name] = np.where(ok, columns[name], np.float32(np.nan))
        block = Block(host["status"].astype(np.int8), columns)
        block.bad_labels = self._bad_labels(given[status == BAD_LABEL])
        return block

    def _add_counts(self, block: Block, preds: Tensor, classes: Tensor, pred: Tensor, ok: Tensor) -> None:
        if not bool(ok.all()):
            preds, classes, pred = preds[ok], classes[ok], pred[ok]
        block.counts, block.places = self._tallies.of(preds, classes, pred)


def _on_host(columns: "Columns") -> dict[str, Array]:
    """Return the columns as arrays, copied at once: to pinned memory, which PyTorch keeps for the next block."""
    buffer = columns.buffer
    pinned = torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=buffer.is_cuda)
    pinned.copy_(buffer, non_blocking=True)
    if buffer.is_cuda:
        torch.cuda.current_stream(buffer.device).synchronize()
    return {name: values.numpy() for name, values in columns.of(pinned).items()}


def _has_fractions(labels: Tensor) -> bool:
    return labels.is_floating_point() and bool(((labels > 0) & (labels < 1)).any())
