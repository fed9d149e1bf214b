"""report, in Python: one document, held against its types, for every task and for runs with hardly anything in them."""

import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.report.gate_names import GROUPS, RATES
from evaltool.report.job import report
from tests.report.conforms import assert_conforms

TASKS = ("multiclass", "binary", "multilabel", "segmentation", "foreground", "regression")


def inputs(task, rng, n=60):
    """Return predictions, labels and the options to score them."""
    if task == "multiclass":
        labels = np.minimum(rng.geometric(0.4, n) - 1, 3)
        preds = np.eye(4)[labels] * 2 + rng.normal(size=(n, 4))
    elif task == "binary":
        labels = (rng.random(n) < 0.2).astype(np.int64)
        preds = 3 * labels - 1.5 + rng.normal(size=n) * 2
    elif task == "multilabel":
        labels = (rng.random((n, 3)) < [0.5, 0.2, 0.1]).astype(np.int64)
        preds = 3 * labels - 1.5 + rng.normal(size=(n, 3)) * 2
    elif task == "segmentation":
        labels = rng.integers(0, 3, (n, 6, 6))
        preds = (np.eye(3)[labels] * 2 + rng.normal(size=(n, 6, 6, 3))).transpose(0, 3, 1, 2)
    elif task == "foreground":
        labels = (rng.random((n, 6, 6)) < 0.1).astype(np.int64)
        preds = 3 * labels - 1.5 + rng.normal(size=(n, 6, 6)) * 2
    else:
        labels = rng.normal(size=n).astype(np.float32)
        preds = labels + rng.normal(size=n)
    kind = "segmentation" if task == "foreground" else task
    options = {} if task == "regression" else {"preds_are": "logits"}
    return preds.astype(np.float32), labels, {"task": kind, **options}


def scored(task, rng, n=60, **more):
    preds, labels, options = inputs(task, rng, n)
    return evaltool.score(preds, labels, **options, **more), preds, labels


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_report(task, rng, tmp_path):
    scores, preds, labels = scored(task, rng)
    other = evaltool.score(preds * np.float32(0.5), labels, **inputs(task, rng)[2])
    groups = ["night", "day", ""] * 20
    files = {kind: tmp_path / f"r.{kind}" for kind in ("output", "json", "md", "junit")}
    rate = "mean > 1e9" if task == "regression" else "accuracy < 0.01"
    result = report(
        scores, **files, group_by=groups, compare=other, preds=preds, labels=labels, fail_if=[rate, "mean[worst] < 0"]
    )
    assert_conforms(result.document)
    assert json.loads(files["json"].read_text()) == result.document
    assert not result.failed
    assert "<html" in files["output"].read_text()
    assert set(result.document["rates"]) <= set(RATES)
    groups = [] if result.document["groups"] is None else result.document["groups"]["rows"]
    assert {row["name"] for row in groups} <= set(GROUPS["many-medium-few"])
    same = {"group_by": ["night", "day", ""] * 20, "compare": other, "preds": preds, "labels": labels}
    again = report(scores, **files, **same, fail_if=rate)
    assert again.document["classes"] == result.document["classes"]


@pytest.mark.parametrize("n", [0, 1], ids=["no row scored", "one row scored"])
@pytest.mark.parametrize("task", [task for task in TASKS if task != "regression"])
def test_runs_with_hardly_a_row_have_a_report(task, n, rng, tmp_path):
    preds, labels, options = inputs(task, rng, 2)
    labels[n:] = -100
    scores = evaltool.score(preds, labels, **options)
    result = report(
        scores, preds=preds, labels=labels, compare=scores, output=tmp_path / "r.html", md=tmp_path / "r.md"
    )
    assert_conforms(result.document)
    assert result.document["n_scored"] == n


