"""``run.json``: where a run comes from."""

import hashlib
import importlib.metadata
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import evaltool
from evaltool.readers import Rows

FORMAT = 2
DIGEST_BLOCK = 1 << 16
DIGEST_BLOCKS = 64


def quick_digest(path: Path) -> str:
    """Return a digest of a file that is cheap at any size.

    ``sha256-blocks:`` and the SHA-256, in hex, of the file's size and 64 blocks of 64 KiB spaced evenly from its head
    to its tail (the whole file where it is no larger). A change elsewhere goes unnoticed; mtime and size stand beside.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= DIGEST_BLOCK * DIGEST_BLOCKS:
            digest.update(file.read())
        else:
            for i in range(DIGEST_BLOCKS):
                file.seek((size - DIGEST_BLOCK) * i // (DIGEST_BLOCKS - 1))
                digest.update(file.read(DIGEST_BLOCK))
    return f"sha256-blocks:{digest.hexdigest()}"


def input_record(role: str, rows: Rows) -> dict[str, Any]:
    """Return what is known of an input: path, size, mtime and digest of a file, shape and dtype of all."""
    record: dict[str, Any] = {"role": role, "name": rows.name, "shape": list(rows.shape), "dtype": str(rows.dtype)}
    if rows.path is not None:
        return record | file_record(rows.path)
    return record | {"path": None}


def file_record(path: Path) -> dict[str, Any]:
    """Return path, size, mtime and digest of a file."""
    stat = path.stat()
    return {
        "path": str(path.resolve()),
        "size": stat.st_size,
        "mtime": datetime.fromtimestamp(stat.st_mtime, UTC).isoformat(),
        "digest": quick_digest(path),
    }


def versions() -> dict[str, str]:
    """Return the versions that made a run."""
    return {
        "evaltool": evaltool.__version__,
        "python": platform.python_version(),
        "torch": installed("torch"),
        "numba": installed("numba"),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }


def installed(package: str) -> str:
    """Return the version of a package, which need not be imported for it."""
    if package in sys.modules:
        return str(sys.modules[package].__version__)
    return importlib.metadata.version(package)
