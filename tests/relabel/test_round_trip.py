"""What a format writes, annotated as its tool would, comes back as labels."""

import csv
import json
import zipfile
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.formats.annotation import write_format
from evaltool.mine.pictures import Pictures
from evaltool.relabel import apply
from evaltool.run_lengths import brush_rle
from tests.mine import samples
from tests.mine.samples import CLASSES

WHO = {"id": 1, "email": "ann@example.org"}


def given(mined):
    return mined.inputs.labels.read(0, 99)


def preds_of(mined):
    return mined.inputs.preds.read(0, 99)


def rows_of(mined):
    return mined.table.to_pylist()


def blank(mined, size=(9, 7)):
    return Pictures(np.zeros((mined.run.n_samples, *size), np.uint8), mined.run.n_samples)


def choice(name, from_name="label"):
    return {"from_name": from_name, "to_name": "sample", "type": "choices", "value": {"choices": [name]}}


def annotated(folder, results, **annotation):
    """Label Studio's export of a folder's tasks: one annotation each."""
    tasks = json.loads((folder / "tasks.json").read_text())
    for number, (task, result) in enumerate(zip(tasks, results, strict=True), 1):
        done = {"completed_by": WHO, "result": result, "updated_at": "2026-01-02T03:04:05Z", "was_cancelled": False}
        task |= {"id": number, "annotations": [done | annotation]}
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json"


def test_label_studio_choices(rng, tmp_path):
    mined = samples.multiclass(rng)
    write_format("label-studio", mined, tmp_path / "ls", None)
    results = [[choice(CLASSES[1])], [choice(CLASSES[2])], [choice("unsure", "decision")], []]
    file = annotated(tmp_path / "ls", results)
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    expected = given(mined).copy()
    expected[[7, 2]] = [1, 2]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert (done.n_reviewed, done.n_undecided, done.reviewers) == (2, 2, {"ann@example.org": 4})
    with (tmp_path / "fixed.audit.csv").open() as audit:
        times = {row["time"] for row in csv.DictReader(audit)}
    assert times == {"2026-01-02T03:04:05Z"}


def test_a_cancelled_annotation_is_a_skip(rng, tmp_path):
    mined = samples.multiclass(rng)
    write_format("label-studio", mined, tmp_path / "ls", None)
    file = annotated(tmp_path / "ls", [[choice(CLASSES[1])]] * 4, was_cancelled=True)
    assert apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined)).n_reviewed == 0


def test_label_studio_json_min(rng, tmp_path):
    mined = samples.multiclass(rng)
    write_format("label-studio", mined, tmp_path / "ls", None)
    said = [{"label": CLASSES[1]}, {"label": {"choices": [CLASSES[2]]}}, {"decision": "unsure"}, {}]
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    flat = [task["data"] | {"id": 900 + k, "annotator": 3} | said[k] for k, task in enumerate(tasks)]
    (tmp_path / "min.json").write_text(json.dumps(flat))
    done = apply(mined.run, tmp_path / "min.json", tmp_path / "fixed.npy", labels=given(mined))
    assert np.load(tmp_path / "fixed.npy")[[7, 2]].tolist() == [1, 2]
    assert (done.reviewers, done.n_undecided) == ({"3": 4}, 2)


def test_label_studio_multilabel(rng, tmp_path):
    mined = samples.multilabel(rng)
    write_format("label-studio", mined, tmp_path / "ls", None)
    rows = rows_of(mined)
    suggested = [["absent", "present"][row["suggested"]] for row in rows]
    file = annotated(tmp_path / "ls", [[choice(name)] for name in suggested])
    apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    expected = given(mined).copy()
    for row in rows:
        expected[row["index"], row["class"]] = row["suggested"]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


@pytest.mark.parametrize("flat", [False, True], ids=["json", "json_min"])
@pytest.mark.parametrize("kind", ["segmentation", "foreground"])
def test_brushes_taken_as_predicted_make_the_labels_the_predictions(kind, flat, rng, tmp_path):
    mined = getattr(samples, kind)(rng)
    write_format("label-studio", mined, tmp_path / "ls", blank(mined, mined.inputs.preds.shape[2:]))
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    file = annotated(tmp_path / "ls", [task["predictions"][0]["result"] for task in tasks])
    if flat:  # as label-studio-converter flattens them
        fields = ("original_width", "original_height")
        records = [
            task["data"]
            | {
                "label": [
                    r["value"] | {"type": "BrushLabels"} | {k: r[k] for k in fields}
                    for r in task["predictions"][0]["result"]
                ]
            }
            for task in tasks
        ]
        file.write_text(json.dumps(records))
    apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    expected = given(mined).copy()
    preds = preds_of(mined)
    classes = preds.argmax(1) if preds.shape[1] > 1 else (preds[:, 0] > 0).astype(int)
    for row in rows_of(mined):
        here = expected[row["index"]]
        here[here != -100] = classes[row["index"]][here != -100]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


def test_a_stroke_changes_what_it_covers(rng, tmp_path):
    mined = samples.segmentation(rng)
    write_format("label-studio", mined, tmp_path / "ls", blank(mined))
    mask = np.zeros((9, 7), bool)
    mask[:3, 1:4] = True
    stroke = {
        "from_name": "label",
        "original_height": 9,
        "original_width": 7,
        "value": {"rle": brush_rle(mask), "brushlabels": [CLASSES[2]]},
    }
    file = annotated(tmp_path / "ls", [[stroke], [], []])
    apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    expected = given(mined).copy()
    expected[4][mask & (expected[4] != -100)] = 2
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


