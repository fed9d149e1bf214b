"""The gallery that ``mine`` is asked for: checked before the run is read, written with the other files."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.mine.gallery.page import THUMB, Page
from evaltool.mine.gallery.texts import check_texts, read_texts
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

LARGE = 20_000_000  # bytes of a page from which on its size is said


class AskedGallery:
    """What a gallery is to show.

    Args:
        run: what is mined.
        path: the file to write.
        images: as of ``Pictures``; None for tables and text.
        text: as of ``read_texts``.
        blind: leave out what the model thinks.
        thumb: largest side of a picture in the page, in pixels; None is 128.
        link: link picture files instead of copying them into the page.

    Raises:
        EvaltoolError: the pictures or texts are not there, or these options ask for nothing.
    """

    def __init__(
        self,
        run: Run,
        path: Path,
        *,
        images: Any = None,
        text: str | Path | None = None,
        blind: bool = False,
        thumb: int | None = None,
        link: bool = False,
    ) -> None:
        if images is None and (link or thumb is not None) and run.task != "segmentation":
            raise EvaltoolError(
                f"the gallery has no pictures\n  {path}: {'--link' if link else '--thumb'} without --images\n"
                "  Say where they are: --images DIR, 'DIR/{id}.png' or an image array .npy."
            )
        if text is not None:
            check_texts(text)
        self._run, self._path, self._text = run, path, text
        self._pictures = Pictures.open(images, run)
        self._blind, self._link = blind, link
        self._thumb = THUMB if thumb is None else thumb

    def page(self, table: pa.Table, inputs: Inputs | None, *, controls: bool, watcher: Watcher) -> Page:
        """Return the page of a list.

        Args:
            table: the rows in list order.
            inputs: predictions and labels, for masks.
            controls: random rows are mixed in, which nothing may tell.
            watcher: learns what the user should know of the page.

        Raises:
            EvaltoolError: the list is empty, or a text or picture is not there.
        """
        run = self._run
        blind = self._blind
        if controls and run.task == "segmentation" and not blind:
            blind = True  # where label and prediction agree is what tells a random image
            watcher.warned("the gallery is blind: beside their predictions, random controls would be known at once")
        texts = None
        if self._text is not None:
            texts = read_texts(self._text, table["index"].to_pylist(), run.n_samples)
        page = Page(
            Mined(table, run, inputs if run.task == "segmentation" else None),
            pictures=self._pictures,
            texts=texts,
            blind=blind,
            thumb=self._thumb,
            folder=self._path.parent if self._link else None,
        )
        if page.origins:
            watcher.warned(f"the gallery loads its pictures from {', '.join(page.origins)} whenever it is open")
        return page

    def tell_size(self, watcher: Watcher) -> None:
        """Say of a written page that is slow to send around how large it is, and what makes it smaller."""
        n_bytes = self._path.stat().st_size
        if n_bytes <= LARGE:
            return
        n_megabytes = round(n_bytes / 1e6)
        smaller = f"a --thumb below {self._thumb} makes it smaller, --link leaves picture files where they are"
        hint = (
            smaller
            if self._pictures is not None and not (self._link or self._pictures.is_url)
            else "a shorter list makes it smaller"
        )
        watcher.warned(f"the gallery is {n_megabytes} MB: {hint}")
