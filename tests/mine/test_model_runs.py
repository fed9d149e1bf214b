"""Mining runs of ``score --model``, whose predictions were not stored."""

import shlex

import numpy as np
import pytest
import torch

from tests.mine.galleries import read
from tests.predictor import nets


class Same(torch.nn.Module):
    def forward(self, x):
        return x


@pytest.fixture
def model_run(cli, tmp_path):
    """Return a function that scores problems whose predictions a model made, and returns the run's name."""
    nets.script(Same(), tmp_path / "same.pt")

    def scored(preds, labels):
        np.save("features.npy", preds)
        np.save("labels.npy", labels)
        result = cli("score", "features.npy", "labels.npy", "--model", "same.pt", "--trust", "-o", "m.run")
        assert result.exit_code == 0, result.output
        return "m.run"

    return scored


@pytest.fixture
def run(model_run):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    preds = (rng.normal(0, 1, (300, 3)) + 4 * np.eye(3)[labels]).astype(np.float32)
    return model_run(preds, np.where(rng.random(300) < 0.1, (labels + 1) % 3, labels))


@pytest.mark.parametrize(
    "words", [["--gallery", "out"], ["--format", "datumaro", "-o", "out"], ["--as-weights", "out.npy"], ["-o", "o.csv"]]
)
def test_they_are_mined_by_the_first_loss(cli, tmp_path, run, words):
    result = cli("mine", run, "--top", "3", *words)
    assert result.exit_code == 0, result.output
    assert "ranked by ce, the first loss: the predictions were not stored" in result.stderr
    assert "3 rows of 300, by ce" in result.stdout
    if "--gallery" in words:
        assert len(read((tmp_path / "out").read_text())[1]) == 3


def test_what_the_report_advises_works(cli, run):
    page = cli("report", run, "--md", "-").stdout
    assert "Look at the 200 samples with the largest loss" in page
    assert "label-error" not in page
    command = next(line.strip() for line in page.splitlines() if line.strip().startswith("evaltool mine"))
    result = cli(*shlex.split(command)[1:])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 201


def test_masks_that_are_not_there_are_asked_for(cli, model_run):
    rng = np.random.default_rng(0)
    run = model_run(rng.normal(size=(4, 3, 8, 8)).astype(np.float32), rng.integers(0, 3, (4, 8, 8)))
    result = cli("mine", run, "--format", "coco", "-o", "out.json")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "error: there are no masks to show\n  m.run: its predictions cannot be read\n"
        "  Name them with --preds, score stored ones, or choose another format, such as csv.\n"
    )
