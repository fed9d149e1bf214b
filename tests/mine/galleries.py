"""Lists to review, and a browser's page on them."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa

import evaltool
from evaltool.mine.gallery import write_gallery
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.run.inputs import Inputs
from evaltool.run.reader import open_run

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    '=HYPERLINK("https://example.org";"a, b")',
    "-2+3, 'quoted'",
    "naïve \u2028 ✓ &amp;",
]


def multiclass(n=40, classes=("ant", "bee", "cat", "dog", "eel"), *, seed=0, ids=None):
    """Return a list of n rows over a run of n samples, suggestions being the best other class."""
    rng = np.random.default_rng(seed)
    c = len(classes)
    labels = rng.integers(0, c, n)
    preds = rng.dirichlet(np.full(c, 0.5), n).astype(np.float32)
    scores = evaltool.score(preds, labels, preds_are="probs", class_names=list(classes), ids=ids)
    table = scores.table
    rows = np.arange(n)
    suggested = np.where(np.arange(c) == labels[:, None], -1, preds).argmax(1)
    columns = {
        "rank": rows + 1,
        "index": rows,
        **({} if ids is None else {"id": table["id"]}),
        "label": labels,
        "pred": preds.argmax(1),
        "suggested": suggested,
        "score": np.linspace(9, 1, n),
        "p_wrong": np.linspace(0.99, 0.2, n),
        "p_label": preds[rows, labels],
        "p_suggested": preds[rows, suggested],
        "ce": table["ce"],
        "status": table["status"],
        "group": [f"site {row % 3}" for row in rows],
        "why": [f"reason {row}" for row in rows],
        "control": rows % 7 == 0,  # what no page may hold
    }
    return Mined(pa.table(columns), open_run(scores))


def segmentation(n=6, size=(12, 16)):
    """Return a list of images with three classes, row k of which differs from its label in k pixels."""
    labels = np.zeros((n, *size), np.int64)
    labels[:, 2:6, 3:9] = 1
    labels[:, 7:10, 4:8] = 2
    wrong = labels.copy()
    for row in range(n):
        wrong[row].reshape(-1)[:row] = 2
    preds = np.moveaxis(np.eye(3, dtype=np.float32)[wrong], -1, 1) * 4
    scores = evaltool.score(preds, labels, class_names=["ground", "cell", "vessel"], preds_are="logits")
    run = open_run(scores)
    table = pa.table({"index": np.arange(n), "dice": scores.table["dice"], "box": [[0, 0, 3, 4]] * n})
    return Mined(table, run, Inputs(run, preds=preds, labels=labels))


def multilabel():
    """Return four labels of two samples, wrong ones and right ones."""
    preds = np.array([[0.9, 0.8], [0.2, 0.1]], np.float32)
    labels = np.array([[0, 0], [1, 0]])
    scores = evaltool.score(preds, labels, task="multilabel", preds_are="probs", class_names=["ant", "bee"])
    columns = {
        "index": [0, 0, 1, 1],
        "class": [0, 1, 0, 1],
        "label": [0, 0, 1, 0],
        "suggested": [1, 1, 0, 1],
        "p_wrong": [0.9, 0.8, 0.8, 0.1],
    }
    return Mined(pa.table(columns), open_run(scores))


def regression():
    """Return two samples whose labels are numbers."""
    preds, labels = np.array([1.0, 2.0], np.float32), np.array([0.1, -3.0], np.float32)
    scores = evaltool.score(preds, labels, task="regression")
    return Mined(pa.table({"index": [0, 1], "label": labels, "pred": preds, "l1": [0.9, 5.0]}), open_run(scores))


def digits(n):
    """Return n images 8 x 8, float."""
    return np.random.default_rng(1).random((n, 8, 8))


def written(folder: Path, mined: Mined, *, images=None, **options) -> str:
    """Write a gallery and return its address."""
    pictures = Pictures(images, mined.run.n_samples) if images is not None else None
    path = folder / "list.html"
    write_gallery(mined, path, pictures=pictures, **options)
    return path.resolve().as_uri()


class Scripts(HTMLParser):
    """The text of each script element by its id, as a browser ends them."""

    def __init__(self):
        super().__init__()
        self.texts, self._id, self.tags = {}, None, []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._id = dict(attrs).get("id", "main") if tag == "script" else None

    def handle_data(self, data):
        if self._id:
            self.texts[self._id] = self.texts.get(self._id, "") + data

    def handle_endtag(self, tag):
        self._id = None


def read(page):
    """Return the page's config, its samples and its parser."""
    parser = Scripts()
    parser.feed(page)
    return json.loads(parser.texts["config"]), json.loads(parser.texts["samples"]), parser
