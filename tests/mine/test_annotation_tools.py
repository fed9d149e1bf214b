"""What the formats write, read by the tools themselves, each in the environment it asks for.

Their pins exclude each other and evaltool's own (Datumaro 1.13 wants pandas 2 and pyarrow 25), so each runs by an
interpreter that a variable names: ``scripts/annotators`` makes the environments and sets them.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from evaltool.mine.formats.annotation import write_format
from evaltool.mine.pictures import Pictures
from evaltool.run_lengths import brush_rle
from tests.mine import samples
from tests.mine.samples import CLASSES

pytestmark = pytest.mark.slow


def interpreter(module, variable):
    """The Python that has a module; a skip where none is named."""
    found = os.environ.get(variable) or (sys.executable if find_spec(module) else None)
    if found is None:
        pytest.skip(f"needs {module}; scripts/annotators installs it and sets {variable}")
    return found


def said(python, script, *arguments, home):
    """Run a script, which prints JSON in its last line, with a home of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "FIFTYONE_DO_NOT_TRACK": "true"}
    done = subprocess.run(
        [python, "-c", script, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def blank(mined, size=(9, 7)):
    return Pictures(np.zeros((mined.run.n_samples, *size), np.uint8), mined.run.n_samples)


def predicted(mined):
    """Class of each pixel of the listed rows, -1 where ignored, as lists."""
    index = [row["index"] for row in mined.table.to_pylist()]
    labels = mined.inputs.labels.read(0, 99)[index]
    return np.where(labels == -100, -1, mined.inputs.preds.read(0, 99)[index].argmax(1)).tolist()


DATUMARO = """
import json, sys
import numpy as np
from datumaro.components.dataset import Dataset
from datumaro.components.annotation import AnnotationType
found = {}
data = Dataset.import_from(sys.argv[1], sys.argv[2])
names = [label.name for label in data.categories()[AnnotationType.label]]
for item in data:
    labels, mask = [], None
    for a in item.annotations:
        if a.type == AnnotationType.label:
            labels.append(names[a.label])
        else:
            mask = np.full(a.image.shape, -1) if mask is None else mask
            mask[a.image.astype(bool)] = a.label
    found[item.id] = [labels, None if mask is None else mask.tolist(), list(item.media.data.shape)]
print(json.dumps([names, found]))
"""


@pytest.mark.parametrize(("written", "read_as"), [("datumaro", "datumaro"), ("cvat", "cvat"), ("imagenet", "imagenet")])
def test_datumaro_reads_labels(written, read_as, rng, tmp_path):
    python = interpreter("datumaro", "DATUMARO_PYTHON")
    mined = samples.multiclass(rng)
    write_format(written, mined, tmp_path / "out", blank(mined))
    root = tmp_path / "out/pictures" if written == "imagenet" else tmp_path / "out"
    names, found = said(python, DATUMARO, root, read_as, home=tmp_path)
    known = [name.replace("/", "_") for name in CLASSES] if written == "imagenet" else CLASSES
    assert sorted(names) == sorted(known)
    found = {key.rpartition(":")[2].rpartition("/")[2]: value for key, value in found.items()}
    for row in mined.table.to_pylist():
        label = row["label"] if row["suggested"] is None else row["suggested"]
        assert found[row["id"]][0] == [known[label]]
        assert found[row["id"]][2][:2] == [9, 7]


@pytest.mark.parametrize(
    ("written", "read_as"), [("datumaro", "datumaro"), ("cvat", "cvat"), ("voc-masks", "voc_segmentation")]
)
def test_datumaro_reads_masks(written, read_as, rng, tmp_path):
    python = interpreter("datumaro", "DATUMARO_PYTHON")
    mined = samples.segmentation(rng)
    write_format(written, mined, tmp_path / "out", blank(mined))
    names, found = said(python, DATUMARO, tmp_path / "out", read_as, home=tmp_path)
    for row, mask in zip(mined.table.to_pylist(), predicted(mined), strict=True):
        read = np.array(found[str(row["index"])][1])
        if written == "voc-masks":  # Datumaro puts a background before the classes and takes 255 for one more
            lookup = [CLASSES.index(name) if name in CLASSES else -1 for name in names]
            read = np.array([lookup[k] for k in read.ravel()]).reshape(read.shape)
        np.testing.assert_array_equal(read, mask)


FIFTYONE = """
import json, sys
import fiftyone.utils.data as foud
import numpy as np
kind = {"labels": foud.FiftyOneImageClassificationDatasetImporter, "masks": foud.ImageSegmentationDirectoryImporter}
importer = kind[sys.argv[2]](sys.argv[1])
found = []
with importer:
    for path, _, label in importer:
        if sys.argv[2] == "masks":
            label.mask is None and label.import_mask(update=True)
            found.append([path, np.asarray(label.mask).tolist()])
        else:
            labels = getattr(label, "classifications", [label])
            found.append([path, [[one.label, one.confidence, one["sample_id"]] for one in labels]])
print(json.dumps(found))
"""


def test_fiftyone_reads_labels(rng, tmp_path):
    python = interpreter("fiftyone", "FIFTYONE_PYTHON")
    mined = samples.multiclass(rng)
    write_format("fiftyone", mined, tmp_path / "out", blank(mined))
    found = {
        Path(path).stem: labels for path, labels in said(python, FIFTYONE, tmp_path / "out", "labels", home=tmp_path)
    }
    for row in mined.table.to_pylist():
        label = row["label"] if row["suggested"] is None else row["suggested"]
        assert found[row["id"]] == [[CLASSES[label], row["p_suggested"], row["id"]]]


def test_fiftyone_reads_masks(rng, tmp_path):
    python = interpreter("fiftyone", "FIFTYONE_PYTHON")
    mined = samples.segmentation(rng)
    write_format("fiftyone", mined, tmp_path / "out", blank(mined))
    found = {Path(path).stem: mask for path, mask in said(python, FIFTYONE, tmp_path / "out", "masks", home=tmp_path)}
    for row, mask in zip(mined.table.to_pylist(), predicted(mined), strict=True):
        np.testing.assert_array_equal(found[str(row["index"])], np.where(np.array(mask) < 0, 255, mask))


BRUSHES = """
import json, sys
from label_studio_sdk.converter.brush import decode_rle
height, width = map(int, sys.argv[2:])
print(json.dumps(decode_rle(json.load(open(sys.argv[1]))).reshape(height, width, 4)[:, :, 3].tolist()))
"""


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_label_studios_converter_reads_brushes(share, rng, tmp_path):
    program = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
    if program is None:
        pytest.skip("needs label-studio; scripts/annotators installs it")
    mask = rng.random((130, 170)) < share
    (tmp_path / "rle.json").write_text(json.dumps(brush_rle(mask)))
    read = said(Path(program).parent / "python", BRUSHES, tmp_path / "rle.json", 130, 170, home=tmp_path)
    np.testing.assert_array_equal(read, mask * 255)
