"""The metrics' counts of a block, equal to those of the modules in ``evaltool.metrics``, of one pass over its classes.

The modules of a job would each compute the softmax anew, and count positives and negatives of every class apart.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaltool.block import CALIBRATION_BINS, count_shapes
from evaltool.metrics.accuracy import label_ranks
from evaltool.metrics.class_odds import (
    Chances,
    odds_bins,
    prob_units,
    sigmoid_chances,
    sigmoid_squares,
    softmax_class_odds,
    softmax_probs,
    softmax_squares,
    width_bins,
)
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.float_bits import OCTAVES, octave_units
from evaltool.numerics.log_odds import TopClass, seen_from
from evaltool.numerics.positions import by_sample, class_positions, same_shape, valid_positions
from evaltool.schema import is_softmax

Array = np.ndarray[Any, Any]
# classes times positions looked at together: they stay in a core's cache; a GPU has to be kept busy
PIECE_NUMBERS, PIECE_NUMBERS_ON_GPU = 1 << 16, 1 << 23


class Tallies:
    """Counts blocks of samples that can be scored.

    Args:
        task: one of ``schema.TASKS``.
        preds_are: the kind of the predictions.
        num_classes: C; 2 for binary and for one foreground class.
        foreground: segmentation of one foreground class.
        ignore_index: label that counts for nothing.
    """

    def __init__(self, *, task: str, preds_are: str, num_classes: int, foreground: bool, ignore_index: int) -> None:
        self._shapes = count_shapes(task, num_classes, foreground)
        self._softmax = is_softmax(task, foreground)
        self._multilabel = task == "multilabel"
        self._kind = preds_are
        self._ignore_index = ignore_index

    def of(
        self, preds: Tensor, labels: Tensor, pred: Tensor | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return ``Block.counts`` and ``Block.places`` of samples that are all ok; nothing in regression.

        Args:
            preds: as the task has them; NaN only at ignored positions.
            labels: int64, or float (shares count by the largest, others as 1 above a half).
            pred: of a softmax, the most probable class, the first of equals, int64 [N, *S]; found where not given.
        """
        if not self._shapes or not len(preds):
            return {}, {}
        count = _Counts(self._shapes)
        if not self._softmax:
            self._count_sigmoids(count, working_precision(preds), labels)
            return count.all()
        shares = labels.dim() == preds.dim()
        preds = working_precision(preds).unsqueeze(-1).flatten(2)
        place = preds.argmax(1) if pred is None else by_sample(pred)
        for samples in _steps(len(preds), preds.size(1) * preds.size(2), preds):
            self._count_softmax(count, preds[samples], place[samples], labels[samples], shares)
        return count.all()

    def _count_softmax(self, count: "_Counts", preds: Tensor, place: Tensor, labels: Tensor, shares: bool) -> None:
        if shares:
            given = by_sample(labels.argmax(1))
            valid = torch.ones_like(given, dtype=torch.bool)
        else:
            positions = class_positions(labels, preds.size(1), self._ignore_index)
            given, valid = by_sample(positions.labels), by_sample(positions.valid)
        every = bool(valid.all())
        # of whole samples, for the last bit of a sum may depend on what is beside it
        top = seen_from(preds, place, self._kind)
        right = top.place == given
        probs, squares = 1 / (1 + top.total), softmax_squares(top, given)
        count.squares(squares if every else squares[valid])
        count.top_label(probs if every else probs[valid], right if every else right[valid])
        wrong = ~right if every else ~right & valid
        count.first_ranks(right if every else right & valid)
        for places in _steps(preds.size(2), len(preds) * preds.size(1), preds):
            if bool(wrong[:, places].any()):
                count.ranks(preds[..., places], given[:, places], wrong[:, places])
            if "ranking" in self._shapes:
                part = TopClass(
                    top.place[:, places], top.ratios[..., places], top.gaps[..., places], top.total[:, places]
                )
                count.classes(part, given[:, places], None if every else valid[:, places])

    def _count_sigmoids(self, count: "_Counts", preds: Tensor, labels: Tensor) -> None:
        preds = same_shape(preds, labels)
        valid = valid_positions(labels, self._ignore_index).reshape(-1)
        ones = labels.to(preds.dtype).reshape(-1)
        classes = torch.zeros_like(ones)
        if self._multilabel:
            classes = torch.arange(labels.size(1), device=ones.device).to(ones.dtype).expand_as(labels).reshape(-1)
        preds = preds.reshape(-1)
        every = bool(valid.all())
        for part in _steps(len(ones), 1, ones):
            here = part if every else torch.arange(len(ones), device=ones.device)[part][valid[part]]
            chances = sigmoid_chances(preds[here], self._kind)
            one = ones[here] > 0.5
            count.squares(sigmoid_squares(chances, one))
            if not self._multilabel:
                count.top_label(torch.maximum(chances.of_one, chances.of_zero), (chances.odds > 0) == one)
            if "ranking" in self._shapes:
                count.sigmoids(chances, one, classes[here])


