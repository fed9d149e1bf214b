"""Losses inside a user's ONNX graph; whatever the user's graph holds stays as it is."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from onnx import GraphProto, ModelProto, TensorProto, TensorShapeProto, ValueInfoProto, helper

from evaltool.artifacts.onnx_files import checked_onnx, tensors_of
from evaltool.artifacts.onnx_graphs import OPSET, onnx_model
from evaltool.artifacts.onnx_sessions import OnnxSession
from evaltool.errors import EvaltoolError
from evaltool.export.model_losses import ModelLosses
from evaltool.export.onnx_opsets import OLDEST, at_opset
from evaltool.predictor.models import ModelInput, named

PREFIX = "evaltool"  # of every name inside the losses' graph
PROPERTY = "evaltool"  # the metadata entry of a fused graph: a list of JSON objects, one for each fusion


class OnnxTarget:
    """An ONNX file to be fused.

    Args:
        path: the file.

    Attributes:
        inputs: what the model takes, in order.
        outputs: names, in order.
        taken: the names that new inputs and outputs cannot have.

    Raises:
        EvaltoolError: the file is no ONNX, or older than opset 11.
    """

    format = "onnx"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._model = checked_onnx(path)
        graph = self._model.graph
        self.outputs = [value.name for value in graph.output]
        self.taken = set(_names(graph))
        versions = [item.version for item in self._model.opset_import if item.domain in ("", "ai.onnx")]
        self._opset = max(versions, default=OPSET)
        if not versions:  # a graph of other domains' operators
            self._model.opset_import.append(helper.make_opsetid("", OPSET))
        if self._opset < OLDEST:
            raise EvaltoolError(
                f"the model's opset is too old\n  {path}: opset {self._opset}, expected {OLDEST} or later\n"
                f"  Convert it with onnx.version_converter.convert_version(model, {OLDEST})."
            )

        self._alone = OnnxRunner(self._model.SerializeToString(), path)
        for spec in [*self._alone.inputs, *self._alone.outputs]:
            if spec["dtype"] == "bfloat16":
                raise EvaltoolError(
                    f"the model cannot be run beside the fused one\n  {path}: {spec['name']} is bfloat16, which ONNX "
                    "Runtime exchanges with nobody\n  Cast it to float32 in the model."
                )
        # to ONNX Runtime an input without a shape looks like a number
        known = {value.name for value in graph.input if value.type.tensor_type.HasField("shape")}
        self.inputs = [
            ModelInput(spec["name"], spec["dtype"], tuple(spec["shape"]) if spec["name"] in known else None)
            for spec in self._alone.inputs
        ]

    def __call__(self, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the outputs of the model as it is, by name."""
        return self._alone(feeds)

    def write(
        self,
        path: Path,
        final: Path,
        losses: ModelLosses,
        *,
        preds: str,
        labels: str,
        outputs: Mapping[str, str],
        metadata: Mapping[str, Any],
    ) -> None:
        """Write the graph with the losses in it, and beside it the data that it points to.

        Args:
            path: where to.
            final: the path that it will have; in another folder than the model's it gets copies of the data files,
                ``<stem>.data``.
            losses: the losses.
            preds: which output of the model they are given.
            labels: name of the new input.
            outputs: names of the new outputs, by column.
            metadata: is added to the file's, as JSON.
        """
        fused = ModelProto()
        fused.CopyFrom(self._model)
        graph = fused.graph
        shape = next(value for value in graph.output if value.name == preds).type.tensor_type.shape
        part = onnx_model(losses.module(squeeze=False), losses.signature)
        if losses.squeeze:
            _take_class_axis(part.graph)
        rank = losses.signature.rank + losses.squeeze
        part = at_opset(part, self._opset)
        if losses.signature.preds_dtype == "float16":
            _keep_rounding(part.graph, rank)
        self._rename(part.graph, {"preds": preds, "labels": labels, **outputs})
        taken = next(value for value in part.graph.input if value.name == labels)
        _copy_sizes(taken, shape, rank)
        for value in part.graph.output:
            _copy_sizes(value, shape, rank)
        # constants as nodes: before IR 4 an initializer has to be an input as well
        graph.node.extend(
            helper.make_node("Constant", [], [tensor.name], tensor.name, value=tensor)
            for tensor in part.graph.initializer
        )
        graph.node.extend(part.graph.node)
        graph.input.append(taken)
        graph.output.extend(part.graph.output)
        _add_property(fused, metadata)
        if not _same_folder(final, self.path):
            self._copy_data(fused, path)
        path.write_bytes(fused.SerializeToString())

    def runner(self, path: Path, final: Path) -> "OnnxRunner":
        """Return what runs a written file; ``final`` is the path that it will have."""
        beside = final if _same_folder(final, self.path) else path  # where its data are
        return OnnxRunner(path.read_bytes(), beside)

    def _rename(self, graph: GraphProto, known: Mapping[str, str]) -> None:
        """Give every name of the losses' graph a prefix that no name of the model has, but for the known ones."""
        number, prefix = 0, f"{PREFIX}/"
        while any(name.startswith(prefix) for name in self.taken):
            number += 1
            prefix = f"{PREFIX}{number}/"

        def new(name: str) -> str:
            return known.get(name, prefix + name) if name else name

        for node in graph.node:
            node.name = prefix + node.name
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
        for item in [*graph.initializer, *graph.input, *graph.output]:
            item.name = new(item.name)

    def _copy_data(self, fused: ModelProto, path: Path) -> None:
        """Copy the model's data files beside a graph, and let it point to the copies."""
        copies: dict[str, str] = {}
        for tensor in tensors_of(fused):
            for entry in tensor.external_data:
                if entry.key == "location":
                    number = f".{len(copies)}" if copies else ""
                    entry.value = copies.setdefault(entry.value, f"{path.stem}{number}.data")
        for location, name in copies.items():
            shutil.copyfile(self.path.parent / location, path.parent / name)


