"""TorchScript files, loaded when they are TorchScript and somebody vouches for them."""

import io
from pathlib import Path
from typing import Any

import torch

from evaltool.artifacts.archives import archive_names
from evaltool.artifacts.trust import artifact_bytes, check_trusted
from evaltool.errors import EvaltoolError
from evaltool.numerics.scripting import loaded

METADATA = "metadata.json"  # the extra file that says what a file is
ADVICE = "Save it with torch.jit.script(module).save(path)."


def load_torchscript(
    path: Path, *, trust: bool, device: torch.device | str = "cpu", extra_files: dict[str, Any] | None = None
) -> torch.jit.ScriptModule:
    """Return a TorchScript module from a file.

    Args:
        path: the file.
        trust: run it though no manifest vouches for it.
        device: where its tensors go.
        extra_files: names of files to read beside the module, ``metadata.json`` for one; their bytes are filled in.

    Raises:
        EvaltoolError: the file is missing, not trusted, or no TorchScript.
    """
    data = artifact_bytes(path, kind="torchscript")
    _check_layout(path, data)
    check_trusted(path, trust=trust, kind="torchscript", data=data)
    try:
        return loaded(io.BytesIO(data), device, extra_files)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise EvaltoolError(f"not a TorchScript file\n  {path}: {reason}\n  {ADVICE}") from error


def _check_layout(path: Path, data: bytes) -> None:
    """Raise EvaltoolError if bytes are no TorchScript archive; nothing in them is loaded for that."""
    if not data.startswith(b"PK"):
        hint = "It looks like a pickle, which runs code when it is loaded. " if data.startswith(b"\x80") else ""
        raise EvaltoolError(
            f"not a TorchScript file\n  {path}: begins with {data[:6]!r}, expected a zip archive\n  {hint}{ADVICE}"
        )
    names = archive_names(io.BytesIO(data), path)
    if {"data.pkl", "constants.pkl"} <= names and any(name.startswith("code/") for name in names):
        return
    if "archive_format" in names:
        raise EvaltoolError(f"not a TorchScript file\n  {path}: a pt2 package\n  {ADVICE}")
    if "data.pkl" in names:
        raise EvaltoolError(
            f"this holds weights or a pickled module, not TorchScript\n  {path}: written by torch.save\n  Load it into "
            "the module in Python and save that with torch.jit.script(module).save(path)."
        )
    raise EvaltoolError(f"not a TorchScript file\n  {path}: a zip archive without code\n  {ADVICE}")
