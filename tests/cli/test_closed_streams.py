"""What commands do where the caller closed stdout or stderr, as cron jobs and ``2>&-`` do."""

import shlex
import subprocess
import sys

import numpy as np
import pytest

EVALTOOL = shlex.join([sys.executable, "-m", "evaltool"])


@pytest.fixture
def run(cli, saved):
    labels = np.array([0, 1, 2, 0, 1, 2])
    files = saved(3 * np.eye(3, dtype=np.float32)[labels], labels)
    assert cli("score", *files, "-o", "a.run").exit_code == 0
    return "a.run"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"], ids=["stdout", "stderr", "all"])
@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("mine a.run -o list.csv", "list.csv"),
        ("score preds.npy labels.npy -o b.run", "b.run"),
        ("report a.run", "report.html"),
    ],
    ids=["mine", "score", "report"],
)
def test_a_closed_stream_keeps_no_file_from_being_written(run, tmp_path, words, written, closed):
    done = subprocess.run(f"{EVALTOOL} {words} {closed}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / written).exists()


def test_a_list_that_stdout_cannot_take_is_an_error(run):
    done = subprocess.run(f"{EVALTOOL} mine {run} >&-", shell=True, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith("the list has nowhere to go\n  standard output: closed\n  Name a file with -o.\n")


def test_a_list_comes_whole_where_stderr_is_closed(run, cli):
    done = subprocess.run(f"{EVALTOOL} mine {run} 2>&-", shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == cli("mine", run).stdout
