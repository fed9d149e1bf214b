"""What a reviewer changed in CVAT, told from what stands there because evaltool wrote it."""

import json
import zipfile
from xml.etree import ElementTree as Xml

import numpy as np
import pyarrow as pa
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.formats.annotation import write_format
from evaltool.mine.mined import Mined
from evaltool.relabel import apply
from evaltool.run.inputs import Inputs
from evaltool.run.reader import open_run
from tests.mine import samples
from tests.mine.samples import CLASSES

from .test_round_trip import blank, given


def written(mined, folder, shown="suggested"):
    write_format("cvat", mined, folder, blank(mined, mined.inputs.preds.shape[2:] or (9, 7)), shown=shown)
    return folder / "annotations.xml"


def exported(file, to, change=lambda images: None, packed=False):
    """What CVAT makes of a file: its own head, masks in another order, and what ``change`` does to the images."""
    root = Xml.parse(file).getroot()
    Xml.SubElement(root.find("meta/task"), "updated").text = "2026-01-02 03:04:05+00:00"
    images = root.findall("image")
    for image in images:
        image[:] = image[::-1]
        for mask in image.findall("mask"):
            mask.set("rle", mask.get("rle").replace(" ", ""))
    change(images)
    to.parent.mkdir(exist_ok=True)
    if not packed:
        Xml.ElementTree(root).write(to, "utf-8", xml_declaration=True)
        return to
    with zipfile.ZipFile(to.with_suffix(".zip"), "w") as archive:
        archive.writestr("annotations.xml", Xml.tostring(root))
    return to.with_suffix(".zip")


@pytest.mark.parametrize("beside", [True, False], ids=["beside mined.json", "elsewhere"])
@pytest.mark.parametrize("packed", [False, True], ids=["xml", "zip"])
@pytest.mark.parametrize("shown", ["suggested", "given"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation", "foreground"])
def test_a_list_that_nobody_changed_is_no_review(kind, shown, packed, beside, rng, tmp_path):
    mined = getattr(samples, kind)(rng)
    file = written(mined, tmp_path / "cvat", shown)
    back = exported(file, (tmp_path / "cvat" if beside else tmp_path / "away") / "export.xml", packed=packed)
    for path in (file, back):
        with pytest.raises(EvaltoolError, match=r"nobody has changed this list\n  .*on any of . images\n  Review it"):
            apply(mined.run, path, tmp_path / "fixed.npy", labels=given(mined))
    assert not (tmp_path / "fixed.npy").exists()
    done = apply(mined.run, back, tmp_path / "fixed.npy", labels=given(mined), confirmed=True)
    assert done.n_reviewed == (mined.table.num_rows if kind != "multiclass" else 4)


@pytest.mark.parametrize("beside", [True, False], ids=["beside mined.json", "elsewhere"])
def test_one_change_makes_the_others_count_and_says_how_many_they_are(beside, rng, tmp_path):
    mined = samples.multiclass(rng)

    def change(images):
        tag = images[0].find("tag")
        tag.set("label", CLASSES[2])
        tag.set("source", "semi-auto")

    back = exported(written(mined, tmp_path / "cvat"), tmp_path / ("cvat" if beside else "away") / "e.xml", change)
    done = apply(mined.run, back, tmp_path / "fixed.npy", labels=given(mined))
    assert np.load(tmp_path / "fixed.npy")[[7, 2, 11]].tolist() == [2, 1, 2]
    assert done.notes == [
        "CVAT does not say what was looked at: every tag and mask of its export counts as decided, also on the "
        "3 of 4 images that nobody changed."
    ]


def emptied(images):
    for mask in images[0].findall("mask"):
        images[0].remove(mask)


def test_an_image_whose_masks_were_removed_is_all_background(rng, tmp_path):
    mined = samples.foreground(rng)
    back = exported(written(mined, tmp_path / "cvat"), tmp_path / "cvat/e.xml", emptied)
    done = apply(mined.run, back, tmp_path / "fixed.npy", labels=given(mined))
    expected = given(mined)
    expected[1] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert "Handed in with nothing painted, which makes all of it background: index 1." in done.notes


def test_an_image_without_masks_decides_nothing_where_nobody_knows_what_it_had(rng, tmp_path):
    mined = samples.foreground(rng)
    mined = mined._replace(table=pa.Table.from_pylist([{"index": 1, "score": 1.0}, {"index": 2, "score": 0.5}]))

    def change(images):
        emptied(images)
        images[1].find("mask").set("source", "manual")

    back = exported(written(mined, tmp_path / "cvat"), tmp_path / "away/e.xml", change)
    done = apply(mined.run, back, tmp_path / "fixed.npy", labels=given(mined))
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy")[1], given(mined)[1])
    assert (done.n_reviewed, done.n_undecided) == (1, 1)
    assert any(note.startswith("Without a mask, and undecided: 1.png. With the mined.json") for note in done.notes)


def test_without_a_background_class_an_emptied_image_is_named(rng, tmp_path):
    mined = samples.segmentation(rng)
    back = exported(written(mined, tmp_path / "cvat"), tmp_path / "cvat/e.xml", emptied)
    done = apply(mined.run, back, tmp_path / "fixed.npy", labels=given(mined))
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy")[4], given(mined)[4])
    assert any(note.startswith("Handed in with nothing painted, which decides nothing") for note in done.notes)


NASTY = ["v1.5", "v1.6", "a/b.c", "x.png", "x.jpg", "..", "a;'=b", "=1.png"]


@pytest.mark.parametrize("pictures", [True, False], ids=["pictures", "no pictures"])
def test_dotted_ids_come_back_through_masks(pictures, rng, tmp_path):
    """A mask carries no index: the picture's name has to lead to its sample."""
    n = len(NASTY)
    labels, preds = rng.integers(0, 2, (n, 6, 5)), np.full((n, 1, 6, 5), 5, np.float32)
    scores = evaltool.score(preds, labels, task="segmentation", ids=NASTY)
    run = open_run(scores)
    rows = [{"index": k, "id": NASTY[k], "score": 1.0} for k in range(n)]
    mined = Mined(pa.Table.from_pylist(rows), run, Inputs(run, preds=preds, labels=labels))
    write_format("cvat", mined, tmp_path / "cvat", blank(mined, (6, 5)) if pictures else None)
    names = [sample["name"] for sample in json.loads((tmp_path / "cvat/mined.json").read_text())["samples"]]
    assert len(set(names)) == n

    def change(images):
        for k, mask in enumerate(image.find("mask") for image in images):
            mask.attrib |= {"left": "0", "top": "0", "width": "1", "height": "1", "rle": "0, 1", "source": "manual"}
            mask.attrib |= {"left": str(k % 5), "top": str(k // 5)}

    back = exported(tmp_path / "cvat/annotations.xml", tmp_path / "cvat/e.xml", change)
    apply(run, back, tmp_path / "fixed.npy", labels=labels)
    expected = np.zeros_like(labels)
    for k in range(n):
        expected[k, k // 5, k % 5] = 1
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


def test_a_folder_of_before_says_nothing_of_shapes(rng, tmp_path):
    mined = samples.multiclass(rng)
    file = written(mined, tmp_path / "cvat")
    mark = json.loads((tmp_path / "cvat/mined.json").read_text())
    for sample in mark["samples"]:
        del sample["shapes"]
    (tmp_path / "cvat/mined.json").write_text(json.dumps(mark))
    with pytest.raises(EvaltoolError, match="nobody has changed this list"):
        apply(mined.run, file, tmp_path / "fixed.npy", labels=given(mined))
