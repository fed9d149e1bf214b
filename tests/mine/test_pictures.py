import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from evaltool.errors import EvaltoolError
from evaltool.mine.pictures import Pictures


def saved(path, size=(6, 4), colour=(10, 20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_folder_is_searched_by_id_then_by_index(tmp_path):
    saved(tmp_path / "cat.jpg")
    saved(tmp_path / "deep" / "2.png")
    with_ids = Pictures(tmp_path, 3, pa.array(["x", "cat", "y"]))
    assert with_ids.of({"index": 1}).path == tmp_path / "cat.jpg"
    assert with_ids.of({"index": 0, "id": "cat.jpg"}).path == tmp_path / "cat.jpg"
    assert Pictures(tmp_path, 3).of({"index": 2}).path == tmp_path / "deep" / "2.png"
    assert Pictures(tmp_path, 3).of({"index": 2}).size() == (6, 4)


def test_two_files_of_one_name_are_told(tmp_path):
    saved(tmp_path / "a" / "1.png")
    saved(tmp_path / "b" / "1.png")
    with pytest.raises(EvaltoolError, match="several pictures have this name"):
        Pictures(tmp_path, 2).of({"index": 1})
    assert Pictures(tmp_path, 2, pa.array(["", "b/1"])).of({"index": 1}).path == tmp_path / "b" / "1.png"


def test_an_id_does_not_lead_out_of_the_folder(tmp_path):
    saved(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    with pytest.raises(EvaltoolError, match="no picture"):
        Pictures(tmp_path / "images", 1).of({"index": 0, "id": "../secret"})


@pytest.mark.parametrize(
    "name", ["../secret", "../secret.png", "{root}/secret.png", "link", "link.png", "deep/../../secret"]
)
@pytest.mark.parametrize("pattern", ["{root}/images", "{root}/images/{{id}}", "{root}/images/{{id}}.png"])
def test_no_id_names_a_file_elsewhere(tmp_path, name, pattern):
    saved(tmp_path / "secret.png")
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    pictures = Pictures(pattern.format(root=tmp_path), 1)
    with pytest.raises(EvaltoolError, match="a sample has no picture"):
        pictures.of({"index": 0, "id": name.format(root=tmp_path)})


def test_a_linked_folder_says_which_folder_to_give(tmp_path):
    target = saved(tmp_path / "photos" / "7.png")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "7.png").symlink_to(target)
    with pytest.raises(EvaltoolError, match="a sample has no picture") as error:
        Pictures(tmp_path / "linked", 8).of({"index": 7})
    assert f"7.png, a link to {target.resolve()}: outside {tmp_path / 'linked'}, for index 7\n" in str(error.value)


def test_an_absolute_id_in_the_folder_is_found(tmp_path, monkeypatch):
    path = saved(tmp_path / "images" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert Pictures("images", 1).of({"index": 0, "id": str(path)}).path == path


def test_what_is_no_picture_is_not_handed_on(tmp_path):
    (tmp_path / "passwords.txt").write_text("secret")
    with pytest.raises(EvaltoolError, match="cannot read the picture"):
        Pictures(tmp_path, 1).of({"index": 0, "id": "passwords.txt"})
    with pytest.raises(EvaltoolError, match="cannot read the picture"):
        Pictures(f"{tmp_path}/{{id}}", 1).of({"index": 0, "id": "passwords.txt"})


def test_a_pattern_of_files(tmp_path):
    saved(tmp_path / "007.png")
    assert Pictures(f"{tmp_path}/{{index:03d}}.png", 9).of({"index": 7}).path == tmp_path / "007.png"
    with pytest.raises(EvaltoolError, match="a sample has no picture"):
        Pictures(f"{tmp_path}/{{index:03d}}.png", 9).of({"index": 8})
    with pytest.raises(EvaltoolError, match="there are no ids"):
        Pictures(f"{tmp_path}/{{id}}.png", 9).of({"index": 8})


def test_a_pattern_of_addresses_is_never_opened():
    picture = Pictures("https://example.org/{id}.jpg?w=1", 9).of({"index": 8, "id": "a b"})
    assert picture.url == "https://example.org/a%20b.jpg?w=1"
    assert (picture.name, picture.size(), picture.data_uri(10)) == ("a_20b.jpg", None, picture.url)
    with pytest.raises(EvaltoolError, match="not fetched"):
        picture.png()


@pytest.mark.parametrize("pattern", ["x/{name}.png", "x/{}.png", "x/{index", "x/{index.__class__}.png", "x/{id:d}.png"])
def test_other_patterns_are_refused(pattern):
    with pytest.raises(EvaltoolError, match="names no picture per sample"):
        Pictures(pattern, 3)


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 3), (5, 4, 6, 4), (5, 1, 4, 6), (5, 3, 4, 6)])
def test_an_array_of_bytes_is_shown_as_it_is(shape, rng, tmp_path):
    array = rng.integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "images.npy", array)
    picture = Pictures(str(tmp_path / "images.npy"), 5).of({"index": 3})
    expected = array[3]
    if shape[1] in (1, 3):
        expected = expected[0] if shape[1] == 1 else np.moveaxis(expected, 0, 2)
    assert np.array_equal(decoded(picture.png()), expected)
    assert (picture.name, picture.size()) == ("3.png", (6, 4))


