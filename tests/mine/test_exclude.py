"""Rows that have been reviewed are left out, however the table names them."""

import csv
import io

import pytest

from evaltool.errors import EvaltoolError
from evaltool.mine.job import mine

from .runs import scored

IDS = ["=a", "'b", "''c", "－d", "x;=e", "x;'f", "-5", "", "g h", "i"]
ALL = set(range(10))


@pytest.fixture
def run(tmp_path):
    return scored(tmp_path, "multiclass", 10, ids=IDS)


def left(run, path, **options):
    return set(mine(run, by="ce", exclude=path, **options).table["index"].to_pylist())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_list_excludes_itself(tmp_path, run, suffix):
    path = tmp_path / f"list.{suffix}"
    first = mine(run, by="ce", top=8, output=path).table["index"].to_pylist()
    assert left(run, path) == ALL - set(first)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("id,index\n,9\n,3\n", {9, 3}),
        ("id,index\ni,\ng h,0\n", {9, 8}),
        ("index\n9.0\n", {9}),
        ("\ufeffid,index\ni,1\n", {9}),
        ("id,index\n", set()),
    ],
)
def test_by_id_else_by_index(tmp_path, run, text, gone):
    (tmp_path / "e.csv").write_text(text)
    assert left(run, tmp_path / "e.csv") == ALL - gone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\nnope\nnothere\n", "none of the reviewed rows is in this run"),
        ("index\n-1\n99\n", "none of the reviewed rows is in this run"),
        ("id,id\na,b\n", "two columns have one name"),
        ("id,class\ni,ox\n", "'ox' is no class of the run"),
        ("index\nten\n", "column index"),
    ],
)
def test_what_cannot_be_excluded_is_told(tmp_path, run, text, message):
    (tmp_path / "e.csv").write_text(text)
    with pytest.raises(EvaltoolError, match=message):
        left(run, tmp_path / "e.csv")


def test_how_many_are_not_in_the_run(tmp_path, run, capsys):
    (tmp_path / "e.csv").write_text("id\ni\nnope\nnothere\nnope\n")
    assert left(run, tmp_path / "e.csv", progress="auto") == ALL - {9}
    assert "2 of 3 reviewed rows are not in this run" in capsys.readouterr().err


def test_a_class_by_its_name_as_the_gallery_saves_it(tmp_path):
    names = ["=cow", "dog", "eel", "fly", "gnu", "hen", "ibis"]
    found = scored(tmp_path, "multilabel", 30)
    count = len(mine(found, fraction=1.0).table["class"].unique())
    run = scored(tmp_path, "multilabel", 30, class_names=names[:count], overwrite=True)
    before = {(r["index"], r["class"]) for r in mine(run, fraction=1.0).table.to_pylist()}
    (tmp_path / "d.csv").write_text("index,id,class,decision\n3,,'=cow,keep\n4,,dog,keep\n5,,,keep\n")
    mined = mine(run, fraction=1.0, exclude=tmp_path / "d.csv", output=tmp_path / "l.csv")
    after = {(r["index"], r["class"]) for r in mined.table.to_pylist()}
    assert before - after == {p for p in before if p in ((3, 0), (4, 1)) or p[0] == 5}
    assert {r["class_name"] for r in csv.DictReader(io.StringIO((tmp_path / "l.csv").read_text()))} >= {"'=cow"}
    assert len(mine(run, fraction=1.0, exclude=tmp_path / "l.csv").table) == len(before - after)
