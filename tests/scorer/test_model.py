"""score(model=...): what a model predicts is scored as if it had been predicted to a file."""

import numpy as np
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.predictor import rows as rows_module
from evaltool.predictor.models import OnnxModel
from tests.predictor import nets

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(3000, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 3000)
IMAGES = RNG.normal(size=(40, 3, 16, 16)).astype(np.float32)
MASKS = RNG.integers(0, 4, (40, 16, 16))


def made(kind, task, path):
    net, example = (nets.Linear(), FEATURES) if task == "multiclass" else (nets.Masks(), IMAGES)
    if kind == "torchscript":
        return nets.script(net, path / "m.pt")
    if kind == "pt2":
        return nets.pt2(net, path / "m.pt2", torch.from_numpy(example))
    return (nets.onnx_linear if task == "multiclass" else nets.onnx_masks)(path / "m.onnx")


@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
@pytest.mark.parametrize("kind", ["torchscript", "onnx", pytest.param("pt2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kept", [0, 1 << 26], ids=["few blocks kept", "all kept"])
def test_scores_are_those_of_predictions_in_a_file(tmp_path, monkeypatch, kind, task, kept):
    monkeypatch.setattr(rows_module, "KEPT_BYTES", kept)
    inputs, labels = (FEATURES, LABELS) if task == "multiclass" else (IMAGES, MASKS)
    model = made(kind, task, tmp_path)
    evaltool.predict(model, inputs, output=tmp_path / "preds.npy", trust=True)
    expected = evaltool.score(tmp_path / "preds.npy", labels)
    scores = evaltool.score(inputs, labels, model=model, trust=True)
    assert scores.summary == expected.summary
    assert scores.summary["task"] == task
    assert scores.table.equals(expected.table)


def test_probe_costs_few_rows(tmp_path, monkeypatch):
    """Where predictions cannot be kept, looking at 1024 rows computes no whole batches."""
    monkeypatch.setattr(rows_module, "KEPT_BYTES", 0)
    rows = []
    run = OnnxModel.__call__
    monkeypatch.setattr(
        OnnxModel, "__call__", lambda self, feeds: rows.append(len(feeds["features"])) or run(self, feeds)
    )
    evaltool.score(FEATURES, LABELS, model=nets.onnx_linear(tmp_path / "m.onnx"), batch_size=100)
    assert sum(rows) == 1024 + 3000 + 3  # the first 100 are kept; 3 show that the output follows


def test_run_records_the_model_and_its_inputs(tmp_path):
    import hashlib

    np.save(tmp_path / "features.npy", FEATURES)
    model = nets.onnx_linear(tmp_path / "m.onnx")
    scores = evaltool.score(tmp_path / "features.npy", LABELS, model=model)
    preds, labels, record, given = scores.manifest["inputs"]
    assert (preds["name"], preds["path"], preds["shape"]) == (f"logits of {model}", None, [3000, 3])
    assert labels["role"] == "labels"
    assert record["role"] == "model"
    assert record["path"] == str(model)
    assert record["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (record["format"], record["provider"], record["output"]) == ("onnx", "CPUExecutionProvider", "logits")
    assert (given["role"], given["path"]) == ("input features", str(tmp_path / "features.npy"))
    assert scores.manifest["arguments"]["model"] == str(model)


def test_several_inputs_and_a_chosen_output(tmp_path):
    class Second(nets.Linear):
        def forward(self, features: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"bias": bias, "logits": self.inner(features) + bias}

    model = nets.script(Second(), tmp_path / "m.pt")
    inputs = {"features": FEATURES, "bias": np.zeros((3000, 3), np.float32)}
    scores = evaltool.score(inputs, LABELS, model=model, output_name="logits", trust=True)
    plain = evaltool.score(FEATURES, LABELS, model=nets.script(nets.Linear(), tmp_path / "n.pt"), trust=True)
    np.testing.assert_array_equal(scores["ce"], plain["ce"])


def test_model_that_gives_classes_is_not_scored(tmp_path):
    class Class(nets.Linear):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.inner(features).argmax(1)

    model = nets.script(Class(), tmp_path / "m.pt")
    with pytest.raises(EvaltoolError, match=rf"predictions have to be floats\n  output of {model}: dtype int64"):
        evaltool.score(FEATURES, LABELS, model=model, trust=True)


def test_output_name_without_a_model():
    with pytest.raises(EvaltoolError, match="an output is chosen, but no model is given"):
        evaltool.score(np.eye(3), np.arange(3), output_name="logits")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_gpu_gives_nearly_the_same(tmp_path, kind):
    model = made(kind, "multiclass", tmp_path)
    cpu = evaltool.score(FEATURES, LABELS, model=model, trust=True, device="cpu")
    gpu = evaltool.score(FEATURES, LABELS, model=model, trust=True, device="cuda")
    assert gpu.manifest["device"].startswith("cuda")
    np.testing.assert_allclose(gpu["ce"], cpu["ce"], rtol=1e-3, atol=1e-4)
