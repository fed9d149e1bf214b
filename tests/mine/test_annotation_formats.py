import json
from collections import Counter
from xml.etree import ElementTree as Xml

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.formats.annotation import FORMATS, write_format
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.run.reader import open_run
from evaltool.run_lengths import brush_mask
from tests.mine import samples
from tests.mine.samples import CLASSES

# pycocotools 2.0.11 has NumPy 1's __array__
old_numpy = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
IMAGES_NEEDED = ("fiftyone", "imagenet")


@pytest.fixture
def folder(tmp_path, rng):
    """Pictures of twelve samples, called by id."""
    images = tmp_path / "images"
    images.mkdir()
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)).save(images / f"img {k}.png")
    return images


def array_of(mined, size=(9, 7)):
    n = mined.run.n_samples
    return Pictures(np.arange(n * size[0] * size[1]).reshape(n, *size).astype(np.uint8), n)


def written(name, mined, output, pictures, **options):
    notes = write_format(name, mined, output, pictures, **options)
    assert all(note.endswith(".") for note in notes)
    return notes


def preds_of(mined):
    """Masks of the listed rows from the arrays, past evaltool: class of the highest logit, -1 where ignored."""
    index = [row["index"] for row in mined.table.to_pylist()]
    preds, labels = mined.inputs.preds.read(0, 99)[index], mined.inputs.labels.read(0, 99)[index]
    found = preds.argmax(1) if preds.shape[1] > 1 else preds[:, 0] > 0
    return np.where(labels == -100, -1, found)


# Label Studio


def test_label_studio_choices(rng, tmp_path, folder):
    mined = samples.multiclass(rng)
    notes = written("label-studio", mined, tmp_path / "out", Pictures(folder, 12))
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert [task["data"]["index"] for task in tasks] == [7, 2, 11, 4]
    assert [task["data"]["sample_id"] for task in tasks] == ["img 7", "img 2", "img 11", "img 4"]
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=out/images/img%207.png"
    assert tasks[0]["data"]["given"] == CLASSES[mined.table["label"][0].as_py()]
    assert [task["predictions"][0]["result"][0]["value"]["choices"][0] for task in tasks[:3]] == CLASSES
    assert [task["predictions"][0].get("score") for task in tasks] == [3.5, 2.0, 1.0, None]
    assert tasks[0]["predictions"][0]["result"][0]["score"] == 0.9
    assert tasks[0]["predictions"][0]["model_version"] == mined.run.name
    config = Xml.parse(tmp_path / "out/label_config.xml").getroot()
    assert [c.get("value") for c in config.findall("Choices[@name='label']/Choice")] == CLASSES
    assert (tmp_path / "out/images/img 7.png").read_bytes() == (folder / "img 7.png").read_bytes()
    assert any("LOCAL_FILES_DOCUMENT_ROOT" in note for note in notes)


def test_label_studio_without_pictures_shows_text(rng, tmp_path):
    mined = samples.multiclass(rng)
    table = mined.table.append_column("text", [["first", None, "", "=4"]])
    written("label-studio", Mined(table, mined.run), tmp_path / "out", None)
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert [task["data"]["text"] for task in tasks] == ["first", "sample img 2", "sample img 11", "=4"]
    assert "<Text" in (tmp_path / "out/label_config.xml").read_text()


def test_label_studio_asks_once_per_class_of_a_multilabel_sample(rng, tmp_path):
    mined = samples.multilabel(rng)
    written("label-studio", mined, tmp_path / "out", array_of(mined))
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert [(t["data"]["index"], t["data"]["class"]) for t in tasks] == [
        (3, CLASSES[0]),
        (3, CLASSES[2]),
        (5, CLASSES[1]),
    ]
    config = Xml.parse(tmp_path / "out/label_config.xml").getroot()
    assert [c.get("value") for c in config.findall("Choices[@name='label']/Choice")] == ["absent", "present"]
    assert sorted(path.name for path in (tmp_path / "out/images").iterdir()) == ["3.png", "5.png"]


