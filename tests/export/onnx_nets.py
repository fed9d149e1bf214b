"""Small ONNX models in which something is odd."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

WEIGHT = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)


def model_of(text, opset=18, ir_version=8, domains=(), functions=(), **arrays):
    """Return a model from the text of its graph, with arrays as initializers."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items())
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    if ir_version < 4:
        graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in graph.initializer
        )
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version, functions=functions)
    onnx.checker.check_model(model)
    return model


def linear(opset=18, ir_version=8, rows="batch"):
    """x [batch, 4] -> logits [batch, 5]."""
    text = f"net (float[{rows},4] x) => (float[{rows},5] logits) {{ logits = MatMul(x, W) }}"
    return model_of(text, opset, ir_version, W=WEIGHT)


def external(folder, name, location="weights.bin"):
    """Write the linear model with its weight in a file beside it; return its path."""
    model = linear()
    weight = model.graph.initializer[0]
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    (folder / location).write_bytes(b"\0" * 64 + weight.raw_data)
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": 64, "length": len(weight.raw_data)}.items():
        weight.external_data.add(key=key, value=str(value))
    weight.ClearField("raw_data")
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
