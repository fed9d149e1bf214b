"""Temporary files beside the ones they become: a file appears under its final name only when it is whole."""

import contextlib
import os
import shutil
from pathlib import Path

PARTIAL = ".partial-"


def partial_path(path: Path) -> Path:
    """Return where this process writes what is to become ``path``: hidden, and in the same folder."""
    return path.with_name(f".{path.name}{PARTIAL}{os.getpid()}")


def remove_stale(directory: Path, name: str | None = None) -> None:
    """Remove what killed processes left of the files and folders in a directory, or of the one of that name."""
    for path in directory.iterdir():
        head, mark, pid = path.name.rpartition(PARTIAL)
        if mark and head.startswith(".") and name in (None, head[1:]) and not _is_alive(pid):
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
                    shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def sync_folder(directory: Path) -> None:
    """Make renames in a directory last through a power failure."""
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True
