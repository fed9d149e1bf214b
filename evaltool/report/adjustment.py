"""Logit adjustment after training: argmax of log p - tau log prior.  Menon et al. 2021, arXiv:2007.07314, section 4.1.

tau is chosen on one half of the decisions and its gain of balanced accuracy measured on the other.  Of several sigmoids
each is shifted by the log-odds of its own prior, and balanced accuracy is the mean over classes of the recall of labels
0 and 1.
"""

from collections.abc import Sequence
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
    balanced = [_balanced(*_recalls(_cells(fitted, shift, tau), "after")) for tau in TAUS]
    if np.isnan(balanced[0]):
        return unknown("fewer than two classes have labels in the half that chooses")
    # no better than a tie is no reason for a larger tau
    tau = float(TAUS[int(np.argmax(np.asarray(balanced) > max(balanced) - 1e-12))])
    cells = _cells(measured, shift, tau)
    before, after = (_balanced(*_recalls(cells, way)) for way in ("before", "after"))
    if np.isnan(before):
        return unknown("fewer than two classes have labels in the half that measures")
    low, high = percentile_bounds(_gains(measured, shift, tau, cells, grouped))
    gain = estimate(after - before, float(low), float(high)) if tau else estimate(0.0, 0.0, 0.0)
    return {
        "tau": tau,
        "balanced_accuracy_before": before,
        "balanced_accuracy_after": after,
        "gain": gain,
        "accuracy_before": _accuracy(cells, weights, "before"),
        "accuracy_after": _accuracy(cells, weights, "after"),
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
    values = ", ".join(f"{value:.6g}" for value in log_prior(prior, softmax=softmax))
    what = "log prior" if softmax else "log-odds of the prior"
    predict = "logits.argmax(1)" if softmax else "logits > 0"
    return (
        "import torch\n\n"
        f"offset = {tau:g} * torch.tensor([{values}])  # tau times the {what}\n\n\n"
        "def adjusted(logits):\n"
        f"    return logits - offset{'.reshape(-1, *[1] * (logits.dim() - 2))' if softmax else ''}  "
        f"# then {predict.replace('logits', 'adjusted(logits)')}\n"
    )


def _cells(half: Sample, shift: Array, tau: float, buckets: Array | None = None, size: int = 1) -> Array:
    """Count decisions by bucket, class, label's place and which ways are right; int64 [size, C, 2, 4].

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
    return counts.reshape(size, classes, 2, 4)


def _recalls(cells: Array, way: str) -> tuple[Array, Array]:
    """Return how many are right and how many there are, [r, C, 2] each."""
    right = cells[..., BOTH] + cells[..., LOST if way == "before" else GAINED]
    return right, cells.sum(-1)


def _balanced(right: Array, total: Array) -> float:
    """Return the mean recall over the labels that occur; NaN where fewer than two do."""
    return float(_balanced_replicates(right, total)[0])


def _balanced_replicates(right: Array, total: Array) -> Array:
    right, total = right.reshape(len(right), -1), total.reshape(len(total), -1)
    known = (total > 0).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(total > 0, right / total, 0.0).sum(1) / known
    return np.where(known >= 2, mean, np.nan)


def _accuracy(cells: Array, weights: Array, way: str) -> float:
    """Return the share of right decisions, each label's weighing as in the run."""
    right, total = (table.sum(0) for table in _recalls(cells, way))
    if not len(weights):
        return float(right.sum() / total.sum())
    # of one sigmoid the labels are the places of its only class
    of_label = (right[:, 0], total[:, 0]) if len(right) == len(weights) else (right[0], total[0])
    return float((weights @ of_label[0]) / (weights @ of_label[1]))


def _gains(half: Sample, shift: Array, tau: float, cells: Array, grouped: bool) -> Array:
    """Return replicates of the gain, float64 [r]: each decision, or each sample, drawn a Poisson(1) number of times."""
    resampler = Resampler()
    if not grouped:
        drawn = [_gain(draw[:, 0]) for draw in resampler.draws(cells, "logit adjustment")]
        return np.concatenate(drawn)
    buckets = min(BUCKETS, max(1, (1 << 22) // (8 * len(shift))))
    place = (hashed(half.rows, BUCKET) % np.uint64(buckets)).astype(np.int64)
    table = _cells(half, shift, tau, place, buckets)
    rng = resampler.stream("logit adjustment of samples")
    weights = rng.poisson(1.0, size=(REPLICATES, buckets)).astype(np.float64)
    return _gain((weights @ table.reshape(buckets, -1)).reshape(REPLICATES, *table.shape[1:]))


def _gain(cells: Array) -> Array:
    return np.asarray(
        _balanced_replicates(*_recalls(cells, "after")) - _balanced_replicates(*_recalls(cells, "before"))
    )
