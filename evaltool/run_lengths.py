"""Masks as run lengths, in the three forms that annotation tools store.

COCO: runs of zeros and ones by turns down the columns, as a string (pycocotools, maskApi.c, ``rleToString``).  CVAT:
the same along the rows of the mask's box, as numbers.  Label Studio: bits of an RGBA picture, by thi.ng/umbrella's
rle-pack.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BRUSH_SIZES = (3, 4, 8, 16)  # bits of the four lengths that a run can be written with
BRUSH_WORD = 8
BRUSH_CHANNELS = 4
BRUSH_ON = 127  # above: painted


def run_lengths(flat: Array) -> list[int]:
    """Return the lengths of the runs of zeros and ones by turns, zeros first (0 where there are none).

    Args:
        flat: bool [n].
    """
    if not len(flat):
        return []
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def mask_of_runs(lengths: list[int]) -> Array:
    """Return bool [n] of runs of zeros and ones by turns; the inverse of ``run_lengths``."""
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def coco_string(mask: Array) -> str:
    """Return COCO's compressed run lengths of a mask.

    Args:
        mask: bool [H, W].
    """
    counts = run_lengths(mask.ravel(order="F"))
    text = []
    for position, count in enumerate(counts):
        left = count - counts[position - 2] if position > 2 else count
        more = True
        while more:  # five bits a character, the lowest first; the sixth says that more follow
            bits = left & 0x1F
            left >>= 5
            more = left != -1 if bits & 0x10 else left != 0
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(text)


def box_of(mask: Array) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what is set in a bool [H, W]; zeros where nothing is."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return 0, 0, 0, 0
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def brush_rle(mask: Array) -> list[int]:
    """Return Label Studio's brush of a mask: bytes, 255 in all four channels where it is set.

    Args:
        mask: bool [H, W].
    """
    bits = [f"{mask.size * BRUSH_CHANNELS:032b}{BRUSH_WORD - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in BRUSH_SIZES]
    for position, count in enumerate(run_lengths(mask.ravel())):
        value = f"{255 if position % 2 else 0:08b}"
        left = count * BRUSH_CHANNELS
        while left:
            now = min(left, 1 << BRUSH_SIZES[-1])
            which = next(k for k, size in enumerate(BRUSH_SIZES) if now <= 1 << size)
            bits.append(f"1{which:02b}{now - 1:0{BRUSH_SIZES[which]}b}{value}")
            left -= now
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def brush_mask(rle: list[int], height: int, width: int) -> Array:
    """Return the bool [H, W] that a brush of Label Studio paints: where its alpha is above half.

    Raises:
        ValueError: the bytes are no such brush, or one of another size.
    """
    text = "".join(f"{byte:08b}" for byte in bytes(rle))
    place = 0

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > len(text):
            raise ValueError("the brush ends in the middle")
        return int(text[place - size : place], 2)

    total, word = number(32), number(5) + 1
    sizes = [number(4) + 1 for _ in range(4)]
    if total != height * width * BRUSH_CHANNELS:
        raise ValueError(f"the brush has {total} values, expected {height} x {width} x {BRUSH_CHANNELS}")
    picture = np.zeros(total, np.int64)
    start = 0
    while start < total:
        is_run = number(1)
        stop = start + 1 + number(sizes[number(2)])
        if stop > total:
            raise ValueError("a run of the brush passes its end")
        picture[start:stop] = number(word) if is_run else [number(word) for _ in range(stop - start)]
        start = stop
    return np.asarray(picture.reshape(height, width, BRUSH_CHANNELS)[:, :, 3] > BRUSH_ON)
