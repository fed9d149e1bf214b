"""ONNX files, checked before anything reads what they point to.

A graph is no code, but its tensors may name files anywhere (external data) and claim sizes that bring a machine down.
ONNX Runtime follows hard links, and onnx.checker passes offsets beyond a file's end, so all of it is checked here.
"""

import math
import os
import re
import stat
from collections import ChainMap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import FunctionProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, numpy_helper

from evaltool.artifacts.onnx_sessions import OnnxSession
from evaltool.artifacts.trust import artifact_bytes
from evaltool.errors import EvaltoolError

LARGEST_GRAPH = 2**31 - 1  # bytes; protobuf's own limit
LARGEST_TENSOR = 64 * 2**30  # bytes of one tensor in external data
LARGEST_MODEL = 256 * 2**30  # bytes of all of them
LARGEST_FILLED = 2**31 - 1  # bytes of a tensor that is described, not stored: a constant shape filled, a sparse one

# dtype: bits per value, and the field that holds values one by one
STORED = {
    **dict.fromkeys(("UINT2", "INT2"), (2, "int32_data")),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), (4, "int32_data")),
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), (6, "int32_data")),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), (8, "int32_data")),
    **dict.fromkeys(("FLOAT8E8M0", "UINT8", "INT8", "BOOL"), (8, "int32_data")),
    **dict.fromkeys(("UINT16", "INT16", "FLOAT16", "BFLOAT16"), (16, "int32_data")),
    "INT32": (32, "int32_data"),
    "INT64": (64, "int64_data"),
    "UINT32": (32, "uint64_data"),
    "UINT64": (64, "uint64_data"),
    "FLOAT": (32, "float_data"),
    "COMPLEX64": (64, "float_data"),
    "DOUBLE": (64, "double_data"),
    "COMPLEX128": (128, "double_data"),
    "STRING": (8, "string_data"),
}
PACKED = {"UINT2": 4, "INT2": 4, "UINT4": 2, "INT4": 2, "FLOAT4E2M1": 2}  # values in an item of int32_data
ITEMS = {"COMPLEX64": 2, "COMPLEX128": 2}  # items for a value
DATA_FIELDS = ("raw_data", *sorted({field for _, field in STORED.values()}))

EXTERNAL_KEYS = {"location", "offset", "length", "checksum"}
# "*/_ORT_MEM_ADDR_/*" means an address in memory to ONNX Runtime; the others are a drive or a folder on Windows
FORBIDDEN = re.compile(r"[*:\\\0]")


def checked_onnx(path: Path) -> ModelProto:
    """Return the graph of an ONNX file, external data not loaded but checked.

    Raises:
        EvaltoolError: the file is missing, too large, truncated or not ONNX; a tensor does not hold what its shape says
            or claims too much; external data is a link, outside the model's folder or not whole.
    """
    data = artifact_bytes(path, kind="onnx", limit=LARGEST_GRAPH)
    model = ModelProto()
    try:
        model.ParseFromString(data)
        # a file may be cut between two fields; the opsets come after the graph
        whole = bool(model.graph.output and model.opset_import)
    except DecodeError:
        whole = False
    if not whole:
        raise EvaltoolError(
            f"not an ONNX file, or truncated\n  {path}: {len(data)} bytes that hold no whole graph\n"
            "  Copy or export it again."
        )
    messages = list(_messages(model))
    total = sum(_check_tensor(path, message) for message in messages if isinstance(message, TensorProto))
    if total > LARGEST_MODEL:
        raise EvaltoolError(
            f"the ONNX model is too large\n  {path}: its external data claim {total} bytes, expected at most "
            f"{LARGEST_MODEL}\n  Export a smaller model."
        )
    _check_filled(path, model, messages)
    return model


def open_onnx(path: Path, device: torch.device | str = "cpu", *, threads: int = 0) -> OnnxSession:
    """Return a session of an ONNX file that ``checked_onnx`` has passed; arguments as ``OnnxSession``'s.

    ONNX Runtime gets the graph that was checked, not the path, under which another file may lie by then.

    Raises:
        EvaltoolError: the file does not pass, or ONNX Runtime cannot load it.
    """
    graph = checked_onnx(path).SerializeToString()
    return OnnxSession(graph, device, threads=threads, path=path)


