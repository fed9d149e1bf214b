"""The engine ``torch``: eager PyTorch over scorecards and losses; ``torchscript`` runs the same modules compiled."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evaltool.block import NO_LABEL, Array, Block
from evaltool.devices import is_out_of_memory
from evaltool.errors import EvaltoolError
from evaltool.losses.reduction import reduced_positions
from evaltool.metrics import (
    BinaryScorecard,
    MulticlassScorecard,
    MultilabelScorecard,
    RegressionScorecard,
    SegmentationScorecard,
)
from evaltool.numerics.log_odds import two_classes
from evaltool.schema import BAD_LABEL, OK, is_softmax


class TorchEngine:
    """Scores blocks with PyTorch modules.

    Args:
        task: one of ``schema.TASKS``.
        preds_are: the kind of the predictions; None for regression.
        num_classes: C; 2 for binary and for one foreground class.
        foreground: segmentation of one foreground class.
        one_hot: labels are [N, C] with a single 1 in each row.
        soft_labels: labels are shares [N, C].
        tolerance: how far probabilities may sum from 1.
        ignore_index: label that counts for nothing.
        losses: modules (preds, labels) -> [N] by column.
        two_classes: the columns whose module is given one foreground class as background and foreground.
        device: where to compute.
        name: what the engine is called.
        prepare: applied to each module of evaltool, for instance compiling it.
    """

    def __init__(
        self,
        *,
        task: str,
        preds_are: str | None,
        num_classes: int,
        foreground: bool,
        one_hot: bool,
        soft_labels: bool,
        tolerance: float,
        ignore_index: int,
        losses: Mapping[str, nn.Module],
        two_classes: Collection[str] = (),
        device: torch.device,
        name: str = "torch",
        prepare: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        self.name = name
        self.device = str(device)
        self.task = task
        self.preds_are = preds_are or "logits"
        self.num_classes = num_classes
        self.foreground = foreground
        self.one_hot = one_hot
        self.soft_labels = soft_labels
        self.ignore_index = ignore_index
        self._device = device
        card = _scorecard(task, foreground, ignore_index, self.preds_are, tolerance)
        self._card = prepare(card).to(device)
        # a class of evaltool has map and by_class as this engine knows them; of others only the call is known
        self._ours = {name for name, loss in losses.items() if type(loss).__module__.startswith("evaltool.")}
        self._two_classes = frozenset(two_classes)
        # somebody else's module may keep state between calls
        self.workers = torch.get_num_threads() if device.type == "cpu" and len(self._ours) == len(losses) else 1
        self._threads_before = torch.get_num_threads()
        self._losses = {
            column: (prepare(loss) if column in self._ours else loss).to(device).eval()
            for column, loss in losses.items()
        }

    def enter_thread(self) -> None:
        """Let the calling thread compute alone: one block per thread beats several threads per operation.

        Operations on a block take microseconds; threads that wait for each other at every one of them are many times
        slower as soon as something else runs on a core.
        """
        torch.set_num_threads(1)

    def close(self) -> None:
        """Drop the modules and restore PyTorch's number of threads."""
        self._losses = {}
        if self.workers > 1:  # only then was a thread entered
            torch.set_num_threads(self._threads_before)

    @torch.inference_mode()
    def score(self, preds: Any, labels: Any) -> Block:
        """Return the scores of preds [n, ...] and labels [n, ...]."""
        preds = _tensor(preds, self._device)
        labels = self._labels(_tensor(labels, self._device))
        # one label per sample may come as a column
        if self.task in ("multiclass", "binary", "regression") and labels.dim() == 2 and labels.size(1) == 1:
            labels = labels.squeeze(1)
            preds = preds.squeeze(1) if preds.dim() == 2 and preds.size(1) == 1 else preds
        card: dict[str, Tensor] = self._card(preds, labels)
        status = card.pop("status")
        ok = status == OK
        bad_labels = self._bad_labels(labels[status == BAD_LABEL])
        if not bool(ok.all()):
            preds, labels = preds[ok], labels[ok]
        pred_map = card.pop("pred_map", None)
        clamped = card.pop("clamped", None)
        columns = {name: values.cpu().numpy() for name, values in card.items()}
        if "label" in columns:
            columns["label"] = self._label_column(columns["label"], labels, ok)
        block = Block(status.to(torch.int8).cpu().numpy(), columns, np.zeros((2, 0), np.int64))
        block.bad_labels = bad_labels
        if clamped is not None and self.preds_are == "probs":
            block.n_clamped = int((clamped & ok).sum())
        if pred_map is not None:
            block.confusion = self._map_confusion(labels, pred_map[ok])
        elif "pred" in card and self.task != "regression":
            block.confusion = _counted(card["label"][ok] * self.num_classes + card["pred"][ok])
        for column, loss in self._losses.items():
            values = torch.full([len(status)], torch.nan, device=self._device)
            if len(labels):
                values[ok] = self._loss(column, loss, preds, labels, block)
            columns[column] = values.cpu().numpy()
            if self.task in ("multiclass", "binary"):
                block.class_loss[column] = _class_sums(columns[column], columns["label"], self.num_classes)
        return block

    def _labels(self, labels: Tensor) -> Tensor:
        """Return labels as int64 where classes are counted; NaN and fractions become NO_LABEL."""
        if self.task == "regression":
            return labels
        if self.one_hot:
            right = ((labels == 0) | (labels == 1)).all(1) & ((labels == 1).sum(1) == 1)
            return (labels == 1).to(torch.uint8).argmax(1).masked_fill(~right, NO_LABEL)
        if labels.is_floating_point():
            if self.soft_labels or self.task in ("binary", "multilabel"):
                return labels.to(torch.float64) if labels.dtype == torch.float64 else labels.to(torch.float32)
            return _integers(labels)
        if labels.dtype == torch.uint64:
            signed = labels.view(torch.int64)
            return signed.masked_fill(signed < 0, NO_LABEL)
        return labels.to(torch.int64)

    def _bad_labels(self, labels: Tensor) -> Array:
        """Return the labels that make rows bad, and how often; int64 [2, k], a label that is no integer as NO_LABEL."""
        if self.task == "regression" or self.soft_labels:
            return np.zeros((2, 0), np.int64)
        top = self.num_classes - 1 if is_softmax(self.task, self.foreground) else 1
        labels = labels[(labels != self.ignore_index) & ~((labels >= 0) & (labels <= top))]
        if labels.is_floating_point():
            labels = _integers(labels)
        return _counted(labels)

    def _label_column(self, column: Array, labels: Tensor, ok: Tensor) -> Array:
        if not labels.is_floating_point() or self.task == "regression":
            return column
        # of a label that is no number in [0, 1] nothing integral is known
        return np.where(ok.cpu().numpy() | (column == self.ignore_index), column, NO_LABEL)

    def _loss(self, column: str, loss: nn.Module, preds: Tensor, labels: Tensor, block: Block) -> Tensor:
        """Return the loss of the ok rows, float32 [n]; adds what it says of classes to the block."""
        try:
            values = self._loss_values(column, loss, preds, labels, block)
        except Exception as error:  # it may be anybody's code, and TorchScript's errors have no common class
            if is_out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[-1]
            raise EvaltoolError(
                f"the module of the column {column!r} failed\n  preds {list(preds.shape)} {preds.dtype}, labels "
                f"{list(labels.shape)} {labels.dtype}\n  {reason}"
            ) from error
        if not isinstance(values, Tensor) or list(values.shape) != [len(preds)] or not values.is_floating_point():
            got = f"{list(values.shape)} {values.dtype}" if isinstance(values, Tensor) else type(values).__name__
            raise EvaltoolError(
                f"the module of the column {column!r} gives no value per sample\n  got {got}, expected "
                f"{[len(preds)]} = [N] of floats\n  Export it with reduction='none'."
            )
        return values.to(torch.float32)

    def _loss_values(self, column: str, loss: Any, preds: Tensor, labels: Tensor, block: Block) -> Any:
        preds = preds if preds.dtype == torch.float64 else preds.float()
        if column in self._two_classes:
            preds = two_classes(preds.reshape(labels.shape), self.preds_are)
        if column not in self._ours or self.task not in ("segmentation", "multilabel"):
            return loss(preds, labels)
        if hasattr(loss, "map"):
            values = loss.map(preds, labels)
            valid = labels != self.ignore_index
            block.class_loss[column] = self._map_class_sums(values, labels, valid)
            return reduced_positions(values, valid, "none")
        parts = loss.by_class(preds, labels)
        values = parts.sum(1)
        if self.foreground or parts.size(1) == self.num_classes:  # else the value has no parts by class
            block.class_loss[column] = self._part_class_sums(parts[values.isfinite()])
        return values

    def _map_confusion(self, labels: Tensor, pred: Tensor) -> Array:
        valid = labels != self.ignore_index
        if self.task == "multilabel":
            classes = torch.arange(labels.size(1), device=labels.device).expand_as(pred)
            return _counted((classes * 4 + (labels > 0.5).to(torch.int64) * 2 + pred)[valid])
        pred = pred.reshape(labels.shape)
        return _counted((labels * self.num_classes + pred)[valid])

    def _map_class_sums(self, values: Tensor, labels: Tensor, valid: Tensor) -> tuple[Array, Array]:
        counted = valid & values.isfinite()
        if self.task == "multilabel":
            sums = torch.where(counted, values, torch.zeros_like(values)).to(torch.float64).sum(0)
            return sums.cpu().numpy(), counted.sum(0).cpu().numpy()
        return _class_sums(values[counted].cpu().numpy(), labels[counted].cpu().numpy(), self.num_classes)

    def _part_class_sums(self, parts: Tensor) -> tuple[Array, Array]:
        """Return the sums of each class's part; the counts are 0, for a part of a region loss has no mean."""
        sums = parts.to(torch.float64).sum(0).cpu().numpy()
        if len(sums) != self.num_classes:  # one foreground class: a value without parts is its
            sums = np.array([0.0, sums.sum()])
        return sums, np.zeros(self.num_classes, np.int64)


