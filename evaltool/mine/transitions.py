"""How labels go wrong: T[g|k], the chance that a true class k is labelled g, by expectation-maximisation.

With p_ik the model's probability of class k and y_i the label, 15 rounds of

    r_ik ∝ p_ik T[y_i|k]          T[g|k] ∝ Σ_{i: y_i = g} r_ik + 10 prior[g|k]

start from the prior, 0.9 on the diagonal and the rest spread evenly.  The sums add up over blocks of rows.
A softmax has one T over its C classes; C sigmoids have one each, over 0 and 1.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

ROUNDS = 15
KEPT_RIGHT = 0.9  # of the prior's diagonal
STRENGTH = 10.0  # the prior counts as so many samples of each true class
LOG_FLOOR = -745.0  # below the log of any float64: a probability of 0 is very unlikely, not impossible


class Sample(NamedTuple):
    """Rows that transitions are fitted to."""

    probs: Array  # float32 [n, C]
    labels: Array  # int64 [n], ascending; of sigmoids int8 [n, C], -1 where not valid


def prior_transitions(num_classes: int) -> Array:
    """Return T[g|k] before any sample is seen; float64 [C, C], columns sum to 1."""
    if num_classes == 1:
        return np.ones((1, 1))
    prior = np.full((num_classes, num_classes), (1 - KEPT_RIGHT) / (num_classes - 1))
    np.fill_diagonal(prior, KEPT_RIGHT)
    return prior


def softmax_sample(log_probs: Array, labels: Array) -> Sample:
    """Return rows of a softmax as ``softmax_transitions`` takes them.

    Args:
        log_probs: float64 [n, C].
        labels: int64 [n], each in 0..C-1.
    """
    order = np.argsort(labels, kind="stable")
    return Sample(np.exp(log_probs[order]).astype(np.float32), labels[order])


def softmax_transitions(samples: Iterable[Sample], num_classes: int) -> Array:
    """Return T[g|k], float64 [C, C].

    Args:
        samples: blocks of rows; gone through once per round.
        num_classes: C.
    """
    prior = prior_transitions(num_classes)
    found = prior
    blocks = list(samples)
    for _ in range(ROUNDS):
        sums = STRENGTH * prior
        for probs, labels in blocks:
            shares = probs * found[labels]
            shares /= shares.sum(1, keepdims=True)
            first = np.flatnonzero(np.diff(labels, prepend=-1))
            if len(first):
                sums[labels[first]] += np.add.reduceat(shares, first, axis=0)
        found = sums / sums.sum(0)
    return found


def sigmoid_transitions(samples: Iterable[Sample], num_classes: int) -> Array:
    """Return T[c, g|k], float64 [C, 2, 2]: for each class c by itself.

    Args:
        samples: blocks of rows; gone through once per round.
        num_classes: C.
    """
    prior = np.broadcast_to(prior_transitions(2), (num_classes, 2, 2))
    found = prior
    blocks = list(samples)
    column = np.arange(num_classes)
    for _ in range(ROUNDS):
        sums = STRENGTH * prior
        for probs, labels in blocks:
            given = found[column, np.maximum(labels, 0)]  # [n, C, k]
            yes = probs * given[..., 1]
            share = yes / (yes + (1 - probs) * given[..., 0])
            for label in (0, 1):
                mine = labels == label
                sums[:, label, 1] += (share * mine).sum(0)
                sums[:, label, 0] += ((1 - share) * mine).sum(0)
        found = sums / sums.sum(1, keepdims=True)
    return found


class Judged(NamedTuple):
    """What is thought of labels, one value each."""

    score: Array  # float64: log-odds that another class is the true one; higher is worse
    p_wrong: Array  # float64, NaN without transitions
    suggested: Array  # int64: the most probable class beside the label, the first of equals
    p_label: Array  # float64
    p_suggested: Array  # float64
    pred: Array  # int64: the most probable class
    entropy: Array  # float64, nats


def judged_softmax(log_probs: Array, labels: Array, transitions: Array | None) -> Judged:
    """Return what is thought of labels of a softmax.

    The score is max_{k≠y}(log p_k + log T[y|k]) - (log p_y + log T[y|y]); without transitions T is left out.

    Args:
        log_probs: float64 [n, C].
        labels: int64 [n], each in 0..C-1.
        transitions: float64 [C, C], or None.
    """
    rows = np.arange(len(labels))
    odds = np.maximum(log_probs, LOG_FLOOR)
    probs = np.exp(odds)
    entropy = -(probs * odds).sum(1)
    others = odds.copy()
    others[rows, labels] = -np.inf
    suggested = others.argmax(1)
    weighed = odds if transitions is None else odds + np.log(transitions)[labels]
    own = weighed[rows, labels].copy()
    weighed[rows, labels] = -np.inf
    best = weighed.max(1)
    if transitions is None:
        p_wrong = np.full(len(labels), np.nan)
    else:
        all_others = best + np.log(np.exp(weighed - best[:, None]).sum(1))
        p_wrong = _sigmoid(all_others - own)
    own_probs = probs[rows, labels]
    pred = log_probs.argmax(1)
    return Judged(best - own, p_wrong, suggested, own_probs, probs[rows, suggested], pred, entropy)


def judged_sigmoid(odds: Array, labels: Array, transitions: Array) -> Judged:
    """Return what is thought of labels of sigmoids, each by itself.

    Args:
        odds: float64 [n, C], log(p / (1 - p)).
        labels: int64 [n, C], 0 or 1.
        transitions: float64 [C, 2, 2].
    """
    odds = np.clip(odds, LOG_FLOOR, -LOG_FLOOR)
    ours = np.where(labels == 1, odds, -odds)  # log-odds of the label
    log_ratio = np.log(transitions)
    column = np.arange(odds.shape[1])
    score = log_ratio[column, labels, 1 - labels] - log_ratio[column, labels, labels] - ours
    p_label, p_other = _sigmoid(ours), _sigmoid(-ours)
    entropy = p_label * np.logaddexp(0, -ours) + p_other * np.logaddexp(0, ours)
    return Judged(score, _sigmoid(score), 1 - labels, p_label, p_other, (odds > 0).astype(np.int64), entropy)


def _sigmoid(odds: Array) -> Array:
    small = np.exp(-np.abs(odds))
    return np.asarray(np.where(odds >= 0, 1, small) / (1 + small))
