"""Logit adjustment after training: argmax of log p - tau log prior.  Menon et al. 2021, arXiv:2007.07314, section 4.1.

tau is chosen on one half of the decisions and its gain of balanced accuracy measured on the other.  Of several sigmoids
each is shifted by the log-odds of its own prior, and balanced accuracy is the mean over classes of the recall of labels
0 and 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaltool.report.document import Adjustment
from evaltool.report.intervals import REPLICATES, Resampler, estimate, percentile_bounds
from evaltool.report.row_sample import BUCKET, Sample, hashed, label_weights

Array = np.ndarray[Any, Any]

TAUS = np.arange(21) / 10
CHUNK = 1 << 19  # numbers computed at once
FEWEST = 20  # decisions in each half
BUCKETS = 512  # of samples that are drawn together where a sample has many decisions
NOBODY, BOTH, LOST, GAINED = 0, 1, 2, 3  # right neither way, both ways, before only, after only


def unknown(reason: str) -> Adjustment:
    """Return that the gain is not known, and why."""
    return {
        "tau": None,
        "balanced_accuracy_before": None,
        "balanced_accuracy_after": None,
        "gain": estimate(None),
        "accuracy_before": None,
        "accuracy_after": None,
        "n_rows": 0,
        "torch": "",
        "reason": reason,
    }


def adjustment_of(sample: Sample | None, prior: Sequence[float], counts: Sequence[int], *, grouped: bool) -> Adjustment:
    """Return tau and what it gains on the held-out half.

    Args:
        sample: decisions.
        prior: of each class of a softmax, or of a 1 of each sigmoid, [C]; what is 0 (or 1 of a sigmoid) is not shifted.
        counts: of the run, how often each label occurs, [C]; of binary and one foreground class [2]; of multilabel [].
        grouped: the decisions of a sample hang together (positions of an image): intervals draw samples.
    """
    shift = log_prior(prior, softmax=sample is None or sample.softmax)
    if sample is None:
        return unknown("no scored row")
    fitted, measured, weights = sample.part(False), sample.part(True), label_weights(sample, counts)
    if min(len(fitted.labels), len(measured.labels)) < FEWEST:
        return unknown(f"too few rows to choose and measure it: {len(sample.labels)}")
    balanced = [balanced_accuracy(cells_of(fitted, shift, tau), "after") for tau in TAUS]
    if np.isnan(balanced[0]):
        return unknown("fewer than two classes have labels in the half that chooses")
    # no better than a tie is no reason for a larger tau
    tau = float(TAUS[int(np.argmax(np.asarray(balanced) > max(balanced) - 1e-12))])
    cells = cells_of(measured, shift, tau)
    before, after = (balanced_accuracy(cells, way) for way in ("before", "after"))
    if np.isnan(before):
        return unknown("fewer than two classes have labels in the half that measures")
    replicates = gains(measured, shift, tau, cells, _gain, grouped=grouped, name="logit adjustment")
    low, high = percentile_bounds(replicates)
    gain = estimate(after - before, float(low), float(high)) if tau else estimate(0.0, 0.0, 0.0)
    return {
        "tau": tau,
        "balanced_accuracy_before": before,
        "balanced_accuracy_after": after,
        "gain": gain,
        "accuracy_before": float(accuracy(cells[None], weights, "before")[0]),
        "accuracy_after": float(accuracy(cells[None], weights, "after")[0]),
        "n_rows": len(measured.labels),
        "torch": torch_code(prior, tau, softmax=sample.softmax),
        "reason": "",
    }


def log_prior(prior: Sequence[float], *, softmax: bool) -> Array:
    """Return what tau multiplies: log prior, of sigmoids its log-odds; 0 where it is infinite."""
    p = np.asarray(prior, np.float64)
    with np.errstate(divide="ignore"):
        values = np.log(p) if softmax else np.log(p) - np.log1p(-p)
    return np.where(np.isfinite(values), values, 0.0)


def torch_code(prior: Sequence[float], tau: float, *, softmax: bool) -> str:
    """Return code that adjusts logits, ready to paste."""
    what = "log prior" if softmax else "log-odds of the prior"
    return offset_code((tau * log_prior(prior, softmax=softmax)).tolist(), f"{tau:g} times the {what}", softmax=softmax)


def offset_code(values: Sequence[float], what: str, *, softmax: bool) -> str:
    """Return code that subtracts an offset per class from logits, ready to paste."""
    listed = ", ".join(f"{value:.6g}" for value in values)
    shaped = ".reshape(-1, *[1] * (logits.dim() - 2))" if softmax else ""
    predict = "adjusted(logits).argmax(1)" if softmax else "adjusted(logits) > 0"
    return (
        f"import torch\n\noffset = torch.tensor([{listed}])  # {what}\n\n\n"
        f"def adjusted(logits):\n    return logits - offset{shaped}  # then {predict}\n"
    )


def cells_of(half: Sample, shift: Array, tau: float, buckets: Array | None = None, size: int = 1) -> Array:
    """Count decisions by class, label's place and which ways are right; int64 [C, 2, 4], or [size, C, 2, 4] by bucket.

    Of a softmax the class is the label and its place 0; of sigmoids the place is the label.
    """
    classes = len(shift)
    counts = np.zeros(size * classes * 8, np.int64)
    step = max(1, CHUNK // half.odds.shape[1])
    for start in range(0, len(half.labels), step):
        part = slice(start, start + step)
        odds, labels, valid = half.odds[part].astype(np.float64), half.labels[part], half.valid[part]
        if half.softmax:
            before = odds.argmax(1) == labels
            after = (odds - tau * shift).argmax(1) == labels
            keys = labels * 2
        else:
            before = (odds > 0) == (labels > 0)
            after = (odds > tau * shift) == (labels > 0)
            keys = np.arange(classes) * 2 + labels
        ways = np.where(before, np.where(after, BOTH, LOST), np.where(after, GAINED, NOBODY))
        keys = keys * 4 + ways
        if buckets is not None:
            keys = keys + (buckets[part] if half.softmax else buckets[part][:, None]) * classes * 8
        counts += np.bincount(keys[valid], minlength=len(counts))
    return counts.reshape(*([] if buckets is None else [size]), classes, 2, 4)


def _recalls(cells: Array, way: str) -> tuple[Array, Array]:
    """Return how many are right and how many there are, [r, C, 2] each."""
    right = cells[..., BOTH] + cells[..., LOST if way == "before" else GAINED]
    return right, cells.sum(-1)


def balanced_accuracy(cells: Array, way: str) -> float:
    """Return the mean recall over the labels that occur; NaN where fewer than two do."""
    return float(_balanced_replicates(*_recalls(cells[None], way))[0])


def _balanced_replicates(right: Array, total: Array) -> Array:
    right, total = right.reshape(len(right), -1), total.reshape(len(total), -1)
    known = (total > 0).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(total > 0, right / total, 0.0).sum(1) / known
    return np.where(known >= 2, mean, np.nan)


def accuracy(cells: Array, weights: Array, way: str) -> Array:
    """Return the share of right decisions, each label's weighing as in the run; of cells [r, C, 2, 4], float64 [r]."""
    right, total = _recalls(cells, way)
    if not len(weights):
        return np.asarray(right.sum((1, 2)) / total.sum((1, 2)))
    # of one sigmoid the labels are the places of its only class
    places = np.s_[:, :, 0] if right.shape[1] == len(weights) else np.s_[:, 0]
    with np.errstate(invalid="ignore"):  # a replicate may be empty
        return np.asarray((right[places] @ weights) / (total[places] @ weights))


