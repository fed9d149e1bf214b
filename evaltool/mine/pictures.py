"""The pictures of samples: files of a folder, addresses, or the rows of an image array."""

import base64
import io
import string
import urllib.parse
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.readers.npy import NpyFile
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]
FIELDS = ("id", "index")
PROBED = 256  # pictures that the range of an array's values is taken from
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MIME_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}
LOSSLESS_SIDE = 64  # a picture no larger than this is a PNG: blocks of JPEG would hide what small pictures show
FEW_COLOURS = 32  # a drawing rather than a photograph: JPEG would blur its edges
JPEG_QUALITY = 85


class Picture(NamedTuple):
    """One sample's picture: a file, an address that is never opened, or an array."""

    name: str  # file name, unique in a run where ids are
    path: Path | None = None
    url: str | None = None
    array: Array | None = None  # uint8 [H, W] or [H, W, 3|4]

    def size(self) -> tuple[int, int] | None:
        """Return width and height in pixels; None of an address.

        Raises:
            EvaltoolError: the file is no picture.
        """
        if self.array is not None:
            return self.array.shape[1], self.array.shape[0]
        if self.path is None:
            return None
        with _opened(self.path) as image:
            return int(image.size[0]), int(image.size[1])

    def png(self) -> bytes:
        """Return an array, or a file in any format Pillow reads, as a PNG.

        Raises:
            EvaltoolError: the file is no picture, or this is an address.
        """
        return _encoded(self._image(), "PNG")

    def thumbnail(self, side: int) -> tuple[bytes, str]:
        """Return the picture no larger than ``side`` x ``side`` pixels, and its MIME type.

        Small pictures, drawings and what is transparent are PNG, others JPEG where that is smaller.

        Raises:
            EvaltoolError: the file is no picture, or this is an address.
        """
        image = self._image()
        if image.mode == "RGBA" and image.getextrema()[3][0] == 255:
            image = image.convert("RGB")
        lossless = max(image.size) <= LOSSLESS_SIDE or image.mode == "RGBA" or bool(image.getcolors(FEW_COLOURS))
        image.thumbnail((side, side))
        png = _encoded(image, "PNG")
        jpeg = png if lossless else _encoded(image, "JPEG", quality=JPEG_QUALITY)
        return (jpeg, MIME_TYPES["JPEG"]) if len(jpeg) < len(png) else (png, MIME_TYPES["PNG"])

    def data_uri(self, side: int) -> str:
        """Return the thumbnail as a ``data:`` address; of an address, itself."""
        if self.url is not None:
            return self.url
        content, mime = self.thumbnail(side)
        return f"data:{mime};base64,{base64.b64encode(content).decode()}"

    def _image(self) -> Any:
        if self.array is not None:
            return pillow().fromarray(self.array)
        if self.path is None:
            raise EvaltoolError(
                f"pictures behind an address are not fetched\n  {self.url}\n"
                "  Give the folder they are in: --images DIR."
            )
        with _opened(self.path) as image:
            try:
                image.load()
            except (OSError, SyntaxError, ValueError) as error:
                raise _unreadable(self.path, error) from None
            from PIL import ImageOps  # here: Pillow is an extra

            upright = ImageOps.exif_transpose(image)
            return upright if upright.mode in ("L", "RGB", "RGBA") else _eight_bits(upright)


