"""Where a report's files go: all or none, and over nothing that is not a report."""

import os

import pytest

from evaltool.errors import EvaltoolError
from evaltool.report.files import check_files, write_files


def test_nothing_is_written_where_one_cannot_be(tmp_path):
    (tmp_path / "old.html").write_text("old")
    blocked = tmp_path / "no" / "b.json"
    with pytest.raises(EvaltoolError, match="cannot write the report"):
        write_files({tmp_path / "old.html": b"new", blocked: b"{}"})
    assert (tmp_path / "old.html").read_text() == "old"
    assert os.listdir(tmp_path) == ["old.html"]


def test_files_replace_their_earlier_ones(tmp_path):
    write_files({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    write_files({tmp_path / "a": b"3"})
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"3", b"2")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("kind", ["output", "json", "md", "junit"])
def test_another_file_is_not_replaced_unless_asked(tmp_path, kind):
    path = tmp_path / "thesis"
    path.write_text("all my work")
    with pytest.raises(EvaltoolError, match="evaltool did not write it"):
        check_files({kind: path}, overwrite=False)
    check_files({kind: path}, overwrite=True)


def test_what_is_read_is_never_replaced(tmp_path):
    run = tmp_path / "a.run"
    run.mkdir()
    for path in (run / "summary.json", tmp_path / "preds.npy"):
        with pytest.raises(EvaltoolError, match="would replace what it is made of"):
            check_files({"json": path}, overwrite=True, inputs=[run, tmp_path / "preds.npy"])


def test_outputs_that_cannot_be_are_told_before_anything_is_computed(tmp_path):
    for paths, said in (
        ({"output": tmp_path}, "the output is a directory"),
        ({"output": tmp_path / "no" / "a.html"}, "there is no such directory"),
        ({"output": tmp_path / "a", "md": tmp_path / "." / "a"}, "two files of the report are one"),
    ):
        with pytest.raises(EvaltoolError, match=said):
            check_files(paths, overwrite=False)
