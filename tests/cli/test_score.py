"""evaltool score as a user meets it: what is printed, where, and when it ends how."""

import contextlib
import json
import os
import pty
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from evaltool.cli import COMMANDS, main
from tests.predictor.nets import onnx_linear

EVALTOOL = [sys.executable, "-m", "evaltool"]
VIEW = """\
multiclass · logits · 6 samples · 3 classes · fused on cpu, _ s
rows: 4 scored, 1 ignored, 1 nonfinite
accuracy 0.7500 · balanced accuracy 0.8333 · imbalance 2 : 1, 2.83 effective classes of 3
auroc 1.0000 · average precision 1.0000 · brier 0.2828 · ece 0.2775 · mcc 0.7000
Losses
 loss      mean      p50      p90      p99      max
────────────────────────────────────────────────────
 ce      0.4735   0.1958   1.0572   1.3726   1.4076
 focal   0.2044   0.0069   0.5653   0.7792   0.8029
 dice    0.2000   0.1180   0.3951   0.4927   0.5035
Classes
 class     count   share   recall   precision   ce share   focal share   dice share
────────────────────────────────────────────────────────────────────────────────────
 0 cat         1   25.0%   1.0000      0.5000      12.6%          1.3%        17.8%
 1 dog         2   50.0%   0.5000      1.0000      79.3%         98.3%        70.5%
 2 [owl]       1   25.0%   1.0000      1.0000       8.0%          0.4%        11.8%
Hardest by ce
 index   id   label   pred        ce      focal     dice   p_label
───────────────────────────────────────────────────────────────────
     2   c    dog     cat     1.4076     0.8029   0.5035    0.2447
     0   a    cat     cat     0.2395     0.0109   0.1420    0.7870
     3   d    [owl]   [owl]   0.1520     0.0030   0.0940    0.8590
     1   b    dog     dog     0.0949   0.000778   0.0604    0.9094
"""


@pytest.fixture
def small(saved):
    preds = np.array(
        [[2, 0, 0], [0, 3, 0], [1, 0, -1], [0, 0, 2.5], [1, 2, 3], [np.nan, 0, 0]],
        np.float32,
    )
    return saved(preds, np.array([0, 1, 1, 2, -100, 0]))


def read_all(terminal):
    """Return what was written to a pseudo-terminal whose other end is or will be closed."""
    seen = b""
    with contextlib.suppress(OSError):  # Linux says EIO at the end
        while chunk := os.read(terminal, 65536):
            seen += chunk
    os.close(terminal)
    return seen.decode()


def plain(text):
    """Return what a view says: without the seconds, trailing blanks and empty lines."""
    lines = [line.rstrip() for line in re.sub(r"\d+\.\d s", "_ s", text).splitlines()]
    return "\n".join(line for line in lines if line) + "\n"


def test_view(cli, small, tmp_path):
    (tmp_path / "ids.txt").write_text("a\nb\nc\nd\ne\nf\n")
    result = cli("score", *small, "--class-names", "cat,dog,[owl]", "--ids", "ids.txt", "--max-bad", "50%")
    assert result.exit_code == 0
    assert plain(result.stdout).startswith(VIEW)
    assert plain(result.stdout).endswith("run: preds.run  (scores.parquet, summary.json, state.npz, run.json)\n")
    assert result.stderr == (
        "task: multiclass, because preds are [6, 3] = [N, C] and labels int64 [6]\n"
        "preds: logits, because 100% of 5 probed rows do not sum to 1\n"
    )


def test_view_of_a_thousand_classes_stays_short(cli, saved):
    rng = np.random.default_rng(0)
    labels = (1000 * rng.random(3000) ** 3).astype(np.int64)
    result = cli("score", *saved(rng.normal(size=(3000, 1000)).astype(np.float32), labels))
    assert len(result.stdout.splitlines()) < 60
    for heading in ("most samples", "fewest samples", "lowest recall"):
        assert heading in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("shape", "labels_shape", "classes", "heads"),
    [
        ((9,), (9,), 2, ["binary", "bce", "binary_focal"]),
        ((9, 4), (9, 4), 2, ["multilabel", "n_wrong", "worst_class"]),
        ((9, 4, 3, 3), (9, 3, 3), 4, ["segmentation", "iou", "accuracy"]),
        ((9, 1, 3, 3), (9, 3, 3), 2, ["segmentation", "background", "foreground"]),
        ((9, 3), (9, 3), None, ["regression", "l1", "mse"]),
    ],
    ids=["binary", "multilabel", "segmentation", "foreground", "regression"],
)
def test_view_of_the_other_tasks(cli, saved, shape, labels_shape, classes, heads):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, labels_shape) if classes else rng.normal(size=labels_shape)
    result = cli("score", *saved(rng.normal(size=shape).astype(np.float32), labels))
    assert result.exit_code == 0, result.output
    for head in heads:
        assert head in result.stdout


