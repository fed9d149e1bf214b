"""What stands in a gallery's source, without a browser: and what does not."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from evaltool.errors import EvaltoolError
from evaltool.mine.gallery import gallery_of, read_texts, write_gallery
from evaltool.mine.gallery.masks import overlay_of
from evaltool.mine.mined import Masks
from evaltool.mine.pictures import Pictures
from tests.mine.galleries import HOSTILE, digits, multiclass, read, segmentation


def test_only_what_is_shown_is_in_the_page():
    mined = multiclass()
    config, samples, _ = read(gallery_of(mined))
    shown = {"index", "label", "suggested", "pred", "p_wrong", "p_label", "p_suggested", "why", "group", "losses"}
    assert set().union(*samples) == shown  # no score, rank, status; above all not what tells random controls
    assert [sample["index"] for sample in samples] == list(range(40))
    assert config["losses"] == ["ce"]


def test_a_blind_page_holds_nothing_of_the_model():
    mined = multiclass()
    page = gallery_of(mined, blind=True)
    config, samples, _ = read(page)
    assert set().union(*samples) == {"index", "label"}
    assert config["losses"] == []
    assert "reason" not in page.partition('id="samples"')[2].partition("</script>")[0]
    order = [sample["index"] for sample in samples]
    assert sorted(order) == list(range(40))
    assert order != sorted(order)
    reversed_list = mined._replace(table=mined.table.take(list(range(39, -1, -1))))
    assert [sample["index"] for sample in read(gallery_of(reversed_list, blind=True))[1]] == order
    _, masked, _ = read(gallery_of(segmentation(), blind=True))
    assert set(masked[0]) == {"index", "overlays", "classes", "size"}
    assert set(masked[0]["overlays"]) == {"label"}


def test_hostile_text_ends_no_element():
    page = gallery_of(multiclass(classes=HOSTILE, ids=[f"{HOSTILE[0]}{row}" for row in range(40)]), title=HOSTILE[1])
    config, samples, parser = read(page)
    assert config["classes"] == HOSTILE
    assert samples[0]["id"] == f"{HOSTILE[0]}0"
    assert "<" not in parser.texts["config"] + parser.texts["samples"]
    assert parser.tags.count("script") == 3
    assert parser.tags.count("img") == 0


def test_the_policy_names_the_script_and_lets_no_connection_through():
    page = gallery_of(multiclass())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "img-src data:; base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    assert "innerHTML" not in page
    assert "://" not in re.sub(r"data:image/\S+", "", page)


def test_large_ids_and_odd_numbers_survive_javascript():
    mined = multiclass(ids=[2**60 + row for row in range(40)])
    table = mined.table.set_column(mined.table.schema.get_field_index("ce"), "ce", pa.array([np.inf, np.nan] * 20))
    _, samples, _ = read(gallery_of(mined._replace(table=table)))
    assert samples[1]["id"] == str(2**60 + 1)
    assert samples[0]["losses"] == ["∞"]
    assert samples[1]["losses"] == [None]


def test_a_written_page_is_whole_or_absent(tmp_path):
    mined = multiclass()
    done = write_gallery(mined, tmp_path / "list.html", pictures=Pictures(digits(40), 40))
    assert done.n_bytes == (tmp_path / "list.html").stat().st_size
    assert (tmp_path / "list.html").read_text() == gallery_of(mined, pictures=Pictures(digits(40), 40)).replace(
        '"file":"scores"', '"file":"list"'
    )
    (tmp_path / "pictures").mkdir()
    with pytest.raises(EvaltoolError, match="a sample has no picture"):
        write_gallery(mined, tmp_path / "other.html", pictures=Pictures(tmp_path / "pictures", 40))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.html", "pictures"]


def test_pictures_behind_addresses_are_named(tmp_path):
    pictures = Pictures("https://pictures.example/{index}.png", 40)
    done = write_gallery(multiclass(), tmp_path / "list.html", pictures=pictures)
    assert done.origins == ("https://pictures.example",)
    page = (tmp_path / "list.html").read_text()
    assert "img-src data: https://pictures.example;" in page
    for bad in ("javascript://x/{index}", "https://a b;script-src *//{index}"):
        with pytest.raises(EvaltoolError, match="cannot show what is behind this address"):
            gallery_of(multiclass(), pictures=Pictures(bad, 40))


def test_what_cannot_be_linked_is_refused(tmp_path):
    with pytest.raises(EvaltoolError, match="an image array has no files to link"):
        write_gallery(multiclass(), tmp_path / "list.html", pictures=Pictures(digits(40), 40), link=True)
    with pytest.raises(EvaltoolError, match="there are no pictures to link"):
        write_gallery(multiclass(), tmp_path / "list.html", link=True)
    with pytest.raises(EvaltoolError, match="there is nothing to review"):
        gallery_of(multiclass()._replace(table=multiclass().table.slice(0, 0)))


def pixels(uri):
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return np.asarray(image.convert("RGBA"))


def test_masks_are_drawn_in_the_shape_of_the_picture():
    label = np.array([[0, 0, 1, 1], [0, 2, 2, -1]])
    pred = np.array([[0, 1, 1, 1], [0, 2, 0, 0]])
    valid = label >= 0
    drawn = overlay_of(Masks(np.where(valid, label, 0), pred, valid), None, (40, 20), blind=False)
    shown = {name: pixels(uri) for name, uri in drawn.images.items()}
    assert {image.shape for image in shown.values()} == {(20, 40, 4)}
    coloured = shown["label"][..., 3].reshape(2, 10, 4, 10).all((1, 3))
    assert coloured.tolist() == (np.where(valid, label, 0) > 0).tolist()
    assert shown["label"][5, 25].tolist() == [0x56, 0xB4, 0xE9, 255]
    stripes = shown["disagreement"][..., 3].reshape(2, 10, 4, 10).any((1, 3))
    assert stripes.tolist() == [[False, True, False, False], [False, False, True, False]]
    assert drawn.classes == [1, 2]


def test_one_wrong_pixel_of_a_large_mask_is_not_lost():
    label = np.zeros((1000, 900), np.int64)
    pred = label.copy()
    pred[417, 333] = 1
    drawn = overlay_of(Masks(label, pred, np.ones_like(label, bool)), None, (90, 100), blind=False)
    # one pixel, unless it falls between the stripes
    assert pixels(drawn.images["disagreement"])[..., 3].any()


@pytest.fixture
def table(tmp_path):
    content = pa.table({"n": [1, 2, 3], "text": ["a\nb", 'say "x"', None], "odd,name": [1.5, None, 2.0]})
    pa.csv.write_csv(content, tmp_path / "t.csv")
    pa.csv.write_csv(content, tmp_path / "t.tsv", pa.csv.WriteOptions(delimiter="\t"))
    pa.parquet.write_table(content, tmp_path / "t.parquet")
    lines = "\n".join(json.dumps(row) for row in content.to_pylist())
    (tmp_path / "t.jsonl").write_text(lines + "\n")
    (tmp_path / "t.txt").write_text("one\n\nthree\n")
    return tmp_path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.jsonl"])
def test_texts_come_from_any_table(table, name):
    texts = read_texts(f"{table / name}:text", [2, 0], 3)
    assert texts == {0: [("", "a\nb")], 2: [("", "")]}
    assert read_texts(f"{table / name}:n,text", [1], 3) == {1: [("n", "2"), ("text", 'say "x"')]}


def test_texts_come_one_per_line(table):
    assert read_texts(table / "t.txt", [1, 2], 3) == {1: [("", "")], 2: [("", "three")]}


def test_a_text_that_is_too_long_says_so(tmp_path):
    (tmp_path / "t.txt").write_text("x" * 30_000 + "\n")
    [(_, text)] = read_texts(tmp_path / "t.txt", [0], 1)[0]
    assert text.endswith(" … (cut: 30,000 characters)")
    assert len(text) < 20_100


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("t.csv", "no column was named; it has n, text, odd,name"),
        ("t.csv:body", "no column body; it has n, text, odd,name"),
        ("t.jsonl:body", "no column body; it has n, text, odd,name"),
        ("t.txt:body", "this file has no columns"),
        ("t.html:x", "expected one of .csv, .tsv, .parquet, .jsonl, .ndjson, .txt"),
        ("none.csv:x", "there is no such file of texts"),
        ("t.txt", "3 rows, expected 4 = N"),
    ],
)
def test_a_wrong_text_is_named(table, source, message):
    with pytest.raises(EvaltoolError) as caught:
        read_texts(f"{table}/{source}", [0], 4)
    assert message in str(caught.value)


def test_the_digest_depends_on_the_run_alone():
    digest = read(gallery_of(multiclass()))[0]["digest"]
    assert len(digest) == len(hashlib.sha256().hexdigest())
    shorter = multiclass()
    assert read(gallery_of(shorter._replace(table=shorter.table.slice(3))))[0]["digest"] == digest
    assert read(gallery_of(multiclass(seed=1)))[0]["digest"] != digest
