"""Several files that appear together, whole, or not at all."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from evaltool.errors import EvaltoolError
from evaltool.partial_files import partial_path, place_together, remove_stale


def check_outputs(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise EvaltoolError if a file must not or cannot be written, or is named twice."""
    for path in paths:
        if path.is_dir():
            raise EvaltoolError(f"the output is a directory\n  {path}\n  Name a file.")
        if not path.parent.is_dir():
            raise EvaltoolError(f"no such directory\n  {path.parent}\n  Make it, or name another file.")
        if os.path.lexists(path) and not overwrite:
            raise EvaltoolError(f"the output exists\n  {path}\n  Pass --overwrite to replace it, or name another file.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise EvaltoolError(
            f"two outputs are one file\n  {', '.join(map(str, paths))}\n  Name another file for each of them."
        )


def write_files(
    writers: Mapping[Path, Callable[[IO[bytes]], None]], before_placing: Callable[[], object] = lambda: None
) -> None:
    """Write each file by its function, and put all in place when all are whole.

    Args:
        writers: a function for each file.
        before_placing: is called when all are whole; where it raises, none appears.

    Raises:
        EvaltoolError: one cannot be written; then none is.
    """
    path = None
    try:
        for path, write in writers.items():
            remove_stale(path.parent, path.name)
            with partial_path(path).open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        before_placing()
        place_together(list(writers))
    except OSError as error:
        reason = error.strerror or str(error)
        raise EvaltoolError(f"cannot write the file\n  {path}: {reason}\n  Name a writable file.") from None
    finally:
        for written in writers:
            with contextlib.suppress(OSError):
                partial_path(written).unlink(missing_ok=True)
