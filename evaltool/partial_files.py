"""Temporary files beside the ones they become: a file appears under its final name only when it is whole."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evaltool.errors import EvaltoolError

PARTIAL = ".partial-"
OLD = ".old"  # what is there while it is replaced


def partial_path(path: Path) -> Path:
    """Return where this process writes what is to become ``path``: hidden, and in the same folder."""
    return path.with_name(f".{path.name}{PARTIAL}{os.getpid()}")


def remove_stale(directory: Path, name: str | None = None) -> None:
    """Remove what killed processes left of the files and folders in a directory, or of the one of that name."""
    for path in directory.iterdir():
        head, mark, pid = path.name.rpartition(PARTIAL)
        of = (None, head[1:], head[1:].removesuffix(OLD))
        if mark and head.startswith(".") and name in of and not _is_alive(pid):
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
    return not _is_zombie(pid)


def _is_zombie(pid: str) -> bool:
    """A killed process whose parent has not collected it has an id, but writes nothing any more."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text(errors="replace")
    except OSError:  # no such file system here, or gone by now
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def check_apart(path: Path, inputs: Iterable[Path], *, option: str = "-o", what: str = "output") -> None:
    """Raise EvaltoolError if an output would replace what is read, whatever else it may replace.

    Args:
        path: the file or folder to write.
        inputs: files and folders that are read; nothing is written into these folders either.
        option: what names the output.
        what: what is written, in a word.
    """
    whole = path.resolve()
    for source in inputs:
        read = source.resolve()
        if whole == read or read in whole.parents or whole in read.parents:
            raise EvaltoolError(
                f"the {what} would replace what it is made of\n  {option} {path}\n  Name another file with {option}."
            )


def check_regular(path: Path, *, option: str = "-o") -> None:
    """Raise EvaltoolError if there is something other than a file: a folder, device or pipe is no place for one."""
    if path.is_dir():
        raise EvaltoolError(f"the output is a directory\n  {path}\n  Name a file with {option}.")
    if path.exists() and not path.is_file():
        raise EvaltoolError(
            f"the output is no regular file\n  {path}: a device, pipe or socket\n  Name a file with {option}."
        )


def check_file(path: Path, *, overwrite: bool) -> None:
    """Raise EvaltoolError if a file must not be written."""
    if not path.is_dir():
        check_regular(path)
    if path.is_dir() or (path.exists() and not overwrite):
        raise EvaltoolError(f"the output exists\n  {path}\n  Pass --overwrite to replace it, or name another with -o.")


def check_folder(path: Path, *, overwrite: bool, mark: str) -> None:
    """Raise EvaltoolError if a folder must not be written: there is one with files in it.

    With ``overwrite`` one that holds ``mark`` is ours to replace.
    """
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or (overwrite and (path / mark).is_file()))):
        ours = path.is_dir() and (path / mark).is_file()
        what = "Pass --overwrite to replace it, or name" if ours else "Name"
        raise EvaltoolError(f"the output exists\n  {path}\n  {what} another folder with -o.")


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield where to write a file, which gets its name at the end of the block; see ``whole_files``."""
    with whole_files([path], overwrite=overwrite) as (partial,):
        yield partial


@contextlib.contextmanager
def whole_files(paths: Sequence[Path], *, overwrite: bool) -> Iterator[list[Path]]:
    """Yield where to write files, which get their names together at the end of the block, and none after an error.

    Raises:
        EvaltoolError: there is such a file (and ``overwrite`` is off), or one cannot be written.
    """
    for path in paths:
        check_file(path, overwrite=overwrite)
    partials = [partial_path(path) for path in paths]
    with _told(paths[0]):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_stale(path.parent, path.name)
        try:
            yield partials
            for partial in partials:
                _sync(partial)
            place_together(paths)
        finally:
            for partial in partials:
                partial.unlink(missing_ok=True)


def place_together(paths: Sequence[Path]) -> None:
    """Give partial files their names; where one cannot get it, those before it lose theirs, and old files come back.

    Raises:
        OSError: what went wrong.
    """
    placed: list[tuple[Path, Path | None]] = []
    try:
        for path in paths:
            old = _kept(path)
            placed.append((path, old))
            partial_path(path).replace(path)
            sync_folder(path.parent)
    except OSError:
        for path, old in placed:
            if partial_path(path).exists():  # it never got its name
                continue
            if old is None:
                path.unlink()
            else:
                old.replace(path)
        raise
    finally:
        for _, old in placed:
            if old is not None:
                old.unlink(missing_ok=True)


def _kept(path: Path) -> Path | None:
    """Return a second name of the file that is there, None for none."""
    if not os.path.lexists(path):
        return None
    old = path.with_name(f".{path.name}{OLD}{PARTIAL}{os.getpid()}")
    try:
        os.link(path, old, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(path, old, follow_symlinks=False)
    return old


@contextlib.contextmanager
def whole_folder(path: Path, *, overwrite: bool, mark: str) -> Iterator[Path]:
    """Yield a folder to fill, which gets its name at the end of the block, and not where an error ends it.

    Args:
        path: the folder to make.
        overwrite: replace a folder that is there, if it holds ``mark``.
        mark: a file that every folder of this kind has: others are never replaced.

    Raises:
        EvaltoolError: there is such a folder or file, or it cannot be written.
    """
    path = path.absolute()
    check_folder(path, overwrite=overwrite, mark=mark)
    partial = partial_path(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent, path.name)
        try:
            partial.mkdir()
            yield partial
            for file in partial.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    _sync(file)
            if path.exists():
                old = partial.with_name(f".{path.name}{OLD}{PARTIAL}{os.getpid()}")
                path.rename(old)
                partial.rename(path)
                shutil.rmtree(old)
            else:
                partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(path.parent)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvaltoolError(
            f"cannot write the output\n  {error.filename or path}: {error.strerror or error}\n"
            "  Name another place with -o."
        ) from None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
