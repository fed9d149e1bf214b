"""The files of a report: all of them whole, or none."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from evaltool.errors import EvaltoolError
from evaltool.partial_files import check_apart, check_regular, partial_path, place_together

HEAD = 1 << 16
# what the beginning of each kind of file holds that evaltool wrote
MARKS = {
    "output": (b'name="generator" content="evaltool',),
    "json": (b'"format": ', b'"n_scored": '),
    "md": (b"<!-- evaltool report -->",),
    "junit": (b'<testsuites name="evaltool report"',),
}
OPTIONS = {"output": "-o", "json": "--json", "md": "--md", "junit": "--junit"}


def check_files(paths: Mapping[str, Path], *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise EvaltoolError if a file must not or cannot be written: before anything is computed.

    An earlier report may be replaced; any other file only with ``overwrite``, and what is read never.

    Args:
        paths: by kind, as in ``MARKS``.
        overwrite: replace files that evaltool's report did not write.
        inputs: files and folders that the report reads.
    """
    seen: dict[Path, str] = {}
    read = list(inputs)
    for kind, path in paths.items():
        option = OPTIONS[kind]
        whole = path.resolve()
        if whole in seen:
            raise EvaltoolError(f"two files of the report are one\n  {seen[whole]} and {option}: {path}\n  Name two.")
        seen[whole] = option
        check_apart(path, read, option=option, what="report")
        check_regular(path, option=option)
        if not path.parent.is_dir():
            raise EvaltoolError(
                f"there is no such directory\n  {path.parent}\n  Make it, or name another with {option}."
            )
        if not os.access(path.parent, os.W_OK):
            raise EvaltoolError(
                f"cannot write the report\n  {path}: Permission denied\n  Name another file with {option}."
            )
        if path.exists() and not overwrite and not _is_ours(kind, path):
            raise EvaltoolError(
                f"the output exists, and evaltool did not write it\n  {path}\n"
                f"  Pass --overwrite to replace it, or name another file with {option}."
            )


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, each under another name first; where one cannot be written, none appears."""
    made: list[Path] = []
    try:
        for path, content in contents.items():
            made.append(partial_path(path))
            with made[-1].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        place_together(list(contents))
    except OSError as error:
        raise EvaltoolError(
            f"cannot write the report\n  {error.filename or path}: {error.strerror or error}\n  Name another file."
        ) from None
    finally:
        for temporary in made:
            temporary.unlink(missing_ok=True)


def _is_ours(kind: str, path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD)
    return all(mark in head for mark in MARKS[kind]) or not head
