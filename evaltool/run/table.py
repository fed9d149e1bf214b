"""The per-sample table: its columns, their types, and record batches from blocks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

import evaltool
from evaltool.block import NO_LABEL, Block
from evaltool.schema import ALWAYS_KNOWN, COLUMN_MEANINGS, COLUMNS, INTEGER_COLUMNS, LOSSES, OK, STATUSES


def table_schema(
    task: str, losses: Mapping[str, str], id_type: "pa.DataType | None", present: Sequence[str]
) -> pa.Schema:
    """Return the schema of a run's table.

    Args:
        task: one of ``schema.TASKS``.
        losses: loss columns with their formulas, in order.
        id_type: the type of the ids, None without ids.
        present: which of the task's optional columns the engine gives (regression has label and pred only where a
            sample is one number).
    """
    fields = []
    for name in COLUMNS[task]:
        if name == LOSSES:
            fields += [pa.field(loss, pa.float32()) for loss in losses]
        elif name == "id":
            fields += [pa.field("id", id_type)] if id_type is not None else []
        elif name == "status":
            fields.append(pa.field("status", pa.string(), nullable=False))
        elif name == "index":
            fields.append(pa.field("index", pa.int64(), nullable=False))
        elif name in present:
            integer = name in INTEGER_COLUMNS and task != "regression"
            fields.append(pa.field(name, pa.int64() if integer else pa.float32()))
    formulas = {field.name: losses.get(field.name, COLUMN_MEANINGS.get(field.name, "")) for field in fields}
    metadata = {
        "evaltool.version": evaltool.__version__,
        "evaltool.task": task,
        "evaltool.formulas": json.dumps(formulas),
    }
    return pa.schema(fields, metadata=metadata)


def record_batch(
    schema: pa.Schema, block: Block, start: int, ids: "pa.Array[Any] | None", *, copy: bool
) -> pa.RecordBatch:
    """Return a block as a batch; what is not known of a sample is null, never NaN.

    Args:
        schema: as ``table_schema`` gives it.
        block: the scores.
        start: the index of the block's first row.
        ids: the ids of these rows, or None.
        copy: the batch outlives the block's arrays, which it else shares.
    """
    not_ok = block.status != OK
    arrays = []
    for field in schema:
        if field.name == "index":
            index = np.arange(start, start + len(block.status), dtype=np.int64)
            arrays.append(pa.Array.from_buffers(field.type, len(index), [None, pa.py_buffer(index)]))
        elif field.name == "id":
            arrays.append(ids)
        elif field.name == "status":
            arrays.append(_status_texts(block.status))
        else:
            arrays.append(_nullable(field, block.columns[field.name], not_ok, copy))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _status_texts(status: Any) -> "pa.Array[Any]":
    """Return places in ``STATUSES`` as text, made of its buffers: pyarrow's own cast imports its compute module."""
    if not status.any():
        letters = np.frombuffer(STATUSES[OK].encode() * len(status), np.uint8)
        lengths = np.full(len(status), len(STATUSES[OK]))
    else:
        words = np.array(STATUSES, np.bytes_)
        lengths = np.char.str_len(words)[status]
        table = words.view(np.uint8).reshape(len(words), -1)[status]
        letters = table[np.arange(table.shape[1]) < lengths[:, None]]
    offsets = np.zeros(len(status) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.string(), len(status), [None, pa.py_buffer(offsets), pa.py_buffer(letters)])


def _nullable(field: pa.Field, values: Any, not_ok: Any, copy: bool) -> "pa.Array[Any]":
    """Return values as an Arrow array, made of its buffers: ``pa.array`` copies, and imports pandas."""
    if pa.types.is_integer(field.type):
        values = np.ascontiguousarray(values).astype(np.int64, copy=copy)
        missing = values == NO_LABEL
    else:
        with np.errstate(over="ignore"):  # beyond float32: an honest infinity
            values = np.ascontiguousarray(values).astype(np.float32, copy=copy)
        missing = np.isnan(values)
    if field.name not in ALWAYS_KNOWN:
        missing |= not_ok
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(field.type, len(values), [valid, pa.py_buffer(values)])
