"""Out-of-fold predictions of a small network on imbalanced digits with some labels flipped.

    python examples/digits.py DIRECTORY

writes preds.npy (logits [N, 10]), labels.npy (the labels as given, some of them wrong), true_labels.npy, and
flips.csv, which names every flipped label. Each prediction comes from a network that did not see its sample.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

SEED = 7
FLIPPED = 0.05  # share of the labels
FOLDS = 5
EPOCHS = 40
KEPT = [1.0, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.12]  # share of each digit's samples


def imbalanced_digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return images float32 [N, 64] in [0, 1] and labels int64 [N], of which 9 is the rarest."""
    data = load_digits()
    kept = rng.random(len(data.target)) < np.array(KEPT)[data.target]
    return (data.data[kept] / 16).astype(np.float32), data.target[kept].astype(np.int64)


def flipped(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels of which some are replaced by another class."""
    given = labels.copy()
    chosen = rng.choice(len(labels), round(FLIPPED * len(labels)), replace=False)
    given[chosen] = (labels[chosen] + rng.integers(1, 10, len(chosen))) % 10
    return given


def trained(images: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    """Return a network with one hidden layer, trained on all samples at once."""
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model


def out_of_fold(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return logits float32 [N, 10], each row from a network that was trained without it."""
    logits = np.empty((len(labels), 10), np.float32)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for train, held_out in folds.split(images, labels):
        model = trained(torch.from_numpy(images[train]), torch.from_numpy(labels[train]))
        with torch.no_grad():
            logits[held_out] = model(torch.from_numpy(images[held_out])).numpy()
    return logits


def main(directory: Path) -> None:
    """Write the files."""
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    images, true_labels = imbalanced_digits(rng)
    labels = flipped(true_labels, rng)
    preds = out_of_fold(images, labels)
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "preds.npy", preds)
    np.save(directory / "labels.npy", labels)
    np.save(directory / "true_labels.npy", true_labels)
    with (directory / "flips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["index", "given_label", "true_label"])
        rows.writerows([int(i), int(labels[i]), int(true_labels[i])] for i in np.flatnonzero(labels != true_labels))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
