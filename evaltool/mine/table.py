"""The table of mined rows: what every format is written from.

``rank`` (from 1), ``index``, ``id``, ``class`` (the class in question, multilabel and segmentation), ``label``,
``pred``, ``suggested``, ``score``, ``by``, ``p_wrong``, ``p_label``, ``p_suggested``, the run's losses, ``status``,
``group``, ``box``, ``why``.  Names of classes stand beside the classes where names were given.  What is not known is
null.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.mine.masks import Region
from evaltool.mine.order import NONE
from evaltool.mine.ranking import AMBIGUOUS, LABEL_ERROR, Ranking
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

CLASS_COLUMNS = ("class", "label", "pred", "suggested")
# what a reviewer may see of a row without learning whether it was mined or drawn by chance
BLIND = ("rank", "index", "id", "class", "class_name", "label", "label_name", "group")
BLIND_SUGGESTED = ("suggested", "suggested_name")  # every row has one where predictions rank


def mined_table(
    run: Run,
    rows: Array,
    ranking: Ranking,
    *,
    transitions: Array | None,
    groups: "pa.Array[Any] | None",
    regions: Sequence[Region | None] | None,
) -> pa.Table:
    """Return the table of candidates in their order.

    Args:
        run: the run.
        rows: candidates, see ``order.CANDIDATE``.
        ranking: what ranked them.
        transitions: T[g|k] of the labels, for the reasons.
        groups: the group of every sample of the run.
        regions: of images, the worst region of each row.
    """
    held = _run_rows(run, rows["index"])
    columns: dict[str, Any] = {
        "rank": pa.array(np.arange(1, len(rows) + 1), pa.int64()),
        "index": pa.array(rows["index"], pa.int64()),
    }
    if "id" in held.column_names:
        columns["id"] = held["id"]
    for name in CLASS_COLUMNS:
        columns |= _class_column(run, rows, held, name)
    score = ranking.score(rows["key"])
    columns["score"] = pa.array(score, pa.float64())
    columns["by"] = pa.array([ranking.name] * len(rows), pa.string())
    for name in ("p_wrong", "p_label", "p_suggested"):
        columns[name] = pa.array(rows[name], pa.float64(), mask=np.isnan(rows[name]))
    for name in (*run.losses, "status"):
        columns[name] = held[name]
    if groups is not None:
        columns["group"] = groups.take(pa.array(rows["index"]))
    if regions is not None:
        boxes = [None if region is None else region.box for region in regions]
        columns["box"] = pa.array(boxes, pa.list_(pa.int64()))
    columns["why"] = pa.array(_reasons(run, rows, score, ranking, transitions, regions), pa.string())
    return pa.table(columns)


def _run_rows(run: Run, index: Array) -> pa.Table:
    """Return some rows of the run's table, in the order given."""
    wanted = [name for name in ("id", "label", "pred", "status", *run.losses) if name in run.schema.names]
    order = np.unique(index)
    parts, start = [], 0
    for batch in run.batches(wanted):
        inside = order[(order >= start) & (order < start + len(batch))] - start
        if len(inside):
            parts.append(batch.take(pa.array(inside)))
        start += len(batch)
    schema = pa.schema([run.schema.field(name) for name in wanted])
    table = pa.Table.from_batches(parts, schema)
    return table.take(pa.array(np.searchsorted(order, index))).combine_chunks()


def _class_column(run: Run, rows: Array, held: pa.Table, name: str) -> dict[str, Any]:
    if name == "class" and run.task not in ("multilabel", "segmentation"):
        return {}
    if run.task == "regression":
        return {name: held[name]} if name in held.column_names else {}
    values = rows[name]
    column = pa.array(values, pa.int64(), mask=values == NONE)
    found = {name: column}
    if names_given(run) and (name == "class" or run.task != "multilabel"):
        found[f"{name}_name"] = pa.array([None if v == NONE else run.class_names[v] for v in values], pa.string())
    return found


def names_given(run: Run) -> bool:
    """Whether the classes have names that say more than their index."""
    return bool(run.class_names) and run.class_names != [str(c) for c in range(len(run.class_names))]


