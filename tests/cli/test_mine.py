"""evaltool mine, as a user meets it."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

import evaltool

EVALTOOL = [sys.executable, "-m", "evaltool"]


@pytest.fixture
def run(cli, saved):
    """A run of ten samples with three wrong labels, and class names."""
    rng = np.random.default_rng(0)
    true = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    labels = true.copy()
    labels[[1, 4, 8]] = [2, 2, 0]
    logits = rng.normal(0, 0.5, (10, 3)).astype(np.float32)
    logits[np.arange(10), true] += 4
    saved(logits, labels)
    words = ("--class-names", "cat,dog,eel", "-o", "a.run")
    assert cli("score", "preds.npy", "labels.npy", *words).exit_code == 0
    return "a.run"


def test_the_first_rows_and_where_the_list_lies(cli, run):
    result = cli("mine", run, "--top", "4", "-o", "list.csv")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "ranked by label-error: log-odds that another class is the true one\n"
        "expected wrong: 3 of 10 labels, by the confident joint\n"
    )
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rank", "index", "label", "pred", "suggested", "score", "p_wrong", "why"]
    assert {line.split()[1] for line in lines[2:5]} == {"1", "4", "8"}
    assert "labelled eel, but dog has probability" in result.stdout
    assert lines[-2:] == ["4 rows of 10, by label-error", "written: list.csv"]
    assert max(map(len, lines)) <= 120
    with open("list.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["suggested_name"] for row in rows[:3]} == {"dog", "eel"}


def test_without_an_output_the_list_is_csv_on_stdout(cli, run):
    result = cli("mine", run, "--budget", "auto")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["index"] for row in rows} == {"1", "4", "8"}
    lines = cli("mine", run, "--top", "1", "--format", "jsonl").stdout.splitlines()
    assert json.loads(lines[0])["rank"] == 1


def test_rows_are_chosen_by_the_names_of_classes(cli, run):
    result = cli("mine", run, "--where", "label_name = 'eel' AND pred_name <> label_name")
    assert {(row["index"], row["label_name"]) for row in csv.DictReader(io.StringIO(result.stdout))} == {
        ("1", "eel"),
        ("4", "eel"),
    }


def test_every_option_is_that_of_python(cli, run):
    import inspect

    from evaltool.cli.mine import command

    options = {parameter.name for parameter in command.params}
    assert options == set(inspect.signature(evaltool.mine).parameters)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "ce > (SELECT 1)"], "subquery is not allowed here"),
        (["--by", "nosuch"], "the run has no such score"),
        (["--exclude", "none.csv"], "cannot read the reviewed rows"),
        (["--group-by", "none.csv:scene"], "cannot read the groups\n  none.csv: "),
        (["--group-by", "scene"], "there is no such group\n  a.run: 'scene', expected a column: index, label, pred, "),
        (["--group-by", "labels.npy:scene"], "this file has no columns"),
        (["--group-by", "six.txt"], "there is not one group per sample\n  six.txt: 6 groups, expected 10 = N\n"),
        (["--group-by", "two.csv"], "which column holds the groups?\n  two.csv: several columns; it has id, scene\n"),
        (["--embeddings", "labels.npy"], "there is not one embedding per sample"),
        (["--embeddings", "empty.npy"], "empty.npy: shape [10, 0], dtype float32, expected floats [10, d], d >= 1\n"),
        (["--random-controls", "2"], "random controls need a file"),
        (["--by", "ambiguous", "--ascending"], "ambiguous has an order of its own"),
        (["--preds", "labels.npy"], "the preds are not those that were scored"),
        (["--top", "3", "--fraction", "1%"], "--top and --fraction both say how many rows"),
        (["--fraction", "0"], "--fraction 0 leaves no row"),
        (["--threshold", "nan"], "--threshold nan is no number"),
    ],
)
def test_unusable_input_exits_2(cli, run, tmp_path, words, message):
    (tmp_path / "six.txt").write_text("a\n" * 6)
    np.save(tmp_path / "empty.npy", np.zeros((10, 0), np.float32))
    (tmp_path / "two.csv").write_text("id,scene\n" + "0,a\n" * 10)
    result = cli("mine", run, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--per-class", "2"], "--per-class needs classes\n  r.run: task regression\n  Leave it out, or use --top.\n"),
        (["--tail-first"], "--tail-first needs classes\n"),
        (["--budget", "auto"], "has no such number\n  Say how many with --top or --fraction.\n"),
    ],
)
def test_what_asks_for_classes_is_refused_of_a_regression(cli, saved, words, message):
    rng = np.random.default_rng(0)
    saved(rng.normal(size=8).astype(np.float32), rng.normal(size=8).astype(np.float32))
    assert cli("score", "preds.npy", "labels.npy", "--task", "regression", "-o", "r.run").exit_code == 0
    result = cli("mine", "r.run", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_no_such_run(cli):
    result = cli("mine", "none.run")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: there is no such run\n  none.run\n  `evaltool score PREDS LABELS -o none.run` writes one.\n"
    )


def test_predictions_that_moved_are_asked_for(cli, run, tmp_path):
    (tmp_path / "preds.npy").rename(tmp_path / "moved.npy")
    result = cli("mine", run)
    assert result.exit_code == 2
    assert "Say where they are with --preds FILE." in result.stderr
    assert cli("mine", run, "--preds", "moved.npy").exit_code == 0
    assert cli("mine", run, "--by", "ce").exit_code == 0


def test_averaged_predictions_that_moved_are_given_one_by_one(cli, run, tmp_path, rng):
    for name in ("a", "b"):
        np.save(f"{name}.npy", np.load("preds.npy") + rng.normal(size=(10, 3)).astype(np.float32))
    assert (
        cli("score", "--average", "a.npy", "b.npy", "labels.npy", "--preds-are", "logits", "-o", "c.run").exit_code == 0
    )
    first = cli("mine", "c.run").stdout
    for name in ("a", "b"):
        (tmp_path / f"{name}.npy").rename(tmp_path / f"moved-{name}.npy")
    one = cli("mine", "c.run", "--preds", "moved-a.npy")
    assert one.exit_code == 2
    assert "Give each of them in this order: --preds A --preds B" in one.stderr
    both = ("--preds", "moved-a.npy", "--preds", "moved-b.npy")
    assert cli("mine", "c.run", *both).stdout == first
    assert "not those that were scored" in cli("mine", "c.run", *both[2:], *both[:2]).stderr
    assert cli("report", "c.run", *both).exit_code == 0
    assert "the run did not average" in cli("mine", run, *both).stderr


def test_a_reader_that_stops_early_is_no_error(cli, run):
    done = subprocess.run(
        f"{sys.executable} -m evaltool mine {run} | head -1", shell=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("rank,index")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("start", "found"), [("lab", ["label-error"]), ("mar", ["margin"]), ("ha", ["hard"])])
def test_completion_of_what_ranks(start, found):
    from evaltool.cli.completion import mine_by

    assert [item.value for item in mine_by(None, None, start)] == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "label IN ('eel')"], "numbers of classes from 0, names are in label_name and pred_name"),
        (["--shown", "given", "-o", "l.csv"], "--shown is of the annotation formats"),
        (
            ["--format", "voc-masks", "-o", "out"],
            "voc-masks cannot hold this task\n  a.run: task multiclass, expected ",
        ),
        (["--format", "coco", "-o", "-"], "- is no file"),
        (["--format", "csv", "-o", "-"], "- is no file"),
        (["--random-controls", "2", "--as-weights", "w.npy"], "random controls need a file"),
    ],
)
def test_misuse_is_told_before_anything_is_read(cli, run, tmp_path, words, message):
    (tmp_path / "preds.npy").unlink()
    result = cli("mine", run, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "-").exists()


def test_an_empty_list_is_no_error_with_a_gallery_either(cli, run, tmp_path):
    for words in (["-o", "l.csv"], ["-o", "l.csv", "--gallery", "g.html", "--overwrite"]):
        result = cli("mine", run, "--threshold", "1e9", *words)
        assert result.exit_code == 0, result.output
    assert "no gallery is written" in result.stderr
    assert not (tmp_path / "g.html").exists()


def test_a_reader_that_has_enough_is_no_error(run, tmp_path):
    words = [*EVALTOOL, "mine", run, "--fraction", "100%"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 0
