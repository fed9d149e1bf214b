"""A metric's call in ONNX Runtime and as torch.export's program gives what the module gives."""

import pytest
import torch

from evaltool.artifacts.onnx_graphs import onnx_model
from evaltool.artifacts.onnx_sessions import OnnxSession

from .metric_cases import BINNED, CASES, MetricCase, sample


def check(run, case: MetricCase, name: str) -> None:
    """Hold what computes a metric to the module on other sizes than it was made with."""
    metric = case.build()
    for n, seed in ((1, 1), (57, 2), (0, 3)):
        preds, labels = sample(case, n, seed)
        if n == 57 and case.form != "real":
            labels[3], labels[5] = -100, 7
            preds[8] = torch.nan
        if preds.dim() > 2:
            preds, labels = preds[..., 1:], labels[..., 1:]
        expected = metric(preds, labels).to(torch.float64)
        got = run(preds, labels).to(torch.float64)
        assert got.shape == expected.shape
        if case.metric == "LossHistogram":
            assert (got - expected).abs().sum() <= 2
        else:  # where exp or log differ in the last digit, a number may land in the next bin
            tolerance = {"rtol": 1e-3, "atol": 1e-4} if name in BINNED else {"rtol": 1e-6, "atol": 1e-8}
            torch.testing.assert_close(got, expected, equal_nan=True, **tolerance)


ONE_OF_EACH = {case.metric: name for name, case in reversed(CASES.items())}  # all forms would take minutes


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH.values())
def test_onnx_runtime_computes_what_the_module_computes(name):
    case = CASES[name]
    model = onnx_model(case.build(), case.signature, outputs=["value"])
    session = OnnxSession(model.SerializeToString())
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    assert shape == list(case.build().compute().shape)
    check(lambda preds, labels: session.run({"preds": preds, "labels": labels})["value"], case, name)


@pytest.mark.parametrize("name", ONE_OF_EACH.values())  # ONNX graphs are made of such programs, and hold the rest
def test_torch_export_takes_dynamic_sizes(name):
    case = CASES[name]
    signature = case.signature
    program = torch.export.export(case.build(), signature.example(), dynamic_shapes=signature.dynamic_shapes()).module()
    check(program, case, name)
