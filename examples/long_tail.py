"""Networks trained on long-tailed digits by three losses, and the same losses computed offline by evaltool.

    python examples/long_tail.py [DIRECTORY]

The training part holds 100 zeros, ever fewer of the next digits, and 2 nines (50 : 1); the held-out part 74 of each.
Three networks start from the same numbers: one learns by cross-entropy, one by the focal loss, one by the focal loss
with class weights. The loss of each one's last pass over the training part, as training saw it, is set against what
evaltool.score makes of the logits and labels on disk; if the means or any sample's values differ by more than 1e-6
(relatively above 1 nat), the exit status is 1. The training means belong to different losses: the networks compare by
the held-out part. There accuracy is balanced accuracy; "long-tailed accuracy" is what the same recalls give if the
digits come as in training.
All of it is one seed: over SEED = 0..7 weighted-focal gained 3.6 to 8.8 points of balanced accuracy, focal -0.7 to 1.4.

DIRECTORY (by default ./long_tail) gets train_labels.npy, held_out_labels.npy, table.csv, and for each network a folder
with train_logits.npy and train_losses.npy (of the last pass), held_out_logits.npy, train.run and held_out.run.

Needs scikit-learn: pip install 'evaltool[demo]'.
"""

import argparse
import csv
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import evaltool
from evaltool.losses import CrossEntropyLoss, FocalLoss
from evaltool.weights import class_weights

SEED = 1
MOST, FEWEST = 100, 2  # training samples of digit 0 and of digit 9
HELD_OUT = 74  # samples of every digit; the rarest has 174
HEAD, TAIL = [0, 1, 2], [7, 8, 9]
PASSES = 200
# with much less of it every network fits its few samples completely, and class weights change little
WEIGHT_DECAY = 3e-3
TOLERANCE = 1e-6  # nats
CHANCE = 0.01  # a change this likely or likelier by chance is not called more


def losses(counts: Tensor) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
    """Return by network the loss that trains it, and the options by which evaltool.score computes the same loss."""
    return {
        "ce": (
            CrossEntropyLoss(reduction="mean"),
            {"losses": {"loss": "ce"}},
        ),
        "focal": (
            FocalLoss(gamma=2.0, reduction="mean"),
            {"losses": {"loss": "focal:gamma=2"}},
        ),
        "weighted-focal": (
            FocalLoss(gamma=2.0, alpha=class_weights(counts, "inverse"), reduction="mean"),
            {"losses": {"loss": "focal:gamma=2"}, "class_weights": "inverse"},
        ),
    }


def long_tailed_digits(rng: np.random.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """Return by part ("train", "held_out") images float32 [N, 64] in [0, 1] and labels int64 [N]."""
    data = load_digits()
    chosen: dict[str, list[int]] = {"train": [], "held_out": []}
    for digit in range(10):
        rows = rng.permutation(np.flatnonzero(data.target == digit)).tolist()
        kept = round(MOST * (FEWEST / MOST) ** (digit / 9))
        chosen["held_out"] += rows[:HELD_OUT]
        chosen["train"] += rows[HELD_OUT : HELD_OUT + kept]
    images = torch.from_numpy((data.data / 16).astype(np.float32))
    labels = torch.from_numpy(data.target.astype(np.int64))
    return {part: (images[rows], labels[rows]) for part, rows in chosen.items()}


def trained(name: str, loss: nn.Module, images: Tensor, labels: Tensor) -> tuple[nn.Module, Tensor, float]:
    """Return a network trained on all samples at once, and of its last pass the logits [N, 10] and the loss."""
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=WEIGHT_DECAY)
    for done in range(1, PASSES + 1):
        optimizer.zero_grad()
        logits = model(images)
        mean = loss(logits, labels)
        mean.backward()
        optimizer.step()
        if done % 100 == 0:
            say(f"{name}: pass {done} of {PASSES}, loss {mean.item():.6f}")
    return model.eval(), logits.detach(), mean.item()


def scored(folder: Path, part: str, options: Mapping[str, Any]) -> evaltool.Scores:
    """Return evaltool's scores of a part's logits and labels, from the files alone."""
    return evaltool.score(
        folder / f"{part}_logits.npy",
        folder.parent / f"{part}_labels.npy",
        preds_are="logits",
        output=folder / f"{part}.run",
        overwrite=True,
        **options,
    )