def gains(
    half: Sample,
    shift: Array,
    tau: float,
    cells: Array,
    statistic: Callable[[Array], Array],
    *,
    grouped: bool,
    name: str,
) -> Array:
    """Return replicates of a statistic, float64 [r]: decisions, or samples, are drawn a Poisson(1) number of times.

    Args:
        half: the decisions that are measured.
        shift: as ``cells_of`` takes it.
        tau: likewise.
        cells: what ``cells_of`` gives.
        statistic: of cells [r, C, 2, 4] gives float64 [r].
        grouped: whether samples are drawn.
        name: of the statistic.
    """
    resampler = Resampler()
    if not grouped:
        return resampler.replicate(cells, statistic, name)
    buckets = min(BUCKETS, max(1, (1 << 22) // (8 * len(shift))))
    place = (hashed(half.rows, BUCKET) % np.uint64(buckets)).astype(np.int64)
    table = cells_of(half, shift, tau, place, buckets)
    weights = resampler.stream(name).poisson(1.0, size=(REPLICATES, buckets)).astype(np.float64)
    return statistic((weights @ table.reshape(buckets, -1)).reshape(REPLICATES, *table.shape[1:]))


def _gain(cells: Array) -> Array:
    return np.asarray(
        _balanced_replicates(*_recalls(cells, "after")) - _balanced_replicates(*_recalls(cells, "before"))
    )
