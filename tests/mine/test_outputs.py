"""No output may replace what the run or the command reads."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.job import mine

from .runs import scored

READ = "would replace what it is made of"
OUTPUTS = ("output", "gallery", "as_weights", "as_sampler")


@pytest.fixture
def run(tmp_path):
    return scored(tmp_path, "multiclass", 40)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(folder, run, message=READ, **options):
    """Mine with ``overwrite`` and see that nothing has changed."""
    before = contents(folder)
    with pytest.raises(EvaltoolError, match=message):
        mine(run, by="ce", overwrite=True, **options)
    assert contents(folder) == before


@pytest.mark.parametrize("option", OUTPUTS)
@pytest.mark.parametrize("name", ["preds.npy", "labels.npy"])
def test_the_inputs_of_the_run_stay(tmp_path, run, option, name):
    refused(tmp_path, run, **({"format": "csv"} if option == "output" else {}), **{option: tmp_path / name})


@pytest.mark.parametrize("name", ["scores.parquet", "run.json", "summary.json", "state.npz"])
def test_the_files_of_the_run_stay(tmp_path, run, name):
    refused(tmp_path, run, output=run / name, format="csv")
    refused(tmp_path, run, output=run / ".." / run.name / name, format="csv")


def test_the_files_of_averaged_predictions_stay(tmp_path, run):
    np.save(tmp_path / "b.npy", np.load(tmp_path / "preds.npy") + 1)
    parts = [tmp_path / "preds.npy", tmp_path / "b.npy"]
    both = evaltool.score(
        parts, tmp_path / "labels.npy", average=True, preds_are="logits", output=tmp_path / "both.run"
    ).path
    refused(tmp_path, both, as_weights=parts[1])


def test_the_files_that_the_command_reads_stay(tmp_path, run):
    rows = "id,scene\n" + "".join(f"{i},s{i % 3}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(rows)
    np.save(tmp_path / "x.npy", np.zeros((40, 4, 4), np.uint8))
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(40, 3)))
    table, pictures = tmp_path / "t.csv", tmp_path / "x.npy"
    refused(tmp_path, run, output=table, exclude=table)
    refused(tmp_path, run, output=table, group_by=f"{table}:scene")
    refused(tmp_path, run, output=table, ids=table)
    refused(tmp_path, run, gallery=table, text=f"{table}:id,scene")
    refused(tmp_path, run, as_weights=pictures, images=pictures, gallery=tmp_path / "g.html")
    refused(tmp_path, run, as_sampler=tmp_path / "e.npy", embeddings=tmp_path / "e.npy", dedup=True)


def test_a_link_to_what_is_read_is_no_way_around(tmp_path, run):
    (tmp_path / "link.npy").symlink_to(tmp_path / "preds.npy")
    refused(tmp_path, run, as_weights=tmp_path / "link.npy")


def test_pictures_stay(tmp_path, run):
    folder = tmp_path / "out" / "images"
    folder.mkdir(parents=True)
    for i in range(40):
        Image.new("L", (4, 4)).save(folder / f"{i}.png")
    (tmp_path / "out" / "mined.json").write_text("{}")
    refused(tmp_path, run, output=tmp_path / "out", format="imagenet", images=folder)
    refused(tmp_path, run, gallery=folder / "1.png", images=folder)
    refused(tmp_path, run, gallery=folder / "1.png", images=f"{folder}/{{index}}.png")
    mine(run, by="ce", output=folder / "list.csv", gallery=folder / "g.html", images=folder, top=2)
    mine(run, by="ce", output=folder / "list.csv", gallery=folder / "g.html", images=folder, top=2, overwrite=True)


def test_a_pipe_is_no_output(tmp_path, run):
    os.mkfifo(tmp_path / "pipe.npy")
    os.mkfifo(tmp_path / "pipe.json")
    for options in ({"as_weights": tmp_path / "pipe.npy"}, {"output": tmp_path / "pipe.json", "format": "coco"}):
        with pytest.raises(EvaltoolError, match="no regular file"):
            mine(run, by="ce", overwrite=True, **options)


def test_an_absolute_id_is_relative_in_coco(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "pics" / "a.png")
    run = scored(tmp_path, "multiclass", 1, ids=[str(tmp_path / "pics" / "a.png")])
    mine(run, by="ce", output="c.json", format="coco", images="pics")
    assert json.loads((tmp_path / "c.json").read_text())["images"][0]["file_name"] == "a.png"
