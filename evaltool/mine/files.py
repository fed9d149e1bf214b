"""Several files that appear together, whole, or not at all."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from evaltool.errors import EvaltoolError
from evaltool.mine.pictures import SUFFIXES
from evaltool.partial_files import check_apart, check_regular, partial_path, place_together, remove_stale
from evaltool.run.inputs import files_of
from evaltool.run.reader import Run

WITH_COLUMN = ("ids", "group_by", "text")  # FILE[:COLUMN]


def check_outputs(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise EvaltoolError if a file must not or cannot be written, or is named twice."""
    for path in paths:
        check_regular(path)
        if not path.parent.is_dir():
            raise EvaltoolError(f"no such directory\n  {path.parent}\n  Make it, or name another file.")
        if os.path.lexists(path) and not overwrite:
            raise EvaltoolError(f"the output exists\n  {path}\n  Pass --overwrite to replace it, or name another file.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise EvaltoolError(
            f"two outputs are one file\n  {', '.join(map(str, paths))}\n  Name another file for each of them."
        )


def check_replaced(run: Run, options: Any, files: Mapping[str, Path]) -> None:
    """Raise EvaltoolError if an output is a file that the run or the command reads.

    Args:
        run: the run.
        options: those of ``mine``.
        files: the outputs by the option that names them; ``key`` is beside one of them.
    """
    read = files_of(run)
    for name in ("preds", "labels", "ids", "images", "text", "embeddings", "exclude", "group_by"):
        given = getattr(options, name)
        for source in given if isinstance(given, (list, tuple)) else (given,):
            if isinstance(source, (str, Path)):
                read.append(Path(source))
                if name in WITH_COLUMN:
                    read.append(Path(str(source).rpartition(":")[0] or source))
    folder = _pictures_folder(options.images)
    read = [path for path in read if path != folder]  # a list may lie beside the pictures, and replace none
    for name, path in files.items():
        option = {"output": "-o", "key": "-o"}.get(name, f"--{name.replace('_', '-')}")
        among = folder is not None and path.exists() and path.suffix.lower() in SUFFIXES
        inside = among and folder is not None and path.resolve().is_relative_to(folder.resolve())
        check_apart(path, [*read, path] if inside else read, option=option)
        if folder is not None and folder.resolve().is_relative_to(path.resolve()):
            check_apart(path, [folder], option=option)


def _pictures_folder(images: Any) -> Path | None:
    if not isinstance(images, (str, Path)) or "://" in str(images):
        return None
    pattern = "{" in str(images)
    if not pattern and not Path(images).is_dir():
        return None
    return Path(str(images).partition("{")[0] + "x").parent if pattern else Path(images)


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
