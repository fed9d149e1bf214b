"""Columns from ONNX files, and from the artifacts in models/: the same values as evaltool's own."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import evaltool
from evaltool.errors import EvaltoolError
from tests.conftest import ROOT
from tests.scorer.problems import TASKS, problem

RANK = {"multiclass": "", "binary": "_rank1", "multilabel": "", "segmentation": "_rank4", "foreground": "_rank3"}
NAMES = {
    "multiclass": ["ce", "focal", "dice"],
    "segmentation": ["ce", "focal", "dice"],
    "binary": ["bce", "binary_focal", "dice"],
    "multilabel": ["bce", "binary_focal", "dice"],
    "foreground": ["bce", "binary_focal", "dice"],
    "regression": ["l1", "mse"],
}


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.parametrize("task", TASKS)
def test_artifacts_give_the_columns_of_every_task(task, kind):
    preds, labels = problem(task)
    if task != "regression":
        labels = labels.astype(np.int32)
        labels[3] = -100
    suffix = "1/model.onnx" if kind == "onnx" else "1/model.pt"
    rank = RANK.get(task, "") if kind == "onnx" else ""
    form = {"dice": f"dice_{task}"} if kind == "onnx" and task in ("multilabel", "foreground") else {}
    files = [f"{name}_file={ROOT}/models/{kind}/{form.get(name, name)}{rank}/{suffix}" for name in NAMES[task]]
    scores = evaltool.score(
        preds, labels, losses=[name.replace("_", "-") for name in NAMES[task]], module=files, engine="torchscript"
    )
    for name in NAMES[task]:
        np.testing.assert_allclose(scores[f"{name}_file"], scores[name], rtol=1e-5, err_msg=name)


def test_artifact_names_its_column():
    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, losses=["ce"], module=ROOT / "models/onnx/focal/1/model.onnx")
    assert list(scores.summary["losses"]) == ["ce", "focal"]
    assert scores.manifest["losses"][1]["path"].endswith("models/onnx/focal/1/model.onnx")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_other_widths_are_widened(dtype):
    preds, labels = problem("multiclass")
    preds = preds.astype(dtype)
    scores = evaltool.score(preds, labels, module=f"file={ROOT}/models/onnx/focal/1/model.onnx")
    np.testing.assert_allclose(scores["file"], scores["focal"], rtol=1e-5)


def graph(path, nodes, inputs, outputs=("loss", TensorProto.FLOAT, ["N"])):
    values = [helper.make_tensor_value_info(*spec) for spec in inputs]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values, [helper.make_tensor_value_info(*outputs)]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path


X, Y = ("x", TensorProto.FLOAT, ["N", 5]), ("y", TensorProto.INT64, ["N"])
PICK = [
    helper.make_node("Unsqueeze", ["y", "one"], ["column"]),
    helper.make_node("GatherElements", ["x", "column"], ["picked"], axis=1),
    helper.make_node("Squeeze", ["picked", "one"], ["loss"]),
]
ONE = helper.make_node("Constant", [], ["one"], value_ints=[1])


def test_graph_of_another_maker_by_the_order_of_its_inputs(tmp_path):
    """It sees no row that cannot be scored: a label out of range would be out of bounds."""
    preds, labels = problem("multiclass")
    labels[[3, 7]] = [99, -100]
    path = graph(tmp_path / "picks.onnx", [ONE, *PICK], [X, Y])
    scores = evaltool.score(preds, labels, module=path, max_bad=1)
    ok = np.setdiff1d(np.arange(len(preds)), [3, 7])
    np.testing.assert_array_equal(scores["picks"][ok], preds[ok, labels[ok]])
    assert np.isnan(scores["picks"][[3, 7]]).all()


def test_file_of_another_rank():
    preds, labels = problem("segmentation")
    path = ROOT / "models/onnx/focal/1/model.onnx"
    with pytest.raises(EvaltoolError) as caught:
        evaltool.score(preds, labels, module=path)
    assert str(caught.value) == (
        f"the file takes other shapes\n  {path}: preds [N, C] and labels [N], these are [60, 4, 6, 5] and [60, 6, 5]\n"
        "  There is one file per rank: export it with --rank 4."
    )


def test_softmax_of_one_class_is_none():
    """What TorchScript takes for a sigmoid, a graph of a softmax refuses: by its rank, and as NaN where it is asked."""
    preds, labels = problem("foreground")
    path = ROOT / "models/onnx/dice_rank4/1/model.onnx"
    with pytest.raises(EvaltoolError, match=r"export it with --rank 3 --task foreground\.$"):
        evaltool.score(preds, labels, module=path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert np.isnan(session.run(None, {"preds": preds, "labels": labels})[0]).all()


def test_file_of_a_narrower_dtype(tmp_path):
    preds, labels = problem("multiclass")
    half = ("x", TensorProto.FLOAT16, ["N", 5])
    cast = helper.make_node("Cast", ["loss16"], ["loss"], to=TensorProto.FLOAT)
    nodes = [ONE, *PICK[:2], helper.make_node("Squeeze", ["picked", "one"], ["loss16"]), cast]
    path = graph(tmp_path / "half.onnx", nodes, [half, Y])
    with pytest.raises(EvaltoolError) as caught:
        evaltool.score(preds, labels, module=path)
    assert str(caught.value) == (
        f"the file takes another dtype\n  {path}: x float16, these are float32\n  Export it with --preds-dtype float32."
    )
    assert np.isfinite(evaltool.score(preds.astype(np.float16), labels, module=path)["half"]).all()


def test_graph_of_another_number_of_classes_and_of_inputs(tmp_path):
    preds, labels = problem("multiclass")
    path = graph(tmp_path / "four.onnx", [ONE, *PICK], [("x", TensorProto.FLOAT, ["N", 4]), Y])
    with pytest.raises(EvaltoolError, match="the file takes other shapes"):
        evaltool.score(preds, labels, module=path)
    path = graph(tmp_path / "model.onnx", [helper.make_node("ReduceMax", ["x"], ["loss"], axes=[1], keepdims=0)], [X])
    with pytest.raises(EvaltoolError, match="this is no loss"):
        evaltool.score(preds, labels, module=path)


def test_file_built_for_other_input(tmp_path):
    preds, labels = problem("multiclass")
    probs = np.abs(preds) / np.abs(preds).sum(1, keepdims=True)
    with pytest.raises(EvaltoolError, match="it has preds_are='logits', this job has 'probs'"):
        evaltool.score(probs, labels, module=ROOT / "models/onnx/focal/1/model.onnx")
    with pytest.raises(EvaltoolError, match="it has ignore_index=-100, this job has 255"):
        evaltool.score(preds, labels, module=ROOT / "models/onnx/focal/1/model.onnx", ignore_index=255)


def test_scorecard_is_no_loss():
    preds, labels = problem("multiclass")
    with pytest.raises(EvaltoolError, match="gives no value per sample"):
        evaltool.score(preds, labels, module=ROOT / "models/onnx/scorecard_multiclass/1/model.onnx")
    with pytest.raises(EvaltoolError, match="gives no value per sample"):
        evaltool.score(preds, labels, module=ROOT / "models/torchscript/scorecard_multiclass/1/model.pt")