def test_json_is_the_summary_and_nothing_else(cli, small):
    result = cli("score", *small, "--json", "--max-bad", "1")
    assert json.loads(result.stdout) == json.loads(Path("preds.run/summary.json").read_text())


def test_too_many_bad_rows_end_with_status_1_and_keep_the_run(cli, small):
    result = cli("score", *small)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "failed: 1 of 6 rows (16.7%) cannot be scored, more than --max-bad 0.01 allows\n  1 nonfinite\n"
        "  The predictions hold NaN or +inf: did the model overflow (half precision), or were rows never filled?\n"
    )
    assert json.loads(Path("preds.run/run.json").read_text())["status"] == "failed"


def test_overwrite_replaces_the_run(cli, small):
    assert cli("score", *small, "--max-bad", "1").exit_code == 0
    assert cli("score", *small, "--max-bad", "1").exit_code == 2
    assert cli("score", *small, "--max-bad", "1", "--overwrite", "--loss", "ce").exit_code == 0
    assert list(json.loads(Path("preds.run/summary.json").read_text())["losses"]) == ["ce"]


@pytest.mark.parametrize(
    ("loss", "hint"),
    [
        ("ce,focal", "Repeat the option: --loss ce --loss focal."),
        ("CE", "Did you mean ce?"),
        ("CrossEntropyLoss", "Did you mean ce?"),
        ("mae", "Did you mean l1?"),
        ("binary_focal", "Did you mean binary-focal"),
    ],
)
def test_misspelt_loss_gets_the_likely_name(cli, small, loss, hint):
    result = cli("score", *small, "--loss", loss)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_predictions_that_may_be_probabilities_are_warned_of(cli, saved):
    rng = np.random.default_rng(0)
    result = cli("score", *saved(rng.random((50, 4)).astype(np.float32), rng.integers(0, 4, 50)))
    assert result.exit_code == 0
    assert "warning: the predictions are taken for logits, but 100% of 50 probed rows lie in [0, 1]" in result.stderr


def test_narrow_terminals_cut_no_number(small, tmp_path):
    environment = {**os.environ, "COLUMNS": "80"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*EVALTOOL, "score", *small, "--max-bad", "1"],
        cwd=tmp_path,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(theirs)
    seen = read_all(ours)
    assert process.wait() == 0
    assert "ce share" in seen
    assert "…" not in seen


def test_losses_that_do_not_fit_are_left_out_and_counted(cli, saved):
    rng = np.random.default_rng(0)
    names = ("ce", "lovasz", "generalized-dice", "ohem-ce", "dice-focal", "focal-tversky", "log-cosh-dice")
    files = saved(rng.normal(size=(9, 7, 7)).astype(np.float32), rng.integers(0, 2, (9, 7, 7)))
    result = cli("score", *files, *(word for name in names for word in ("--loss", name)))
    assert result.exit_code == 0, result.output
    assert "Classes, 4 of 7 losses fit\n" in result.stdout
    assert "Hardest by ce, 5 of 7 losses fit\n" in result.stdout
    assert "…" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120
    for name in names:
        assert f"\n {name.replace('-', '_')} " in result.stdout


def test_reader_that_stops_early_is_no_failure(small, tmp_path):
    command = f"{' '.join(EVALTOOL)} score {' '.join(small)} --max-bad 1 | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0"
    assert "Traceback" not in result.stderr


def test_duplicate_ids_are_warned_of(cli, small, tmp_path):
    (tmp_path / "ids.txt").write_text("a\nb\na\nd\na\nf\n")
    result = cli("score", *small, "--ids", "ids.txt", "--max-bad", "1")
    assert result.exit_code == 0
    assert "warning: 2 ids occur more than once; looked up by id, several samples will answer\n" in result.stderr


def test_losses_that_take_no_class_weights_are_warned_of(cli, small):
    result = cli("score", *small, "--class-weights", "inverse", "--max-bad", "1")
    assert "warning: class weights do not apply to dice\n" in result.stderr


