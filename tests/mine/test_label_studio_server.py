"""What is written for Label Studio, imported by a real server, and what the server exports, read back.

Needs the program ``label-studio``, on PATH or named by the variable LABEL_STUDIO: ``scripts/annotators`` installs it in
an environment of its own (1 GB) and runs this.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from evaltool.mine.formats.annotation import write_format
from evaltool.mine.pictures import Pictures
from evaltool.relabel import apply
from tests.mine import samples
from tests.mine.samples import CLASSES

PROGRAM = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTS_WITHIN = 180  # seconds: its database is made first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs label-studio; scripts/annotators installs and runs it"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with an empty database that serves files under ``root``; ``ask`` sends a request and returns JSON."""
    root = tmp_path_factory.mktemp("documents")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = tmp_path_factory.mktemp("label-studio")
    settings = {
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    who = ["--username", "ann@example.org", "--password", "correct horse", "--user-token", TOKEN]
    where = ["--data-dir", str(data), "--internal-host", "127.0.0.1", "--port", str(port), "--no-browser"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with (data / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "start", *who, *where], env=environment | settings, stdout=log, stderr=log, start_new_session=True
        )
    base = f"http://127.0.0.1:{port}"

    def raw(path, body=None):
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(base + path, content, headers), timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:500]!r}") from None

    def ask(path, body=None):
        return json.loads(raw(path, body))

    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                ask("/api/version")
                break
            except OSError:
                alive = process.poll() is None and time.monotonic() < deadline
                assert alive, (data / "log.txt").read_text()[-3000:]
                time.sleep(0.5)
        yield SimpleNamespace(ask=ask, raw=raw, root=root)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def imported(server, folder):
    """Make a project of a folder; return its number and its tasks as the server holds them, in the order sent."""
    config = (folder / "label_config.xml").read_text()
    project = server.ask("/api/projects", {"title": folder.name, "label_config": config})["id"]
    answer = server.ask(
        f"/api/projects/{project}/import?return_task_ids=1", json.loads((folder / "tasks.json").read_text())
    )
    return project, [server.ask(f"/api/tasks/{number}") for number in answer["task_ids"]]


def exported(server, project, kind, path):
    path.write_bytes(server.raw(f"/api/projects/{project}/export?exportType={kind}"))
    return path


def choice(name, from_name="label"):
    return {"from_name": from_name, "to_name": "sample", "type": "choices", "value": {"choices": [name]}}


@pytest.mark.parametrize("kind", ["JSON", "JSON_MIN"])
def test_choices_go_in_and_come_back(kind, server, rng, tmp_path):
    mined = samples.multiclass(rng)
    images = tmp_path / "images"
    images.mkdir()
    for row in mined.table.to_pylist():
        Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)).save(images / f"{row['id']}.png")
    folder = server.root / f"choices {kind}"
    write_format("label-studio", mined, folder, Pictures(images, mined.run.n_samples))
    project, tasks = imported(server, folder)

    sent = json.loads((folder / "tasks.json").read_text())
    assert [task["data"] for task in tasks] == [task["data"] for task in sent]
    for task, expected in zip(tasks, sent, strict=True):
        (found,), (wanted,) = task["predictions"], expected["predictions"]
        assert found["model_version"] == mined.run.name
        assert found["score"] == wanted.get("score")
        assert found["result"][0]["value"] == wanted["result"][0]["value"]

    # the pictures are served once their folder is a storage of the project
    server.ask("/api/storages/localfiles", {"project": project, "path": str(folder / "images"), "use_blob_urls": True})
    assert server.raw(tasks[0]["data"]["image"]) == (images / "img 7.png").read_bytes()

    for task, result in zip(
        tasks, [[choice(CLASSES[1])], [choice(CLASSES[2])], [choice("unsure", "decision")]], strict=False
    ):
        server.ask(f"/api/tasks/{task['id']}/annotations/", {"result": result})
    labels = mined.inputs.labels.read(0, 99)
    done = apply(
        mined.run, exported(server, project, kind, tmp_path / "export.json"), tmp_path / "fixed.npy", labels=labels
    )
    expected = labels.copy()
    expected[[7, 2]] = [1, 2]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert (done.n_reviewed, done.n_undecided) == (2, 1)


@pytest.mark.parametrize("kind", ["JSON", "JSON_MIN"])
def test_brushes_go_in_and_come_back(kind, server, rng, tmp_path):
    mined = samples.segmentation(rng)
    folder = server.root / f"brushes {kind}"
    write_format("label-studio", mined, folder, Pictures(np.zeros((5, 9, 7), np.uint8), 5))
    project, tasks = imported(server, folder)
    for task in tasks:
        server.ask(f"/api/tasks/{task['id']}/annotations/", {"result": task["predictions"][0]["result"]})
    labels = mined.inputs.labels.read(0, 99)
    apply(mined.run, exported(server, project, kind, tmp_path / "export.json"), tmp_path / "fixed.npy", labels=labels)
    expected = labels.copy()
    for index in (4, 0, 3):
        valid = expected[index] != -100
        expected[index][valid] = mined.inputs.preds.read(0, 99)[index].argmax(0)[valid]
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


@pytest.mark.parametrize("kind", ["JSON", "JSON_MIN"])
def test_an_empty_annotation_is_background_and_a_skipped_task_nothing(kind, server, rng, tmp_path):
    mined = samples.foreground(rng)
    mined = mined._replace(table=pa.Table.from_pylist([{"index": k, "score": 1.0} for k in (1, 2, 0)]))
    folder = server.root / f"empty {kind}"
    write_format("label-studio", mined, folder, Pictures(np.zeros((3, 8, 6), np.uint8), 3))
    project, tasks = imported(server, folder)
    server.ask(f"/api/tasks/{tasks[0]['id']}/annotations/", {"result": []})
    server.ask(f"/api/tasks/{tasks[1]['id']}/annotations/", {"result": [], "was_cancelled": True})
    labels = mined.inputs.labels.read(0, 99)
    file = exported(server, project, kind, tmp_path / "export.json")
    done = apply(mined.run, file, tmp_path / "fixed.npy", labels=labels)
    expected = labels.copy()
    expected[1] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)
    assert (done.n_changed, done.to_redraw) == (1, [])


def test_multilabel_and_text_configs_are_accepted(server, rng):
    for name, make in (("multilabel", samples.multilabel), ("multiclass", samples.multiclass)):
        mined = make(rng)
        folder = server.root / f"text {name}"
        write_format("label-studio", mined, folder, None)
        _, tasks = imported(server, folder)
        assert len(tasks) == len(mined.table)
