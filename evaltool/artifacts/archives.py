"""The zip archives that PyTorch writes (.pt, .pt2), looked over before a loader reads them."""

import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from evaltool.errors import EvaltoolError

# PyTorch stores tensors and libraries as they are and compresses source text only
LARGEST_UNPACKED = 256 * 2**20  # bytes, all compressed members together
END = b"PK\x05\x06"  # of a zip archive; 22 bytes long, where there is no comment
OUTSIDE = re.compile(r"^/|^[A-Za-z]:|\\|\0|(^|/)\.\.(/|$)")


def archive_names(file: BinaryIO, path: Path) -> set[str]:
    """Return the names of an archive's members, without the folder that PyTorch puts all of them in.

    Args:
        file: the archive, open for reading; left at any position.
        path: its path, for messages.

    Raises:
        EvaltoolError: it is damaged, a member's name leads out of the folder it is unpacked in, or members claim
            more bytes than they can hold.
    """
    damaged = EvaltoolError(
        f"the file is truncated or damaged\n  {path}: no whole zip archive\n  Copy or export it again."
    )
    try:
        file.seek(-22, 2)
        if file.read(4) != END:  # zipfile would look further up, and find those of archives within a truncated one
            raise damaged
        members = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error):
        raise damaged from None
    for member in members:
        # orig_filename is what stands in the file; filename ends at a NUL
        if OUTSIDE.search(member.orig_filename):
            raise EvaltoolError(
                f"the archive would be unpacked outside its folder\n  {path}: holds {member.orig_filename[:200]!r}, "
                "expected names inside the archive\n  PyTorch writes no such file: do not load it."
            )
    _check_sizes(members, file.seek(0, 2), path)
    return {member.filename.partition("/")[2] for member in members}


def _check_sizes(members: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    """Raise EvaltoolError if members overlap, or unpack to more than any archive of PyTorch's."""
    stored = sum(member.compress_size for member in members)
    grown = [member.file_size for member in members if member.file_size != member.compress_size]
    if stored > size:
        problem = f"its members claim {stored} bytes, and it has {size}"
    elif any(m.compress_type == zipfile.ZIP_STORED and m.file_size != m.compress_size for m in members):
        problem = "a member that is not compressed claims to grow"
    elif sum(grown) > LARGEST_UNPACKED:
        problem = f"its compressed members claim {sum(grown)} bytes, expected at most {LARGEST_UNPACKED}"
    else:
        return
    raise EvaltoolError(
        f"the archive claims more than it can hold\n  {path}: {problem}\n  PyTorch writes no such file: do not load it."
    )
