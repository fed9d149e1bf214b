import numpy as np
import pytest

from evaltool.run_lengths import box_of, brush_mask, brush_rle, coco_string, mask_of_runs, run_lengths

SHAPES = [(1, 1), (1, 7), (7, 1), (13, 9), (300, 400)]


def masks(rng):
    for shape in SHAPES:
        yield from (np.zeros(shape, bool), np.ones(shape, bool), rng.random(shape) < 0.5, rng.random(shape) < 0.01)


def test_runs_by_turns():
    assert run_lengths(np.array([0, 0, 1, 0], bool)) == [2, 1, 1]
    assert run_lengths(np.array([1, 1, 0], bool)) == [0, 2, 1]
    assert run_lengths(np.zeros(0, bool)) == []


def test_runs_read_back(rng):
    for mask in masks(rng):
        assert np.array_equal(mask_of_runs(run_lengths(mask.ravel())), mask.ravel())


def test_coco_strings_equal_pycocotools(rng):
    coco = pytest.importorskip("pycocotools.mask")
    for mask in masks(rng):
        assert coco_string(mask) == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def decoded_by_the_published_algorithm(rle):
    """The rle-pack of thi.ng/umbrella, bit by bit: what Label Studio's page does."""
    bits = iter("".join(format(byte, "08b") for byte in rle))

    def read(n):
        return int("".join(next(bits) for _ in range(n)), 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    out = []
    while len(out) < count:
        run = read(1)
        n = read(sizes[read(2)]) + 1
        out += [read(word)] * n if run else [read(word) for _ in range(n)]
    return np.array(out)


def test_brushes_read_back(rng):
    for mask in masks(rng):
        rle = brush_rle(mask)
        oracle = decoded_by_the_published_algorithm(rle).reshape(*mask.shape, 4)
        assert np.array_equal(oracle, np.repeat(mask[..., None], 4, 2) * 255)
        assert np.array_equal(brush_mask(rle, *mask.shape), mask)


def test_a_brush_with_single_values_is_read():
    # two pixels, word size 8, sizes 3 4 8 16; eight values one by one: 0 0 0 255, 0 0 0 9
    head = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    bits = head + "0" + "00" + f"{7:03b}" + "".join(f"{v:08b}" for v in (0, 0, 0, 255, 0, 0, 0, 9))
    bits += "0" * (-len(bits) % 8)
    assert brush_mask([int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], 1, 2).tolist() == [[True, False]]


@pytest.mark.parametrize("change", ["cut", "size", "bytes"])
def test_a_broken_brush_is_a_value_error(change):
    rle = brush_rle(np.eye(9, dtype=bool))
    with pytest.raises(ValueError, match=r"brush|bytes|integer"):
        brush_mask(
            rle[:20] if change == "cut" else [*rle[:-1], 300] if change == "bytes" else rle, 9, 8 + (change != "size")
        )


def test_the_box_of_a_mask():
    mask = np.zeros((5, 6), bool)
    assert box_of(mask) == (0, 0, 0, 0)
    mask[1:3, 4] = True
    assert box_of(mask) == (4, 1, 1, 2)