def test_hostile_names_are_escaped(rng, tmp_path):
    preds, labels, options = inputs("multiclass", rng)
    names = ["<script>alert(1)</script>", 'a, "b"', "класс ١", "min"]
    scores = evaltool.score(preds, labels, class_names=names, ids=[f"<b>{i}" for i in range(60)], **options)
    expressions = [f"recall['{names[0]}'] < 0", 'recall["a, \\"b\\""] < 0', "recall[класс ١] < 0", "recall['min'] < 0"]
    result = report(scores, output=tmp_path / "r.html", md=tmp_path / "r.md", fail_if=expressions)
    assert "<script>alert(1)" not in (tmp_path / "r.html").read_text()
    assert "<script>alert(1)" not in (tmp_path / "r.md").read_text()
    assert [gate.failed for gate in result.gates] == [False] * 4


def test_a_thousand_classes_make_a_page_below_2_mb(rng, tmp_path):
    labels = np.minimum(rng.geometric(0.005, 5000) - 1, 999)
    preds = (np.eye(1000, dtype=np.float32)[labels] * 4 + rng.normal(size=(5000, 1000))).astype(np.float32)
    np.save(tmp_path / "preds.npy", preds)
    np.save(tmp_path / "labels.npy", labels)
    scores = evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy", output=tmp_path / "a.run")
    result = report(scores, output=tmp_path / "r.html", compare=scores)
    assert_conforms(result.document)
    assert (tmp_path / "r.html").stat().st_size < 2_000_000


def test_predictions_that_are_gone_are_a_note_and_given_wrongly_an_error(rng, tmp_path):
    scores, preds, _ = scored("multiclass", rng)
    assert report(scores).document["provenance"]["notes"] == []
    notes = report(scores.save(tmp_path / "a.run")).document["provenance"]["notes"]
    assert len(notes) == 1
    assert "came from memory" in notes[0]
    with pytest.raises(EvaltoolError, match="not those that were scored"):
        report(scores, preds=preds[:5], labels=np.zeros(5, np.int64))


def test_a_condition_that_cannot_be_read_is_answered_before_anything_is_computed(rng, monkeypatch):
    scores, _, _ = scored("multiclass", rng)
    monkeypatch.setattr("evaltool.report.job._document", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(EvaltoolError, match=r"there is no number 'recal'\n  recal\[few\] < 1\n  \^"):
        report(scores, fail_if="recal[few] < 1")


@pytest.mark.parametrize("wrong", [{"split": "few"}, {"progress": "loud"}])
def test_arguments_out_of_range_are_value_errors(rng, wrong):
    with pytest.raises(ValueError, match="expected one of"):
        report(scored("binary", rng)[0], **wrong)


def test_the_package_is_the_call():
    code = (
        "import sys, evaltool; assert 'numpy' not in sys.modules\n"
        "assert callable(evaltool.report); assert 'torch' not in sys.modules\n"
        "import evaltool.report.document; from evaltool.report.job import report\n"
        "assert callable(evaltool.report); assert evaltool.report.job.report is report\n"
        "from evaltool import report as called; assert called is evaltool.report\n"
        "try: evaltool.report('no such run')\n"
        "except evaltool.EvaltoolError as error: print(str(error).splitlines()[0])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("there is no such run\n", "")
    assert "report" in dir(evaltool)
    assert inspect.signature(evaltool.report) == inspect.signature(report)


@pytest.mark.parametrize("task", TASKS)
def test_one_of_something_has_no_plural(task, rng, tmp_path):
    preds, labels, options = inputs(task, rng, 60)
    scores = evaltool.score(preds[:1], labels[:1], **options)
    files = {"output": tmp_path / "r.html", "md": tmp_path / "r.md"}
    report(scores, **files, group_by=["night"], compare=evaltool.score(preds[:1] * 2, labels[:1], **options))
    page = re.sub(r"<(script|style).*?</\1>", "", files["output"].read_text(), flags=re.DOTALL)
    texts = [re.sub(r"<[^>]*>", " ", page), files["md"].read_text()]
    counts = r"(?<![\d,.] of )(?<![\w,.])1 (?!has|is|its|as|was|does)[a-z]+s\b.{20}"  # "0 of 1 labels" is right
    assert [found for text in texts for found in re.findall(counts, text)] == []
