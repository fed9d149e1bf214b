"""Whether a document is what ``evaltool/report/document.py`` says: every key, every type, every number finite."""

import json
import math
import types
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from evaltool.report.document import Report


def departures(value: Any, expected: Any = Report, path: str = "report") -> list[str]:
    """Return where ``value`` is not of the ``expected`` type, one line each; empty where all of it is.

    A float may be written as an int, a bool is neither; TypedDicts have all of their keys and no others.
    """
    if expected is Any:
        return _plain(value, path)
    if expected is None or expected is type(None):
        return [] if value is None else [f"{path}: {value!r} is not None"]
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        tried = [departures(value, choice, path) for choice in arguments]
        return [] if not all(tried) else max(tried, key=lambda found: len(found[0].split(": ")[0]))
    if is_typeddict(expected):
        return _typed_dict(value, expected, path)
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: {_kind(value)} is not a list"]
        return [line for i, item in enumerate(value) for line in departures(item, arguments[0], f"{path}[{i}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path}: {_kind(value)} is not a dict"]
        keys = [line for key in value for line in departures(key, arguments[0], f"{path} key {key!r}")]
        return keys + [line for key in value for line in departures(value[key], arguments[1], f"{path}.{key}")]
    return _number(value, expected, path)


def assert_conforms(document: Any) -> None:
    """Fail with every departure of a whole document from its types, or where JSON cannot hold it."""
    found = departures(document)
    assert not found, "\n".join(found[:40])
    json.dumps(document, allow_nan=False)


def _typed_dict(value: Any, expected: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {_kind(value)} is not a {expected.__name__}"]
    hints = get_type_hints(expected)
    found = [f"{path}.{key}: missing" for key in hints if key not in value]
    found += [f"{path}.{key}: not a key of {expected.__name__}" for key in value if key not in hints]
    return found + [
        line for key, hint in hints.items() if key in value for line in departures(value[key], hint, f"{path}.{key}")
    ]


def _number(value: Any, expected: type, path: str) -> list[str]:
    # exact types: a numpy number or a str subclass reaches JSON or the page as something else
    right = type(value) in (int, float) if expected is float else type(value) is expected
    if not right:
        return [f"{path}: {_kind(value)} is not a {expected.__name__}"]
    return [] if expected is not float or math.isfinite(value) else [f"{path}: {value} is not finite"]


def _plain(value: Any, path: str) -> list[str]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        return [f"{path}: {error}"]
    return []


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]
