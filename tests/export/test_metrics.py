"""Metrics as files: every one in TorchScript and ONNX, its state where a loop keeps one, and what verify finds."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import confusion_matrix, roc_auc_score

from evaltool.artifacts.trust import file_sha256
from evaltool.catalogue import METRICS, parse_metric
from evaltool.export import comparison, export, verify
from evaltool.export.comparison import error_of
from evaltool.metrics import AUROC, ConfusionMatrix
from evaltool.numerics.scripting import loaded, saved, scripted

CLASSES = 5
LOSS = {"multiclass": "focal", "segmentation": "focal", "regression": "l1"}
FORMS = [
    ("multiclass", "logits"),
    ("binary", "probs"),
    ("multilabel", "log-probs"),
    ("segmentation", "logits"),
    ("segmentation", "probs"),
    ("foreground", "logits"),
    ("regression", "logits"),
]


def specs(task):
    """Return a SPEC of every metric of a task."""
    of_task = "segmentation" if task == "foreground" else task
    loss = LOSS.get(task, "binary-focal")
    return [f"{n}:loss={loss}" if m.of_loss else n for n, m in METRICS.items() if of_task in m.tasks]


def exported(*asked, **options):
    """Return what became of an export, which has to succeed."""
    results = list(export(asked, **options))
    assert [result.failure for result in results] == [None] * len(results)
    return results


def module_in(path):
    """Return what torch::jit::load gives a C++ program."""
    with Path(path).open("rb") as file:
        return loaded(file)


def told(folder):
    return json.loads((folder / "manifest.json").read_text())


def sample(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (n,), generator=generator)
    return torch.randn((n, CLASSES), generator=generator) + torch.nn.functional.one_hot(labels, CLASSES), labels


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """Metrics in both formats, and one of a single number."""
    folder = tmp_path_factory.mktemp("metrics")
    exported("auroc:average=none", output=folder, num_classes=CLASSES)
    exported("confusion-matrix", output=folder, formats=["torchscript"], num_classes=CLASSES)
    exported("brier", output=folder, formats=["onnx"])
    return folder


@pytest.mark.parametrize(("task", "preds_are"), FORMS)
def test_every_metric_in_torchscript(tmp_path, task, preds_are):
    classes = CLASSES if task in ("multiclass", "multilabel", "segmentation") else None
    names = specs(task)
    options = {"output": tmp_path, "task": task, "num_classes": classes, "preds_are": preds_are}
    assert len(exported(*names, formats=["torchscript"], **options)) == len(names)


@pytest.mark.slow
def test_every_metric_in_onnx(tmp_path):
    names = specs("multiclass")
    assert len(names) == len(METRICS)
    exported(*names, output=tmp_path, formats=["onnx"], task="multiclass", num_classes=CLASSES, jobs=None)
    assert [result.failure for result in verify([tmp_path], jobs=None)] == [None] * len(METRICS)


@pytest.mark.slow
def test_onnx_has_a_file_for_each_rank(tmp_path):
    results = exported("f1", output=tmp_path, formats=["onnx"], task="segmentation", num_classes=3)
    names = [Path(result.path).parts[-3] for result in results]
    assert names == ["f1_segmentation_rank3", "f1_segmentation_rank4", "f1_segmentation_rank5"]


def test_a_loop_that_keeps_a_state(repository):
    """Batches, shards and an end of epoch, by the loaded file alone; against scikit-learn."""
    preds, labels = sample(400)
    module = module_in(repository / "torchscript/confusion_matrix/1/model.pt")
    shard = module_in(repository / "torchscript/confusion_matrix/1/model.pt")
    for start in range(0, 300, 64):
        end = min(start + 64, 300)
        module.update(preds[start:end], labels[start:end])
    shard.update(preds[300:], labels[300:])
    module.merge(shard.state())
    wanted = confusion_matrix(labels, preds.argmax(1))
    assert module.compute().tolist() == wanted.tolist()
    assert module(preds[:10], labels[:10]).sum() == 10  # a call looks at its batch alone
    assert module.compute().tolist() == wanted.tolist()
    module.reset()
    assert not module.compute().any()


def test_area_of_a_file_is_that_of_scikit_learn(repository):
    preds, labels = sample(400)
    module = module_in(repository / "torchscript/auroc/1/model.pt")
    module.update(preds, labels)
    wanted = roc_auc_score(labels, preds.softmax(1), multi_class="ovr", average=None)
    assert ((module.compute() - torch.from_numpy(wanted)).abs() <= module.error_bound() + 1e-12).all()
    session = onnxruntime.InferenceSession(repository / "onnx/auroc/1/model.onnx")
    (value,) = session.run(["value"], {"preds": preds.numpy(), "labels": labels.numpy()})
    np.testing.assert_allclose(value, module.compute(), rtol=1e-3)


def test_manifest_tells_the_state_and_the_value(repository):
    folder = repository / "torchscript/auroc"
    manifest = told(folder)
    state = module_in(folder / "1/model.pt").state()
    assert {item["name"]: item["shape"] for item in manifest["state"]} == {k: list(v.shape) for k, v in state.items()}
    assert {item["dtype"] for item in manifest["state"]} == {"int64"}
    assert manifest["outputs"] == [{"name": "value", "dtype": "float64", "shape": [CLASSES]}]
    assert manifest["inputs"][0]["shape"] == ["N", CLASSES]
    assert manifest["parameters"] == {"average": "none", "num_bins": 4096}
    assert (manifest["metric"], manifest["num_classes"], manifest["task"]) == ("auroc", CLASSES, "multiclass")
    assert manifest["formula"] == METRICS["auroc"].formula
    assert "state" not in told(repository / "onnx/auroc")
    assert told(repository / "onnx/brier")["inputs"][0]["shape"] == ["N", "C"]


def test_server_configuration_where_the_value_is_no_single_number(repository):
    """Triton takes no output of rank 0 from a model that does not batch."""
    configured = {path.parent.name for path in repository.rglob("config.pbtxt")}
    assert configured == {"auroc", "confusion_matrix"}
    text = (repository / "onnx/auroc/config.pbtxt").read_text()
    assert f'output {{ name: "value" data_type: TYPE_FP64 dims: [ {CLASSES} ] }}' in text


def test_counts_that_are_empty_take_no_room_in_a_graph(repository):
    assert (repository / "onnx/auroc/1/model.onnx").stat().st_size < 20_000


def failures(path):
    return [result.failure for result in verify([path])]


@pytest.fixture
def copied(repository, tmp_path):
    return Path(shutil.copytree(repository, tmp_path / "copy"))


def replace(folder, script):
    """Put another module in the place of an artifact's, which its manifest is made to vouch for."""
    manifest = told(folder)
    inside = {k: v for k, v in manifest.items() if k not in ("sha256", "errors", "worst_error")}
    saved(script, folder / "1/model.pt", {"metadata.json": json.dumps(inside)})
    manifest["sha256"] = {"1/model.pt": file_sha256(folder / "1/model.pt")}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_damaged_files_are_found(copied):
    assert failures(copied) == [None] * 4
    for path in (copied / "torchscript/auroc/1/model.pt", copied / "onnx/brier/1/model.onnx"):
        path.write_bytes(path.read_bytes()[:-100])
        assert failures(path)[0].startswith("sha256 ")
    (copied / "onnx/auroc/config.pbtxt").write_text("")
    assert failures(copied / "onnx/auroc") == ["config.pbtxt is not the one of this artifact"]


