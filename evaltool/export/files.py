"""Writes a subject to one file and runs it again in its real runtime."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from evaltool.artifacts.onnx_files import open_onnx
from evaltool.artifacts.onnx_graphs import onnx_model
from evaltool.artifacts.props import parsed_props
from evaltool.artifacts.pt2 import compile_pt2, load_pt2
from evaltool.artifacts.signature import SOFTMAX, Signature, named_outputs
from evaltool.artifacts.torchscript import METADATA, load_torchscript
from evaltool.catalogue import CATALOGUE
from evaltool.export.comparison import MERGED, Run
from evaltool.export.subject import Subject, module_of, output_names
from evaltool.numerics.scripting import defined, saved, scripted

SUFFIXES = {"torchscript": "pt", "onnx": "onnx", "pt2": "pt2"}


def write_file(
    path: Path, kind: str, subject: Subject, signature: Signature, metadata: Mapping[str, Any], device: str
) -> None:
    """Write a subject's module.

    Args:
        path: where to.
        kind: "torchscript", "onnx" or "pt2".
        subject: what to compute.
        signature: what the file takes; TorchScript takes every rank and dtype.
        metadata: goes into the file.
        device: that a pt2 package is compiled for.
    """
    module = module_of(subject)
    if kind == "torchscript":
        saved(in_tuple(subject, module), path, {METADATA: json.dumps(metadata, ensure_ascii=False)})
    elif kind == "onnx":
        graph = onnx_model(module, signature, metadata, output_names(subject))
        either = subject["kind"] == "loss" and CATALOGUE[subject["loss"]].kind == "either"
        if either and signature.layout == SOFTMAX and signature.num_classes is None:
            refuse_one_class(graph)
        onnx.save(graph, path)
    else:
        compile_pt2(module, signature, path, metadata, device)


def read_file(path: Path, kind: str, subject: Subject, device: str, *, trust: bool) -> tuple[Run, dict[str, Any]]:
    """Return what runs a file, and the metadata inside it.

    Raises:
        EvaltoolError: the file cannot be loaded, or is code that nobody vouches for.
    """
    if kind == "torchscript":
        extra: dict[str, Any] = {METADATA: ""}
        module = load_torchscript(path, trust=trust, device=device, extra_files=extra)

        def by_module(preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
            preds, labels = preds.to(device), labels.to(device)
            found = named_outputs(module(preds, labels), output_names(subject))
            return {**found, MERGED: merged_value(module, preds, labels)} if subject["kind"] == "metric" else found

        return by_module, json.loads(extra[METADATA] or "{}")
    if kind == "onnx":
        session = open_onnx(path, device)
        return lambda preds, labels: session.run({"preds": preds, "labels": labels}), parsed_props(session.metadata)
    package = load_pt2(path, trust=trust, device=device)
    return (
        lambda preds, labels: named_outputs(package.run([preds, labels]), output_names(subject)),
        parsed_props({key: text for key, text in package.metadata.items() if not key.startswith("AOTI_")}),
    )


def refuse_one_class(model: onnx.ModelProto) -> None:
    """Let a graph of a softmax give NaN for preds of one class, of which the module would take the sigmoid."""
    graph, (output,) = model.graph, model.graph.output
    for node in graph.node:
        node.output[:] = ["several" if name == output.name else name for name in node.output]
    constants = {"axis": np.int64(1), "one": np.int64(1), "nan": np.float32(np.nan)}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value), f"one_class_{n}") for n, value in constants.items()
    )
    graph.node.extend(
        [
            onnx.helper.make_node("Shape", ["preds"], ["one_class_shape"]),
            onnx.helper.make_node("Gather", ["one_class_shape", "one_class_axis"], ["one_class_count"]),
            onnx.helper.make_node("Equal", ["one_class_count", "one_class_one"], ["one_class_found"]),
            onnx.helper.make_node("Where", ["one_class_found", "one_class_nan", "several"], [output.name]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)


def merged_value(module: Any, preds: Tensor, labels: Tensor) -> Tensor:
    """Return the value of a loaded metric that got a batch in parts, one of them through the state of a shard."""
    third = len(preds) // 3
    module.update(preds[:third], labels[:third])
    shard = module.state()
    module.reset()
    for start, end in ((third, 2 * third), (2 * third, len(preds))):
        module.update(preds[start:end], labels[start:end])
    module.merge(shard)
    value: Tensor = module.compute()
    module.reset()
    return value


def in_tuple(subject: Subject, module: nn.Module) -> torch.jit.ScriptModule:
    """Return a subject's module in TorchScript; a scorecard's columns as a tuple, for servers take no dict.

    The dict is there too: ``columns(preds, labels)``.
    """
    if subject["kind"] in ("loss", "metric"):
        return scripted(module)
    columns = ", ".join(f"found[{name!r}]" for name in output_names(subject))
    holder = type("ScorecardFile", (nn.Module,), {})()  # a class of its own: TorchScript keeps methods by class
    holder.card = module
    return defined(
        holder,
        "def forward(self, preds, labels):\n    found = self.card(preds, labels)\n    return (" + columns + ",)\n",
        "def columns(self, preds, labels):\n    return self.card(preds, labels)\n",
    )
