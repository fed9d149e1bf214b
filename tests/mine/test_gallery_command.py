"""``evaltool mine --gallery``: what it writes beside the list, and what it refuses."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from evaltool import mine
from evaltool.cli import main
from tests.mine.galleries import read
from tests.mine.runs import scored


def page_of(path):
    config, samples, _ = read(path.read_text())
    return config, samples


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation", "regression"])
@pytest.mark.parametrize("by", ["auto", "hard"])
def test_the_page_holds_the_list_of_every_task(tmp_path, task, by):
    run = scored(tmp_path, task, preds_are="auto" if task == "regression" else "logits")
    mined = mine(run, by=by, top=12, gallery=tmp_path / "list.html")
    assert mined.paths == (tmp_path / "list.html",)
    config, samples = page_of(tmp_path / "list.html")
    assert [sample["index"] for sample in samples] == mined.table["index"].to_pylist()
    assert [sample.get("why") for sample in samples] == mined.table["why"].to_pylist()
    kinds = {"multilabel": ("presence", "whole"), "segmentation": ("whole",), "regression": ("number", "whole")}
    assert config["values"] in kinds.get(task, ("class",))
    if task == "segmentation":
        assert set(samples[0]["overlays"]) == {"label", "prediction", "disagreement"}


def test_the_command_writes_pictures_and_texts_into_the_page(tmp_path):
    run = scored(tmp_path, "multiclass")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((60, 6, 5)))
    (tmp_path / "t.csv").write_text("body\n" + "".join(f"text {row}\n" for row in range(60)))
    options = ["--images", str(tmp_path / "images.npy"), "--text", f"{tmp_path / 't.csv'}:body", "--thumb", "32"]
    result = CliRunner().invoke(main, ["mine", str(run), "--gallery", str(tmp_path / "g.html"), "--top", "5", *options])
    assert result.exit_code == 0, result.output
    assert f"written: {tmp_path / 'g.html'}" in result.output
    _, samples = page_of(tmp_path / "g.html")
    assert [sample["text"] for sample in samples] == [[["", f"text {sample['index']}"]] for sample in samples]
    assert all(sample["picture"].startswith("data:image/png;base64,") for sample in samples)
    assert samples[0]["size"] == [5, 6]


def test_a_large_page_is_said_to_be_one(tmp_path, monkeypatch, capsys):
    run = scored(tmp_path, "multiclass")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((60, 90, 90)))
    options = {"top": 5, "images": tmp_path / "images.npy", "progress": "plain", "overwrite": True}
    mine(run, gallery=tmp_path / "g.html", **options)
    assert " MB" not in capsys.readouterr().err
    size = (tmp_path / "g.html").stat().st_size
    monkeypatch.setattr("evaltool.mine.gallery.asked.LARGE", size - 1)
    mine(run, gallery=tmp_path / "g.html", **options)
    assert f"the gallery is {round(size / 1e6)} MB: a --thumb below 128" in capsys.readouterr().err


def test_random_controls_look_like_all_the_others(tmp_path):
    run = scored(tmp_path, "multiclass")
    mined = mine(run, top=20, random_controls=10, gallery=tmp_path / "g.html")
    _, samples = page_of(tmp_path / "g.html")
    with (tmp_path / "g.html.controls.csv").open() as file:
        key = list(csv.DictReader(file))
    assert [sample["index"] for sample in samples] == [int(row["index"]) for row in key]
    assert sum(row["control"] == "1" for row in key) == 10
    assert {frozenset(sample) for sample in samples} == {frozenset({"index", "label", "suggested"})}
    assert len(mined.table) == len(samples)


def test_masks_may_not_tell_which_images_are_controls(tmp_path, capsys):
    run = scored(tmp_path, "segmentation")
    mine(run, top=5, random_controls=3, gallery=tmp_path / "g.html", progress="plain")
    config, samples = page_of(tmp_path / "g.html")
    assert config["blind"]
    assert all(set(sample["overlays"]) == {"label"} for sample in samples)
    assert "the gallery is blind" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "t.csv:body"], "--text is of the gallery or an annotation format"),
        (["--images", "photos"], "--gallery list.html, or one of the formats label-studio, cvat, coco"),
        (["--blind"], "--blind is of the gallery"),
        (["--gallery", "g.html", "--images", "none"], "there is no such folder of pictures"),
        (["--gallery", "g.html", "--text", "none.csv:a"], "there is no such file of texts"),
        (["--gallery", "g.html", "--thumb", "64"], "the gallery has no pictures"),
        (["--gallery", "g.html", "--link"], "the gallery has no pictures"),
        (["--gallery", "none/g.html"], "no such directory"),
        (["--gallery", "g.html", "-o", "g.html"], "two outputs are one file"),
    ],
)
def test_what_cannot_be_a_gallery_is_refused_and_nothing_written(tmp_path, monkeypatch, options, message):
    scored(tmp_path, "multiclass")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    result = CliRunner().invoke(main, ["mine", "a.run", *options])
    assert result.exit_code == 2
    assert message in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == before
