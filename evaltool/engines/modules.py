"""What all engines share: the rows and labels as modules take them, and a block of scores from what they give."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evaltool.artifacts.signature import ELEMENTS, REAL, SHARES, SOFTMAX, Signature
from evaltool.block import NO_LABEL, Array, Block
from evaltool.devices import is_out_of_memory
from evaltool.engines.class_losses import class_sums, part_sums
from evaltool.engines.tallies import Tallies
from evaltool.errors import EvaltoolError
from evaltool.losses.reduction import reduced_positions
from evaltool.metrics import Scorecard, task_card
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import two_classes
from evaltool.schema import BAD_LABEL, OK, is_softmax

Run = Callable[[Tensor, Tensor], dict[str, Tensor]]


class ModuleEngine:
    """Scores blocks with the modules of a job, joined in one Scorecard; a subclass says what runs it.

    Args:
        task: one of ``schema.TASKS``.
        preds_are: the kind of the predictions; None for regression.
        num_classes: C; 2 for binary and for one foreground class.
        foreground: segmentation of one foreground class.
        one_hot: labels are [N, C] with a single 1 in each row.
        soft_labels: labels are shares [N, C].
        tolerance: how far probabilities may sum from 1.
        ignore_index: label that counts for nothing.
        losses: by column: modules of evaltool, or anything (preds, labels) -> [N].
        two_classes: the columns whose module is given one foreground class as background and foreground.
        device: where to compute.
    """

    name: str
    provider: str
    parallel = True  # blocks may be at work in several threads
    borrows = False  # PyTorch warns of memory that is read-only

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
        losses: Mapping[str, Any],
        two_classes: Collection[str] = (),
        device: torch.device,
    ) -> None:
        self.device = str(device)
        self.task = task
        self.preds_are = preds_are or "logits"
        self.num_classes = num_classes
        self.foreground = foreground
        self.one_hot = one_hot
        self.soft_labels = soft_labels
        self.ignore_index = ignore_index
        self._device = device
        self._softmax = is_softmax(task, foreground)
        # of a class of evaltool it is known what it gives by position and class; of others only the call
        ours = {name: loss for name, loss in losses.items() if type(loss).__module__.startswith("evaltool.losses.")}
        self._ours = ours
        self._columns = list(losses)
        self._others = {name: _ready(loss, device) for name, loss in losses.items() if name not in ours}
        self._two_classes = frozenset(two_classes)
        self._tallies = Tallies(
            task=task,
            preds_are=self.preds_are,
            num_classes=num_classes,
            foreground=foreground,
            ignore_index=ignore_index,
        )
        card = Scorecard(
            task_card(task, foreground, ignore_index, self.preds_are, tolerance),
            ours,
            preds_are=self.preds_are,
            two_classes=self._two_classes & ours.keys(),
            parts=task in ("segmentation", "multilabel"),
        )
        self._run = self._prepared(card.to(device).eval())
        # somebody else's module may keep state between calls
        alone = device.type != "cpu" or bool(self._others) or not self.parallel
        self.workers = 1 if alone else torch.get_num_threads()
        self._threads_before = torch.get_num_threads()

    def _prepared(self, card: Scorecard) -> Run:
        """Return what computes a scorecard's outputs."""
        raise NotImplementedError

    def signature(self, preds: Tensor, labels: Tensor) -> Signature:
        """Return what a graph for blocks such as this one takes."""
        layout = SOFTMAX if self._softmax else ELEMENTS
        if self.soft_labels:
            layout = SHARES
        elif self.task == "regression":
            layout = REAL
        dtypes = [str(tensor.dtype).removeprefix("torch.") for tensor in (preds, labels)]
        return Signature(layout, preds.dim(), None if self.foreground else self.num_classes, *dtypes)

    def enter_thread(self) -> None:
        """Let the calling thread compute alone: one block per thread beats several threads per operation.

        Operations on a block take microseconds; threads that wait for each other at every one of them are many times
        slower as soon as something else runs on a core.
        """
        torch.set_num_threads(1)

    def counts(self) -> None:
        """Nothing: the blocks carry their counts."""

    def close(self) -> None:
        """Drop the modules and restore PyTorch's number of threads."""
        self._others = {}
        del self._run
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
        one_class = preds.dim() == labels.dim() + 1 and preds.size(1) == 1 and not self._softmax
        outputs = self._outputs(preds.squeeze(1) if one_class else preds, labels)
        status = outputs["status"]
        ok = status == OK
        columns = {
            name: values.cpu().numpy()
            for name, values in outputs.items()
            if name not in ("status", "pred_map", "clamped", *self._ours) and not name.startswith(("map_", "parts_"))
        }
        if "label" in columns:
            columns["label"] = self._label_column(columns["label"], labels, ok)
        block = Block(status.to(torch.int8).cpu().numpy(), columns)
        block.bad_labels = self._bad_labels(labels[status == BAD_LABEL])
        if "clamped" in outputs and self.preds_are == "probs":
            block.n_clamped = int((outputs["clamped"] & ok).sum())
        if "pred_map" in outputs:
            block.confusion = self._map_confusion(labels[ok], outputs["pred_map"][ok])
        elif "pred" in outputs and self.task != "regression":
            block.confusion = _counted(outputs["label"][ok] * self.num_classes + outputs["pred"][ok])
        every = bool(ok.all())
        given = preds, labels, outputs.get("pred_map", outputs.get("pred"))
        if not every:
            given = preds[ok], labels[ok], None if given[2] is None else given[2][ok]
        block.counts, block.places = self._tallies.of(*given)
        for column in self._columns:
            values = torch.full([len(status)], torch.nan, device=self._device)
            if bool(ok.any()):
                values[ok] = self._loss(column, outputs, preds, labels, ok, block)
            columns[column] = values.cpu().numpy()
            if self.task in ("multiclass", "binary"):
                block.class_loss[column] = class_sums(columns[column], columns["label"], self.num_classes)
        return block

    def _outputs(self, preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
        try:
            return self._run(preds, labels)
        except Exception as error:  # a loss whose numbers per class are others than C, for instance
            for column, loss in self._ours.items():
                try:
                    loss(preds, labels)
                except Exception as its_own:
                    raise _failed(column, preds, labels, its_own) from error
            raise

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
        top = self.num_classes - 1 if self._softmax else 1
        labels = labels[(labels != self.ignore_index) & ~((labels >= 0) & (labels <= top))]
        if labels.is_floating_point():
            labels = _integers(labels)
        return _counted(labels)

    def _label_column(self, column: Array, labels: Tensor, ok: Tensor) -> Array:
        if not labels.is_floating_point() or self.task == "regression":
            return column
        # of a label that is no number in [0, 1] nothing integral is known
        return np.where(ok.cpu().numpy() | (column == self.ignore_index), column, NO_LABEL)

    def _loss(
        self, column: str, outputs: Mapping[str, Tensor], preds: Tensor, labels: Tensor, ok: Tensor, block: Block
    ) -> Tensor:
        """Return the loss of the ok rows, float32 [n]; adds what it says of classes to the block."""
        if column in self._others:
            return self._others_loss(column, preds[ok], labels[ok])
        if column in outputs:
            return _one_per_sample(column, outputs[column], len(ok))[ok]
        if f"map_{column}" in outputs:
            values, labels = outputs[f"map_{column}"][ok], labels[ok]
            valid = labels != self.ignore_index
            block.class_loss[column] = self._map_class_sums(values, labels, valid)
            return reduced_positions(values, valid, "none").to(torch.float32)
        parts = outputs[f"parts_{column}"][ok]
        values = parts.sum(1)
        if self.foreground or parts.size(1) == self.num_classes:  # else the value has no parts by class
            block.class_loss[column] = part_sums(parts, self.num_classes)
        return values.to(torch.float32)

    def _others_loss(self, column: str, preds: Tensor, labels: Tensor) -> Tensor:
        """Return what somebody else's module gives for the ok rows: it never sees another."""
        if column in self._two_classes:
            preds = two_classes(working_precision(preds).reshape(labels.shape), self.preds_are)
        try:
            values = self._others[column](preds, labels)
        except Exception as error:  # it may be anybody's code, and TorchScript's errors have no common class
            raise _failed(column, preds, labels, error) from error
        return _one_per_sample(column, values, len(preds))

    def _map_confusion(self, labels: Tensor, pred: Tensor) -> Array:
        valid = labels != self.ignore_index
        if self.task == "multilabel":
            classes = torch.arange(labels.size(1), device=labels.device).expand_as(pred)
            return _counted((classes * 4 + (labels > 0.5).to(torch.int64) * 2 + pred)[valid])
        pred = pred.reshape(labels.shape)
        return _counted((labels * self.num_classes + pred)[valid])

    def _map_class_sums(self, values: Tensor, labels: Tensor, valid: Tensor) -> tuple[Array, Array]:
        if self.task == "multilabel":
            labels = torch.arange(labels.size(1), device=labels.device).expand_as(labels)
        of_valid = values[valid].to(torch.float32).cpu().numpy()
        return class_sums(of_valid, labels[valid].cpu().numpy(), self.num_classes)


def _ready(loss: Any, device: torch.device) -> Any:
    """Return a module that evaluates on the device, in float32 unless the preds are float64; files see to it."""
    if not isinstance(loss, nn.Module):
        return loss
    module = loss.to(device).eval()
    return lambda preds, labels: module(working_precision(preds), labels)


def _failed(column: str, preds: Tensor, labels: Tensor, error: Exception) -> Exception:
    """Return the error to tell for a module that raised one."""
    if is_out_of_memory(error) or isinstance(error, EvaltoolError):
        return error
    reason = str(error).strip().splitlines()[-1]
    return EvaltoolError(
        f"the module of the column {column!r} failed\n  preds {list(preds.shape)} {preds.dtype}, labels "
        f"{list(labels.shape)} {labels.dtype}\n  {reason}"
    )


def _one_per_sample(column: str, values: Any, count: int) -> Tensor:
    """Return a module's values as float32 [N]."""
    if not isinstance(values, Tensor) or list(values.shape) != [count] or not values.is_floating_point():
        got = f"{list(values.shape)} {values.dtype}" if isinstance(values, Tensor) else type(values).__name__
        raise EvaltoolError(
            f"the module of the column {column!r} gives no value per sample\n  got {got}, expected "
            f"{[count]} = [N] of floats\n  Export it with reduction='none'."
        )
    return values.to(torch.float32)


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