class Pictures:
    """Finds the picture of a row.

    Args:
        images: a folder, whose files are called by id or index; ``DIR/{index:05d}.png`` or ``https://.../{id}.jpg``; or
            an ``.npy`` array or one in memory, [N, H, W], [N, H, W, 3|4] or [N, 1|3, H, W].
        n_samples: rows of the run.
        ids: one per sample; a row's own ``id`` goes before.

    Raises:
        EvaltoolError: there is no such folder, the pattern has other fields, or the array another shape.
    """

    def __init__(self, images: Any, n_samples: int, ids: "pa.Array[Any] | None" = None) -> None:
        self._ids = ids
        self._array = _image_array(images, n_samples) if _is_array(images) else None
        text = None if self._array is not None else str(images)
        self.is_url = text is not None and "://" in text
        self._pattern = text if text is not None and (self.is_url or "{" in text) else None
        self.folder = None if text is None or self.is_url else Path(text)
        if self._pattern is not None:
            _check_pattern(self._pattern)
            self.folder = None if self.is_url else Path(self._pattern.partition("{")[0] + "x").parent
        elif self.folder is not None and not self.folder.is_dir():
            raise EvaltoolError(
                f"there is no such folder of pictures\n  {self.folder}\n"
                "  Give --images DIR, 'DIR/{id}.png', 'https://.../{index}.jpg' or an image array .npy."
            )

    @classmethod
    def open(cls, images: Any, run: Run, ids: "pa.Array[Any] | None" = None) -> "Pictures | None":
        """Return the pictures of a run; None where none are given.  Arguments and errors as of the class."""
        return None if images is None else cls(images, run.n_samples, ids)

    def of(self, row: Mapping[str, Any]) -> Picture:
        """Return the picture of a row, by its ``index`` and ``id``.

        Raises:
            EvaltoolError: there is no such file in the folder, or several, or it is no picture.
        """
        index, key = int(row["index"]), row.get("id")
        if key is None and self._ids is not None:
            key = self._ids[index].as_py()
        if self._array is not None:
            return Picture(f"{_plain(index if key is None else key)}.png", array=self._shown(index))
        if self._pattern is None:
            return self._in_folder(index, key)
        if key is None and "id" in _fields(self._pattern):
            raise EvaltoolError(
                f"the pictures are named by id, and there are no ids\n  {self._pattern}\n"
                "  Pass --ids FILE, or name them by {index}."
            )
        if self.is_url:
            url = self._pattern.format(index=index, id=urllib.parse.quote(str(key)))
            return Picture(_plain(urllib.parse.urlsplit(url).path.rpartition("/")[2] or index), url=url)
        path = Path(self._pattern.format(index=index, id=key))
        return Picture(path.name, path=self._there(path, index))

    def _in_folder(self, index: int, key: Any) -> Picture:
        assert self.folder is not None
        wanted = str(index if key is None else key)
        exact = self.folder / wanted
        if key is not None and _is_file(exact) and self._is_inside(exact):
            return Picture(exact.name, path=self._there(exact, index))
        found = self._by_stem.get(wanted, [])
        if len(found) > 1:
            raise EvaltoolError(
                f"several pictures have this name\n  {', '.join(str(path) for path in found[:3])}\n"
                "  Say which with a pattern: --images 'DIR/{id}.png'."
            )
        path = self._there(found[0] if found else exact, index)
        return Picture(path.name, path=path)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        assert self.folder is not None
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                inner = path.relative_to(self.folder).with_suffix("").as_posix()
                for name in {inner, path.stem}:
                    found.setdefault(name, []).append(path)
        return found

    def _is_inside(self, path: Path) -> bool:
        """Whether a file lies in the folder, wherever links lead: ids are data, and name no file elsewhere."""
        return path.resolve().is_relative_to(self._root)

    @cached_property
    def _root(self) -> Path:
        assert self.folder is not None
        return self.folder.resolve()

    def _there(self, path: Path, index: int) -> Path:
        if not self._is_inside(path):
            leads = f", a link to {path.resolve()}" if path.is_symlink() else ""
            raise EvaltoolError(
                f"a sample has no picture\n  {path}{leads}: outside {self.folder}, for index {index}\n"
                "  Mend the id, or name the folder that holds the picture; links that lead elsewhere do not count."
            )
        if not _is_file(path):
            raise EvaltoolError(
                f"a sample has no picture\n  {path}: no such file, for index {index}\n"
                "  Say how the files are called: --images 'DIR/{id}.png' or 'DIR/{index:05d}.png'."
            )
        _opened(path).close()  # what is no picture is not handed on
        return path

    def _shown(self, index: int) -> Array:
        """Return a row of the array as uint8 [H, W] or [H, W, 3|4]."""
        assert self._array is not None
        picture = _channels_last(self._array.read(index, index + 1), self._array.shape)[0]
        if picture.dtype == np.uint8:
            return np.ascontiguousarray(picture)
        low, high = self._range
        scaled = (np.nan_to_num(picture.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (high - low)
        return np.ascontiguousarray((scaled.clip(0, 1) * 255).round().astype(np.uint8))

    @cached_property
    def _range(self) -> tuple[float, float]:
        """Lowest and highest finite value of some pictures: what is shown black and white."""
        assert self._array is not None
        n = self._array.shape[0]
        low, high = np.inf, -np.inf
        for index in np.unique(np.linspace(0, n - 1, min(n, PROBED)).astype(np.int64)):
            values = self._array.read(int(index), int(index) + 1).astype(np.float64)
            values = values[np.isfinite(values)]
            if values.size:
                low, high = min(low, values.min()), max(high, values.max())
        return (float(low), float(high)) if low < high else (0.0, 1.0)


def pillow() -> Any:
    """Return the module that reads and writes pictures.

    Raises:
        EvaltoolError: it is not installed.
    """
    try:
        from PIL import Image  # here: Pillow is an extra
    except ImportError:
        raise EvaltoolError(
            "pictures need Pillow\n  it is not installed\n  Install it: pip install 'evaltool[images]'."
        ) from None
    return Image


class _ArrayRows:
    """An image array in memory, read as a file is."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def read(self, start: int, stop: int) -> Array:
        return np.array(self.array[start:stop])


def _is_array(images: Any) -> bool:
    return not isinstance(images, (str, Path)) or (Path(images).suffix == ".npy" and "{" not in str(images))


def _image_array(images: Any, n_samples: int) -> "NpyFile | _ArrayRows":
    rows = NpyFile(Path(images)) if isinstance(images, (str, Path)) else _ArrayRows(np.asarray(images))
    shape = tuple(rows.shape)
    layout = len(shape) == 3 or (len(shape) == 4 and (shape[3] in (3, 4) or shape[1] in (1, 3)))
    name = images if isinstance(images, (str, Path)) else "images"
    if not layout or 0 in shape[1:] or rows.dtype.kind not in "buif":
        raise EvaltoolError(
            f"these are no pictures\n  {name}: shape {list(shape)}, dtype {rows.dtype}, expected numbers [N, H, W], "
            "[N, H, W, 3|4] or [N, 1|3, H, W]\n  Save them in one of these shapes."
        )
    if shape[0] != n_samples:
        raise EvaltoolError(
            f"there is not one picture per sample\n  {name}: {shape[0]} pictures, expected {n_samples} = N\n"
            "  Give the pictures of exactly these samples, in their order."
        )
    return rows


def _channels_last(pictures: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) == 3 or shape[3] in (3, 4):
        return pictures
    return pictures[:, 0] if shape[1] == 1 else pictures.transpose(0, 2, 3, 1)


def _fields(pattern: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None}


def _check_pattern(pattern: str) -> None:
    try:
        fields = _fields(pattern)
        pattern.format(index=0, id="0")
    except (ValueError, KeyError, IndexError, AttributeError):
        fields = {"?"}
    if not fields or not fields <= set(FIELDS):
        raise EvaltoolError(
            f"this pattern names no picture per sample\n  {pattern}: expected {{id}} or {{index}}, or {{index:05d}}\n"
            "  Give --images 'DIR/{id}.png' or 'https://.../{index}.jpg'."
        )


def _plain(name: Any) -> str:
    """Return a file name without what would lead out of a folder."""
    return "".join(char if char.isalnum() or char in "._- " else "_" for char in str(name)).lstrip(".") or "_"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _opened(path: Path) -> Any:
    image = pillow()
    try:
        return image.open(path)
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> EvaltoolError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return EvaltoolError(f"cannot read the picture\n  {path}: {reason}\n  Mend the file or leave the sample out.")


def _eight_bits(image: Any) -> Any:
    """Return a picture of another mode as RGB(A), 16 bits and floats over their range."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        spread = values.max() - values.min()
        return pillow().fromarray(((values - values.min()) * (255 / spread if spread else 0)).round().astype(np.uint8))
    return image.convert("RGBA" if "transparency" in image.info or image.mode in ("LA", "PA") else "RGB")


def _encoded(image: Any, kind: str, **options: int) -> bytes:
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return packed.getvalue()
