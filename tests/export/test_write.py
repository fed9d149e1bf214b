"""What is exported computes what it says, or is not there."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import evaltool
from evaltool.artifacts.onnx_graphs import PRIMITIVES
from evaltool.artifacts.pt2 import exported_program
from evaltool.catalogue import CATALOGUE
from evaltool.errors import EvaltoolError
from evaltool.export import export, write
from evaltool.export.request import ranks_of, subjects
from evaltool.export.subject import module_of, signature_of
from evaltool.losses import BinaryFocalLoss, FocalLoss
from evaltool.numerics.scripting import loaded
from tests.oracle_losses import expected

PREDS_ARE = ["logits", "probs", "log-probs"]


def exported(*losses, **options):
    """Return what became of an export, which has to succeed."""
    results = list(export(losses, **options))
    assert [result.failure for result in results] == [None] * len(results)
    return results


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A focal loss in every format that is quick to write, and its variants."""
    folder = tmp_path_factory.mktemp("repository")
    exported("focal:gamma=3", output=folder, ranks=[2, 4], formats=["onnx", "torchscript"])
    exported(
        "focal:gamma=3", output=folder, ranks=[2], formats=["onnx"], preds_dtypes=["float16"], labels_dtypes=["int32"]
    )
    exported("binary-focal", output=folder, ranks=[1], formats=["onnx"])
    return folder


def test_layout_is_a_triton_repository(repository):
    files = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file())
    names = ["binary_focal_rank1", "focal", "focal_float16_int32", "focal_rank4"]
    of_onnx = [f"onnx/{n}/{f}" for n in names for f in ("1/model.onnx", "config.pbtxt", "manifest.json")]
    of_script = [f"torchscript/focal/{f}" for f in ("1/model.pt", "config.pbtxt", "manifest.json")]
    assert files == of_onnx + of_script


def test_onnx_is_opset_18_ir_10_and_primitive(repository):
    for path in repository.rglob("model.onnx"):
        model = onnx.load(path)
        assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
        assert model.ir_version == 10
        assert {node.op_type for node in model.graph.node} <= PRIMITIVES
        assert not model.functions
        assert path.stat().st_size < 10_000
        onnx.checker.check_model(model, full_check=True)


def test_metadata_in_the_file_equal_the_manifest(repository):
    for path in [*repository.rglob("model.onnx"), *repository.rglob("model.pt")]:
        manifest = json.loads((path.parents[1] / "manifest.json").read_text())
        measured = {name: manifest.pop(name) for name in ("sha256", "errors", "worst_error")}
        assert max(measured["errors"].values()) == measured["worst_error"] <= 1e-5
        if path.suffix == ".onnx":
            props = {item.key: item.value for item in onnx.load(path).metadata_props}
            assert props["name"] == manifest["name"]
            inside = {k: v if isinstance(manifest[k], str) else json.loads(v) for k, v in props.items()}
        else:
            extra = {"metadata.json": ""}
            with path.open("rb") as file:
                loaded(file, extra_files=extra)
            inside = json.loads(extra["metadata.json"])
        assert inside == manifest
        assert manifest["parameters"]["gamma"] == (2.0 if manifest["loss"] == "binary-focal" else 3.0)


def test_no_file_holds_a_path_of_the_machine_that_wrote_it(repository):
    for path in repository.rglob("model.*"):
        data = path.read_bytes()
        if path.suffix == ".pt":
            with zipfile.ZipFile(path) as archive:
                data = b"".join(archive.read(name) for name in archive.namelist())
        assert __file__.rpartition("/tests/")[0].encode() not in data


@pytest.mark.parametrize("shape", [(7, 5), (1, 2), (0, 4), (3, 1)], ids=str)
def test_flat_file_takes_any_sizes(repository, shape):
    preds = np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    labels = np.random.default_rng(0).integers(0, shape[1], shape[0])
    (found,) = session(repository / "onnx/focal/1/model.onnx").run(["loss"], {"preds": preds, "labels": labels})
    wanted = FocalLoss(gamma=3.0)(torch.from_numpy(preds), torch.from_numpy(labels))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_image_file_agrees_with_60_digits(repository):
    preds = np.random.default_rng(0).normal(0, 30, (3, 4, 2, 5)).astype(np.float32)
    labels = np.random.default_rng(0).integers(0, 4, (3, 2, 5))
    labels[0, 0, 0] = -100
    (found,) = session(repository / "onnx/focal_rank4/1/model.onnx").run(None, {"preds": preds, "labels": labels})
    np.testing.assert_allclose(found, [float(v) for v in expected("focal", preds, labels, gamma=3.0)], rtol=1e-5)


