"""A module as an ONNX graph of primitive operators: opset 18, IR 10, dynamic sizes, no exporter's ballast."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import evaltool
from evaltool.artifacts.props import parsed_props, prop_texts
from evaltool.artifacts.signature import Signature

OPSET, IR_VERSION = 18, 10
LOSS = ("loss",)
LONG = 1024  # elements

# what every runtime computes alike to the last digits; LogSoftmax, Softplus, Sigmoid and the like lose the tails
PRIMITIVES = frozenset(
    """
    Abs Add And ArgMax ArgMin Cast Ceil Clip Concat Constant ConstantOfShape CumSum Div Equal Exp Expand Floor
    Gather GatherElements GatherND Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Log Max Min Mod Mul
    Neg Not Or Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape ScatterElements
    Shape Sign Size Slice Split Sqrt Squeeze Sub TopK Transpose Unsqueeze Where Xor
    """.split()  # noqa: SIM905
)
NARROW = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16, "int32": TensorProto.INT32}
WIDE = {"float16": "float32", "bfloat16": "float32", "int32": "int64"}


@torch.inference_mode(False)  # which an engine computes in, and nothing is exported from
def onnx_model(
    module: nn.Module, signature: Signature, metadata: Mapping[str, Any] | None = None, outputs: Sequence[str] = LOSS
) -> onnx.ModelProto:
    """Return a module's graph: inputs ``preds`` and ``labels``, outputs as named, or by the names of its dict.

    Args:
        module: takes (preds, labels), gives a tensor, a tuple or a dict of them.
        signature: what it takes; float16, bfloat16 and int32 inputs are widened first, as the modules do.
        metadata: goes into ``metadata_props``, texts as they are and all else as JSON.
        outputs: names of a module's outputs that have none.

    Raises:
        ValueError: the exporter needed an operator that runtimes do not compute alike.
    """
    preds, labels = signature.inputs
    wide = Signature(
        signature.layout,
        signature.rank,
        signature.num_classes,
        WIDE.get(preds.dtype, preds.dtype),
        WIDE.get(labels.dtype, labels.dtype),
    )
    example = wide.example()
    with torch.no_grad():
        result = module(*example)
    names = list(result) if isinstance(result, dict) else list(outputs)
    model = _exported(module, example, wide, names)
    _strip(model)
    for spec in (preds, labels):
        if spec.dtype in NARROW:
            _widen(model.graph, spec.name, NARROW[spec.dtype], spec.dtype)
    for value, spec in zip(model.graph.input, signature.inputs, strict=True):
        _name_axes(value, spec.shape)
    results = [result] if isinstance(result, Tensor) else list(result.values() if isinstance(result, dict) else result)
    for value, tensor in zip(model.graph.output, results, strict=True):
        exported = [dim.dim_value for dim in value.type.tensor_type.shape.dim]  # 0 where any size will do
        named = output_shape(tensor, example, wide)
        _name_axes(value, [size or name for size, name in zip(exported, named, strict=True)])
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "evaltool", evaltool.__version__
    helper.set_model_props(model, prop_texts(metadata or {}))
    foreign = {node.op_type for node in model.graph.node if node.domain or node.op_type not in PRIMITIVES}
    if foreign or model.functions:
        raise ValueError(f"{type(module).__name__} became {', '.join(sorted(foreign)) or 'functions'} in ONNX")
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata_of(model: onnx.ModelProto) -> dict[str, Any]:
    """Return what ``onnx_model`` wrote into ``metadata_props``; texts stay texts where they are no JSON."""
    return parsed_props({item.key: item.value for item in model.metadata_props})


def output_shape(output: Tensor, example: tuple[Tensor, Tensor], signature: Signature) -> tuple[str | int, ...]:
    """Return the axes' names of an output: those of the inputs that have their sizes in the example, all different."""
    names = {
        size: name
        for tensor, spec in zip(example, signature.inputs, strict=True)
        for size, name in zip(tensor.shape, spec.shape, strict=True)
    }
    return tuple(names.get(size, size) for size in output.shape)


def _exported(
    module: nn.Module, example: tuple[Tensor, Tensor], signature: Signature, outputs: Sequence[str]
) -> onnx.ModelProto:
    # it tells of torchvision's operators, which no loss has
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=signature.dynamic_shapes(),
            input_names=["preds", "labels"],
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, which are nine tenths of the bytes."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.name, graph.doc_string = "evaltool", ""
    for item in [*graph.node, *graph.initializer, *graph.input, *graph.output]:
        item.doc_string = ""
        del item.metadata_props[:]
    _shorten(graph)
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"


def _shorten(graph: onnx.GraphProto) -> None:
    """Let runtimes fill in large constants of one number, such as the empty counts of a metric."""
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.size < LONG or (values != values.flat[0]).any():
            continue
        shape = numpy_helper.from_array(np.array(values.shape, np.int64), f"{tensor.name}_shape")
        value = numpy_helper.from_array(values.reshape(-1)[:1])
        graph.node.insert(0, helper.make_node("ConstantOfShape", [shape.name], [tensor.name], value=value))
        graph.initializer.remove(tensor)
        graph.initializer.append(shape)


def _widen(graph: onnx.GraphProto, name: str, code: int, dtype: str) -> None:
    """Let the graph take an input of a narrower dtype."""
    value = next(value for value in graph.input if value.name == name)
    inside = f"{name}_{WIDE[dtype]}"
    cast = helper.make_node("Cast", [name], [inside], f"Cast_{name}", to=value.type.tensor_type.elem_type)
    for node in graph.node:
        for i, source in enumerate(node.input):
            if source == name:
                node.input[i] = inside
    graph.node.insert(0, cast)
    value.type.tensor_type.elem_type = code


def _name_axes(value: onnx.ValueInfoProto, shape: Sequence[str | int]) -> None:
    dims = value.type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        if isinstance(size, str):
            dim.dim_param = size
        else:
            dim.dim_value = size