def test_other_numbers_are_shown_over_their_range():
    array = np.stack([np.full((2, 2), 0.0), np.array([[0.0, 8.0], [16.0, np.nan]])])
    assert decoded(Pictures(array, 2).of({"index": 1}).png()).tolist() == [[0, 128], [255, 0]]


@pytest.mark.parametrize("shape", [(5, 4), (5, 2, 4, 6), (5, 0, 4), (4, 4, 6)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(EvaltoolError, match="pictures"):
        Pictures(np.zeros(shape), 5)


def test_thumbnails_of_all_modes(tmp_path):
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"):
        suffix = {"CMYK": "jpg", "F": "tiff"}.get(mode, "png")
        Image.new(mode, (300, 200)).save(tmp_path / f"{mode.replace(';', '')}.{suffix}")
    for path in tmp_path.iterdir():
        content, mime = Pictures(tmp_path, 1).of({"index": 0, "id": path.stem}).thumbnail(64)
        assert Image.open(io.BytesIO(content)).size == (64, 43)
        assert mime in ("image/png", "image/jpeg")


def test_a_file_that_is_no_picture_is_told(tmp_path):
    (tmp_path / "0.png").write_bytes(b"text")
    with pytest.raises(EvaltoolError, match="cannot read the picture"):
        Pictures(tmp_path, 1).of({"index": 0}).size()
    whole = saved(tmp_path / "1.png", (50, 50)).read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:60])
    with pytest.raises(EvaltoolError, match="cannot read the picture"):
        Pictures(tmp_path, 2).of({"index": 1}).thumbnail(8)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(EvaltoolError, match="no such folder of pictures"):
        Pictures(tmp_path / "none", 1)


def mime_of(array, side=128):
    return Pictures(array[None], 1).of({"index": 0}).thumbnail(side)[1]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_photographs_are_jpeg_and_small_ones_drawings_and_flat_ones_png(channels):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (128, 96, *channels), np.uint8)
    assert mime_of(noise) == "image/jpeg"
    assert mime_of(noise[:64, :64]) == "image/png"
    assert mime_of(noise // 32 * 32 if not channels else (noise[..., :1] // 32 * 32).repeat(3, -1)) == "image/png"
    assert mime_of(np.full((128, 96, *channels), 200, np.uint8)) == "image/png"


def test_transparency_is_kept_where_there_is_any():
    rgba = np.random.default_rng(0).integers(0, 255, (100, 90, 4), np.uint8)
    assert mime_of(rgba) == "image/png"
    rgba[..., 3] = 255
    assert mime_of(rgba) == "image/jpeg"