class OnnxRunner:
    """A written graph in ONNX Runtime.

    Args:
        data: the graph.
        path: in the folder that its external data are in.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self._session = OnnxSession(data, path=path)
        self.inputs = [spec.record() for spec in self._session.inputs]
        self.outputs = [spec.record() for spec in self._session.outputs]

    def __call__(self, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the outputs by name."""
        return named(self._session.run(feeds))


def _names(graph: GraphProto) -> Iterator[str]:
    """Yield every name in a graph and its subgraphs."""
    for item in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        yield item.name
    for sparse in graph.sparse_initializer:
        yield sparse.values.name
    for node in graph.node:
        yield from [node.name, *node.output]
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _names(inner)


def _keep_rounding(graph: GraphProto, rank: int) -> None:
    """Let the losses' graph take float16 preds through a node that changes nothing.

    On a CPU, ONNX Runtime computes the model in float32 and casts to float16 and back; side by side the two casts go,
    and the losses would be those of other preds than the model gives.
    """
    sizes = helper.make_tensor("sizes_of_preds", TensorProto.INT64, [rank], [0] * rank)  # 0: as they are
    _take_preds_through("Reshape", sizes, graph)


def _take_class_axis(graph: GraphProto) -> None:
    """Let the losses' graph take preds with an axis of one class."""
    _take_preds_through("Squeeze", helper.make_tensor("axis_of_classes", TensorProto.INT64, [1], [1]), graph)
    dims = graph.input[0].type.tensor_type.shape.dim
    rest = [TensorShapeProto.Dimension.FromString(dim.SerializeToString()) for dim in dims[1:]]
    del dims[1:]
    dims.append(TensorShapeProto.Dimension(dim_value=1))
    dims.extend(rest)


def _take_preds_through(operator: str, operand: TensorProto, graph: GraphProto) -> None:
    """Put a node between the preds and whatever takes them."""
    result = f"preds_after_{operator}"
    for node in graph.node:
        node.input[:] = [result if name == "preds" else name for name in node.input]
    graph.initializer.append(operand)
    graph.node.insert(0, helper.make_node(operator, ["preds", operand.name], [result], f"{operator}_preds"))


def _copy_sizes(value: ValueInfoProto, preds: TensorShapeProto, rank: int) -> None:
    """Give a new input or output the sizes, or names of sizes, that the preds have in the model.

    Args:
        value: labels [N], [N, *S] or as the preds; or a loss, [N].
        preds: the shape of the preds.
        rank: of the preds.
    """
    dims = value.type.tensor_type.shape.dim
    known = list(preds.dim) if len(preds.dim) == rank else [TensorShapeProto.Dimension()] * rank
    sources = known if len(dims) == rank else [known[0], *known[2:]][: len(dims)]
    del dims[:]
    dims.extend(sources)


def _add_property(model: ModelProto, metadata: Mapping[str, Any]) -> None:
    """Add to the list in a model's metadata that says what it was fused with."""
    entry = next((item for item in model.metadata_props if item.key == PROPERTY), None)
    fusions: list[Any] = []
    if entry is None:
        entry = model.metadata_props.add()
        entry.key = PROPERTY
    else:
        try:
            fusions = list(json.loads(entry.value))
        except (TypeError, ValueError):
            fusions = [entry.value]  # somebody else's
    entry.value = json.dumps([*fusions, dict(metadata)], ensure_ascii=False)


def _same_folder(path: Path, other: Path) -> bool:
    return path.parent.resolve() == other.parent.resolve()
