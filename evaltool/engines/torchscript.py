"""The engine ``torchscript``, and the loading of TorchScript files, which are code and need trust."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from evaltool.engines.modules import ModuleEngine, Run
from evaltool.errors import EvaltoolError
from evaltool.metrics import Scorecard
from evaltool.numerics.scripting import loaded, scripted


class TorchScriptEngine(ModuleEngine):
    """Runs the modules compiled to TorchScript."""

    name = "torchscript"
    provider = "TorchScript"

    def _prepared(self, card: Scorecard) -> Run:
        return scripted(card)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_of(path: Path) -> dict[str, Any] | None:
    """Return the manifest.json that vouches for a file, or None.

    It stands beside the file or, as in a Triton model repository (``focal/1/model.pt``), one folder above, and
    holds the file's SHA-256 under ``sha256``: the text itself, or one per file name.
    """
    digest = file_sha256(path)
    for folder in (path.parent, path.parent.parent):
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        known = manifest.get("sha256") if isinstance(manifest, dict) else None
        if digest in (known.values() if isinstance(known, dict) else [known]):
            return dict(manifest)
    return None


def load_module(path: Path, *, trust: bool, device: torch.device) -> torch.jit.ScriptModule:
    """Return a TorchScript module from a file.

    Raises:
        EvaltoolError: the file is missing, not trusted, or no TorchScript.
    """
    if not path.is_file():
        raise EvaltoolError(f"no such file\n  {path}\n  Give a TorchScript file (.pt).")
    if not trust and manifest_of(path) is None:
        raise EvaltoolError(
            f"a TorchScript file is code and is not run unasked\n  {path}: no manifest.json beside it (or one folder "
            f"above) holds its sha256 {file_sha256(path)[:16]}...\n  Pass --trust if you know where it comes from."
        )
    try:
        return loaded(path, device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise EvaltoolError(
            f"not a TorchScript file\n  {path}: {reason}\n  Save it with torch.jit.script(module).save(path)."
        ) from error
