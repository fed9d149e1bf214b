"""What is written: whole or not at all, the same rows in every format, and nothing a spreadsheet computes."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from evaltool.cli.mine import FORMATS
from evaltool.errors import EvaltoolError
from evaltool.mine.formats import WRITERS, annotation
from evaltool.mine.job import mine

from .runs import scored

NASTY = ["=1+1", "+x", "-2", "@sum", "\tx", "\rx", "\n=x", 'a,"b"', "plain", "naïve 分", "", None]


def written(name, table):
    file = io.BytesIO()
    WRITERS[name](table, file)
    return file.getvalue()


def test_the_command_knows_the_formats():
    assert (*WRITERS, *annotation.FORMATS) == FORMATS


def test_cells_that_could_be_formulas_are_text():
    table = pa.table({"id": NASTY, "score": [-1.5, 0.1, 1e-9, 1e20, float("inf"), None, *[0.0] * 6]})
    rows = list(csv.reader(io.StringIO(written("csv", table).decode(), newline="")))
    assert rows[0] == ["id", "score"]
    ids = [row[0] for row in rows[1:]]
    assert ids == ["'=1+1", "'+x", "'-2", "'@sum", "'\tx", "'\rx", "'\n=x", 'a,"b"', "plain", "naïve 分", "", ""]
    assert [row[1] for row in rows[1:7]] == ["-1.5", "0.1", "1e-09", "1e+20", "inf", ""]


def test_a_heading_can_be_a_formula_too():
    assert written("csv", pa.table({"=x": [1]})) == b"'=x\n1\n"


def test_integers_stay_whole_and_floats_keep_nine_digits():
    table = pa.table({"index": [2**62], "score": [0.1234567890123]})
    assert written("csv", table) == b"index,score\n4611686018427387904,0.123456789\n"


def test_json_has_null_where_there_is_no_number():
    table = pa.table({"score": [float("inf"), float("nan"), None, -0.5], "box": [[1, 2], None, [], [3]]})
    rows = [json.loads(line) for line in written("jsonl", table).splitlines()]
    assert rows == [
        {"score": None, "box": [1, 2]},
        {"score": None, "box": None},
        {"score": None, "box": []},
        {"score": -0.5, "box": [3]},
    ]


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation", "foreground"])
def test_every_format_has_the_same_rows(tmp_path, task):
    run = scored(tmp_path, task)
    table = mine(run, top=20, output=tmp_path / "a.parquet").table
    mine(run, top=20, output=tmp_path / "a.csv")
    mine(run, top=20, output=tmp_path / "a.txt", format="jsonl")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").equals(table)
    lines = [json.loads(line) for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert lines == table.to_pylist()
    from_csv = pyarrow.csv.read_csv(tmp_path / "a.csv")
    assert from_csv.column_names == table.column_names
    assert from_csv["index"].equals(table["index"])
    np.testing.assert_allclose(from_csv["score"].to_numpy(), table["score"].to_numpy(), rtol=1e-8)


def test_columns_of_each_task(tmp_path):
    names = {}
    for task in ("multiclass", "multilabel", "segmentation", "regression"):
        (folder := tmp_path / task).mkdir()
        run = scored(folder, task, preds_are="auto" if task == "regression" else "logits")
        names[task] = mine(run).table.column_names
    head, tail = ["rank", "index"], ["score", "by", "p_wrong", "p_label", "p_suggested"]
    classes = ["label", "pred", "suggested"]
    losses = ["ce", "focal", "dice"]
    assert names["multiclass"] == [*head, *classes, *tail, *losses, "status", "why"]
    assert names["multilabel"] == [*head, "class", *classes, *tail, "bce", "binary_focal", "dice", "status", "why"]
    assert names["segmentation"] == [*head, "class", *classes, *tail, *losses, "status", "box", "why"]
    assert names["regression"] == [*head, *tail, "l1", "mse", "status", "why"]


def test_class_names_stand_beside_the_classes(tmp_path):
    run = scored(tmp_path, "multiclass", class_names="cat,dog,=cow,eel,fox", ids=[f"i{i}" for i in range(60)])
    table = mine(run).table
    assert table.column_names[:9] == [
        *("rank", "index", "id", "label", "label_name", "pred", "pred_name", "suggested", "suggested_name")
    ]
    names = ["cat", "dog", "=cow", "eel", "fox"]
    assert table["suggested_name"].to_pylist() == [names[i] for i in table["suggested"].to_pylist()]
    assert table["why"][0].as_py().startswith(f"labelled {table['label_name'][0].as_py()}, but ")


def test_outputs_come_together_or_not_at_all(tmp_path):
    run = scored(tmp_path, "multilabel")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(EvaltoolError, match="single class"):
        mine(run, output=out / "a.csv", as_weights=out / "w.npy", as_sampler=out / "i.npy")
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "a.xlsx"}, "which format is this"),
        ({"output": "."}, "the output is a directory"),
        ({"output": "nowhere/a.csv"}, "no such directory"),
        ({"output": "there.csv"}, "the output exists"),
        ({"as_weights": "w.csv"}, "--as-weights writes a .npy file"),
        ({"as_weights": "w.npy", "as_sampler": "w.npy"}, "two outputs are one file"),
        ({"output": "there", "format": "csv", "random_controls": 1}, "the output exists"),
    ],
)
def test_outputs_that_cannot_be_written(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    run = scored(tmp_path, "multiclass")
    (tmp_path / "there.csv").write_text("mine\n")
    (tmp_path / "there.controls.csv").write_text("mine\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(EvaltoolError, match=message):
        mine(run, **options)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.csv").read_text() == "mine\n"


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    run = scored(tmp_path, "multiclass")
    out = tmp_path / "out"
    out.mkdir()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(EvaltoolError, match="No space left on device"):
        mine(run, by="ce", output=out / "a.csv", random_controls=2)
    assert not list(out.iterdir())
