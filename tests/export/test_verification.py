"""``verify``: what is not as the manifest says is found, and nothing that it does not vouch for is run."""

import json
import os
import shutil

import numpy as np
import onnx
import pytest
import torch

from evaltool.artifacts.trust import file_sha256
from evaltool.errors import EvaltoolError
from evaltool.export import export, verify
from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import saved, scripted
from tests.conftest import ROOT

MODELS = ROOT / "models"


@pytest.fixture
def focal(tmp_path):
    """A copy of the two focal artifacts."""
    for kind in ("onnx", "torchscript"):
        shutil.copytree(MODELS / kind / "focal", tmp_path / kind / "focal")
    return tmp_path


def failures(*paths):
    return [result.failure for result in verify(list(paths))]


def change(folder, **fields):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def replace(path, write):
    """Write another file in a file's place, which the manifest is made to vouch for."""
    write(path)
    change(path.parents[1], sha256={f"1/{path.name}": file_sha256(path)})


def test_the_committed_artifacts_are_what_their_manifests_say():
    results = list(verify([MODELS]))
    assert [result.failure for result in results] == [None] * len(results)
    names = {result.path.split("/")[-3] for result in results}
    assert names >= {"ce", "focal", "dice", "bce", "binary_focal", "l1", "mse", "focal_rank4", "bce_rank1"}
    assert names >= {"scorecard_multiclass", "scorecard_segmentation_rank4", "scorecard_binary_rank1"}


