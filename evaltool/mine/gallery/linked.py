"""Where the page takes a picture from: a thumbnail inside it, or the file or address itself."""

import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaltool.errors import EvaltoolError
from evaltool.mine.pictures import Picture, Pictures

NOT_IN_BROWSERS = (".tif", ".tiff")


class Shown(NamedTuple):
    """A picture as the page shows it."""

    source: str  # of the img element
    size: tuple[int, int] | None  # width and height, None of an address


def shown(pictures: Pictures, row: Mapping[str, Any], *, folder: Path | None, side: int) -> Shown:
    """Return how to show the picture of a row.

    Args:
        pictures: finds it.
        row: ``index`` and perhaps ``id``.
        folder: where the page will lie, to link files from there; None puts a thumbnail inside the page.
        side: pixels that a thumbnail is no larger than.

    Raises:
        EvaltoolError: there is no such picture, it cannot be read, or it cannot be linked.
    """
    picture = pictures.of(row)
    if picture.url is not None:
        return Shown(picture.url, None)
    if folder is None:
        return Shown(picture.data_uri(side), picture.size())
    return Shown(_link(picture, folder), picture.size())


def origin_of(url: str) -> str:
    """Return the scheme and host of an address, for the policy that lets the page load pictures from there.

    Raises:
        EvaltoolError: it is no address of the web.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or any(sign in parts.netloc for sign in " ;,'\"*"):
        raise EvaltoolError(
            f"the page cannot show what is behind this address\n  {url}: expected https://HOST/...\n"
            "  Give the folder the pictures are in: --images DIR."
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _link(picture: Picture, folder: Path) -> str:
    if picture.path is None:
        raise EvaltoolError(
            f"an image array has no files to link\n  {picture.name}: a row of an array\n"
            "  Embed the pictures instead, or give the folder they are in: --images DIR."
        )
    if picture.path.suffix.lower() in NOT_IN_BROWSERS:
        raise EvaltoolError(
            f"browsers do not show TIFF files\n  {picture.path}\n  Embed the pictures instead of linking them."
        )
    try:
        relative = os.path.relpath(picture.path.resolve(), folder.resolve())
    except ValueError:  # on another drive
        return picture.path.resolve().as_uri()
    return "/".join(urllib.parse.quote(part) for part in Path(relative).parts)
