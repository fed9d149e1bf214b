"""A run is read back as it was written, or said to be none."""

import json

import numpy as np
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.run.manifest import FORMAT
from evaltool.run.reader import Run, ok_rows, open_run
from evaltool.run.writer import FILES

PREDS = np.random.default_rng(5).normal(0, 3, (40, 4)).astype(np.float32)
LABELS = np.where(np.arange(40) % 9 == 0, -100, np.arange(40) % 4)


@pytest.fixture
def path(tmp_path):
    """A run on disk, in several row groups."""
    evaltool.score(
        PREDS, LABELS, preds_are="logits", class_names="a,b,c,d", output=tmp_path / "r.run", progress=None, batch_size=8
    )
    return tmp_path / "r.run"


def rows(run, columns=None):
    return [row for batch in run.batches(columns) for row in batch.to_pylist()]


def error_of(source):
    with pytest.raises(EvaltoolError) as error:
        open_run(source)
    return str(error.value)


def test_a_run_is_read_back(path):
    run = open_run(path)
    scores = evaltool.score(PREDS, LABELS, preds_are="logits", class_names="a,b,c,d", progress=None)
    assert run.name == "r.run"
    assert run.path == path
    assert run.task == "multiclass"
    assert run.num_classes == 4
    assert run.class_names == ["a", "b", "c", "d"]
    assert run.losses == ["ce", "focal", "dice"]
    assert run.n_samples == 40
    assert rows(run) == scores.table.to_pylist()
    assert rows(run, ["label", "ce"]) == scores.table.select(["label", "ce"]).to_pylist()
    for name, array in scores.state.arrays().items():
        np.testing.assert_array_equal(run.state[name], array)


@pytest.mark.parametrize("as_given", [str, lambda path: path, open_run], ids=["text", "path", "run"])
def test_what_is_taken_for_a_run(path, as_given):
    assert open_run(as_given(path)).summary["n_ignored"] == 5


def test_scores_in_memory_are_a_run(path, tmp_path):
    scores = evaltool.score(PREDS, LABELS, preds_are="logits", class_names="a,b,c,d", progress=None)
    run = open_run(scores)
    assert run.path is None
    assert run.name == "scores"
    assert rows(run) == rows(open_run(path))
    assert rows(run, ["ce"]) == rows(open_run(path), ["ce"])
    scores.save(tmp_path / "saved.run")
    assert open_run(scores).path == tmp_path / "saved.run"


def test_the_name_of_the_current_directory_is_its_own(path, monkeypatch):
    monkeypatch.chdir(path)
    assert open_run(".").name == "r.run"


def test_rows_that_are_ok(path):
    run = open_run(path)
    ok = np.concatenate([ok_rows(batch) for batch in run.batches(["status"])])
    np.testing.assert_array_equal(ok, LABELS != -100)


def test_another_object_is_no_run():
    assert error_of({"a": 1}) == (
        "this is no run\n  got dict, expected a run's path or what evaltool.score returned\n"
        "  Score first: evaltool.score(preds, labels)."
    )


def test_a_path_that_is_not_there(tmp_path):
    missing = tmp_path / "x.run"
    assert error_of(missing) == (
        f"there is no such run\n  {missing}\n  `evaltool score PREDS LABELS -o {missing}` writes one."
    )


def test_a_file_is_no_run(path):
    file = path / "run.json"
    assert error_of(file) == (
        f"this is no run\n  {file}: a file, expected the directory that `evaltool score` wrote\n"
        "  Score first: evaltool score PREDS LABELS."
    )


def test_another_directory_is_no_run(tmp_path):
    assert error_of(tmp_path) == (
        f"this is no run\n  {tmp_path}: no scores.parquet, summary.json, state.npz, run.json\n"
        "  `evaltool score` writes it; score again."
    )


@pytest.mark.parametrize("name", FILES)
def test_a_run_without_a_file_is_not_whole(path, name):
    (path / name).unlink()
    assert error_of(path) == f"the run is not whole\n  {path}: no {name}\n  `evaltool score` writes it; score again."


@pytest.mark.parametrize("found", [1, FORMAT + 1, None, "2"])
def test_another_format_is_refused(path, found):
    manifest = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(manifest | {"format": found}))
    assert error_of(path) == (
        f"the run has another format\n  {path / 'run.json'}: format {found!r}, expected {FORMAT}\n"
        "  Score the predictions again with this version of evaltool."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"[1]", "no JSON object"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_damaged_json_is_said(path, name, content, reason):
    (path / name).write_bytes(content)
    assert error_of(path) == f"the run is damaged\n  {path / name}: {reason}\n  Score the predictions again."


@pytest.mark.parametrize("name", ["scores.parquet", "state.npz"])
@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_damaged_arrays_are_said(path, name, damage):
    content = (path / name).read_bytes()
    (path / name).write_bytes(
        {"cut": content[:-40], "other": b"hello world, this is no such file", "empty": b""}[damage]
    )
    message = error_of(path)
    assert message.startswith(f"the run is damaged\n  {path / name}: ")
    assert message.endswith("\n  Score the predictions again.")
    assert len(message.splitlines()) == 3


def test_a_run_of_a_run_is_itself(path):
    run = open_run(path)
    assert isinstance(run, Run)
    assert open_run(run) is run
