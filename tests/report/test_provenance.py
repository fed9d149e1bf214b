"""Provenance: the commands that a report says can be typed."""

import shlex

import numpy as np
from click.testing import CliRunner

from evaltool.cli import main
from evaltool.report.provenance import provenance_of, report_command, score_command
from evaltool.run.reader import open_run


def score(*words):
    result = CliRunner().invoke(main, ["score", *words])
    assert result.exit_code == 0, result.output


def test_the_command_scores_the_same_run_again(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    np.save("my preds.npy", rng.normal(size=(30, 3)).astype(np.float32))
    np.save("labels.npy", rng.integers(0, 3, 30))
    losses = ["--loss", "ce", "--loss", "hard=focal:gamma=5,alpha=[1,2,3]"]
    names = ["--class-names", "a b,c,$d", "--ignore-index", "7", "--max-bad", "5%", "--task", "multiclass"]
    score("my preds.npy", "labels.npy", *losses, *names, "-o", "a.run", "--progress", "none")
    run = open_run("a.run")
    command = score_command(run.manifest)
    folder = str(tmp_path.resolve())
    assert command == (
        f"evaltool score '{folder}/my preds.npy' {folder}/labels.npy --loss ce "
        "--loss 'hard=focal:gamma=5,alpha=[1,2,3]' --task multiclass --ignore-index 7 "
        "--class-names 'a b,c,$d' --max-bad 0.05 -o a.run"
    )
    score(*shlex.split(command)[2:], "--overwrite")
    again = open_run("a.run")
    assert again.summary == run.summary
    assert {**again.manifest["arguments"], "overwrite": False, "progress": "none"} == run.manifest["arguments"]


def test_what_came_from_memory_stands_in_brackets(rng):
    import evaltool
    from evaltool.losses import FocalLoss

    scores = evaltool.score(
        rng.normal(size=(9, 2)).astype(np.float32), rng.integers(0, 2, 9), losses=[FocalLoss(gamma=1.0)], device="cpu"
    )
    run = open_run(scores)
    assert score_command(run.manifest) == "evaltool score '<preds>' '<labels>' --loss '<FocalLoss>' --device cpu"
    assert (
        report_command(run, {"fail_if": ["ece > 1"], "title": None}) == "evaltool.report(scores, fail_if=['ece > 1'])"
    )


def test_averaged_predictions_and_another_output(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "labels"):
        np.save(f"{name}.npy", rng.integers(0, 2, 9) if name == "labels" else rng.normal(size=(9, 2)))
    score("--average", "a.npy", "b.npy", "labels.npy", "--preds-are", "logits", "-o", "c.run")
    score("--average", "a.npy", "b.npy", "labels.npy", "--preds-are", "logits", "-o", "c.run", "--overwrite")
    manifest = open_run("c.run").manifest
    folder = str(tmp_path.resolve())
    files = f"{folder}/a.npy {folder}/b.npy"
    assert score_command(manifest) == (
        f"evaltool score {files} {folder}/labels.npy --preds-are logits --average -o c.run --overwrite"
    )
    assert score_command(manifest, preds=["x.npy", "y.npy"], labels="l.npy", output="d.run") == (
        "evaltool score x.npy y.npy l.npy --preds-are logits --average -o d.run"
    )


def test_the_report_command_repeats_every_option(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    np.save("preds.npy", rng.normal(size=(9, 2)).astype(np.float32))
    np.save("labels.npy", rng.integers(0, 2, 9))
    score("preds.npy", "labels.npy", "-o", "my a.run", "--ids", "labels.npy")
    run = open_run("my a.run")
    arguments = {
        "output": "r.html",
        "md": None,
        "train_counts": [1, 2],
        "fail_if": ["a < 1", "b > 2"],
        "compare": "b.run",
        "group_by": "g.csv:x y",
        "overwrite": True,
        "preds": "p.npy",
    }
    assert report_command(run, arguments) == (
        "evaltool report 'my a.run' -o r.html --train-counts 1,2 --fail-if 'a < 1' --fail-if 'b > 2' --compare b.run "
        "--group-by 'g.csv:x y' --overwrite --preds p.npy"
    )
    found = provenance_of(run, report_command="c", notes=["n"])
    assert found["statuses"] == {"ok": 9, "ignored": 0, "nonfinite": 0, "bad_label": 0, "bad_preds": 0}
    assert [loss["column"] for loss in found["losses"]] == ["ce", "focal", "dice"]
    assert all(loss["formula"] for loss in found["losses"])
    assert found["decisions"][0].startswith("task: multiclass, because")
    assert found["notes"] == ["n"]