def _scorecard(task: str, foreground: bool, ignore_index: int, preds_are: str, tolerance: float) -> nn.Module:
    if task == "multiclass":
        return MulticlassScorecard(ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance)
    if task == "binary":
        return BinaryScorecard(ignore_index=ignore_index, preds_are=preds_are)
    if task == "multilabel":
        return MultilabelScorecard(ignore_index=ignore_index, preds_are=preds_are)
    if task == "segmentation":
        return SegmentationScorecard(
            foreground=foreground, ignore_index=ignore_index, preds_are=preds_are, tolerance=tolerance
        )
    return RegressionScorecard()


def _tensor(block: Any, device: torch.device) -> Tensor:
    if isinstance(block, Tensor):
        return block.to(device)
    return torch.from_numpy(np.ascontiguousarray(block)).to(device)


def _integers(labels: Tensor) -> Tensor:
    """Return float labels as int64; NO_LABEL where they hold none."""
    whole = labels.isfinite() & (labels == labels.floor()) & (labels.abs() < 2.0**62)
    return torch.where(whole, labels, 0).to(torch.int64).masked_fill(~whole, NO_LABEL)


def _counted(keys: Tensor) -> Array:
    found, counts = torch.unique(keys.reshape(-1), return_counts=True)
    return np.stack([found.cpu().numpy(), counts.cpu().numpy()]).astype(np.int64)


def _class_sums(values: Array, labels: Array, num_classes: int) -> tuple[Array, Array]:
    counted = np.isfinite(values)
    labels = labels[counted]
    sums = np.bincount(labels, weights=values[counted].astype(np.float64), minlength=num_classes)
    return sums, np.bincount(labels, minlength=num_classes)
