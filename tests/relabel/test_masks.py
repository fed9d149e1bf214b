"""What reviewers say of masks without painting: nothing is there, paint it anew, this class is right."""

import csv
import json

import numpy as np
import pytest

from evaltool.errors import EvaltoolError
from evaltool.mine.formats.annotation import write_format
from evaltool.relabel import apply
from evaltool.spreadsheets import guarded
from tests.mine import samples
from tests.mine.samples import CLASSES

from .test_round_trip import annotated, blank, given, preds_of


def said(path, *rows):
    """Write decisions: index, class, decision, reviewer."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "class", "decision", "reviewer"])
        writer.writerows([index, guarded(class_), decision, who] for index, class_, decision, who in rows)
    return path


def exported(mined, folder, results, form):
    """Label Studio's export of a folder's tasks; "tasks" is JSON_MIN of those that nobody handed in."""
    size = mined.inputs.preds.shape[2:]
    write_format("label-studio", mined, folder, blank(mined, size))
    if form in ("json", "cancelled"):
        return annotated(folder, results, was_cancelled=form == "cancelled")
    tasks = json.loads((folder / "tasks.json").read_text())
    by = {"annotation_id": 7, "annotator": 1} if form == "json_min" else {}
    (folder / "min.json").write_text(json.dumps([task["data"] | by for task in tasks]))
    return folder / "min.json"


@pytest.mark.parametrize(("form", "counts"), [("json", 1), ("json_min", 1), ("cancelled", 0), ("tasks", 0)])
def test_an_empty_annotation_that_was_handed_in_makes_all_background(form, counts, rng, tmp_path):
    mined = samples.foreground(rng)
    labels = given(mined)
    labels[1, 0, :3] = -100
    file = exported(mined, tmp_path / "ls", [[]], form)
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=labels)
    expected = labels.copy()
    if counts:
        expected[1][expected[1] != -100] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert (done.n_changed, done.n_undecided) == (counts, 1 - counts)
    note = "Handed in with nothing painted, which makes all of it background: index 1."
    assert done.notes == [note] * counts


def test_without_a_background_class_an_empty_annotation_is_named_and_decides_nothing(rng, tmp_path):
    mined = samples.segmentation(rng)
    file = exported(mined, tmp_path / "ls", [[], [], []], "json")
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), given(mined))
    assert (done.n_reviewed, done.n_undecided) == (0, 3)
    assert [note for note in done.notes if "nothing painted" in note and note.endswith("for index 0, 3, 4.")]


def test_masks_to_redraw_are_named_and_count_as_wrong(rng, tmp_path, cli):
    mined = samples.segmentation(rng)
    file = said(tmp_path / "d.csv", (3, "", "relabel", "ann"), (0, "", "keep", "ann"), (1, CLASSES[1], "relabel", "bo"))
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), given(mined))
    assert (done.n_changed, done.n_kept, done.n_undecided, done.to_redraw) == (0, 1, 0, [1, 3])
    assert done.wrong[:2] == (2, 3)
    assert done.notes == ["To be redrawn, and so far as they were: index 1, 3."]
    with (tmp_path / "fixed.audit.csv").open(newline="") as audit:
        rows = {row["index"]: (row["new"], row["applied"]) for row in csv.DictReader(audit)}
    assert rows == {"0": ("the old mask", "no"), "1": ("to be redrawn", "no"), "3": ("to be redrawn", "no")}


def test_a_mask_to_redraw_against_one_that_is_right_is_a_conflict(rng, tmp_path):
    mined = samples.segmentation(rng)
    file = said(tmp_path / "d.csv", (3, "", "relabel", "ann"), (3, "", "keep", "bob"))
    with pytest.raises(EvaltoolError, match="index 3: ann: to be redrawn, bob: the old mask"):
        apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))


def test_who_paints_does_what_was_to_be_redrawn(rng, tmp_path):
    mined = samples.segmentation(rng)
    asked = said(tmp_path / "d.csv", (3, "", "relabel", "ann"))
    write_format("label-studio", mined, tmp_path / "ls", blank(mined))
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    results = [task["predictions"][0]["result"] if task["data"]["index"] == 3 else [] for task in tasks]
    painted = annotated(tmp_path / "ls", results)
    done = apply(mined.run, [asked, painted], tmp_path / "fixed.npy", labels=given(mined))
    assert (done.n_changed, done.to_redraw, done.n_conflicts) == (1, [], 0)


def taken(mined, class_=None):
    """The label of image 3 after the prediction was taken, of one class or of all."""
    label, pred = given(mined)[3], preds_of(mined)[3].argmax(0)
    where = (label != -100) & (True if class_ is None else (label == class_) | (pred == class_))
    return np.where(where, pred, label)


@pytest.mark.parametrize(
    ("whole", "of_class", "disagree"),
    [("keep", "accept", True), ("accept", "keep", True), ("keep", "keep", False), ("accept", "accept", False)],
)
def test_a_word_on_the_mask_meets_one_on_a_class_of_it(whole, of_class, disagree, rng, tmp_path):
    mined = samples.segmentation(rng)
    rows = [(3, "", whole, "ann"), (3, CLASSES[1], of_class, "bob")]
    options = {"labels": given(mined), "preds": preds_of(mined)}
    if not disagree:
        done = apply(mined.run, said(tmp_path / "d.csv", *rows), tmp_path / "fixed.npy", **options)
        assert done.n_conflicts == 0
        expected = taken(mined) if whole == "accept" else given(mined)[3]
        np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy")[3], expected)
        return
    with pytest.raises(EvaltoolError, match=r"reviewers disagree \(1 label\)\n  index 3, class =1\+1: bob: .*, ann: "):
        apply(mined.run, said(tmp_path / "d.csv", *rows), tmp_path / "fixed.npy", **options)
    for way, more, expected in (
        ("keep", [], given(mined)[3]),
        ("majority", [], given(mined)[3]),
        ("majority", [(3, "", whole, "eve")], taken(mined) if whole == "accept" else given(mined)[3]),
        ("majority", [(3, CLASSES[1], of_class, "eve")], given(mined)[3] if of_class == "keep" else taken(mined, 1)),
    ):
        file = said(tmp_path / "d.csv", *rows, *more)
        done = apply(mined.run, file, tmp_path / "fixed.npy", on_conflict=way, overwrite=True, **options)
        assert done.n_conflicts == 1
        np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy")[3], expected)
