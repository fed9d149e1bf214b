"""A loss's graph at every opset from 11 on, in ONNX Runtime, beside the module in float64."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from evaltool.artifacts.onnx_graphs import onnx_model
from evaltool.artifacts.signature import ELEMENTS, SOFTMAX, Signature
from evaltool.catalogue import build_loss, parse_spec
from evaltool.export.comparison import LIMIT, error_of
from evaltool.export.onnx_opsets import at_opset

# between them they use every operator that has an older form
CASES = {
    "dice": (SOFTMAX, 4),
    "lovasz": (SOFTMAX, 2),
    "ohem-ce": (ELEMENTS, 3),
    "ova-focal": (SOFTMAX, 2),
    "generalized-dice": (ELEMENTS, 2),
}
SHAPES = {1: [6], 2: [6, 4], 3: [6, 4, 5], 4: [6, 4, 5, 3]}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A loss's module, and its graph at opset 18."""
    layout, rank = CASES[request.param]
    activation = "softmax" if layout == SOFTMAX else "sigmoid"
    form = {"sigmoid": "hinge"}.get(activation, activation)
    module = build_loss(parse_spec(request.param), activation=activation, form=form).eval()
    return module, Signature(layout, rank), onnx_model(module, Signature(layout, rank))


@pytest.mark.parametrize("opset", [*range(11, 24)])
def test_values_are_those_of_the_module_at_every_opset(case, opset):
    module, signature, graph = case
    lowered = at_opset(graph, opset)
    onnx.checker.check_model(lowered, full_check=True)
    assert [(item.domain, item.version) for item in lowered.opset_import] == [("", opset)]
    session = ort.InferenceSession(lowered.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = SHAPES[signature.rank]
    preds = torch.randn(shape) * 5
    if signature.rank != 3:  # ONNX Runtime's TopK puts a NaN elsewhere than PyTorch's, and ohem-ce leaves it out
        preds.view(shape[0], -1)[5, 0] = torch.nan
    softmax = signature.layout == SOFTMAX
    labels = torch.randint(0, 4, [shape[0], *shape[2:]]) if softmax else torch.randint(0, 2, shape)
    labels[2] = -100
    labels.view(labels.shape[0], -1)[3, 0] = 9
    labels.view(labels.shape[0], -1)[4, 0] = -100
    for rows in (6, 1, 0):
        found = session.run(None, {"preds": preds[:rows].numpy(), "labels": labels[:rows].numpy()})[0]
        wanted = module(preds[:rows].to(torch.float64), labels[:rows])
        assert error_of("loss", torch.from_numpy(found), wanted) <= LIMIT, rows
    bad = np.isnan(session.run(None, {"preds": preds.numpy(), "labels": labels.numpy()})[0])
    assert bad.tolist() == [False, False, False, True, False, signature.rank != 3]


@pytest.mark.parametrize("order", ["GreaterOrEqual", "LessOrEqual"])
def test_nothing_is_above_below_or_equal_to_nan(order):
    graph = onnx.parser.parse_graph(f"g (float[N] x, float[N] y) => (bool[N] z) {{ z = {order}(x, y) }}")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=6)
    x, y = np.array([[1, 2, 3, np.nan, 1], [2, 2, 2, 2, np.nan]], np.float32)
    session = ort.InferenceSession(at_opset(model, 11).SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = x >= y if order == "GreaterOrEqual" else x <= y
    assert session.run(None, {"x": x, "y": y})[0].tolist() == wanted.tolist()


def test_what_has_no_older_form_is_an_error():
    graph = onnx.parser.parse_graph("g (float[N] x, int64[A] axes) => (float y) { y = ReduceMax<keepdims=0>(x, axes) }")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    with pytest.raises(ValueError, match="ReduceMax has axes that are computed; opset 17 has no such operator"):
        at_opset(model, 17)