@pytest.mark.parametrize("kind", ["segmentation", "foreground"])
def test_label_studio_brushes_are_the_predictions(kind, rng, tmp_path):
    mined = getattr(samples, kind)(rng)
    expected = preds_of(mined)
    written("label-studio", mined, tmp_path / "out", array_of(mined, expected.shape[1:]))
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    for task, mask in zip(tasks, expected, strict=True):
        found = np.full(mask.shape, 0 if kind == "foreground" else -1)
        for result in task["predictions"][0]["result"]:
            label = mined.run.class_names.index(result["value"]["brushlabels"][0])
            height, width = result["original_height"], result["original_width"]
            found[brush_mask(result["value"]["rle"], height, width)] = label
        assert np.array_equal(found, mask)


# CVAT


def test_cvat_tags(rng, tmp_path, folder):
    mined = samples.multiclass(rng)
    written("cvat", mined, tmp_path / "out", Pictures(folder, 12))
    root = Xml.parse(tmp_path / "out/annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [name.text for name in root.findall("meta/task/labels/label/name")] == CLASSES
    images = root.findall("image")
    assert [images[0].get(key) for key in ("name", "width", "height")] == ["img 7.png", "7", "9"]
    assert [i.find("tag").get("label") for i in images[:3]] == CLASSES
    assert [a.text for a in images[0].findall("tag/attribute") if a.get("name") == "index"] == ["7"]
    names = {label["name"] for label in json.loads((tmp_path / "out/labels.json").read_text())}
    assert names == set(CLASSES)


def test_cvat_says_absent_by_an_attribute(rng, tmp_path):
    mined = samples.multilabel(rng)
    written("cvat", mined, tmp_path / "out", array_of(mined))
    tags = Xml.parse(tmp_path / "out/annotations.xml").getroot().findall("image[@name='3.png']/tag")
    rows = mined.table.to_pylist()[:2]
    states = [next(a.text for a in tag if a.get("name") == "state") for tag in tags]
    assert [tag.get("label") for tag in tags] == [CLASSES[0], CLASSES[2]]
    assert states == [["absent", "present"][row["suggested"]] for row in rows]


def test_cvat_masks_are_the_predictions(rng, tmp_path):
    mined = samples.segmentation(rng)
    written("cvat", mined, tmp_path / "out", array_of(mined))
    for image, mask in zip(
        Xml.parse(tmp_path / "out/annotations.xml").getroot().findall("image"), preds_of(mined), strict=True
    ):
        found = np.full(mask.shape, -1)
        for element in image.findall("mask"):
            top, left, height, width = (int(element.get(key)) for key in ("top", "left", "height", "width"))
            runs = [int(part) for part in element.get("rle").split(",")]
            crop = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
            found[top : top + height, left : left + width][crop == 1] = CLASSES.index(element.get("label"))
        assert np.array_equal(found, mask)


def test_a_picture_of_another_size_than_its_mask_is_told(rng, tmp_path):
    mined = samples.segmentation(rng)
    with pytest.raises(EvaltoolError, match="differ in size"):
        written("cvat", mined, tmp_path / "out", array_of(mined, (8, 8)))
    assert list(tmp_path.iterdir()) == []


# COCO


@old_numpy
def test_coco_labels_read_back_by_pycocotools(rng, tmp_path, folder):
    coco = pytest.importorskip("pycocotools.coco")
    mined = samples.multiclass(rng)
    written("coco", mined, tmp_path / "out.json", Pictures(folder, 12))
    read = coco.COCO(tmp_path / "out.json")
    assert [read.loadCats(read.loadAnns(read.getAnnIds(i))[0]["category_id"])[0]["name"] for i in (7, 2, 11)] == CLASSES
    assert read.loadImgs(7)[0] == {"id": 7, "file_name": "img 7.png", "width": 7, "height": 9, "sample_id": "img 7"}
    assert read.annToMask(read.loadAnns(read.getAnnIds(7))[0]).all()


@old_numpy
@pytest.mark.parametrize("shown", ["suggested", "given"])
def test_coco_masks_read_back_by_pycocotools(shown, rng, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    mined = samples.segmentation(rng)
    written("coco", mined, tmp_path / "out.json", None, shown=shown)
    read = coco.COCO(tmp_path / "out.json")
    labels = mined.inputs.labels.read(0, 99).astype(np.int64)
    labels[labels == -100] = -1
    for position, index in enumerate((4, 0, 3)):
        found = np.full((9, 7), -1)
        for annotation in read.loadAnns(read.getAnnIds(index)):
            mask = read.annToMask(annotation) == 1
            assert annotation["area"] == mask.sum()
            rows, columns = np.nonzero(mask)
            assert annotation["bbox"][:2] == [columns.min(), rows.min()]
            found[mask] = annotation["category_id"] - 1
        assert np.array_equal(found, labels[index] if shown == "given" else preds_of(mined)[position])


def test_coco_names_files_from_the_folder_on(rng, tmp_path, folder):
    (folder / "deep").mkdir()
    (folder / "img 7.png").rename(folder / "deep" / "img 7.png")
    written("coco", samples.multiclass(rng), tmp_path / "out.json", Pictures(folder, 12))
    names = [image["file_name"] for image in json.loads((tmp_path / "out.json").read_text())["images"]]
    assert names == ["deep/img 7.png", "img 2.png", "img 11.png", "img 4.png"]


@pytest.mark.parametrize("name", ["label-studio", "cvat", "coco", "datumaro"])
def test_multilabel_rows_without_a_class_ask_nothing(name, rng, tmp_path):
    mined = samples.multilabel(rng)
    with pytest.raises(EvaltoolError, match="which class is to be reviewed"):
        written(name, Mined(mined.table.drop_columns("class"), mined.run), tmp_path / "out", None)


def test_coco_says_how_many_classes_it_cannot_call_absent(rng, tmp_path):
    mined = samples.multilabel(rng)
    absent = sum(row["suggested"] == 0 for row in mined.table.to_pylist())
    notes = written("coco", mined, tmp_path / "out.json", None)
    assert any(f": {absent} rows have none" in note for note in notes) == bool(absent)
    assert len(json.loads((tmp_path / "out.json").read_text())["annotations"]) == 3 - absent


# the layouts of folders


def test_fiftyone_labels(rng, tmp_path, folder):
    mined = samples.multiclass(rng)
    written("fiftyone", mined, tmp_path / "out", Pictures(folder, 12))
    content = json.loads((tmp_path / "out/labels.json").read_text())
    assert content["classes"] == CLASSES
    assert [content["labels"][f"img {k}"]["label"] for k in (7, 2, 11)] == [0, 1, 2]
    assert content["labels"]["img 7"]["confidence"] == 0.9
    assert content["labels"]["img 7"]["attributes"]["index"] == 7
    assert {path.stem for path in (tmp_path / "out/data").iterdir()} == set(content["labels"])


@pytest.mark.parametrize("shown", ["suggested", "given"])
def test_imagenet_folders(shown, rng, tmp_path, folder):
    mined = samples.multiclass(rng)
    written("imagenet", mined, tmp_path / "out", Pictures(folder, 12), shown=shown, link=True)
    names = ['a "b" & <c>', "=1+1", "über_x"]
    labels = mined.table["label"].to_pylist()
    used = {0, 1, 2, labels[3]} if shown == "suggested" else set(labels)
    assert {path.name for path in (tmp_path / "out/pictures").iterdir()} == {names[label] for label in used}
    for row, label in zip([7, 2, 11], [0, 1, 2] if shown == "suggested" else labels, strict=False):
        link = tmp_path / "out/pictures" / names[label] / f"img {row}.png"
        assert link.is_symlink()
        assert link.read_bytes() == (folder / f"img {row}.png").read_bytes()


def test_voc_masks(rng, tmp_path):
    mined = samples.segmentation(rng)
    written("voc-masks", mined, tmp_path / "out", array_of(mined))
    assert (tmp_path / "out/ImageSets/Segmentation/mined.txt").read_text() == "4\n0\n3\n"
    for name, mask in zip("403", preds_of(mined), strict=True):
        with Image.open(tmp_path / f"out/SegmentationClass/{name}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
            assert np.array_equal(np.asarray(image), np.where(mask < 0, 255, mask))
        with Image.open(tmp_path / f"out/JPEGImages/{name}.jpg") as image:
            assert image.size == (7, 9)


# all of them


@pytest.mark.parametrize("name", FORMATS)
def test_every_sample_can_be_found_again(name, rng, tmp_path, folder):
    mined = samples.segmentation(rng) if name == "voc-masks" else samples.multiclass(rng)
    pictures = array_of(mined) if name == "voc-masks" else Pictures(folder, 12)
    written(name, mined, tmp_path / "out", pictures)
    if name != "coco":
        found = json.loads((tmp_path / "out/mined.json").read_text())["samples"]
        assert [sample["index"] for sample in found] == mined.table["index"].to_pylist()


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_replaced_unasked_nor_ever_what_is_not_ours(name, rng, tmp_path, folder):
    mined = samples.segmentation(rng) if name == "voc-masks" else samples.multiclass(rng)
    pictures = array_of(mined) if name == "voc-masks" else Pictures(folder, 12)
    output = tmp_path / "out"
    written(name, mined, output, pictures)
    with pytest.raises(EvaltoolError, match="the output exists"):
        written(name, mined, output, pictures)
    written(name, mined, output, pictures, overwrite=True)
    if output.is_dir():
        (output / "mined.json").unlink()
        (output / "mine too").write_text("")
        with pytest.raises(EvaltoolError, match="the output exists"):
            written(name, mined, output, pictures, overwrite=True)
        assert (output / "mine too").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_that_is_missing_leaves_nothing(name, rng, tmp_path, folder):
    mined = samples.segmentation(rng) if name == "voc-masks" else samples.multiclass(rng)
    (folder / "img 11.png").unlink()
    with pytest.raises(EvaltoolError, match="a sample has no picture"):
        written(name, mined, tmp_path / "out", Pictures(folder, 12))
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("name", FORMATS)
def test_without_pictures(name, rng, tmp_path):
    mined = samples.segmentation(rng) if name == "voc-masks" else samples.multiclass(rng)
    if name in IMAGES_NEEDED:
        with pytest.raises(EvaltoolError, match="needs the pictures"):
            written(name, mined, tmp_path / "out", None)
    else:
        written(name, mined, tmp_path / "out", None)
        written(name, mined, tmp_path / "urls", Pictures("https://example.org/{index}.png", mined.run.n_samples))


@pytest.mark.parametrize("name", FORMATS)
def test_a_task_that_does_not_fit_is_told(name, rng, tmp_path):
    run = open_run(evaltool.score(rng.normal(size=9), rng.normal(size=9), task="regression"))
    with pytest.raises(EvaltoolError, match="cannot hold this task"):
        written(name, Mined(pa.table({"index": [1]}), run), tmp_path / "out", None)


def test_files_of_one_name_in_several_folders_stay_apart(rng, tmp_path):
    mined = samples.multiclass(rng)
    ids = [f"{k % 2}/same" for k in range(12)]
    for name in set(ids):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 3)).save(tmp_path / "images" / f"{name}.png")
    table = mined.table.drop_columns("id").append_column("id", [[ids[i] for i in (7, 2, 11, 4)]])
    written("datumaro", Mined(table, mined.run), tmp_path / "out", Pictures(tmp_path / "images", 12))
    found = Counter(s["name"] for s in json.loads((tmp_path / "out/mined.json").read_text())["samples"])
    assert set(found.values()) == {1}
    assert len(list((tmp_path / "out/images/mined").iterdir())) == 4


def test_a_full_disk_is_told(rng, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaltool.mine.formats.samples.Path.write_text", full)
    with pytest.raises(EvaltoolError, match="No space left"):
        written("cvat", samples.multiclass(rng), tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []
