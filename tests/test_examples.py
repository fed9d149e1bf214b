"""examples/long_tail.py: what it wrote is the truth, whatever it prints; a loss that differs is noticed."""

import csv
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest
import torch
from torch.nn import functional as F

from tests import oracle
from tests.conftest import ROOT

TOLERANCE = 1e-6  # what the example promises
GAMMAS = {"ce": 0.0, "focal": 2.0, "weighted-focal": 2.0}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example run as a user runs it, in a process of its own in an empty directory."""
    folder = tmp_path_factory.mktemp("long_tail")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/long_tail.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return SimpleNamespace(folder=folder / "long_tail", done=done)


@pytest.fixture
def long_tail(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    import long_tail

    return long_tail


def table(folder):
    """Return the rows of table.csv by network."""
    with (folder / "table.csv").open(newline="") as file:
        return {row["network"]: row for row in csv.DictReader(file)}


def largest_difference(folder, name):
    """Return how far training-time and offline losses are apart, sample by sample and in the mean."""
    offline = pyarrow.parquet.read_table(folder / name / "train.run/scores.parquet")["loss"].to_numpy()
    by_sample = np.load(folder / name / "train_losses.npy").astype(np.float64) - offline
    summary = json.loads((folder / name / "train.run/summary.json").read_text())
    in_the_mean = float(table(folder)[name]["training_mean"]) - summary["losses"]["loss"]["mean"]
    return np.abs([*by_sample, in_the_mean]).max()


def test_it_ends_well_and_prints_a_row_per_network(example):
    assert example.done.returncode == 0, example.done.stderr
    lines = example.done.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == list(GAMMAS)
    assert [line.partition(" against")[0] for line in lines[-2:]] == ["focal", "weighted-focal"]
    progress = example.done.stderr.splitlines()
    assert len(progress) == 6
    assert all(line.startswith("long_tail: ") for line in progress)


def test_the_digits_are_long_tailed_and_the_held_out_ones_balanced(example):
    counts = np.bincount(np.load(example.folder / "train_labels.npy"))
    assert counts.tolist() == sorted(counts, reverse=True)
    assert counts[0] / counts[9] == 50
    assert np.bincount(np.load(example.folder / "held_out_labels.npy")).tolist() == [74] * 10


@pytest.mark.parametrize("name", GAMMAS)
def test_training_time_and_offline_losses_agree(example, name):
    assert largest_difference(example.folder, name) <= TOLERANCE


@pytest.mark.parametrize("name", GAMMAS)
def test_both_are_the_loss_that_they_are_called(example, name):
    """Both come from evaltool's modules, so that their agreement alone would not show a common mistake."""
    logits = np.load(example.folder / name / "train_logits.npy")
    labels = np.load(example.folder / "train_labels.npy").tolist()
    counts = np.bincount(labels)
    alpha = len(labels) / (10 * counts) if name == "weighted-focal" else np.ones(10)
    expected = [
        alpha[t] * float(oracle.focal(oracle.softmax(row), t, GAMMAS[name]))
        for row, t in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(np.load(example.folder / name / "train_losses.npy"), expected, rtol=0, atol=TOLERANCE)
    assert float(table(example.folder)[name]["training_mean"]) == pytest.approx(np.mean(expected), abs=TOLERANCE)


def test_the_mean_of_ce_is_that_of_pytorch(example):
    logits = torch.from_numpy(np.load(example.folder / "ce/train_logits.npy"))
    labels = torch.from_numpy(np.load(example.folder / "train_labels.npy"))
    mean = float(table(example.folder)["ce"]["training_mean"])
    assert mean == pytest.approx(F.cross_entropy(logits, labels).item(), abs=TOLERANCE)


@pytest.mark.parametrize("name", GAMMAS)
def test_the_table_has_the_recall_of_the_held_out_part(example, name):
    pred = np.load(example.folder / name / "held_out_logits.npy").argmax(1)
    labels = np.load(example.folder / "held_out_labels.npy")
    recall = np.array([(pred[labels == c] == c).mean() for c in range(10)])
    counts = np.bincount(np.load(example.folder / "train_labels.npy"))
    expected = {
        "long-tailed_accuracy": recall @ counts / counts.sum(),
        "balanced_accuracy": (pred == labels).mean(),
        "head_recall": recall[:3].mean(),
        "tail_recall": recall[7:].mean(),
    }
    row = table(example.folder)[name]
    assert {key: float(row[key]) for key in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("change", [2e-6, np.nan])
def test_one_wrong_loss_is_noticed(example, long_tail, tmp_path, change):
    folder = shutil.copytree(example.folder, tmp_path / "long_tail")
    values = np.load(folder / "focal/train_losses.npy")
    values[values.argmin()] += change
    np.save(folder / "focal/train_losses.npy", values)
    assert not largest_difference(folder, "focal") <= TOLERANCE
    mean = float(table(folder)["focal"]["training_mean"])
    row = long_tail.row_of("focal", mean, folder / "focal", {"losses": {"loss": "focal:gamma=2"}})
    assert long_tail.disagreements([row], mean) == [
        f"focal: a sample's training-time loss and the offline one differ by {change:.1e}"
    ]


def test_another_loss_offline_fails_the_example(long_tail, monkeypatch, tmp_path, capsys):
    losses = long_tail.losses

    def with_another_gamma(counts):
        both = losses(counts)
        return {**both, "focal": (both["focal"][0], {"losses": {"loss": "focal:gamma=2.001"}})}

    monkeypatch.setattr(long_tail, "losses", with_another_gamma)
    monkeypatch.setattr(long_tail, "PASSES", 5)
    assert long_tail.main(tmp_path / "deep/long_tail") == 1
    failures = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert [line.partition(" differ by ")[0] for line in failures] == [
        "long_tail: failed: focal: a sample's training-time loss and the offline one",
        "long_tail: failed: focal: the training-time mean and the offline one",
    ]
    assert all(line.endswith(", more than 1e-06") for line in failures)


@pytest.mark.parametrize(("gained", "lost", "expected"), [(0, 0, 1), (3, 3, 1), (5, 0, 2 / 32), (1, 5, 14 / 64)])
def test_by_chance_is_the_sign_test(long_tail, gained, lost, expected):
    assert long_tail.by_chance(gained, lost) == pytest.approx(expected)
