"""``--where``: one boolean SQL expression over the columns of a run, and nothing else.

DuckDB parses the text; the tree it gives may hold columns, constants, comparisons and the functions listed here.
Whatever could read a file, look at other rows or be a second statement is not on the list.  DuckDB then runs in memory,
without access to anything outside, its settings locked.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError

Array = np.ndarray[Any, Any]

MAX_LENGTH = 10_000
EXAMPLE = 'Write it as in --where "ce > 1 AND label IN (3, 8)".'
NODES = ("COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "BETWEEN", "CASE", "CAST", "TYPE")
CLASS_COLUMNS = ("label", "pred", "worst_class")
OPERATORS = ("OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN")
FUNCTIONS = {
    *("+", "-", "*", "/", "//", "%", "||", "abs", "ceil", "ceiling", "floor", "round", "sqrt", "exp", "ln", "log"),
    *("log2", "log10", "pow", "power", "sign", "mod", "greatest", "least", "isnan", "isinf", "isfinite"),
    *("~~", "!~~", "~~*", "!~~*", "lower", "upper", "length", "trim", "contains", "starts_with", "ends_with"),
    *("prefix", "suffix", "substring", "substr", "strpos", "regexp_matches", "regexp_full_match"),
    *("like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape", "~~~", "^@"),  # ~~~ is GLOB of strings
    *("nullif", "if", "list_value", "&", "|", "<<", ">>", "~", "xor", "^", "**", "@"),  # list_value is [a, b]
}


class Where:
    """An expression that says which rows count.

    Args:
        text: the expression.
        schema: of the run's table.
        class_names: with them ``label_name``, ``pred_name`` and ``worst_class_name`` stand for the classes' names.

    Attributes:
        columns: of the run's table, what ``mask`` has to be given.

    Raises:
        EvaltoolError: it is no single boolean expression over these columns.
    """

    def __init__(self, text: str, schema: pa.Schema, class_names: Sequence[str] = ()) -> None:
        self.text = text
        self.connection = _connection()
        self._class_names = pa.array(class_names, pa.string())
        named = {f"{name}_name": name for name in CLASS_COLUMNS if class_names and name in schema.names}
        self._named = {name: column for name, column in named.items() if name not in schema.names}
        names = {name.lower(): name for name in (*schema.names, *self._named)}
        used = {_column(name, names, text) for name in _checked_columns(self.connection, text)}
        self._named = {name: column for name, column in self._named.items() if name in used}
        # a constant has as many values as any column has
        self.columns = sorted({self._named.get(name, name) for name in used}) or schema.names[:1]
        self._schema = pa.schema([schema.field(name) for name in self.columns])
        # a row of nothing: what cannot be compared shows before any row is read
        self.mask(pa.RecordBatch.from_arrays([pa.nulls(1, field.type) for field in self._schema], schema=self._schema))

    def mask(self, batch: pa.RecordBatch) -> Array:
        """Return which rows of a batch the expression is true for, bool [n]; null is not true.

        Raises:
            EvaltoolError: it cannot be computed, or is not boolean.
        """
        import duckdb

        table = pa.Table.from_batches([batch.select(self.columns)])
        for name, column in self._named.items():
            table = table.append_column(name, self._names(batch[column]))
        try:
            self.connection.register("run", table)
            found = self.connection.execute(f"SELECT (\n{self.text}\n) AS keep FROM run").fetchnumpy()["keep"]
        except (duckdb.Error, pa.ArrowException, UnicodeError, RuntimeError) as error:
            reason = _first_line(error)
            if "Could not convert string" in reason and {"label", "pred", "worst_class"} & set(self.columns):
                reason += f"; label and pred are numbers of classes from 0, {self._hint()}"
            raise _refused(self.text, reason) from None
        if found.dtype != np.bool_:
            raise _refused(self.text, f"it gives {found.dtype}, expected true or false")
        return np.asarray(np.ma.filled(found, False))

    def _names(self, classes: Any) -> Any:
        """Return the name of each class of a column, null for what is none of them."""
        import pyarrow.compute as pc

        known = pc.and_(pc.greater_equal(classes, 0), pc.less(classes, len(self._class_names)))
        return self._class_names.take(pc.if_else(known, classes, None).cast(pa.int64()))

    def _hint(self) -> str:
        return "names are in label_name and pred_name" if len(self._class_names) else "not names"

    def masks(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Array]:
        """Yield the mask of each batch."""
        for batch in batches:
            yield self.mask(batch)


def _connection() -> Any:
    import duckdb  # here: few calls need it

    closed: dict[str, Any] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=closed)
    connection.execute("SET lock_configuration = true")
    return connection


def _checked_columns(connection: Any, text: str) -> list[str]:
    """Return the columns that an expression names, if it is one and holds nothing but what is allowed."""
    import duckdb

    if not text.strip():
        raise _refused(repr(text), "it is empty")
    if len(text) > MAX_LENGTH:
        raise _refused(text[:60] + "...", f"{len(text)} characters, expected at most {MAX_LENGTH}")
    try:
        text.encode()  # a lone surrogate is no text
        if any(kind == duckdb.token_type.comment for _, kind in duckdb.tokenize(text)):
            raise _refused(text, "it holds a comment")
        query = f"SELECT (\n{text}\n) AS keep FROM run"
        parsed = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    except (duckdb.Error, UnicodeError, ValueError, RuntimeError, RecursionError) as error:
        raise _refused(text, _first_line(error)) from None
    if parsed["error"]:
        raise _refused(text, _first_line(parsed["error_message"]))
    if len(parsed["statements"]) != 1:
        raise _refused(text, "it is more than one expression")
    return _columns_of(_expression(parsed["statements"][0], text), text)


def _expression(statement: dict[str, Any], text: str) -> Any:
    """Return the one expression of a statement that is still the one it was put in."""
    node = statement["node"]
    table = node.get("from_table") or {}
    empty = ("where_clause", "having", "qualify", "sample", "modifiers", "group_expressions")
    if (
        node["type"] != "SELECT_NODE"
        or len(node["select_list"]) != 1
        or table.get("type") != "BASE_TABLE"
        or table.get("table_name") != "run"
        or node["cte_map"]["map"]
        or any(node.get(name) for name in empty)
    ):
        raise _refused(text, "it is more than an expression")
    return node["select_list"][0]


def _columns_of(expression: Any, text: str) -> list[str]:
    columns = []
    waiting = [expression]
    while waiting:  # no recursion: an expression can be deep
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if "class" in item:
                _check_node(item, text)
            if item.get("class") == "COLUMN_REF":
                columns.append(item["column_names"][-1])
            waiting += item.values()
    return columns


def _check_node(node: dict[str, Any], text: str) -> None:
    kind = node["class"]
    if kind == "FUNCTION":
        named = node["function_name"].lower()
        if named not in FUNCTIONS or node.get("schema") or node.get("catalog"):
            raise _refused(text, f"the function {named} is not allowed here")
    elif kind == "OPERATOR":
        if node["type"] not in (*OPERATORS, "OPERATOR_COALESCE"):
            raise _refused(text, f"{node['type']} is not allowed here")
    elif kind not in NODES:
        raise _refused(text, f"{kind.lower().replace('_', ' ')} is not allowed here")


def _column(name: str, names: dict[str, str], text: str) -> str:
    if name.lower() not in names:
        raise _refused(text, f"no column {name!r}; there are {', '.join(names.values())}")
    return names[name.lower()]


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or ["it cannot be read"])[0]


def _refused(text: str, reason: str) -> EvaltoolError:
    shown = text.encode("utf-8", "replace").decode()
    return EvaltoolError(f"this is no condition on a run's rows\n  {shown}: {reason}\n  {EXAMPLE}")