@pytest.mark.slow
def test_the_committed_artifacts_compute_what_an_export_of_today_computes(tmp_path):
    import subprocess

    job = subprocess.run([ROOT / "scripts/export-models", "-o", tmp_path], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    ours = {path.relative_to(MODELS): path for path in MODELS.rglob("manifest.json")}
    theirs = {path.relative_to(tmp_path): path for path in tmp_path.rglob("manifest.json")}
    assert ours.keys() == theirs.keys()
    for name, path in ours.items():
        old, new = json.loads(path.read_text()), json.loads(theirs[name].read_text())
        for manifest in (old, new):
            del manifest["sha256"], manifest["versions"]
            for case, error in manifest.pop("errors").items():
                assert error <= 1e-5, (name, case)
            del manifest["worst_error"]
        assert old == new, name


@pytest.mark.parametrize(
    "paths",
    [["onnx/focal/1/model.onnx"], ["onnx/focal"], ["onnx/focal/manifest.json"], ["."], [".", "onnx"]],
    ids=["file", "folder", "manifest", "repository", "overlapping"],
)
def test_paths_are_files_folders_and_repositories(focal, monkeypatch, paths):
    monkeypatch.chdir(focal)
    assert set(failures(*paths)) == {None}


def test_manifest_beside_the_file(tmp_path):
    for source in (MODELS / "onnx/focal/manifest.json", MODELS / "onnx/focal/config.pbtxt"):
        shutil.copy(source, tmp_path)
    shutil.copy(MODELS / "onnx/focal/1/model.onnx", tmp_path)
    change(tmp_path, sha256={"model.onnx": file_sha256(tmp_path / "model.onnx")})
    assert failures(tmp_path / "model.onnx") == [None]


def test_another_file_is_not_run(focal):
    path = focal / "torchscript/focal/1/model.pt"
    saved(scripted(FocalLoss(gamma=5.0)), path)
    (failure,) = failures(path)
    assert failure.startswith("sha256 ")
    path.unlink()
    assert failures(path.parents[1]) == ["the file is missing"]


def test_file_that_computes_something_else(focal):
    """The manifest vouches for it, so it runs: and is found to compute another gamma."""
    path = focal / "torchscript/focal/1/model.pt"
    extra = {"metadata.json": json.dumps({"format": 1})}
    replace(path, lambda path: saved(scripted(FocalLoss(gamma=2.001)), path, extra))
    assert failures(path)[0].startswith("the file's metadata differ from the manifest's in kind, name,")
    metadata = json.loads((path.parents[1] / "manifest.json").read_text())
    inside = {k: v for k, v in metadata.items() if k not in ("sha256", "errors", "worst_error")}
    replace(path, lambda path: saved(scripted(FocalLoss(gamma=2.001)), path, {"metadata.json": json.dumps(inside)}))
    assert failures(path)[0].startswith("error 0.0")


def test_graph_that_wraps_negative_labels(focal):
    """What a loss that looks labels up without a check does in ONNX Runtime."""
    path = focal / "onnx/focal/1/model.onnx"
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "GreaterOrEqual" and "labels" in node.input:
            node.input[:] = ["labels", "labels"]
    replace(path, lambda path: onnx.save(model, path))
    assert failures(path)[0].startswith("it fails in the case 'bad and ignored labels'")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("parameters", {"gamma": 3.0, "alpha": None}, "the file's metadata differ from the manifest's in parameters"),
        ("loss", "vocal", "no loss is called 'vocal'"),
        ("kind", "poem", "the metadata does not say what is computed"),
        ("preds_are", "guesses", "the metadata does not say what is computed"),
        ("parameters", 7, "the manifest does not say what the file computes"),
        ("ranks", None, "the manifest does not say what the file computes"),
        ("ranks", [10**9], "the manifest does not say what the file computes"),
        ("ranks", [float("inf")], "the manifest does not say what the file computes"),
        ("ignore_index", 10**30, "the metadata does not say what is computed"),
        ("parameters", {"gamma": 10**400}, "the manifest does not say what the file computes"),
        ("errors", {"random": 1e-7}, "the manifest's errors are not those of the hard cases"),
        ("worst_error", 0.5, "the manifest's errors are not those of the hard cases"),
        ("sha256", {"x" * 5000 + ".onnx": "0"}, "the manifest does not say what the file computes"),
        ("inputs", [], "the manifest does not say what the file computes"),
        ("sha256", None, "no manifest: it names no file and its sha256"),
        ("sha256", {"../../../x.onnx": "0"}, "no artifact: expected .pt, .onnx or .pt2 in the manifest's folder"),
        ("sha256", {"manifest.json": "0"}, "no artifact: expected .pt, .onnx or .pt2 in the manifest's folder"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_manifest_that_says_something_else(focal, field, value, message):
    change(focal / "onnx/focal", **{field: value})
    (failure,) = failures(focal / "onnx/focal")
    assert failure.startswith(message)


def test_server_configuration_of_another_artifact(focal):
    shutil.copy(MODELS / "onnx/dice/config.pbtxt", focal / "onnx/focal")
    assert failures(focal / "onnx/focal") == ["config.pbtxt is not the one of this artifact"]
    (focal / "onnx/focal/config.pbtxt").unlink()
    os.mkfifo(focal / "onnx/focal/config.pbtxt")  # nobody writes into it
    assert failures(focal / "onnx/focal") == ["config.pbtxt is missing or no text"]
    (focal / "onnx/focal/config.pbtxt").unlink()
    assert failures(focal / "onnx/focal") == ["config.pbtxt is missing or no text"]


def test_truncated_file_that_the_manifest_vouches_for(focal):
    path = focal / "onnx/focal/1/model.onnx"
    replace(path, lambda path: path.write_bytes(path.read_bytes()[:2000]))
    assert failures(path)[0].startswith("not an ONNX file, or truncated")


def test_paths_without_a_manifest(tmp_path):
    with pytest.raises(EvaltoolError, match="no such file or folder"):
        list(verify([tmp_path / "nothing"]))
    with pytest.raises(EvaltoolError, match="no manifest says what this computes"):
        list(verify([tmp_path]))
    np.save(tmp_path / "preds.npy", torch.zeros(3))
    with pytest.raises(EvaltoolError, match="no manifest says what this computes"):
        list(verify([tmp_path / "preds.npy"]))


def test_per_class_numbers_fix_the_number_of_classes(tmp_path):
    (result, *_) = export(["focal:alpha=[1,2,3]"], output=tmp_path, formats=["torchscript"])
    assert result.failure is None
    manifest = json.loads((tmp_path / "torchscript/focal/manifest.json").read_text())
    assert manifest["inputs"][0]["shape"] == ["N", 3]
    assert failures(tmp_path) == [None]
