"""How functions of the kernels are compiled: for this CPU, once, kept on disk, and without the interpreter's lock.

Of the relaxations of floating point only two are used.  ``contract`` lets a product and a sum become one instruction.
``reassoc``, for the sums over a row alone (``compiled_sum``), lets them go on in several lanes; the order then depends
on the row's length and the CPU, and on nothing else.  NaN and infinities stay what they are everywhere.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

CONTRACT = frozenset({"contract"})
REASSOCIATE = frozenset({"contract", "reassoc", "nsz"})


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function compiled at its first call, or loaded from where an earlier process has kept it."""
    return _compiled(function, CONTRACT)


def compiled_sum(function: Callable[..., Any]) -> Any:
    """Return a compiled function whose sums may be taken in any order; what it calls keeps its own."""
    return _compiled(function, REASSOCIATE)


def _compiled(function: Callable[..., Any], fastmath: frozenset[str]) -> Any:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
    try:
        made = numba.njit(cache=True, **options)(function)
        # numba looks at the function's own file alone: a change in a function that it calls would go unnoticed
        made._cache._cache_file._source_stamp = _source_stamp()
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        made = numba.njit(**options)(function)
    return made


@cache
def _source_stamp() -> str:
    """Return a digest of every file of the kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
