"""How labels go wrong: T[g|k], the chance that a true class k is labelled g, by expectation-maximisation.

With p_ik the model's probability of class k and y_i the label, 15 rounds of

    r_ik ∝ p_ik T[y_i|k]          T[g|k] ∝ Σ_{i: y_i = g} r_ik + 10 prior[g|k]

start from the prior, 0.9 on the diagonal and the rest spread evenly.  The sums add up over blocks of rows.
A softmax has one T over its C classes; C sigmoids have one each, over 0 and 1.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from evaltool.mine.sureness import sigmoid

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


def softmax_odds(log_probs: Array, labels: Array, transitions: Array | None) -> tuple[Array, Array]:
    """Return the log-odds of the best other class against the label, and of all others together; float64 [n] each.

    Args:
        log_probs: float64 [n, C].
        labels: int64 [n], each in 0..C-1.
        transitions: float64 [C, C], or None for what the probabilities say alone.
    """
    rows = np.arange(len(labels))
    weighed = np.maximum(log_probs, LOG_FLOOR)
    if transitions is not None:
        weighed = weighed + np.log(transitions)[labels]
    own = weighed[rows, labels].copy()
    weighed[rows, labels] = -np.inf
    best = weighed.max(1)
    peak = np.maximum(best, LOG_FLOOR * 3)  # finite where there is no other class
    with np.errstate(divide="ignore"):
        others = peak + np.log(np.exp(weighed - peak[:, None]).sum(1))
    return best - own, others - own


def sigmoid_odds(odds: Array, labels: Array, transitions: Array) -> Array:
    """Return the log-odds of the other label against the one given, float64 [n, C]; arguments as ``judged_sigmoid``."""
    odds = np.clip(odds, LOG_FLOOR, -LOG_FLOOR)
    log_ratio = np.log(transitions)
    column = np.arange(odds.shape[1])
    changed = log_ratio[column, labels, 1 - labels] - log_ratio[column, labels, labels]
    return np.asarray(changed - np.where(labels == 1, odds, -odds))


def judged_softmax(log_probs: Array, labels: Array, transitions: Array | None, shift: float = 0.0) -> Judged:
    """Return what is thought of labels of a softmax.

    The score is max_{k≠y}(log p_k + log T[y|k]) - (log p_y + log T[y|y]); without transitions T is left out.

    Args:
        log_probs: float64 [n, C].
        labels: int64 [n], each in 0..C-1.
        transitions: float64 [C, C], or None.
        shift: added to the log-odds that p_wrong is made of.
    """
    rows = np.arange(len(labels))
    odds = np.maximum(log_probs, LOG_FLOOR)
    probs = np.exp(odds)
    entropy = -(probs * odds).sum(1)
    others = odds.copy()
    others[rows, labels] = -np.inf
    suggested = others.argmax(1)
    score, against = softmax_odds(log_probs, labels, transitions)
    p_wrong = np.full(len(labels), np.nan) if transitions is None else sigmoid(against + shift)
    own_probs = probs[rows, labels]
    pred = log_probs.argmax(1)
    return Judged(score, p_wrong, suggested, own_probs, probs[rows, suggested], pred, entropy)


def judged_sigmoid(odds: Array, labels: Array, transitions: Array, shift: float = 0.0) -> Judged:
    """Return what is thought of labels of sigmoids, each by itself.

    Args:
        odds: float64 [n, C], log(p / (1 - p)).
        labels: int64 [n, C], 0 or 1.
        transitions: float64 [C, 2, 2].
        shift: added to the log-odds that p_wrong is made of.
    """
    score = sigmoid_odds(odds, labels, transitions)
    odds = np.clip(odds, LOG_FLOOR, -LOG_FLOOR)
    ours = np.where(labels == 1, odds, -odds)  # log-odds of the label
    p_label, p_other = sigmoid(ours), sigmoid(-ours)
    entropy = p_label * np.logaddexp(0, -ours) + p_other * np.logaddexp(0, ours)
    return Judged(score, sigmoid(score + shift), 1 - labels, p_label, p_other, (odds > 0).astype(np.int64), entropy)
