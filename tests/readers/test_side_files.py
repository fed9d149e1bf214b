"""Ids, class names and class weights from every form they come in."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from evaltool.readers.side_files import count_duplicates, read_class_names, read_class_weights, read_ids

IDS = ["a.png", "b.png", "007"]


def test_ids_from_files(tmp_path):
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    (tmp_path / "ids.csv").write_text("file,size\na.png,1\nb.png,2\n007,3\n")
    (tmp_path / "one.csv").write_text("anything\na.png\nb.png\n007\n")
    (tmp_path / "named.tsv").write_text("x\tid\n1\ta.png\n1\tb.png\n1\t007\n")
    pyarrow.parquet.write_table(pa.table({"file": IDS, "size": [1, 2, 3]}), tmp_path / "ids.parquet")
    np.save(tmp_path / "ids.npy", np.array(IDS))
    np.save(tmp_path / "bytes.npy", np.array(IDS, dtype="S"))
    names = ("ids.txt", "ids.csv:file", "one.csv", "named.tsv", "ids.parquet:file", "ids.npy", "bytes.npy")
    for name in names:
        assert read_ids(str(tmp_path / name), 3).to_pylist() == IDS, name


def test_integer_ids_stay_integers(tmp_path):
    np.save(tmp_path / "ids.npy", np.array([7, 8, 9], np.int32))
    assert read_ids(str(tmp_path / "ids.npy"), 3).type == pa.int64()
    assert read_ids([7, 8, 9], 3).to_pylist() == [7, 8, 9]
    assert read_ids(np.array(IDS), 3).to_pylist() == IDS


def test_duplicates_are_counted():
    assert count_duplicates(pa.array(["a", "b", "a", "a"])) == 2


def test_class_names(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n dog \nMäuse\n")
    assert read_class_names(str(tmp_path / "names.txt"), 3) == ["cat", "dog", "Mäuse"]
    assert read_class_names("cat, dog,<b>", 3) == ["cat", "dog", "<b>"]
    assert read_class_names(["x", "y"], 2) == ["x", "y"]


def test_class_weights(tmp_path):
    (tmp_path / "w.txt").write_text("1\n0.5\n2\n")
    (tmp_path / "w.csv").write_text("1, 0.5, 2\n")
    np.save(tmp_path / "w.npy", np.array([1, 0.5, 2]))
    for source in ("w.txt", "w.csv", "w.npy"):
        assert read_class_weights(str(tmp_path / source), 3) == [1, 0.5, 2]
    assert read_class_weights("1,0.5,2", 3) == [1, 0.5, 2]
    assert read_class_weights([1, 0.5, 2], 3) == [1, 0.5, 2]
    assert read_class_weights("inverse", 3) == "inverse"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_class_weights_that_are_no_weights(value):
    from evaltool.errors import EvaltoolError

    with pytest.raises(EvaltoolError, match="class weights are no weights"):
        read_class_weights([1.0, value], 2)


@pytest.mark.parametrize(
    "ids",
    [[[1, 2], [3, 4]], [1, "a"], [{"a": 1}, {"a": 2}], np.zeros((2, 2)), [2**70, 1], object()],
    ids=["lists", "mixed", "structs", "square", "huge", "object"],
)
def test_what_cannot_be_ids_is_told(ids):
    from evaltool.errors import EvaltoolError

    with pytest.raises(EvaltoolError, match=r"this cannot be ids|there is not one id per sample"):
        read_ids(ids, 2)


def test_hashes_of_64_bits_become_text(tmp_path):
    np.save(tmp_path / "ids.npy", np.array([2**64 - 1, 7], np.uint64))
    assert read_ids(str(tmp_path / "ids.npy"), 2).to_pylist() == ["18446744073709551615", "7"]


def test_missing_ids_are_no_duplicates():
    assert count_duplicates(pa.array(["a", None, None, "a"])) == 1
