"""Which files may run: TorchScript and pt2 are code, and run when a manifest holds their sha256 or on the user's word.

What is judged must be what runs: a loader takes the bytes that were hashed (``artifact_bytes``), not the path again,
under which another file may lie by then.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from evaltool.errors import EvaltoolError

# kind of file: what it is to the user, how to ask for it
KINDS = {
    "torchscript": ("a TorchScript file is code", "Give a TorchScript file (.pt)."),
    "pt2": ("a pt2 package is native code", "Give a pt2 package (.pt2)."),
    "onnx": ("an ONNX file is a graph", "Give an ONNX file (.onnx)."),
}
LARGEST_MANIFEST = 16 * 2**20  # bytes


def artifact_bytes(path: Path, *, kind: str, limit: int | None = None) -> bytes:
    """Return a regular file's bytes.

    Args:
        path: the file; a link to a regular file will do.
        kind: "torchscript", "pt2" or "onnx".
        limit: of its size in bytes; None for no limit.

    Raises:
        EvaltoolError: there is no such regular file, it cannot be read, is empty, or exceeds the limit.
    """
    _check_regular(path, kind)
    try:
        with path.open("rb") as file:
            data = file.read() if limit is None else file.read(limit + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if not data:
        raise EvaltoolError(f"the file is empty\n  {path}: 0 bytes\n  Copy or export it again.")
    if limit is not None and len(data) > limit:
        raise EvaltoolError(
            f"the file is too large\n  {path}: {path.stat().st_size} bytes, expected at most {limit}\n  Keep the "
            "weights in external data beside it."
        )
    return data


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex.

    Raises:
        EvaltoolError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def manifest_of(path: Path, data: bytes | None = None) -> dict[str, Any] | None:
    """Return the manifest.json that vouches for a file, or None.

    It stands beside the file or, as in a Triton model repository (``focal/1/model.pt``), one folder above, and
    holds the file's SHA-256 under ``sha256``: the text itself, or one per file name.

    Args:
        path: the file.
        data: its bytes, where they have been read.
    """
    digest = _digest(path, data)
    for folder in path.absolute().parents[:2]:  # of a bare file name, parent.parent is where it lies
        manifest = read_manifest(folder / "manifest.json")
        known = manifest.get("sha256")
        vouched = list(known.values()) if isinstance(known, dict) else [known]
        if digest in [text.lower() for text in vouched if isinstance(text, str)]:
            return manifest
    return None


def check_trusted(path: Path, *, trust: bool, kind: str, data: bytes | None = None) -> None:
    """Raise EvaltoolError unless a file of code may run.

    Args:
        path: the file.
        trust: the user's word for it; then no manifest is looked for.
        kind: "torchscript" or "pt2".
        data: its bytes, where they have been read; the loader must take the same.

    Raises:
        EvaltoolError: there is no such file, or nobody vouches for it.
    """
    if data is None:
        _check_regular(path, kind)
    if trust:
        return
    if manifest_of(path, data) is None:
        raise EvaltoolError(
            f"{KINDS[kind][0]} and is not run unasked\n  {path}: no manifest.json beside it (or one folder above) "
            f"holds its sha256 {_digest(path, data)[:16]}...\n  Pass --trust if you know where it comes from."
        )


def _digest(path: Path, data: bytes | None) -> str:
    return file_sha256(path) if data is None else hashlib.sha256(data).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; empty, so that it vouches for nothing, if it cannot be read as one."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return {}
        with path.open("rb") as file:
            found = json.loads(file.read(LARGEST_MANIFEST))  # a longer one is cut, and no JSON any more
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_regular(path: Path, kind: str) -> None:
    if not path.is_file():
        what = "this is no regular file" if path.exists() else "no such file"
        raise EvaltoolError(f"{what}\n  {path}\n  {KINDS[kind][1]}")


def _unreadable(path: Path, error: OSError) -> EvaltoolError:
    return EvaltoolError(f"cannot read the file\n  {path}: {error.strerror}\n  Check the path and its rights.")
