"""Every engine gives the same columns and the same summary, on every task."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from tests.scorer.problems import TASKS, problem

COMPILED = pytest.mark.slow  # an export takes seconds, a compilation the better part of a minute


def hard(task, n=40):
    """Return predictions and labels with far tails, and rows that cannot be scored."""
    preds, labels = problem(task, n)
    preds[::3] *= 30
    preds[1] = np.nan
    if task != "regression":
        labels[2] = -100
        labels.reshape(n, -1)[3, 0] = 7
    return preds, labels


def same(ours, theirs, rtol=1e-5):
    """Hold two sets of scores equal in every column, status and number of the summary."""
    assert list(ours.columns) == list(theirs.columns)
    for name in ours.columns:
        if ours[name].dtype.kind == "f":
            # margins are means of both signs; a probability of 0 may count as the smallest normal float32
            atol = 1e-5 if name == "margin" else 1e-35
            np.testing.assert_allclose(theirs[name], ours[name], rtol=rtol, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)
    _same_numbers(ours.summary, theirs.summary)


def _same_numbers(ours, theirs, where=""):
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            _same_numbers(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list):
        for one, other in zip(ours, theirs, strict=True):
            _same_numbers(one, other, where)
    elif isinstance(ours, float):
        least = 1e-5 if where.endswith("/margin") else 1e-12  # a mean of both signs
        assert theirs == pytest.approx(ours, rel=1e-5, abs=least), where
    else:
        assert theirs == ours, where


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("engine", ["torchscript", pytest.param("onnxruntime", marks=COMPILED)])
def test_engines_agree_on_every_task(engine, task):
    preds, labels = hard(task)
    scores = evaltool.score(preds, labels, engine=engine, max_bad=1)
    assert scores.manifest["engine"] == engine
    assert scores.manifest["provider"] == {"torchscript": "TorchScript", "onnxruntime": "CPUExecutionProvider"}[engine]
    same(evaltool.score(preds, labels, engine="torch", max_bad=1), scores)


def shares():
    preds, _ = problem("multiclass")
    soft = np.random.default_rng(1).dirichlet(np.ones(5), len(preds)).astype(np.float32)
    return preds, soft, {}


def probabilities():
    preds, labels = problem("segmentation")
    return torch.from_numpy(preds).softmax(1).numpy(), labels, {}


def log_probabilities():
    preds, labels = problem("multiclass")
    return torch.from_numpy(preds).log_softmax(1).numpy(), labels, {}


def half():
    preds, labels = problem("multilabel")
    return preds.astype(np.float16), labels.astype(np.uint8), {"task": "multilabel"}


def double():
    preds, labels = problem("binary")
    return preds.astype(np.float64) * 100, labels.astype(np.float64), {}


def weighted():
    preds, labels = problem("foreground")
    return preds, labels, {"class_weights": [1, 5], "losses": ["bce", "ce", "lovasz", "ohem-ce", "generalized-dice"]}


def numbered():
    preds, labels = problem("multiclass")
    return preds, labels, {"losses": ["focal:gamma=[0,1,2,3,4],alpha=balanced", "seesaw", "ldam", "logit-adjusted"]}


@COMPILED
@pytest.mark.parametrize("case", [shares, probabilities, log_probabilities, half, double, weighted, numbered])
def test_engines_agree_on_every_kind_of_input(case):
    preds, labels, options = case()
    same(evaltool.score(preds, labels, **options), evaltool.score(preds, labels, engine="onnxruntime", **options))


@COMPILED
def test_blocks_that_do_not_divide_and_several_threads():
    preds, labels = problem("multiclass", 1003)
    small = evaltool.score(preds, labels, engine="onnxruntime", batch_size=17)
    same(evaltool.score(preds, labels), small)


@COMPILED
def test_aoti_agrees_on_every_task(tmp_path):
    """Two compilers at a time, as a user starts them."""

    def scored(task):
        folder = tmp_path / task
        folder.mkdir()
        preds, labels = hard(task)
        np.save(folder / "preds.npy", preds)
        np.save(folder / "labels.npy", labels)
        command = [sys.executable, "-m", "evaltool", "score", "preds.npy", "labels.npy", "--max-bad", "100%"]
        job = subprocess.run([*command, "--engine", "aoti"], cwd=folder, capture_output=True, text=True)
        assert job.returncode == 0, job.stderr
        assert "engine: aoti, which takes a minute or two to compile the columns" in job.stderr
        return pyarrow.parquet.read_table(folder / "preds.run/scores.parquet")

    with ThreadPoolExecutor(2) as pool:
        tables = dict(zip(TASKS, pool.map(scored, TASKS), strict=True))
    for task, table in tables.items():
        ours = evaltool.score(*hard(task), max_bad=1)
        assert table.column_names == list(ours.columns)
        for name in table.column_names:
            found, wanted = table[name].to_numpy(), ours[name]
            if wanted.dtype.kind == "f":
                np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 if name == "margin" else 1e-37)
            elif name != "status":
                ok = ours["status"] == "ok"
                np.testing.assert_array_equal(found[ok], wanted[ok], err_msg=f"{task} {name}")


def test_gpu_that_is_not_there_is_an_error_of_every_engine():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    preds, labels = problem("multiclass")
    for engine in ("fused", "torch", "torchscript", "onnxruntime", "aoti"):
        with pytest.raises(EvaltoolError, match="there is no such GPU"):
            evaltool.score(preds, labels, engine=engine, device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("engine", ["torch", "torchscript", "onnxruntime", "aoti"])
def test_engines_agree_on_a_gpu(engine, task):
    preds, labels = hard(task)
    scores = evaltool.score(preds, labels, engine=engine, device="cuda", max_bad=1)
    assert scores.manifest["device"].startswith("cuda")
    if engine == "onnxruntime":
        assert scores.manifest["provider"] == "CUDAExecutionProvider"
    same(evaltool.score(preds, labels, max_bad=1), scores)
