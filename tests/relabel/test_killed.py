"""``relabel apply`` killed at any step: what is there afterwards is whole, and the same command mends it."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import evaltool
from evaltool.relabel import apply

OUTPUTS = ("fixed.npy", "fixed.audit.csv")
# dies by SIGKILL just before the step that is asked for: copying, giving names and removing second names
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from evaltool.cli import main
left = int(sys.argv[1])

def dying(step):
    def stepped(*args, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **options)
    return stepped

Path.replace, Path.unlink, os.link, shutil.copyfile = map(dying, (Path.replace, Path.unlink, os.link, shutil.copyfile))
main(sys.argv[2:])
"""


def killed_at(step, tmp_path):
    command = ["relabel", "apply", "a.run", "second.csv", "-o", "fixed.npy", "--overwrite"]
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(step), *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )


def outputs(tmp_path):
    return {name: (tmp_path / name).read_bytes() for name in OUTPUTS if (tmp_path / name).exists()}


@pytest.fixture
def reviewed(rng, tmp_path):
    """Labels, a run, and two reviews of it; what the first says, and what the second says."""
    np.save(tmp_path / "labels.npy", np.arange(10) % 3)
    np.save(tmp_path / "preds.npy", rng.normal(size=(10, 3)).astype(np.float32))
    evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy", task="multiclass", output=tmp_path / "a.run")
    (tmp_path / "first.csv").write_text("index,decision,new_label,reviewer\n4,relabel,2,ann\n")
    (tmp_path / "second.csv").write_text("index,decision,new_label,reviewer\n5,relabel,0,ann\n6,keep,,ann\n")
    told = []
    for decisions in ("second.csv", "first.csv"):
        apply(tmp_path / "a.run", tmp_path / decisions, tmp_path / "fixed.npy", overwrite=True)
        told.append(outputs(tmp_path))
    return told[1], told[0]


def test_killed_at_any_step_and_run_again(reviewed, tmp_path):
    before, after = reviewed
    there = {path.name for path in tmp_path.iterdir()}
    steps = mixed = 0
    while True:
        steps += 1
        killed = killed_at(steps, tmp_path)
        if killed.returncode == 0:
            break
        assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")  # nothing was reported as done
        found = outputs(tmp_path)
        assert all(found[name] in (before[name], after[name]) for name in OUTPUTS)  # whole, of one review or the other
        mixed += found != before and found != after
        apply(tmp_path / "a.run", tmp_path / "second.csv", tmp_path / "fixed.npy", overwrite=True)
        assert outputs(tmp_path) == after
        assert {path.name for path in tmp_path.iterdir()} == there  # the second run swept up
        for name, content in before.items():
            (tmp_path / name).write_bytes(content)
    assert steps > 5
    assert mixed  # the step between the two names was among them
