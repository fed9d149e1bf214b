"""The engine fused: what torch gives, the same bits in any blocks and threads, from any labels, without torch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.kernels.choice import LOSSES
from evaltool.scorer.spec_values import are_plain
from tests.engines.test_engines import hard, same
from tests.scorer.problems import TASKS, problem, unprobed

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
# the axis over which a task's probabilities sum to 1
SOFTMAX_AXIS = {"multiclass": 1, "segmentation": 1}


def of_kind(preds, task, kind):
    """Return logits as another kind, computed in float64."""
    logits = torch.from_numpy(preds).double()
    axis = SOFTMAX_AXIS.get(task)
    logs = logits.log_softmax(axis) if axis else torch.nn.functional.logsigmoid(logits)
    return {"logits": logits, "log-probs": logs, "probs": logs.exp()}[kind]


def both(preds, labels, **options):
    """Return the scores of a job by the engine torch and by the engine fused."""
    scores = [evaltool.score(preds, labels, engine=engine, max_bad=1, **options) for engine in ("torch", "fused")]
    assert scores[1].manifest["engine"] == "fused"
    assert scores[1].manifest["device"] == "cpu"
    assert scores[1].manifest["provider"] == "numba"
    return scores


# a kernel is compiled for each dtype
EACH_DTYPE = ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in DTYPES if name != "float32")]


@pytest.mark.parametrize("dtype", EACH_DTYPE)
@pytest.mark.parametrize("kind", ["logits", "probs", "log-probs"])
@pytest.mark.parametrize("task", TASKS[:-1])
def test_columns_and_summary_are_those_of_torch(task, kind, dtype):
    preds, labels = hard(task, 130)
    ours, theirs = both(
        of_kind(preds, task, kind).to(DTYPES[dtype]), labels, task=task.replace("foreground", "segmentation"),
        preds_are=kind,
    )  # fmt: skip
    same(ours, theirs)
    assert ours.state.bad_labels == theirs.state.bad_labels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flat", [True, False], ids=["number", "vector"])
def test_columns_of_a_regression_are_those_of_torch(dtype, flat):
    preds, labels = hard("regression", 130)
    preds, labels = (preds[:, :1], labels[:, :1]) if flat else (preds, labels)
    same(*both(torch.from_numpy(preds).to(DTYPES[dtype]), labels, task="regression"))


@pytest.mark.parametrize("classes", [2, 3, 10, 65, 130, 1030])
def test_any_number_of_classes(classes, rng):
    preds = (rng.normal(0, 4, (150, classes)) * rng.choice([1, 30], (150, 1))).astype(np.float32)
    preds[rng.random(preds.shape) < 0.05] = -np.inf
    preds[:, 0] = np.where(np.isinf(preds).all(1), 0, preds[:, 0])
    same(*both(preds, rng.integers(0, classes, 150), task="multiclass", preds_are="logits"))


SPECS = {
    "multiclass": ["ce:weight=[1,2,0,4,5]", "focal:gamma=[0,1,2,3.5,5],alpha=0.25", "soft=focal:gamma=0.5",
                   "dice:squared=true", "large=dice:smooth_nr=0,smooth_dr=2,classes=all"],
    "segmentation": ["ce:weight=[1,2,0,4]", "focal:gamma=[0,1,2,3.5],alpha=[1,2,3,4]", "dice:squared=true",
                     "every=dice:classes=all,smooth_nr=0,smooth_dr=0.5"],
    "foreground": ["ce:weight=[1,3]", "focal:gamma=3,alpha=[0.5,2]", "bce:pos_weight=3", "binary-focal:alpha=0.25",
                   "dice:squared=true"],
    "binary": ["bce:pos_weight=3,neg_weight=0.5", "binary-focal:gamma=0.5,alpha=[0.2,3]", "dice:smooth_nr=0",
               "weighed=bce:weight=2"],
    "multilabel": ["bce:pos_weight=[1,2,3,4,5],weight=[5,4,3,2,1]", "binary-focal:gamma=[0,1,2,3,4],alpha=0.25",
                   "dice:classes=all"],
    "regression": ["mse", "l1", "again=mse"],
}  # fmt: skip


@pytest.mark.parametrize("task", SPECS)
def test_parameters_of_losses(task):
    same(*both(*hard(task, 70), losses=SPECS[task]))


def test_class_weights_and_rules_need_no_module():
    preds, labels = problem("multiclass")
    same(*both(preds, labels, class_weights="inverse", losses=["ce", "focal:alpha=balanced"]))


@pytest.mark.parametrize("task", TASKS)
def test_blocks_and_threads_change_no_bit(task, monkeypatch, tmp_path):
    preds, labels = hard(task, 500)
    np.save(tmp_path / "preds.npy", preds)
    wanted = evaltool.score(preds, labels, engine="fused", max_bad=1)
    for threads, batch_size in ((1, 1), (2, 7), (3, 64), (1, 129), (4, None)):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        source = preds if batch_size == 7 else tmp_path / "preds.npy"
        found = evaltool.score(source, labels, engine="fused", max_bad=1, batch_size=batch_size)
        for name in wanted.columns:
            np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
        for name, counts in wanted.state.arrays().items():
            np.testing.assert_array_equal(found.state.arrays()[name], counts, err_msg=name)
        assert found.summary == wanted.summary


INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("form", ["classes", "column", "one-hot"])
def test_labels_of_any_dtype(dtype, form):
    preds, labels = problem("multiclass")
    wanted = evaltool.score(preds, labels, engine="fused")
    given = {"classes": labels, "column": labels[:, None], "one-hot": np.eye(5)[labels]}[form].astype(dtype)
    found = evaltool.score(preds, given, engine="fused", task="multiclass")
    for name in wanted.columns:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.mark.parametrize("task", ["binary", "multilabel", "foreground"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32", "float64"])
def test_labels_of_sigmoids_of_any_dtype(task, dtype):
    preds, labels = problem(task)
    wanted = evaltool.score(preds, labels, engine="fused")
    found = evaltool.score(preds, labels.astype(dtype), engine="fused")
    for name in wanted.columns:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


STRANGE = {
    "float": np.array([np.nan, 1.5, 9, -3, np.inf, 1e300, -100, 2.0**62]),
    "uint64": np.array([2**63, 2**64 - 1, 9, 5, 2**62, 4, 2**63 + 5, 7], np.uint64),
    "int64": np.array([-(2**63), 2**63 - 1, 9, -3, -100, 5, -1, 2**62]),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("task", ["multiclass", "binary", "segmentation"])
def test_labels_that_are_no_class(task, name):
    preds, labels = problem(task, 2000)
    labels = labels.astype(STRANGE[name].dtype)
    labels.reshape(len(labels), -1)[unprobed(preds)[10:18], 0] = STRANGE[name]
    ours, theirs = both(preds, labels, task=task)
    same(ours, theirs)
    assert ours.state.bad_labels == theirs.state.bad_labels


def test_rows_that_are_not_one_hot():
    preds, labels = problem("multiclass", 3000)
    rows = np.eye(5, dtype=np.float32)[labels]
    first, second, third = unprobed(preds)[5:8]
    rows[first], rows[second, 0], rows[third] = 0, 2, 1
    ours, theirs = both(preds, rows)
    assert ours.summary["n_bad_label"] == 3
    same(ours, theirs)


def test_bfloat16_of_a_file(tmp_path):
    preds, labels = problem("multiclass")
    values = torch.from_numpy(preds).bfloat16()
    np.save(tmp_path / "preds.npy", values.view(torch.int16).numpy().view("V2"))
    found = evaltool.score(tmp_path / "preds.npy", labels, dtype="bfloat16", engine="fused")
    same(evaltool.score(values.float(), labels, engine="torch"), found)


def test_memory_that_cannot_be_written_and_other_orders(tmp_path):
    preds, labels = problem("multiclass", 1000)
    wanted = evaltool.score(preds, labels, engine="fused")
    np.save(tmp_path / "preds.npy", preds)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(preds))
    for given in (
        np.load(tmp_path / "preds.npy", mmap_mode="r"),
        preds.astype(">f4"),
        np.repeat(preds, 2, 0)[::2],
        tmp_path / "fortran.npy",
        torch.from_numpy(preds).requires_grad_(),
    ):
        found = evaltool.score(given, labels, engine="fused", batch_size=100)
        for name in wanted.columns:
            np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def test_what_is_given_stays_as_it_was():
    preds, labels = hard("multiclass")
    before = preds.copy(), labels.copy()
    scores = evaltool.score(preds, labels, engine="fused", max_bad=1)
    labels[:] = 0
    assert np.array_equal(scores["label"], before[1])
    np.testing.assert_array_equal(preds, before[0])


# -- the choice

REFUSED = {
    "a loss that no kernel has": ({"losses": ["ce", "gce"]}, "no kernel has the loss gce"),
    "label smoothing": ({"losses": ["ce:label_smoothing=0.1"]}, "label smoothing"),
    "a module": ({"losses": [torch.nn.NLLLoss(reduction="none")]}, "the column nllloss is a module"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_auto_says_why_it_is_not_fused(case, capsys):
    options, why = REFUSED[case]
    scores = evaltool.score(*problem("multiclass"), progress="none", **options)
    assert scores.manifest["engine"] == "torch"
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("engine:"))
    assert line.startswith("engine: torch, not fused, because")
    assert why in line


@pytest.mark.parametrize("case", REFUSED)
def test_fused_that_cannot_do_the_job_is_an_error(case):
    options, why = REFUSED[case]
    with pytest.raises(EvaltoolError, match=r"^the engine fused cannot do this job\n  --engine fused: .*" + why):
        evaltool.score(*problem("multiclass"), engine="fused", **options)


def test_of_a_default_job_nothing_is_said_of_the_engine(capsys):
    scores = evaltool.score(*problem("multiclass"), progress="none")
    assert scores.manifest["engine"] == "fused"
    assert "torch" not in capsys.readouterr().err


def test_a_fraction_anywhere_among_the_labels_is_for_torch():
    preds, labels = problem("binary", 5000)
    labels = labels.astype(np.float32)
    assert evaltool.score(preds, labels).manifest["engine"] == "fused"
    labels[2501] = 0.5
    scores = evaltool.score(preds, labels)
    assert scores.manifest["engine"] == "torch"
    assert scores.summary["n_bad"] == 0
    with pytest.raises(EvaltoolError, match="labels lie between 0 and 1"):
        evaltool.score(preds, labels, engine="fused")


def test_shares_of_the_classes_are_for_torch(rng):
    preds, _ = problem("multiclass")
    shares = rng.dirichlet(np.ones(5), len(preds))
    assert evaltool.score(preds, shares).manifest["engine"] == "torch"


VALUES = [None, 0, 0.0, 0.5, 1, 1.5, -1, 1e39, float("nan"), float("inf"), True, False, "present", "all", "other", [],
          [1.0, 2.0], [0.5, -1.0], [1, 2, 3, 4, 5.0], [1, 2, 3, 4, True], [1, 2, "x", 4, 5]]  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_parameters_that_need_no_module_are_right(name):
    """What is plain, a constructor takes: else a wrong parameter would pass unseen."""
    entry = evaltool.catalogue.CATALOGUE[name]
    seen = 0
    for parameter in entry.parameters:
        for value in VALUES:
            if are_plain({parameter: value}, name, 5):
                seen += 1
                evaltool.catalogue.loss_class(name)(**{parameter: value})
    assert seen >= 2 * len(entry.parameters)


@pytest.mark.parametrize("spec", ["focal:gamma=-1", "ce:weight=[1,-2,3,4,5]", "dice:squared=1", "dice:classes=some"])
def test_wrong_parameters_are_told_as_before(spec):
    with pytest.raises(EvaltoolError, match="bad parameter of the loss"):
        evaltool.score(*problem("multiclass"), losses=[spec])


# -- without torch


def scored(folder, *arguments, **environment):
    """Run ``evaltool score`` in a process of its own, and return its stderr and whether it imported torch."""
    code = "import sys; from evaltool.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "score", "preds.npy", "labels.npy", "--overwrite", *arguments]
    job = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})
    assert job.returncode == 0, job.stderr
    return job.stderr, job.stdout.splitlines()[-1] == "True"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    np.save(folder / "preds.npy", rng.normal(0, 3, (10_000, 10)).astype(np.float32))
    np.save(folder / "labels.npy", rng.integers(0, 10, 10_000))
    return folder


HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1"}


@pytest.mark.parametrize(
    "arguments",
    [(), ("--loss", "focal:gamma=0.5,alpha=balanced", "--class-weights", "inverse"), ("--device", "cpu")],
    ids=["plain", "weights", "cpu"],
)
def test_a_job_imports_no_torch(files, arguments):
    stderr, with_torch = scored(files, *arguments, **HIDDEN)
    assert not with_torch, stderr
    assert scored(files, "--engine", "torch", **HIDDEN)[1]


def test_a_line_says_that_kernels_are_compiled_and_only_then(files, tmp_path):
    line = "engine: fused, compiling the kernels for this machine, once"
    place = {"NUMBA_CACHE_DIR": str(tmp_path), **HIDDEN}
    assert scored(files, **place)[0].count(line) == 1
    assert line not in scored(files, **place)[0]