def test_half_precision_file_takes_float16_and_int32(repository):
    preds = np.random.default_rng(0).normal(0, 8, (30, 4)).astype(np.float16)
    labels = np.random.default_rng(0).integers(0, 4, 30).astype(np.int32)
    path = repository / "onnx/focal_float16_int32/1/model.onnx"
    (found,) = session(path).run(None, {"preds": preds, "labels": labels})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [float(v) for v in expected("focal", preds, labels, gamma=3.0)], rtol=1e-5)


def test_invalid_label_gives_nan_for_its_sample_alone_and_does_not_wrap(repository):
    preds = np.random.default_rng(0).normal(0, 5, (6, 4)).astype(np.float32)
    labels = np.array([0, -1, 4, -100, 2**40, 3])
    (found,) = session(repository / "onnx/focal/1/model.onnx").run(None, {"preds": preds, "labels": labels})
    assert np.isnan(found).tolist() == [False, True, True, False, True, False]
    assert found[3] == 0


def test_binary_file_takes_one_number_per_sample(repository):
    preds = np.linspace(-100, 100, 9).astype(np.float32)
    labels = np.array([0, 1] * 4 + [1])
    (found,) = session(repository / "onnx/binary_focal_rank1/1/model.onnx").run(
        None, {"preds": preds, "labels": labels}
    )
    np.testing.assert_allclose(found, BinaryFocalLoss()(torch.from_numpy(preds), torch.from_numpy(labels)), rtol=1e-5)


def test_mismatch_deletes_the_file(tmp_path, monkeypatch):
    """A graph that is off by more than 1e-5 in its runtime is no artifact."""

    class Off(FocalLoss):
        def _values(self, preds, labels):
            return super()._values(preds, labels) * 1.001

    written = write.write_file

    def off(path, kind, subject, *others):
        monkeypatch.setattr("evaltool.export.files.module_of", lambda _: Off())
        written(path, kind, subject, *others)

    monkeypatch.setattr(write, "write_file", off)
    (result,) = export(["focal"], output=tmp_path, formats=["onnx"], ranks=[2])
    assert result.failure.startswith("error 0.001 in the case ")
    assert list(tmp_path.rglob("*.*")) == []


def test_what_is_there_is_not_replaced_unasked(repository, tmp_path):
    shutil.copytree(repository, tmp_path / "models")
    with pytest.raises(EvaltoolError, match="the artifact is there already"):
        list(export(["focal"], output=tmp_path / "models", ranks=[2]))
    (result,) = exported("focal", output=tmp_path / "models", formats=["torchscript"], overwrite=True)
    manifest = json.loads((tmp_path / "models/torchscript/focal/manifest.json").read_text())
    assert manifest["parameters"]["gamma"] == 2.0
    assert sorted(path.name for path in (tmp_path / "models/torchscript").iterdir()) == ["focal"]
    assert result.path == str(tmp_path / "models/torchscript/focal/1/model.pt")


def test_forms_of_one_loss_have_names_of_their_own(tmp_path):
    """A softmax and sigmoids are two graphs; the usual one has the bare name."""
    for task, name in (("multilabel", "dice_multilabel"), ("foreground", "dice_foreground_rank4")):
        rank = [4] if task == "foreground" else []
        (result,) = exported("dice", output=tmp_path, formats=["onnx"], task=task, ranks=rank)
        assert result.path == str(tmp_path / "onnx" / name / "1/model.onnx")
    with pytest.raises(EvaltoolError, match="the loss focal is one of several classes"):
        list(export(["focal"], output=tmp_path, task="foreground"))


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "onnx/focal").mkdir(parents=True)
    (tmp_path / "onnx/focal/thesis.txt").write_text("mine")
    with pytest.raises(EvaltoolError, match="the folder holds something else"):
        list(export(["focal"], output=tmp_path, ranks=[2], formats=["onnx"], overwrite=True))


