"""--average: the mean of probabilities of several predictions, each of its own kind; the run finds them again."""

import json

import numpy as np
import pyarrow.parquet
import pytest

import evaltool
from evaltool.errors import EvaltoolError

from .problems import problem


def probabilities(preds, task):
    """Return float64 probabilities of logits."""
    x = preds.astype(np.float64)
    if task in ("multiclass", "segmentation"):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation", "foreground"])
def test_the_mean_of_probabilities_is_scored(tmp_path, task):
    preds, labels = problem(task)
    other = problem(task, seed=1)[0]
    mean = (probabilities(preds, task) + probabilities(other, task)) / 2
    np.save(tmp_path / "a.npy", preds)
    np.save(tmp_path / "b.npy", probabilities(other, task).astype(np.float32))
    np.save(tmp_path / "labels.npy", labels)
    together = evaltool.score([tmp_path / "a.npy", tmp_path / "b.npy"], tmp_path / "labels.npy", average=True)
    alone = evaltool.score(mean, labels, preds_are="probs")
    assert together.summary["task"] == alone.summary["task"]
    for name in set(together.columns) - {"status"}:
        both = (scores.column(name).to_numpy() for scores in (together, alone))
        np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-6)  # b.npy holds float32
    assert together["status"].tolist() == alone["status"].tolist()


def test_regression_averages_what_is_predicted():
    preds, labels = problem("regression")
    together = evaltool.score([preds, preds + 2], labels, average=True, task="regression")
    np.testing.assert_allclose(together["l1"], np.abs(preds.astype(np.float64) + 1 - labels).mean(1), rtol=1e-5)


def test_a_row_that_one_of_them_lacks_is_bad():
    probs, labels = probabilities(problem("multiclass")[0], "multiclass"), problem("multiclass")[1]
    others = [probs.copy() for _ in range(3)]
    others[0][5] = np.nan
    others[1][7, 0] += 0.2
    scores = evaltool.score(others, labels, average=True, max_bad=1.0)
    assert {i: scores["status"][i] for i in range(60) if scores["status"][i] != "ok"} == {
        5: "nonfinite",
        7: "bad_preds",
    }


def test_each_file_is_recorded_and_found_again(tmp_path):
    preds, labels = problem("multiclass")
    paths = [tmp_path / f"{name}.npy" for name in "abc"]
    for seed, path in enumerate(paths):
        np.save(path, problem("multiclass", seed=seed)[0])
    np.save(tmp_path / "labels.npy", labels)
    run = evaltool.score(paths, tmp_path / "labels.npy", average=True, output=tmp_path / "a.run").path
    record = json.loads((run / "run.json").read_text())["inputs"][0]
    assert [part["path"] for part in record["average"]] == [str(path) for path in paths]
    assert {part["preds_are"] for part in record["average"]} == {"logits"}
    mean = np.mean([probabilities(np.load(path), "multiclass") for path in paths], axis=0)
    mined = evaltool.mine(run, fraction=1.0).table
    own = mean[np.arange(60), labels]
    np.testing.assert_allclose(mined["p_label"].to_numpy(), own[mined["index"].to_numpy()], rtol=1e-6)
    assert pyarrow.parquet.read_table(run / "scores.parquet")["ce"].to_numpy() == pytest.approx(-np.log(own), rel=1e-5)
    np.save(paths[1], preds + 1)
    with pytest.raises(EvaltoolError, match=r"not those that were scored\n  .*b.npy"):
        evaltool.mine(run)
    assert len(evaltool.mine(run, preds=[np.load(path) for path in paths]).table) == 60


@pytest.mark.parametrize(
    ("preds", "message"),
    [
        ([np.zeros((4, 3))], "there is nothing to average"),
        (np.zeros((4, 3)), "there is nothing to average"),
        ([np.zeros((4, 3)), np.zeros((4, 5))], "differ in shape"),
    ],
)
def test_what_cannot_be_averaged(preds, message):
    with pytest.raises(EvaltoolError, match=message):
        evaltool.score(preds, np.array([0, 1, 2, 0]), average=True)


def test_on_the_command_line(cli, saved):
    preds, labels = problem("multiclass")
    saved(preds, labels)
    np.save("b.npy", probabilities(preds, "multiclass").astype(np.float32))
    result = cli("score", "--average", "preds.npy", "b.npy", "preds.npy", "labels.npy", "-o", "a.run")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "average, 1 of 3: preds.npy, logits",
        "average, 2 of 3: b.npy, probs",
        "average, 3 of 3: preds.npy, logits",
        "task: multiclass, because preds are [60, 5] = [N, C] and labels int64 [60]",
        "preds: probs, the average of 3 predictions",
    ]
    assert cli("score", "preds.npy", "labels.npy", "b.npy").exit_code == 2
    assert cli("mine", "a.run", "--top", "3").exit_code == 0
