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


def record_batch(schema: pa.Schema, block: Block, start: int, ids: "pa.Array[Any] | None") -> pa.RecordBatch:
    """Return a copy of a block as a batch; what is not known of a sample is null, never NaN.

    Args:
        schema: as ``table_schema`` gives it.
        block: the scores.
        start: the index of the block's first row.
        ids: the ids of these rows, or None.
    """
    not_ok = block.status != OK
    arrays = []
    for field in schema:
        if field.name == "index":
            arrays.append(pa.array(np.arange(start, start + len(block.status), dtype=np.int64)))
        elif field.name == "id":
            arrays.append(ids)
        elif field.name == "status":
            codes = pa.array(np.array(block.status))
            arrays.append(pa.DictionaryArray.from_arrays(codes, list(STATUSES)).cast(pa.string()))
        else:
            arrays.append(_nullable(field, block.columns[field.name], not_ok))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _nullable(field: pa.Field, values: Any, not_ok: Any) -> "pa.Array[Any]":
    if pa.types.is_integer(field.type):
        values = np.array(values)
        missing = values == NO_LABEL
    else:
        with np.errstate(over="ignore"):  # beyond float32: an honest infinity
            values = np.array(values, np.float32)
        missing = np.isnan(values)
    if field.name not in ALWAYS_KNOWN:
        missing = missing | not_ok
    return pa.array(values, type=field.type, mask=missing)
