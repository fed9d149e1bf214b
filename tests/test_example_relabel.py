"""examples/relabel.py: the loop closes, the README shows what it prints, and what does not add up is noticed."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example run as a user runs it, in a process of its own in an empty directory."""
    folder = tmp_path_factory.mktemp("relabel")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/relabel.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return SimpleNamespace(folder=folder / "relabel", done=done)


@pytest.fixture
def relabel(monkeypatch, example):
    """The example as a module, where it wrote its files."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.chdir(example.folder)
    import relabel

    return relabel


def shape(text):
    """Return a text with its numbers as 0: networks differ a little from machine to machine."""
    return re.sub(r"\d[\d,.]*", "0", text)


def test_the_readme_shows_what_it_prints(example):
    assert example.done.returncode == 0, example.done.stderr
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("$ python examples/relabel.py\n")[2].partition("```")[0]
    assert shape(shown.strip()) == shape(example.done.stdout.strip())


def test_what_both_reviewers_decided_is_true_and_nothing_else_changed(example):
    labels, fixed, true = (np.load(example.folder / f"{n}.npy") for n in ("labels", "labels_fixed", "true_labels"))
    changed = fixed != labels
    assert (labels != true).sum() == 144
    assert 90 < changed.sum() < 144
    np.testing.assert_array_equal(fixed[changed], true[changed])


def test_a_label_that_does_not_add_up_is_noticed(example, relabel, monkeypatch):
    listed, drawn, mistaken = relabel.reviewed(np.load("true_labels.npy"))
    said = example.done.stdout
    assert relabel.disagreements(said, listed, drawn, mistaken) == []
    fixed = np.load("labels_fixed.npy")
    fixed[5] = (fixed[5] + 1) % 10
    np.save("labels_fixed.npy", fixed)
    assert relabel.disagreements(said, listed, drawn, mistaken) == [
        "1 corrected labels are not what both reviewers said"
    ]
    worse = said.replace("agreement of reviewers: ", "agreement of reviewers: 1")
    assert relabel.disagreements(worse, listed, drawn, mistaken)[0].startswith("agreement of reviewers should be ")
