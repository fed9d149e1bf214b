"""Inputs of a model: which file feeds which, and what is cast to what."""

import numpy as np
import pytest
import torch

from evaltool.errors import EvaltoolError
from evaltool.predictor.inputs import fed
from evaltool.predictor.models import open_model
from tests.predictor import nets

FEATURES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def linear(tmp_path):
    return open_model(nets.onnx_linear(tmp_path / "m.onnx"), trust=False, device=torch.device("cpu"))


@pytest.fixture
def pair(tmp_path):
    return open_model(nets.onnx_pair(tmp_path / "pair.onnx"), trust=False, device=torch.device("cpu"))


@pytest.fixture
def tokens(tmp_path):
    return open_model(nets.script(nets.Tokens(), tmp_path / "m.pt"), trust=True, device=torch.device("cpu"))


def said(model, sources):
    with pytest.raises(EvaltoolError) as caught:
        fed(model, sources)
    return str(caught.value)


@pytest.mark.parametrize("stored", ["float16", ">f4", "float64", "bool"])
def test_floats_are_cast_to_the_models(linear, stored):
    array = FEATURES.astype(stored)
    (feed,) = fed(linear, array)
    assert feed.read(1, 3, 2).dtype == torch.float32
    np.testing.assert_array_equal(feed.read(1, 3, 2), array[1:3].astype(np.float32))


def test_cast_is_said_in_one_line(linear):
    assert fed(linear, FEATURES)[0].cast is None
    assert fed(linear, FEATURES.astype(">f4"))[0].cast is None
    line = "input features: features is cast from float64 to float32"
    assert fed(linear, FEATURES.astype(np.float64))[0].cast == line


@pytest.mark.parametrize("stored", ["int32", "int64", "uint8", "uint16"])
def test_integers_of_torchscript_stay(tokens, stored):
    (feed,) = fed(tokens, np.arange(6, dtype=stored).reshape(3, 2))
    assert str(feed.read(0, 3, 3).dtype) == f"torch.{stored}"


def test_last_row_fills_a_batch(linear):
    (feed,) = fed(linear, FEATURES)
    np.testing.assert_array_equal(feed.read(4, 6, 5), FEATURES[[4, 5, 5, 5, 5]])


def test_integers_are_no_floats(linear, tmp_path):
    np.save(tmp_path / "bytes.npy", (FEATURES * 10).astype(np.uint8, casting="unsafe"))
    assert said(linear, tmp_path / "bytes.npy") == (
        f"the input has another dtype than the model takes\n  {tmp_path / 'bytes.npy'}: dtype uint8\n"
        f"  {tmp_path / 'm.onnx'}: takes features float32 [N, 4]\n"
        "  Scale the values as in training, as in array.astype(np.float32) / 255."
    )


def test_rows_of_another_shape(linear, tmp_path):
    assert said(linear, FEATURES[:, :3]) == (
        f"the input does not fit the model\n  features: shape [6, 3]\n  {tmp_path / 'm.onnx'}: takes features float32 "
        "[N, 4]\n  Prepare the rows as in training, one per sample."
    )


def test_source_without_a_name_feeds_the_input_that_is_left(pair):
    feeds = fed(pair, {"bias": FEATURES[:, :3], "": FEATURES})
    assert [feed.spec.name for feed in feeds] == ["features", "bias"]


def test_sources_that_do_not_name_the_inputs(pair, tmp_path):
    path = tmp_path / "pair.onnx"
    takes = f"  {path}: takes features float32 [N, 4]\n  {path}: takes bias float32 [N, 3]\n"
    assert said(pair, FEATURES) == (
        f"which input of the model is this?\n  a ndarray: given without a name\n{takes}"
        "  Name every input, as in name=file.npy."
    )
    assert said(pair, {"features": FEATURES}) == f"an input of the model is missing\n{takes}  Add bias=file.npy."
    assert said(pair, {"features": FEATURES, "bais": FEATURES}) == (
        f"the model has no input 'bais'\n{takes}  Give its inputs, as in name=file.npy."
    )


def test_inputs_of_different_lengths(pair):
    assert said(pair, {"features": FEATURES, "bias": FEATURES[:4, :3]}) == (
        "the inputs differ in their number of rows\n  features: shape [6, 4], N = 6\n  bias: shape [4, 3], N = 4\n"
        "  All have to hold the same samples in the same order."
    )


def test_no_rows(linear):
    assert said(linear, FEATURES[:0]) == (
        "there is no row to predict\n  features: shape [0, 4], N = 0\n  Check how the file was written."
    )


def test_integer_that_does_not_fit(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    tensors = [helper.make_tensor_value_info(n, TensorProto.INT32, ["N"]) for n in ("codes", "out")]
    graph = helper.make_graph([helper.make_node("Identity", ["codes"], ["out"])], "net", tensors[:1], tensors[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    model = open_model(tmp_path / "m.onnx", trust=False, device=torch.device("cpu"))
    (feed,) = fed(model, np.array([1, 2, 2**31, 4]))
    np.testing.assert_array_equal(feed.read(0, 2, 2), np.array([1, 2], np.int32))
    with pytest.raises(EvaltoolError) as caught:
        feed.read(1, 4, 3)
    assert str(caught.value) == (
        "a value does not fit the model's dtype\n  codes: row 2, dtype int64; the input codes takes int32\n"
        "  Is this the right file for it?"
    )
    with pytest.raises(EvaltoolError, match="another dtype than the model takes"):
        fed(model, np.array([1.0, 2.0]))
