"""How functions of the kernels are compiled: for this CPU, once, kept on disk, and without the interpreter's lock.

Of the relaxations of floating point only two are used.  ``contract`` lets a product and a sum become one instruction.
``reassoc``, for the sums over a row alone (``summing_part``), lets them go on in several lanes; the order then depends
on the row's length and the CPU, and on nothing else.  NaN and infinities stay what they are everywhere.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

# without numba's runtime no array's references are counted, which costs some 5 ns each time one is handed on; such
# code neither allocates nor returns an array
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
CONTRACT = {"contract"}
REASSOCIATE = {"contract", "reassoc", "nsz"}


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function to call from Python: compiled at its first call, or loaded from where a process has kept it."""
    try:
        made = numba.njit(cache=True, fastmath=CONTRACT, **OPTIONS)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return part(function)
    # numba looks at the function's own file alone: a change in a function that it calls would go unnoticed
    made._cache._cache_file._source_stamp = _source_stamp()
    return made


def part(function: Callable[..., Any]) -> Any:
    """Return a function compiled as a part of what calls it."""
    return numba.njit(fastmath=CONTRACT, **OPTIONS)(function)


def summing_part(function: Callable[..., Any]) -> Any:
    """Return a part whose own sums may be taken in any order; what it calls keeps its order."""
    return numba.njit(fastmath=REASSOCIATE, **OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Return a part that always becomes one with the loop that calls it, without which that would not vectorise."""
    return numba.njit(fastmath=CONTRACT, forceinline=True, **OPTIONS)(function)


@cache
def _source_stamp() -> str:
    """Return a digest of every file of the kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
