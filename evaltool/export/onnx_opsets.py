"""A loss's graph at the opset of a user's model: onnx.version_converter knows no way down from 18 for half of it.

Upwards nothing has to change. Downwards axes become attributes, and what is younger than the opset is written with
older operators.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

from evaltool.artifacts.onnx_graphs import OPSET

OLDEST = 11  # before it, TopK, CumSum, GatherND and Range are missing or other operators


def at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a graph of primitive operators at an opset.

    Args:
        model: at opset 18, as ``onnx_model`` makes it.
        opset: 11 or later.

    Raises:
        ValueError: there is no older form of an operator.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.opset_import[:]
    found.opset_import.append(helper.make_opsetid("", opset))
    if opset < OPSET:
        lowering = _Lowering(model, opset)
        for node in model.graph.node:
            lowering.add(node)
        del found.graph.node[:]
        found.graph.node.extend(lowering.nodes)
    return found


class _Lowering:
    """The nodes of a graph at an older opset, in order."""

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        graph = shape_inference.infer_shapes(model).graph
        self._dtypes = {value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.input]}
        self._count = 0

    def add(self, node: NodeProto) -> None:
        """Add a node of opset 18."""
        below, lowered = YOUNGER.get(node.op_type, (0, None))
        copy = NodeProto()
        copy.CopyFrom(node)
        if lowered is None or self.opset >= below or lowered(self, copy):
            self.nodes.append(copy)

    def new(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of opset 18 and return the name of its output."""
        name = output or self._name(kind)
        self.add(helper.make_node(kind, inputs, [name], self._name(kind), **attributes))
        return name

    def constant(self, values: Any) -> str:
        """Add a constant of int64 and return its name."""
        name = self._name("Constant")
        array = np.asarray(values, np.int64)
        self.constants[name] = array
        self.nodes.append(
            helper.make_node("Constant", [], [name], self._name("Constant"), value=numpy_helper.from_array(array))
        )
        return name

    def is_integer(self, name: str) -> bool:
        """Whether a value holds integers."""
        return self._dtypes.get(name) == TensorProto.INT64

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_lowered_{self._count}"


def _without(node: NodeProto, names: Iterable[str]) -> dict[str, Any]:
    """Remove attributes from a node and return their values."""
    taken = {item.name: helper.get_attribute_value(item) for item in node.attribute if item.name in names}
    kept = [item for item in node.attribute if item.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)
    return taken


def _axes_as_attribute(lowering: _Lowering, node: NodeProto) -> bool:
    _without(node, ["noop_with_empty_axes"])
    if len(node.input) > 1:
        if node.input[1] not in lowering.constants:
            raise ValueError(f"{node.op_type} has axes that are computed; opset {lowering.opset} has no such operator")
        axes = lowering.constants[node.input[1]].reshape(-1).tolist()
        del node.input[1:]
        node.attribute.append(helper.make_attribute("axes", axes))
    return True


def _without_allowzero(lowering: _Lowering, node: NodeProto) -> bool:
    """Drop what only says how a 0 is read: in a loss's graph it stands where the input has 0 as well."""
    _without(node, ["allowzero"])
    return True


def _without_default(lowering: _Lowering, node: NodeProto) -> bool:
    taken = _without(node, ["select_last_index", "batch_dims"])
    if any(taken.values()):
        raise ValueError(f"{node.op_type} with {taken}: opset {lowering.opset} has no such operator")
    return True


def _whole_shape(lowering: _Lowering, node: NodeProto) -> bool:
    part = _without(node, ["start", "end"])
    start, end = part.get("start", 0), part.get("end", np.iinfo(np.int64).max)
    if start == 0 and "end" not in part:
        return True
    shape = lowering.new("Shape", node.input)
    lowering.new("Slice", [shape, lowering.constant([start]), lowering.constant([end])], node.output[0])
    return False


def _ordered_or_equal(lowering: _Lowering, node: NodeProto) -> bool:
    ordered = lowering.new(node.op_type.removesuffix("OrEqual"), node.input)
    lowering.new("Or", [ordered, lowering.new("Equal", node.input)], node.output[0])  # false for NaN, unlike Not(Less)
    return False


def _clipped(lowering: _Lowering, node: NodeProto) -> bool:
    if not lowering.is_integer(node.input[0]):
        return True
    bounds = [("Less" if i == 1 else "Greater", name) for i, name in enumerate(node.input) if i and name]
    value = node.input[0]
    for number, (order, bound) in enumerate(bounds, 1):
        outside = lowering.new(order, [value, bound])
        value = lowering.new("Where", [outside, bound, value], node.output[0] if number == len(bounds) else "")
    return False


def _scattered(lowering: _Lowering, node: NodeProto) -> bool:
    """Write additions to [N, C] along C as sums over what falls on each index."""
    taken = _without(node, ["reduction"])
    if taken.get("reduction", b"none") == b"none":
        return True
    axis = {item.name: item.i for item in node.attribute}.get("axis", 0)
    if taken["reduction"] != b"add" or axis != 1:
        raise ValueError(f"ScatterElements with {taken} on axis {axis}: opset {lowering.opset} has no such operator")
    data, indices, updates = node.input
    second, one = lowering.constant([1]), lowering.constant(1)
    size = lowering.new("Gather", [lowering.new("Shape", [data]), one])
    columns = lowering.new("Unsqueeze", [lowering.new("Range", [lowering.constant(0), size, one]), second])  # [C, 1]
    hit = lowering.new("Equal", [lowering.new("Unsqueeze", [indices, second]), columns])  # [N, C, P]
    parts = lowering.new("Where", [hit, lowering.new("Unsqueeze", [updates, second]), lowering.constant(0)])
    sums = lowering.new("ReduceSum", [parts, lowering.constant([2])], keepdims=0)
    lowering.new("Add", [data, sums], node.output[0])
    return False


# operator: the opset from which it is as in 18, and what makes an older one of it (False: in place of the node)
YOUNGER: dict[str, tuple[int, Callable[[_Lowering, NodeProto], bool]]] = {
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"), (18, _axes_as_attribute)),
    **dict.fromkeys(("ReduceSum", "Squeeze", "Unsqueeze"), (13, _axes_as_attribute)),
    "ScatterElements": (16, _scattered),
    "Shape": (15, _whole_shape),
    "Reshape": (14, _without_allowzero),
    **dict.fromkeys(("ArgMax", "ArgMin", "GatherND"), (12, _without_default)),
    **dict.fromkeys(("GreaterOrEqual", "LessOrEqual"), (12, _ordered_or_equal)),
    "Clip": (12, _clipped),
}