def row_of(name: str, training_mean: float, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's row of the table; losses are in nats, from "held-out" on of the held-out part."""
    train = scored(folder, "train", options)
    held_out = scored(folder, "held_out", {"losses": ["ce"]})
    training_losses = np.load(folder / "train_losses.npy").astype(np.float64)
    shares = np.array([row["share"] for row in train.summary["classes"]])
    recall = np.array([row["recall"] for row in held_out.summary["classes"]])
    return {
        "network": name,
        "training_mean": training_mean,
        "offline_mean": train.summary["losses"]["loss"]["mean"],
        # relative above 1: float32 has no more digits
        "largest_difference": float((np.abs(training_losses - train["loss"]) / np.maximum(training_losses, 1)).max()),
        "held-out_ce": held_out.summary["losses"]["ce"]["mean"],
        "long-tailed_accuracy": float(shares @ recall),
        "balanced_accuracy": held_out.summary["balanced_accuracy"],
        "head_recall": float(recall[HEAD].mean()),
        "tail_recall": float(recall[TAIL].mean()),
    }


def disagreements(rows: Sequence[Mapping[str, Any]], pytorch_mean: float) -> list[str]:
    """Return what differs by more than TOLERANCE: samples or means of a network, or PyTorch's mean from the first's."""
    differences = {"PyTorch's mean and CrossEntropyLoss's": abs(pytorch_mean - rows[0]["training_mean"])}
    for row in rows:
        name = row["network"]
        differences[f"{name}: a sample's training-time loss and the offline one"] = row["largest_difference"]
        differences[f"{name}: the training-time mean and the offline one"] = abs(
            row["training_mean"] - row["offline_mean"]
        )
    # not "difference > TOLERANCE": a NaN disagrees as well
    return [f"{what} differ by {value:.1e}" for what, value in differences.items() if not value <= TOLERANCE]


def lesson(row: Mapping[str, Any], base: Mapping[str, Any], directory: Path) -> str:
    """Return how a network does on the held-out part against another one, and whether chance may explain it."""
    labels = np.load(directory / "held_out_labels.npy")
    preds = [np.load(directory / r["network"] / "held_out_logits.npy").argmax(1) for r in (row, base)]
    right, base_right = ((pred == labels)[np.isin(labels, TAIL)] for pred in preds)
    gained, lost = int((right & ~base_right).sum()), int((base_right & ~right).sum())
    verdict = "more than chance" if by_chance(gained, lost) < CHANCE else "chance may explain it"
    points = 100 * (row["balanced_accuracy"] - base["balanced_accuracy"])
    return (
        f"{row['network']} against {base['network']}: {gained} of the {len(right)} tail samples gained, {lost} lost "
        f"({verdict}); balanced accuracy {points:+.1f} points, ce {row['held-out_ce'] - base['held-out_ce']:+.3f}"
    )


def by_chance(gained: int, lost: int) -> float:
    """Return how likely so uneven a split is if gain and loss are equally likely (sign test, two-sided)."""
    n, fewer = gained + lost, min(gained, lost)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)


def say(line: str) -> None:
    """Print a line on stderr."""
    print(f"long_tail: {line}", file=sys.stderr, flush=True)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows below two lines of column names."""
    formats = {"network": "", "training_mean": ".8f", "offline_mean": ".8f", "largest_difference": ".1e"}
    lines = [[name.partition("_")[0] for name in rows[0]], [name.partition("_")[2] for name in rows[0]]]
    lines += [[format(value, formats.get(name, ".4f")) for name, value in row.items()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def main(directory: Path) -> int:
    """Train, write, score and compare; return the exit status."""
    parts = long_tailed_digits(np.random.default_rng(SEED))
    directory.mkdir(parents=True, exist_ok=True)
    for part, (_, labels) in parts.items():
        np.save(directory / f"{part}_labels.npy", labels.numpy())
    images, labels = parts["train"]
    rows = []
    for name, (loss, options) in losses(torch.bincount(labels)).items():
        folder = directory / name
        folder.mkdir(exist_ok=True)
        model, logits, training_mean = trained(name, loss, images, labels)
        with torch.no_grad():
            np.save(folder / "train_logits.npy", logits.numpy())
            np.save(folder / "train_losses.npy", loss.map(logits, labels).numpy())  # the same loss, not reduced
            np.save(folder / "held_out_logits.npy", model(parts["held_out"][0]).numpy())
        rows.append(row_of(name, training_mean, folder, options))
    with (directory / "table.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    print_table(rows)
    pytorch_mean = F.cross_entropy(torch.from_numpy(np.load(directory / "ce" / "train_logits.npy")), labels).item()
    print(f"\nPyTorch's cross_entropy of the last pass of ce: {pytorch_mean:.8f}")
    for row in rows[1:]:
        print(lesson(row, rows[0], directory))
    wrong = disagreements(rows, pytorch_mean)
    for line in wrong:
        say(f"failed: {line}, more than {TOLERANCE:g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIRECTORY", nargs="?", type=Path, default=Path("long_tail"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # so small a network gains nothing from more
    sys.exit(main(arguments.directory))