def test_every_option_of_the_contract_is_there(cli):
    text = cli("score", "--help").stdout
    for option in (
        *("--task", "--preds-are", "--loss", "--ignore-index", "--class-names", "--class-weights", "--ids", "--module"),
        *("--engine", "--device", "--batch-size", "--max-bad", "--overwrite", "--progress", "--json", "-o", "--trust"),
        *("--model", "--input", "--output-name", "--average"),
    ):
        assert option in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_that_works(cli, saved, command):
    text = cli(command, "--help").stdout
    example = shlex.split(text[text.index("Example:") :].splitlines()[1])
    rng = np.random.default_rng(0)
    saved(rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 4, 20))
    np.save("inputs.npy", rng.normal(size=(20, 4)).astype(np.float32))
    onnx_linear(Path("model.onnx"))
    shutil.copytree(Path(__file__).parents[2] / "models/onnx/focal", "models/onnx/focal")
    Path("decisions.csv").write_text("index,decision,new_label\n3,relabel,0\n")
    if command in ("report", "relabel"):
        assert cli("score", "preds.npy", "labels.npy").exit_code == 0
    assert example[0] == "evaltool"
    if command == "mine":
        assert cli("score", "preds.npy", "labels.npy", "-o", "scored.run").exit_code == 0
    result = cli(*example[1:])
    assert result.exit_code == 0, result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from evaltool.cli import main\n"
        "for words in ([], ['score'], ['predict'], ['losses'], ['mine'], ['report']):\n"
        "    assert CliRunner().invoke(main, [*words, '--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'numpy', 'pyarrow', 'rich', 'duckdb') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("loss", ["fcal", "focal:gama=2"])
def test_misspelt_loss_is_answered_without_torch(loss):
    code = (
        "import sys; from click.testing import CliRunner; from evaltool.cli import main\n"
        "result = CliRunner().invoke(main, ['score', 'p.npy', 'l.npy', '--loss', sys.argv[1]])\n"
        "print(result.exit_code, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code, loss], capture_output=True, text=True, check=True)
    assert result.stdout == "2 False\n"


def test_version(cli):
    import evaltool

    assert cli("--version").stdout == f"evaltool, version {evaltool.__version__}\n"
    assert main.name == "main"


def test_unknown_command(cli):
    result = cli("scroe")
    assert result.exit_code == 2
    assert "No such command 'scroe'" in result.stderr


def large(tmp_path, *shape):
    """Write float32 predictions of zeros, which take no disk, and labels."""
    np.lib.format.open_memmap(tmp_path / "preds.npy", "w+", np.float32, shape)
    positions = (shape[0], *shape[2:])
    np.save(tmp_path / "labels.npy", (np.arange(np.prod(positions)) % shape[1]).astype(np.int16).reshape(positions))


def test_plain_progress_on_long_work(tmp_path, monkeypatch):
    """Lines, not a bar, where stderr is no terminal; the clock is moved, not waited for."""
    from evaltool import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = []
    monkeypatch.setattr(progress.click, "echo", lambda text, err: said.append(text))
    watcher = progress.PlainProgress(lines=True)
    for rows in range(0, 1001, 100):
        now[0] += 2.0
        if rows:
            watcher.progressed(rows, 1000)
    assert said == [
        "scored 200 of 1,000 rows (20%), about 24 s left",
        "scored 500 of 1,000 rows (50%), about 12 s left",
        "scored 800 of 1,000 rows (80%), about 4 s left",
    ]


def test_bar_on_a_terminal(small, tmp_path):
    """A real pseudo-terminal: the bar and the decisions go to it, stdout stays the view."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*EVALTOOL, "score", *small, "--max-bad", "1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    stdout = process.communicate()[0].decode()
    seen = read_all(ours)
    assert process.returncode == 0
    assert "task: multiclass" in seen
    assert "scoring" in seen
    assert stdout.startswith("multiclass · logits")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1_000_000, 1000), (30, 21, 512, 512)], ids=["4 GB of rows", "0.7 GB of images"])
def test_memory_does_not_grow_with_the_file(tmp_path, shape):
    """Within 400 MB above the imports."""
    large(tmp_path, *shape)
    code = (
        "import resource, sys\n"
        "import numpy as np, evaltool\n"
        "evaltool.score(np.zeros((4, 3), np.float32), np.arange(4) % 3)  # imports what a job imports\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "evaltool.score('preds.npy', 'labels.npy', output='out.run')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600
    )
    assert int(result.stdout) / 1024 < 400
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
    assert json.loads((tmp_path / "out.run/summary.json").read_text())["n_scored"] == shape[0]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_job_leaves_no_run_and_can_be_repeated(tmp_path, how):
    large(tmp_path, 250_000, 1000)
    process = subprocess.Popen([*EVALTOOL, "score", "preds.npy", "labels.npy"], cwd=tmp_path, stderr=subprocess.PIPE)
    run = tmp_path / "preds.run"
    deadline = time.monotonic() + 60
    while not run.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(how)
    stderr = process.communicate(timeout=60)[1].decode()
    assert not (run / "run.json").exists()
    assert not (run / "scores.parquet").exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert stderr.endswith("interrupted: nothing was written\n")
        assert not run.exists()
    np.save(tmp_path / "preds.npy", np.zeros((9, 3), np.float32))
    np.save(tmp_path / "labels.npy", np.arange(9) % 3)
    again = subprocess.run([*EVALTOOL, "score", "preds.npy", "labels.npy"], cwd=tmp_path, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert sorted(os.listdir(run)) == ["run.json", "scores.parquet", "state.npz", "summary.json"]