def _reasons(
    run: Run,
    rows: Array,
    score: Array,
    ranking: Ranking,
    transitions: Array | None,
    regions: Sequence[Region | None] | None,
) -> list[str]:
    if regions is not None:
        return [_of_image(run, value, ranking, region) for value, region in zip(score, regions, strict=True)]
    if run.task == "segmentation":  # whose predictions are not there
        return [_of_value(run, row, value, ranking) for row, value in zip(rows, score, strict=True)]
    if ranking.word == LABEL_ERROR:
        return [_of_label(run, row, transitions) for row in rows]
    if ranking.word == AMBIGUOUS:
        return [_of_ambiguity(run, row, value) for row, value in zip(rows, score, strict=True)]
    return [_of_value(run, row, value, ranking) for row, value in zip(rows, score, strict=True)]


def _named(run: Run, row: Any, value: int) -> str:
    """Return a label as a reader knows it: the class's name, of multilabel whether the class is there."""
    if run.task == "multilabel":
        return f'"{run.class_names[row["class"]]}" present' if value else f'"{run.class_names[row["class"]]}" absent'
    return run.class_names[value]


def _of_label(run: Run, row: Any, transitions: Array | None) -> str:
    label, other = (_named(run, row, int(row[name])) for name in ("label", "suggested"))
    text = f"labelled {label}, but {other} has probability {_share(row['p_suggested'])}"
    if run.task == "multilabel":
        other = other.rpartition(" ")[2]
        text = f"labelled {label}, but {other} with probability {_share(row['p_suggested'])}"
        label = label.rpartition(" ")[2]
    if transitions is None:
        return text
    rates = transitions if transitions.ndim == 2 else transitions[max(int(row["class"]), 0)]
    rate = 100 * rates[int(row["label"]), int(row["suggested"])]
    return f"{text}; {rate:.2g} % of the true {other} are labelled {label}"


def _of_ambiguity(run: Run, row: Any, value: float) -> str:
    label, other = (_named(run, row, int(row[name])) for name in ("label", "suggested"))
    return (
        f"entropy {value:.3g} nats: {label} has probability {_share(row['p_label'])}, "
        f"{other} {_share(row['p_suggested'])}"
    )


def _of_value(run: Run, row: Any, value: float, ranking: Ranking) -> str:
    text = f"{ranking.column} {value:.4g}"
    if row["label"] == NONE:
        return text if row["class"] == NONE else f"{text}; its worst class is {run.class_names[row['class']]}"
    if row["suggested"] == NONE:
        return f"{text}; labelled and predicted {run.class_names[row['label']]}"
    label, pred = run.class_names[row["label"]], run.class_names[row["suggested"]]
    return f"{text}; labelled {label}, predicted {pred} with probability {_share(row['p_suggested'])}"


def _of_image(run: Run, value: float, ranking: Ranking, region: Region | None) -> str:
    text = f"{'soft Dice loss' if ranking.word == LABEL_ERROR else ranking.column} {value:.4g}"
    if region is None:
        return f"{text}; label and prediction agree everywhere"
    label, pred = run.class_names[region.label], run.class_names[region.pred]
    return f"{text}; in the worst region {_positions(region.positions)}, most labelled {label} and predicted {pred}"


def _positions(n: int) -> str:
    return f"{n:,} position{'' if n == 1 else 's'}"


def _share(value: float) -> str:
    if value > 0.995:
        return f"{value:.4f}" if value < 0.99995 else "above 0.9999"
    return f"{value:.2f}" if value >= 0.005 else f"{value:.2g}"


def blind_table(table: pa.Table, mined: Array, ranking: Ranking) -> tuple[pa.Table, pa.Table]:
    """Return what reviewers see, and the key to it with everything known and ``control``, 1 for a random row.

    Args:
        table: the rows in the order that reviewers get.
        mined: bool, which of them were mined.
        ranking: what ranked them.
    """
    seen = BLIND + (BLIND_SUGGESTED if ranking.column is None else ())
    key = table.append_column("control", pa.array((~mined).astype(np.int64)))
    return table.select([name for name in table.column_names if name in seen]), key