def tensors_of(model: ModelProto) -> list[TensorProto]:
    """Return every tensor of a model, in subgraphs and functions too."""
    return [message for message in _messages(model) if isinstance(message, TensorProto)]


def _messages(model: ModelProto) -> Iterator[Any]:
    """Yield every message of a model: so no tensor is missed, wherever it stands (subgraphs, functions, attributes)."""
    pending: list[Any] = [model]
    while pending:
        message = pending.pop()
        yield message
        if isinstance(message, TensorProto):
            continue  # holds bytes, and nothing that points anywhere else
        for field, value in message.ListFields():
            if field.message_type is not None:
                pending.extend([value] if isinstance(value, Message) else value)


def _check_tensor(path: Path, tensor: TensorProto) -> int:
    """Return the bytes that a tensor has in external data; raise EvaltoolError if it is not what it says."""
    dtype, needed = _declared(path, tensor)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        _check_external(path, tensor, needed)
        return needed
    filled = [field for field in DATA_FIELDS if len(getattr(tensor, field))]
    field = STORED[dtype][1]
    count = math.prod(tensor.dims)
    if "raw_data" in filled and dtype != "STRING":
        field, expected = "raw_data", needed
    else:
        expected = -(-count * ITEMS.get(dtype, 1) // PACKED.get(dtype, 1))
    got = len(getattr(tensor, field))
    if got != expected or set(filled) - {field}:
        raise EvaltoolError(
            f"a tensor of the ONNX file does not hold what its shape says\n  {path}: {_named(tensor)} needs {expected} "
            f"{'bytes' if field == 'raw_data' else 'values'}, got {got}\n  Export the model again."
        )
    return 0


def _declared(path: Path, tensor: TensorProto) -> tuple[str, int]:
    """Return a tensor's dtype by name and its size in bytes, from its shape."""
    dtype = _dtype(tensor.data_type)
    if dtype not in STORED:
        problem = f"dtype {tensor.data_type}, expected one of ONNX's"
    elif any(size < 0 for size in tensor.dims):
        problem = "a negative size"
    # zeros do not hide what the other sizes come to: runtimes multiply them in turn, in 64 bits
    elif math.prod(max(size, 1) for size in tensor.dims) > 2**63 - 1:
        problem = "more values than 64 bits can count"
    else:
        return dtype, -(-math.prod(tensor.dims) * STORED[dtype][0] // 8)
    raise EvaltoolError(
        f"a tensor of the ONNX file is not possible\n  {path}: {_named(tensor)} has {problem}\n"
        "  Export the model again."
    )


def _check_external(path: Path, tensor: TensorProto, needed: int) -> None:
    """Raise EvaltoolError unless a tensor's bytes lie in a plain file in the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if tensor.data_location != TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING or tensor.raw_data:
        problem = "is stored here and elsewhere, expected one of the two"
    elif not all(isinstance(value, str) for value in entries.values()):  # protobuf gives bytes where UTF-8 is wrong
        problem = "says where in no UTF-8"
    elif len(entries) != len(tensor.external_data) or entries.keys() - EXTERNAL_KEYS:
        keys = [entry.key[:40] for entry in tensor.external_data][:9]
        problem = f"has the keys {keys}, expected each at most once of {sorted(EXTERNAL_KEYS)}"
    elif not location or FORBIDDEN.search(location) or location.startswith("/") or ".." in location.split("/"):
        problem = f"is in {location[:200]!r}, expected a file in the model's folder"
    elif not all(re.fullmatch(r"[0-9]{1,19}", entries.get(key, "0")) for key in ("offset", "length")):
        problem = f"has offset {entries.get('offset')!r:.40} and length {entries.get('length')!r:.40}, expected numbers"
    elif needed > LARGEST_TENSOR:
        problem = f"claims {needed} bytes, expected at most {LARGEST_TENSOR}"
    elif int(entries.get("length", needed)) != needed:
        problem = f"needs {needed} bytes, got length {entries['length']}"
    else:
        problem = _file_problem(path.parent, location, int(entries.get("offset", 0)) + needed)
    if problem:
        raise EvaltoolError(
            f"external data of the ONNX file cannot be used\n  {path}: {_named(tensor)} {problem}\n  Put the data file "
            "itself, no link to it, beside the model, or export the model again."
        )


def _file_problem(folder: Path, location: str, end: int) -> str:
    """Return what is wrong with a file of external data that is to have ``end`` bytes; nothing if all is well."""
    place = folder
    parts = PurePosixPath(location).parts
    if not parts or location.endswith("/"):
        return f"is in {location[:200]!r}, which is no file"
    for part in parts:
        place /= part
        try:
            found = os.lstat(place)
        except OSError as error:
            return f"is in {location[:200]!r}: {error.strerror}"
        if stat.S_ISLNK(found.st_mode):
            return f"is in {location[:200]!r}, a symbolic link at {part[:200]!r}"
    if not stat.S_ISREG(found.st_mode):
        return f"is in {location[:200]!r}, which is no regular file"
    if found.st_nlink > 1:
        return f"is in {location[:200]!r}, a hard link: the file has {found.st_nlink} names"
    if end > found.st_size:
        return f"ends at byte {end} of {location[:200]!r}, which has {found.st_size}"
    return ""


def _check_filled(path: Path, model: ModelProto, messages: list[Any]) -> None:
    """Raise EvaltoolError if a few bytes describe a tensor that is too large: a filled constant shape, a sparse one."""
    claims = [
        (_named(m.values), m.values.data_type, list(m.dims)) for m in messages if isinstance(m, SparseTensorProto)
    ]
    for scope in (model.graph, *model.functions):
        claims += _fills(scope, ChainMap())
    for what, dtype, shape in claims:
        claimed = math.prod(max(size, 1) for size in shape) * STORED.get(_dtype(dtype), (32,))[0] // 8
        if claimed > LARGEST_FILLED:
            raise EvaltoolError(
                f"a tensor of the ONNX file is too large\n  {path}: {what} of shape {shape[:9]} claims {claimed} "
                f"bytes, expected at most {LARGEST_FILLED}\n  Export the model again."
            )


def _fills(scope: GraphProto | FunctionProto, outer: ChainMap[str, list[int]]) -> Iterator[tuple[str, int, list[int]]]:
    """Yield name, dtype and shape of what ConstantOfShape makes of constants, in a graph and those within it."""
    known = outer.new_child()
    if isinstance(scope, GraphProto):
        known.update((tensor.name, _integers(tensor)) for tensor in scope.initializer)
    for node in scope.node:
        values = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Constant" and len(node.output) == 1:
            ints = list(values["value_ints"].ints) if "value_ints" in values else []
            known[node.output[0]] = _integers(values["value"].t) if "value" in values else ints
        elif node.op_type == "ConstantOfShape" and node.input:
            dtype = values["value"].t.data_type if "value" in values else TensorProto.FLOAT
            yield f"ConstantOfShape {node.name[:80]!r}", dtype, known.get(node.input[0], [])
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _fills(graph, known)


def _integers(tensor: TensorProto) -> list[int]:
    """Return the values of a tensor that can be a shape; none for any other, and for external data."""
    if tensor.data_type != TensorProto.INT64 or len(tensor.dims) != 1 or tensor.external_data:
        return []
    return [int(value) for value in numpy_helper.to_array(tensor)]


def _dtype(number: int) -> str:
    return next((name for name, known in TensorProto.DataType.items() if known == number), "")


def _named(tensor: TensorProto) -> str:
    dims = list(tensor.dims)
    shape = f"{dims[:9]}"[:-1] + ", ...]" if len(dims) > 9 else f"{dims}"
    return f"the tensor {tensor.name[:80]!r}, {shape} {_dtype(tensor.data_type)}".rstrip()
