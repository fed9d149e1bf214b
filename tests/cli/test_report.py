"""evaltool report as a user meets it: what is written where, what is said, and when it ends how."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

EVALTOOL = [sys.executable, "-m", "evaltool"]


@pytest.fixture
def run(cli, saved, rng):
    """A run of 200 rows in preds.run: 120 labels 0, 60 labels 1, 20 labels 2; of each class some are wrong."""
    labels = np.repeat([0, 1, 2], [120, 60, 20])
    preds = np.eye(3)[labels] * 4 + rng.normal(size=(200, 3)) * 0.1
    wrong = [*range(12), *range(120, 135), *range(180, 190)]
    preds[wrong] = np.roll(preds[wrong], 1, axis=1)
    saved(preds.astype(np.float32), labels)
    result = cli("score", "preds.npy", "labels.npy", "--class-names", "cat,dog,owl")
    assert result.exit_code == 0, result.output
    return Path("preds.run")


def test_the_page_is_written_and_a_short_version_printed(cli, run):
    result = cli("report", run)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("\nreport: report.html\n")
    assert Path("report.html").read_text().lstrip().startswith("<!DOCTYPE html>")
    assert sorted(os.listdir()) == ["labels.npy", "preds.npy", "preds.run", "report.html"]
    assert all(len(line) <= 120 for line in result.stdout.splitlines())


def test_every_file_that_is_asked_for_is_written(cli, run):
    files = ["-o", "a.html", "--json", "a.json", "--md", "a.md", "--junit", "a.xml", "--fail-if", "accuracy < 1%"]
    result = cli("report", run, *files, "--title", "Night shift")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("(accuracy = 0.815)\n\nreport: a.html, a.json, a.md, a.xml\n")
    document = json.loads(Path("a.json").read_text())
    assert document["name"] == "Night shift"
    assert document["classes"][2]["recall"]["value"] == 0.5
    assert "Night shift" in Path("a.md").read_text()
    assert ElementTree.parse("a.xml").getroot()[0].get("tests") == "1"
    assert not Path("report.html").exists()
    assert cli("report", run, *files).exit_code == 0  # an earlier report is replaced


def test_what_would_have_no_effect_is_refused(cli, saved, run):
    result = cli("report", run, "--junit", "a.xml")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --junit holds what came of --fail-if\n  a.xml: no condition was given\n"
        "  Add one, as --fail-if 'accuracy < 90%', or leave --junit out.\n",
    )
    rng = np.random.default_rng(0)
    saved(*rng.normal(size=(2, 30)).astype(np.float32))
    assert cli("score", "preds.npy", "labels.npy", "--task", "regression", "-o", "r.run").exit_code == 0
    for words in (["--train-counts", "1,2,3"], ["--split", "lvis"]):
        result = cli("report", "r.run", *words)
        assert result.exit_code == 2
        assert result.stderr == (
            f"error: {words[0]} groups classes\n  r.run: task regression, which has none\n  Leave {words[0]} out.\n"
        )
    assert not [name for name in os.listdir() if name.endswith((".html", ".xml"))]


@pytest.mark.parametrize(("option", "start"), [("--json", "{\n"), ("--md", "<!-- evaltool report -->\n"), ("-o", "<")])
def test_a_file_printed_to_stdout_is_alone_there(cli, run, option, start):
    result = cli("report", run, option, "-")
    assert result.exit_code == 0, result.output
    assert result.stdout.lstrip().startswith(start)
    assert "report:" not in result.stdout.splitlines()[-1]
    assert not Path("report.html").exists()
    if option == "--json":
        assert json.loads(result.stdout)["n_scored"] == 200


def test_two_files_cannot_both_be_printed(cli, run):
    result = cli("report", run, "--json", "-", "--md", "-")
    assert result.exit_code == 2
    assert "--json and --md cannot both print to stdout." in result.stderr


def test_a_gate_that_fails_says_the_values(cli, run):
    gates = ["--fail-if", "recall[owl] < 60%", "--fail-if", "bad_share > 0.1", "--fail-if", "change(accuracy) < 0"]
    result = cli("report", run, *gates[:4], "--junit", "g.xml")
    assert result.exit_code == 1
    assert result.stderr == "failed: recall[owl] < 60% (recall[owl] = 0.5)\n"
    assert "\npassed: not bad_share > 0.1 (bad_share = 0)\n" in result.stdout
    assert Path("report.html").exists()
    suite = ElementTree.parse("g.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    unasked = cli("report", run, *gates)
    assert unasked.exit_code == 2
    assert unasked.stderr == (
        "error: --fail-if: the report compares no runs\n  change(accuracy) < 0\n         ^\n  Pass --compare RUN2.\n"
    )


def test_a_gate_that_cannot_be_told_fails(cli, saved, run, rng):
    np.save("labels.npy", np.zeros(200, np.int64))
    assert cli("score", "preds.npy", "labels.npy", "--task", "multiclass", "--overwrite").exit_code == 0
    result = cli("report", run, "--fail-if", "recall[2] < 0.1")
    assert result.exit_code == 1
    assert result.stderr == "failed: recall[2] < 0.1: cannot be told (recall[2] = not known)\n"


def test_training_counts_group_the_classes(cli, run):
    result = cli("report", run, "--train-counts", "10,5000,40", "--json", "-")
    document = json.loads(result.stdout)
    assert document["groups"]["by"] == "training counts"
    assert [row["group"] for row in document["classes"]] == ["few", "many", "medium"]
    lvis = json.loads(cli("report", run, "--split", "lvis", "--json", "-").stdout)
    assert [row["name"] for row in lvis["groups"]["rows"]] == ["frequent", "common"]
    wrong = cli("report", run, "--train-counts", "1,2")
    assert wrong.exit_code == 2
    assert "3" in wrong.stderr


def test_slices_and_their_gates(cli, run):
    Path("meta.csv").write_text("light\n" + "night\n" * 100 + "day\n" * 100)
    result = cli(
        "report", run, "--group-by", "meta.csv:light", "--json", "-", "--fail-if", 'accuracy[group="day"] < 0.5'
    )
    assert result.exit_code == 0, result.stderr
    assert {row["group"] for row in json.loads(result.stdout)["slices"]["rows"]} == {"night", "day"}
    result = cli("report", run, "--group-by", "meta.csv:light", "--fail-if", 'accuracy[group="noon"] < 0.5')
    assert (result.exit_code, Path("report.html").exists()) == (2, False)
    assert "there is no slice 'noon'" in result.stderr


def test_two_runs_beside_each_other(cli, run):
    preds = np.load("preds.npy")
    labels = np.load("labels.npy")
    preds[180:190] = np.eye(3, dtype=np.float32)[[2] * 10] * 4
    np.save("better.npy", preds)
    assert cli("score", "better.npy", "labels.npy", "--class-names", "cat,dog,owl").exit_code == 0
    gates = ["--fail-if", "change(recall[owl]).low > 0", "--fail-if", "change(accuracy) < 0"]
    result = cli("report", run, "--compare", "better.run", "--json", "-", *gates)
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: change(recall[owl]).low > 0 (change(recall[owl]).low = 0.2")
    row = json.loads(result.stdout)["comparison"]["classes"][2]
    assert (row["recall_before"], row["recall_after"], row["gained"], row["lost"]) == (0.5, 1.0, 10, 0)
    assert len(labels) == 200


def test_predictions_that_moved_are_found_by_option(cli, run):
    os.mkdir("elsewhere")
    for name in ("preds", "labels"):
        os.rename(f"{name}.npy", f"elsewhere/{name}.npy")
    moved = json.loads(cli("report", run, "--json", "-").stdout)
    assert "preds.npy" in moved["provenance"]["notes"][0]
    places = ["--preds", "elsewhere/preds.npy", "--labels", "elsewhere/labels.npy"]
    found = json.loads(cli("report", run, "--json", "-", *places).stdout)
    assert found["provenance"]["notes"] == []
    assert found["calibration"]["temperature"]["value"] is not None
    wrong = cli("report", run, "--preds", "elsewhere/labels.npy", "--labels", "elsewhere/labels.npy")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("error: the preds are not those that were scored\n")


ERRORS = {
    "no.run": "error: there is no such run\n  no.run\n  `evaltool score PREDS LABELS -o no.run` writes one.\n",
    "preds.run --fail-if 'recall[ow] < 1'": (
        "error: --fail-if: there is no class, group or statistic 'ow'\n  recall[ow] < 1\n         ^\n"
        '  Did you mean "owl"?\n'
    ),
    "preds.run -o labels.npy": (
        "error: the report would replace what it is made of\n  -o labels.npy\n  Name another file with -o.\n"
    ),
    "preds.run -o preds.run/report.html": (
        "error: the report would replace what it is made of\n  -o preds.run/report.html\n  Name another file with -o.\n"
    ),
    "preds.run --json thesis.txt": (
        "error: the output exists, and evaltool did not write it\n  thesis.txt\n"
        "  Pass --overwrite to replace it, or name another file with --json.\n"
    ),
    "preds.run --md no/a.md": ("error: there is no such directory\n  no\n  Make it, or name another with --md.\n"),
    "preds.run --compare thesis.txt": (
        "error: this is no run\n  thesis.txt: a file, expected the directory that `evaltool score` wrote\n"
        "  Score first: evaltool score PREDS LABELS.\n"
    ),
}


@pytest.mark.parametrize("words", ERRORS)
def test_bad_input_is_told_and_nothing_written(cli, run, words):
    import shlex

    Path("thesis.txt").write_text("all my work")
    before = sorted(os.listdir())
    result = cli("report", *shlex.split(words))
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", ERRORS[words])
    assert sorted(os.listdir()) == before
    assert Path("thesis.txt").read_text() == "all my work"


def test_overwrite_replaces_any_file(cli, run):
    Path("thesis.html").write_text("all my work")
    assert cli("report", run, "-o", "thesis.html", "--overwrite").exit_code == 0
    assert "all my work" not in Path("thesis.html").read_text()


def test_a_gate_loads_no_charts(run):
    code = (
        "import sys; from click.testing import CliRunner; from evaltool.cli import main\n"
        "result = CliRunner().invoke(main, ['report', 'preds.run', '--json', '-', '--fail-if', 'ece > 1'])\n"
        "print(result.exit_code, [name for name in ('altair', 'vl_convert', 'jinja2') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "0 []\n"


def test_whoever_stops_reading_ends_nothing(run):
    command = f"{' '.join(EVALTOOL)} report preds.run --json - | head -c 10"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, '{\n  "forma', "")