def test_another_metric_under_the_name_is_found(copied):
    folder = copied / "torchscript/auroc"
    replace(folder, scripted(AUROC(num_classes=CLASSES, average="none", num_bins=64)))
    assert failures(folder)[0].startswith("error ")


def test_a_file_that_remembers_samples_is_found(copied):
    """Its calls are right, and every total would hold what its maker counted."""
    folder = copied / "torchscript/auroc"
    script = scripted(AUROC(num_classes=CLASSES, average="none"))
    script.update(*sample(50))
    replace(folder, script)
    assert failures(folder)[0].startswith("error ")


class Forgetful(ConfusionMatrix):
    """A confusion matrix whose calls are right and whose totals are not."""

    @torch.jit.export
    def merge(self, state: dict[str, torch.Tensor]) -> None:
        self.counts = self.counts + 0 * state["counts"]


def test_a_merge_that_loses_counts_is_found(copied):
    folder = copied / "torchscript/confusion_matrix"
    replace(folder, scripted(Forgetful(num_classes=CLASSES)))
    assert failures(folder) == ["error inf in the case 'random', allowed is 1e-05"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "aurok"}, "the metadata does not say what is computed"),
        ({"losses": [{"column": "ce", "loss": "ce", "parameters": {}}]}, "the metadata does not say what is computed"),
        ({"num_classes": 7}, "the manifest does not say what the file computes"),
        ({"num_classes": "x"}, "bad parameter of the metric auroc"),
        ({"parameters": {"num_bins": 1}}, "bad parameter of the metric auroc"),
        ({"parameters": {"bins": 9}}, "bad parameter of the metric auroc"),
        ({"state": []}, "the file's metadata differ from the manifest's in state"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_manifest_that_says_something_else(copied, fields, message):
    folder = copied / "torchscript/auroc"
    (folder / "manifest.json").write_text(json.dumps({**told(folder), **fields}))
    assert failures(folder)[0].startswith(message)


def test_what_a_number_on_a_bins_edge_explains_and_no_more():
    """A file may have the number in the next bin; a file of other bins is off by more."""
    oracle = AUROC(task="binary", num_bins=64)  # edges at whole numbers of nats
    preds = torch.tensor([1.0, 0.99, 3.5, -2.5], dtype=torch.float64)
    labels = torch.tensor([1, 0, 1, 0])
    value = oracle(preds, labels)
    slack = comparison._edge_moves(oracle, preds, labels, value, "logits")
    below = oracle(preds - torch.tensor([1e-7, 0, 0, 0]), labels)
    assert value != below
    assert error_of("auroc", below, value, slack) == 0
    assert error_of("auroc", below, value) > 0.1
    off_edge = preds + torch.tensor([0.4, -0.4, 0, 0])
    assert not comparison._edge_moves(oracle, off_edge, labels, oracle(off_edge, labels), "logits").any()


def test_words_and_whole_numbers_of_a_spec_have_the_type_of_the_default():
    spec = parse_metric("mine=auroc:num_bins=64,average=none")
    assert spec.column == "mine"
    assert spec.parameters == {"average": "none", "num_bins": 64}
    assert type(spec.parameters["num_bins"]) is int
    assert parse_metric("loss-quantiles:loss=focal:gamma=1,at=0.5").parameters == {"at": [0.5]}
