"""Small real models in files of all three formats."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from evaltool.numerics.scripting import scripted

TYPES = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class Linear(nn.Module):
    """Logits of 3 classes from 4 features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(4, 3)

    def forward(self, features: Tensor) -> Tensor:
        return self.inner(features)


class Masks(nn.Module):
    """Logits of 4 classes per pixel from 3 channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.inner = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(image)


class Named(NamedTuple):
    logits: Tensor
    hidden: Tensor


class Pair(Linear):
    def forward(self, features: Tensor, bias: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(features) + bias, "hidden": features.relu()}


class PairTuple(Linear):
    def forward(self, features: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(features) + bias, features.relu()


class PairNamed(Linear):
    def forward(self, features: Tensor, bias: Tensor) -> Named:
        return Named(self.inner(features) + bias, features.relu())


class Squeezed(Linear):
    """Wrong for a batch of one row, as many models are."""

    def forward(self, features: Tensor) -> Tensor:
        return self.inner(features).squeeze()


class Reduced(Linear):
    def forward(self, features: Tensor) -> Tensor:
        return self.inner(features).mean(0)


class InPlace(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.add_(1.0)


class Hungry(nn.Module):
    """Takes 64 KB for a row, 1 GB for two and more than any machine has for three; none of it is touched."""

    def forward(self, features: Tensor) -> Tensor:
        return features + torch.empty([1 << (14 * min(features.size(0), 3))]).numel() * 0


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.inner = nn.EmbeddingBag(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.inner(tokens)


def script(module: nn.Module, path: Path) -> Path:
    scripted(module.eval()).save(str(path))
    return path


def onnx_linear(path: Path, dtype: str = "float32", batch: str | int = "N") -> Path:
    """Linear as a graph of one operator."""
    inner = Linear().inner
    weights = [
        numpy_helper.from_array(value.detach().numpy().astype(dtype), name)
        for name, value in (("w", inner.weight), ("b", inner.bias))
    ]
    node = helper.make_node("Gemm", ["features", "w", "b"], ["logits"], transB=1)
    return _saved(path, [node], weights, [("features", dtype, [batch, 4])], [("logits", dtype, [batch, 3])])


def onnx_pair(path: Path) -> Path:
    """Two inputs and two outputs."""
    inner = Linear().inner
    weights = [numpy_helper.from_array(inner.weight.detach().numpy(), "w")]
    nodes = [
        helper.make_node("Gemm", ["features", "w"], ["product"], transB=1),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Relu", ["features"], ["hidden"]),
    ]
    inputs = [("features", "float32", ["N", 4]), ("bias", "float32", ["N", 3])]
    return _saved(path, nodes, weights, inputs, [("logits", "float32", ["N", 3]), ("hidden", "float32", ["N", 4])])


def onnx_masks(path: Path) -> Path:
    inner = Masks().inner
    weights = [
        numpy_helper.from_array(value.detach().numpy(), name)
        for name, value in (("w", inner.weight), ("b", inner.bias))
    ]
    node = helper.make_node("Conv", ["image", "w", "b"], ["logits"], pads=[1, 1, 1, 1])
    inputs = [("image", "float32", ["N", 3, "H", "W"])]
    return _saved(path, [node], weights, inputs, [("logits", "float32", ["N", 4, "H", "W"])])


def onnx_hungry(path: Path) -> Path:
    """Asks for 4 TB a row."""
    size = numpy_helper.from_array(np.array([1, 2**40], np.int64), "size")
    nodes = [
        helper.make_node("Expand", ["features", "size"], ["large"]),
        helper.make_node("ReduceMax", ["large", "axis"], ["logits"]),
    ]
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    return _saved(path, nodes, [size, axis], [("features", "float32", ["N", 1])], [("logits", "float32", ["N", 1])])


def _saved(path, nodes, weights, inputs, outputs):
    values = [[helper.make_tensor_value_info(n, TYPES[d], s) for n, d, s in group] for group in (inputs, outputs)]
    graph = helper.make_graph(nodes, "net", *values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


COMPILED: dict[tuple[type, int | None, bool], bytes] = {}  # by class, once per session


def pt2(module: nn.Module, path: Path, *example: Tensor, most: int | None = None, dynamic: bool = True) -> Path:
    """Compile a module for batches of up to ``most`` rows, or of the example's number alone; takes half a minute."""
    key = type(module), most, dynamic
    if key not in COMPILED:
        axes = tuple({0: torch.export.Dim("N", max=most)} for _ in example) if dynamic else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module.eval(), example, dynamic_shapes=axes)
            torch._inductor.aoti_compile_and_package(program, package_path=str(path))
        COMPILED[key] = path.read_bytes()
    path.write_bytes(COMPILED[key])
    return path


def trace(module: nn.Module, path: Path, *example: Tensor) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(module.eval(), example).save(str(path))
    return path


def freeze(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.freeze(scripted(module.eval())).save(str(path))
    return path