@pytest.mark.parametrize(
    ("change", "message"), [("size", "another size"), ("rle", "a mask is broken"), ("class", "not in the list")]
)
def test_a_broken_brush_is_told(change, message, rng, tmp_path):
    mined = samples.segmentation(rng)
    write_format("label-studio", mined, tmp_path / "ls", blank(mined))
    size = (8, 8) if change == "size" else (9, 7)
    rle = brush_rle(np.ones(size, bool))
    stroke = {
        "from_name": "label",
        "original_height": size[0],
        "original_width": size[1],
        "value": {
            "rle": rle[:6] if change == "rle" else rle,
            "brushlabels": ["?" if change == "class" else CLASSES[0]],
        },
    }
    file = annotated(tmp_path / "ls", [[stroke], [], []])
    with pytest.raises(EvaltoolError, match=message):
        apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
    assert not (tmp_path / "fixed.npy").exists()


@pytest.mark.parametrize("packed", [False, True], ids=["xml", "zip"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation"])
def test_cvat(kind, packed, rng, tmp_path):
    mined = getattr(samples, kind)(rng)
    write_format("cvat", mined, tmp_path / "cvat", blank(mined))
    file = tmp_path / "cvat/annotations.xml"
    if packed:
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            archive.write(file, "annotations.xml")
        file = tmp_path / "export.zip"
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined), confirmed=True)
    assert any("CVAT does not say" in note for note in done.notes)
    expected = given(mined).copy()
    for row in rows_of(mined):
        if kind == "segmentation":
            here = expected[row["index"]]
            here[here != -100] = preds_of(mined)[row["index"]].argmax(0)[here != -100]
        elif kind == "multilabel":
            expected[row["index"], row["class"]] = row["suggested"]
        elif row["suggested"] is not None:
            expected[row["index"]] = row["suggested"]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


def test_a_tag_that_a_reviewer_made_anew_is_matched_by_the_pictures_name(rng, tmp_path):
    mined = samples.multiclass(rng)
    write_format("cvat", mined, tmp_path / "cvat", blank(mined))
    tree = Xml.parse(tmp_path / "cvat/annotations.xml")
    for image in tree.getroot().findall("image"):
        for tag in image.findall("tag"):
            image.remove(tag)
    first, *_ = tree.getroot().findall("image")
    new = Xml.SubElement(first, "tag", {"label": CLASSES[2], "source": "manual"})
    Xml.SubElement(new, "attribute", {"name": "index"}).text = ""
    tree.write(tmp_path / "export.xml")
    done = apply(mined.run, tmp_path / "export.xml", tmp_path / "fixed.npy", labels=given(mined))
    assert np.load(tmp_path / "fixed.npy")[7] == 2
    assert (done.n_reviewed, done.n_undecided) == (1, 3)
    Xml.SubElement(first, "tag", {"label": CLASSES[0]})
    tree.write(tmp_path / "export.xml")
    with pytest.raises(EvaltoolError, match="an image has several labels"):
        apply(mined.run, tmp_path / "export.xml", tmp_path / "again.npy", labels=given(mined))


def test_shapes_that_are_no_masks_are_told(rng, tmp_path):
    mined = samples.segmentation(rng)
    write_format("cvat", mined, tmp_path / "cvat", blank(mined))
    tree = Xml.parse(tmp_path / "cvat/annotations.xml")
    Xml.SubElement(tree.getroot().find("image"), "polygon", {"label": CLASSES[0], "points": "0,0;1,1;0,1"})
    tree.write(tmp_path / "export.xml")
    with pytest.raises(EvaltoolError, match=r"neither tag nor mask\n.*: polygon"):
        apply(mined.run, tmp_path / "export.xml", tmp_path / "fixed.npy", labels=given(mined))
    write_format("label-studio", mined, tmp_path / "ls", blank(mined))
    region = {"from_name": "label", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": [CLASSES[0]]}}
    file = annotated(tmp_path / "ls", [[region], [], []])
    with pytest.raises(EvaltoolError, match=r"a region is no brush\n.*: rectanglelabels"):
        apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))


def test_volumes_are_refused(rng, tmp_path):
    labels = rng.integers(0, 2, (3, 4, 5, 6))
    scores = evaltool.score(rng.normal(size=(3, 2, 4, 5, 6)), labels)
    (tmp_path / "d.csv").write_text("index,decision\n1,keep\n")
    with pytest.raises(EvaltoolError, match="only masks of two dimensions"):
        apply(scores, tmp_path / "d.csv", tmp_path / "fixed.npy", labels=labels)


@pytest.mark.parametrize("class_", ["", CLASSES[1]])
def test_the_models_mask_is_taken_where_a_reviewer_accepts_it(class_, rng, tmp_path):
    mined = samples.segmentation(rng)
    with (tmp_path / "d.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "class", "decision"])
        writer.writerows([[3, f"'{class_}" if class_ else "", "accept"], [0, "", "keep"], [1, "", "relabel"]])
    done = apply(mined.run, tmp_path / "d.csv", tmp_path / "fixed.npy", labels=given(mined), preds=preds_of(mined))
    expected = given(mined).copy()
    pred = preds_of(mined)[3].argmax(0)
    where = (expected[3] != -100) & (((expected[3] == 1) | (pred == 1)) if class_ else True)
    expected[3][where] = pred[where]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert (done.n_changed, done.n_kept, done.n_undecided) == (1, 1, 0)
