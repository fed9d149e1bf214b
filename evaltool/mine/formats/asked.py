"""The annotation files that were asked for, from the options of ``mine`` to the folder."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from evaltool.mine.formats.annotation import FILE_FORMATS, check_task, write_format
from evaltool.mine.formats.samples import MARK
from evaltool.mine.gallery.texts import check_texts, read_texts
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.partial_files import check_file, check_folder
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run


class AskedAnnotation:
    """What annotators are to get.

    Args:
        run: what is mined.
        name: one of ``annotation.FORMATS``.
        output: the folder or file to write.
        images: as of ``Pictures``.
        text: as of ``read_texts``; Label Studio shows it where there are no pictures.
        shown: "suggested" or "given" labels and masks; see ``write_format``.
        link: link picture files instead of copying them.
        overwrite: replace what evaltool wrote there.

    Raises:
        EvaltoolError: the format cannot hold the run's task, the pictures or texts are not there, or the output must
            not be replaced.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        output: Path,
        *,
        images: Any,
        text: str | Path | None,
        shown: str,
        link: bool,
        overwrite: bool,
    ) -> None:
        check_task(name, run)
        if name in FILE_FORMATS:
            check_file(output, overwrite=overwrite)
        else:
            check_folder(output, overwrite=overwrite, mark=MARK)
        if text is not None:
            check_texts(text)
        self._run, self._name, self._output, self._text = run, name, output, text
        self._pictures = Pictures.open(images, run)
        self._options: dict[str, Any] = {"shown": shown, "link": link, "overwrite": overwrite}

    def write(self, table: pa.Table, inputs: Inputs | None, watcher: Watcher) -> None:
        """Write a list's rows, and warn of what the format does not carry.

        Args:
            table: the rows in list order.
            inputs: predictions and labels, for masks.
            watcher: is told the notes.
        """
        if self._text is not None:
            indices = table["index"].to_pylist()
            texts = read_texts(self._text, indices, self._run.n_samples)
            lines = ["\n".join(f"{name}: {value}" if name else value for name, value in texts[i]) for i in indices]
            table = table.append_column("text", pa.array(lines, pa.string()))
        mined = Mined(table, self._run, inputs)
        for note in write_format(self._name, mined, self._output, self._pictures, **self._options):
            watcher.warned(note)