class _Counts:
    """The arrays of one block, added to in pieces."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.counts: dict[str, Array] = {}
        self._ranked: list[Tensor] = []

    def all(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the arrays, and what is left to count in one larger than the block."""
        if not self._ranked:
            return self.counts, {}
        places = torch.cat(self._ranked)
        cells = int(np.prod(self.shapes["ranking"]))
        if cells > len(places):
            return self.counts, {"ranking": places.cpu().numpy()}
        self._add("ranking", _counted(places, cells))
        return self.counts, {}

    def _add(self, name: str, counts: Array) -> None:
        counts = counts.reshape(self.shapes[name])
        if name in self.counts:
            self.counts[name] += counts
        else:
            self.counts[name] = counts

    def squares(self, values: Tensor) -> None:
        """Count the Brier score's terms."""
        octaves, units = octave_units(values.reshape(-1).to(torch.float32).cpu().numpy())
        sums = np.bincount(octaves, units, OCTAVES)  # float64, exact for 2^29 terms
        self._add("brier", np.append(sums.astype(np.int64), len(units)))

    def first_ranks(self, first: Tensor) -> None:
        """Count the positions whose label is the most probable class."""
        counts = np.zeros(self.shapes["label_rank"], np.int64)
        counts[0] = int(first.sum())
        self._add("label_rank", counts)

    def ranks(self, preds: Tensor, labels: Tensor, some: Tensor) -> None:
        """Count the label's rank at some positions, bool [N, P]."""
        size = self.shapes["label_rank"][0]
        ranks = label_ranks(preds.transpose(1, 2)[some].unsqueeze(2), labels[some].unsqueeze(1))
        self._add("label_rank", np.bincount(ranks.reshape(-1).clamp(max=size - 1).cpu().numpy(), minlength=size))

    def top_label(self, probs: Tensor, right: Tensor) -> None:
        """Count how sure the predictions are and how many are right; float and bool of the same shape."""
        probs = probs.to(torch.float64)
        cells = width_bins(probs, CALIBRATION_BINS).to(torch.int32)
        self._calibration("calibration_top_label", cells, cells[right], prob_units(probs))

    def _calibration(self, name: str, cells: Tensor, right: Tensor, units: Tensor) -> None:
        size = self.shapes[name][0] * CALIBRATION_BINS
        sums = torch.bincount(cells.reshape(-1), units.reshape(-1), size)  # float64, exact for 2^25 cases of a cell
        parts = [_counted(cells, size), _counted(right, size), sums.to(torch.int64).cpu().numpy()]
        self._add(name, np.stack(parts, 1))

    def classes(self, top: TopClass, labels: Tensor, valid: Tensor | None) -> None:
        """Count every class of a softmax [N, C, P] against the rest; labels and, if some are not, valid [N, P]."""
        classes, _, bins = self.shapes["ranking"]
        index = labels.unsqueeze(1)
        places = odds_bins(softmax_class_odds(top), bins)
        class_of = torch.arange(classes, device=labels.device).to(places.dtype).unsqueeze(1)
        places += class_of * (2 * bins)  # as floats, which hold these whole numbers and are quicker
        places.scatter_add_(1, index, torch.full_like(index, bins, dtype=places.dtype))
        probs = softmax_probs(top).to(torch.float64)
        cells = width_bins(probs, CALIBRATION_BINS).add_(class_of * CALIBRATION_BINS)
        units = prob_units(probs)
        right = cells.gather(1, index).squeeze(1)
        if valid is not None:
            counted = valid.unsqueeze(1).expand_as(places)
            places, cells, units, right = places[counted], cells[counted], units[counted], right[valid]
        self._ranked.append(places.to(torch.int32).reshape(-1))
        self._calibration("calibration_class_wise", cells.to(torch.int32), right.to(torch.int32), units)

    def sigmoids(self, chances: Chances, one: Tensor, classes: Tensor) -> None:
        """Count sigmoids of any classes, as whole floats, against the rest; [k] each."""
        bins = self.shapes["ranking"][2]
        places = (classes * 2 + one.to(classes.dtype)) * bins + odds_bins(chances.odds, bins)
        self._ranked.append(places.to(torch.int32))
        probs = chances.of_one.to(torch.float64)
        cells = (width_bins(probs, CALIBRATION_BINS) + classes * CALIBRATION_BINS).to(torch.int32)
        self._calibration("calibration_class_wise", cells, cells[one], prob_units(probs))


def _counted(places: Tensor, size: int) -> Array:
    counts: Array = torch.bincount(places.reshape(-1), minlength=size).cpu().numpy()
    return counts


def _steps(count: int, numbers: int, where: Tensor) -> Iterator[slice]:
    """Yield slices of as many of ``count`` things of so many numbers each as are looked at together."""
    step = max(1, (PIECE_NUMBERS_ON_GPU if where.is_cuda else PIECE_NUMBERS) // numbers)
    for start in range(0, count, step):
        yield slice(start, start + step)
