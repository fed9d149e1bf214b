"""``evaltool mine --format`` of an annotation tool, and the way back."""

import json

import numpy as np
import pytest

from evaltool.mine.formats.annotation import FORMATS


@pytest.fixture
def classes(rng, saved, cli):
    """Forty samples of three classes, each fifth with a wrong label, and their pictures."""
    truth = np.arange(40) % 3
    labels = np.where(np.arange(40) % 5 == 0, (truth + 1) % 3, truth)
    preds = 6 * np.eye(3)[truth] + rng.normal(size=(40, 3))
    saved(preds.astype(np.float32), labels)
    np.save("images.npy", rng.integers(0, 256, (40, 8, 8)).astype(np.uint8))
    assert cli("score", "preds.npy", "labels.npy", "-o", "a.run").exit_code == 0
    return truth, labels


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "voc-masks"])
def test_the_list_goes_into_every_format(name, classes, cli, tmp_path):
    result = cli("mine", "a.run", "--top", 8, "--format", name, "-o", "out", "--images", "images.npy")
    assert result.exit_code == 0, result.output
    assert "written: out" in result.stdout
    assert ("warning: " in result.stderr) == (name != "datumaro")  # it carries all of this list
    assert (tmp_path / "out").exists()
    again = cli("mine", "a.run", "--top", 8, "--format", name, "-o", "out", "--images", "images.npy")
    assert again.exit_code == 2
    assert "the output exists" in again.stderr


def test_masks_go_into_voc(rng, saved, cli, tmp_path):
    saved(rng.normal(size=(6, 3, 8, 8)).astype(np.float32), rng.integers(0, 3, (6, 8, 8)))
    assert cli("score", "preds.npy", "labels.npy", "-o", "a.run").exit_code == 0
    result = cli("mine", "a.run", "--top", 4, "--format", "voc-masks", "-o", "out", "--shown", "given")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out/SegmentationClass").iterdir())) == 4


def test_mined_relabelled_and_applied(classes, cli, tmp_path):
    truth, labels = classes
    wrong = int((truth != labels).sum())
    result = cli("mine", "a.run", "--by", "label-error", "--top", wrong, "--format", "cvat", "-o", "out")
    assert result.exit_code == 0, result.output
    result = cli("relabel", "apply", "a.run", "out/annotations.xml", "-o", "fixed.npy", "--confirmed")
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "fixed.npy").tolist() == truth.tolist()


def test_ids_and_texts_of_files_reach_the_tasks(classes, cli, tmp_path):
    (tmp_path / "table.csv").write_text("id,title\n" + "".join(f"s{k},about {k}\n" for k in range(40)))
    result = cli(
        *("mine", "a.run", "--top", 3, "--format", "label-studio", "-o", "out"),
        *("--ids", "table.csv", "--text", "table.csv:title"),
    )
    assert result.exit_code == 0, result.output
    for task in json.loads((tmp_path / "out/tasks.json").read_text()):
        index = task["data"]["index"]
        assert (task["data"]["sample_id"], task["data"]["text"]) == (f"s{index}", f"about {index}")


def test_nothing_tells_random_controls_from_mined_rows(classes, cli, tmp_path):
    result = cli("mine", "a.run", "--top", 4, "--random-controls", 4, "--format", "label-studio", "-o", "out")
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert len({(*task["data"], *task["predictions"][0]) for task in tasks}) == 1
    assert {"score", "why", "p_wrong"}.isdisjoint(tasks[0]["data"])
    assert (tmp_path / "out.controls.csv").exists()


def test_a_folder_needs_a_name(classes, cli):
    result = cli("mine", "a.run", "--format", "cvat")
    assert result.exit_code == 2
    assert "error: cvat is no text\n  standard output\n  Name a folder or file with -o.\n" in result.stderr
