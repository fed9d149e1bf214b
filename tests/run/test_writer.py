"""A run appears whole or not at all, whatever ends it."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evaltool.errors import EvaltoolError
from evaltool.run.state import State
from evaltool.run.writer import FILES, RunWriter

SCHEMA = pa.schema([("index", pa.int64()), ("status", pa.string()), ("ce", pa.float32())])


def batch(n):
    return pa.RecordBatch.from_pydict({"index": list(range(n)), "status": ["ok"] * n, "ce": [0.5] * n}, schema=SCHEMA)


def write(directory, n=3, **options):
    with RunWriter(Path(directory), SCHEMA, **{"overwrite": False, **options}) as writer:
        writer.add(batch(n))
        writer.close_table()
        writer.commit({"n": n}, State(["ce"], task="multiclass", num_classes=2), {"status": "done"})


def write_and_stop(directory, schema, *, overwrite):
    with RunWriter(directory, schema, overwrite=overwrite) as writer:
        writer.add(batch(5))
        writer.close_table()
        raise RuntimeError("stop")


def test_files_of_a_run(tmp_path):
    write(tmp_path / "a.run")
    assert sorted(os.listdir(tmp_path / "a.run")) == sorted(FILES)
    assert pa.parquet.read_table(tmp_path / "a.run/scores.parquet")["ce"].to_pylist() == [0.5] * 3
    with np.load(tmp_path / "a.run/state.npz") as state:
        assert {"status", "histogram", "confusion", "ranking"} <= set(state)


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(tmp_path / "deep/a.run", SCHEMA, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_run_whole(tmp_path):
    write(tmp_path / "a.run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a.run").iterdir()}
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(tmp_path / "a.run", SCHEMA, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a.run").iterdir()} == before


def test_overwrite_replaces_the_run_and_sweeps_up_after_a_killed_one(tmp_path):
    write(tmp_path / "a.run")
    killed = tmp_path / "a.run/.scores.parquet.partial-999999999"
    killed.touch()
    with pytest.raises(EvaltoolError, match="the output exists"):
        write(tmp_path / "a.run")
    write(tmp_path / "a.run", n=7, overwrite=True)
    assert sorted(os.listdir(tmp_path / "a.run")) == sorted(FILES)
    assert pa.parquet.read_metadata(tmp_path / "a.run/scores.parquet").num_rows == 7


def test_what_a_killed_job_left_is_no_run(tmp_path):
    (tmp_path / "a.run").mkdir()
    (tmp_path / "a.run/.scores.parquet.partial-999999999").touch()
    write(tmp_path / "a.run")
    assert sorted(os.listdir(tmp_path / "a.run")) == sorted(FILES)


def test_a_directory_of_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(EvaltoolError, match="holds other files"):
        write(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaltool.run.writer.os.fsync", full)
    with pytest.raises(EvaltoolError) as caught:
        write(tmp_path / "a.run")
    assert str(caught.value) == (
        f"cannot write the run\n  {tmp_path}/a.run: No space left on device\n  Name a writable directory with -o."
    )
    assert list(tmp_path.iterdir()) == []


def test_temporary_names_are_no_parquet_files(tmp_path):
    with RunWriter(tmp_path / "a.run", SCHEMA, overwrite=False) as writer:
        writer.add(batch(1))
        assert [path for path in os.listdir(tmp_path / "a.run") if path.endswith(".parquet")] == []
        assert not (tmp_path / "a.run/run.json").exists()