def test_torchscript_file_is_the_same_bytes_every_time(tmp_path):
    paths = [Path(exported("dice", output=tmp_path / name, formats=["torchscript"])[0].path) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("kind", PREDS_ARE)
def test_every_loss_in_torchscript(tmp_path, kind):
    """Every rank and dtype that a loss takes; the counts fill what priors and margins need."""
    results = exported(*CATALOGUE, output=tmp_path, formats=["torchscript"], preds_are=kind, counts=[50, 30, 15, 5])
    assert len(results) == len(CATALOGUE)


@pytest.mark.slow
def test_every_loss_in_onnx(tmp_path):
    usual = {"ce", "focal", "dice", "bce", "binary-focal", "l1", "mse"}  # in models/, of every rank
    others = [name for name in CATALOGUE if name not in usual]
    results = exported(*others, output=tmp_path, formats=["onnx"], ranks=[2, 4], counts=[50, 30, 15, 5], jobs=None)
    assert len(results) == 2 * len(others)


@pytest.mark.slow
def test_every_metric_in_onnx_and_torchscript(tmp_path):
    results = exported("metrics", output=tmp_path, ranks=[1, 2, 4], jobs=None)
    names = {result.path.split("/")[-3] for result in results}
    assert names >= {"metrics_multiclass", "metrics_binary_rank1", "metrics_segmentation_rank4", "metrics_regression"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREDS_ARE[1:])
def test_probabilities_in_onnx(tmp_path, kind):
    exported("focal", "bce", "dice", output=tmp_path, formats=["onnx"], ranks=[2], preds_are=kind)


@pytest.mark.slow
def test_ties_are_broken_by_index_in_every_runtime():
    """Of equal negatives the first are kept, which the classes' shares of the loss show."""
    labels = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]] * 4)
    shares = []
    for engine in ("torch", "torchscript", "onnxruntime"):
        scores = evaltool.score(
            np.zeros((8, 6), np.float32),
            labels,
            task="multilabel",
            preds_are="logits",
            losses=["ohem-ce:negative_ratio=2"],
            engine=engine,
        )
        shares.append([found["loss_share"]["ohem_ce"] for found in scores.summary["classes"]])
    np.testing.assert_allclose(shares, [[1 / 3, 1 / 3, 1 / 6, 1 / 6, 0, 0]] * 3, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("task", [None, "multilabel", "foreground"])
def test_every_loss_is_a_program_of_free_sizes(task):
    """What pt2 is compiled from; it takes sizes of 1 and 0, which torch.export leaves out by itself."""
    counts = None if task else [5, 4, 3, 2]
    for name, entry in CATALOGUE.items():
        if task and not entry.fits("segmentation" if task == "foreground" else task, task == "foreground"):
            continue
        if task == "foreground" and entry.outputs("segmentation", True) == "softmax":
            continue
        (subject,) = subjects(
            [name], task=task, preds_are="logits", ignore_index=-100, class_weights=None, counts=counts
        )
        rank = ranks_of(subject)[0]
        signature = signature_of(subject, rank)
        module = module_of(subject)
        program = exported_program(module, signature, signature.example()).module()
        preds, labels = signature.example()
        for n in (0, 1, 3):
            torch.testing.assert_close(
                program(preds[:n], labels[:n]), module(preds[:n], labels[:n]), rtol=1e-5, atol=1e-7, msg=name
            )


def test_export_prints_nothing_of_the_exporters_own(tmp_path):
    """Without torchvision it tells of operators that no loss has."""
    code = "import sys; sys.modules['torchvision'] = None; from evaltool.cli import main; main()"
    command = [sys.executable, "-c", code, "export", "l1", "--rank", "1", "--format", "onnx", "-o", "m"]
    job = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert job.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["focal", "dice"])
def test_pt2_is_written_loaded_and_scored_with(tmp_path, name):
    (result,) = exported(name, output=tmp_path, formats=["pt2"])
    assert result.path == str(tmp_path / f"pt2/{name}/1/model.pt2")
    preds = np.random.default_rng(0).normal(0, 9, (50, 5)).astype(np.float32)
    labels = np.random.default_rng(0).integers(0, 5, 50)
    scores = evaltool.score(preds, labels, losses=["ce"], module=result.path)  # its manifest vouches for it
    np.testing.assert_allclose(scores[name], evaltool.score(preds, labels)[name], rtol=1e-5)
