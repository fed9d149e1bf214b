"""score_torchscript prints what Python computes, and the metadata; CMake builds what it can."""

import numpy as np
import pytest
import torch

from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import loaded, scripted
from tests.conftest import ROOT
from tests.cpp.cases import CASES, MORE, TOLD, TOLERANCE, classes, columns, expected, numbers
from tests.cpp.conftest import HEADERS, configure

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES)
def test_torchscript_prints_what_python_computes(run, modules, case):
    names, preds, labels = CASES[case]
    own = [modules / f"{name}.pt" for name in names.split() if name != "focal"]
    which = ["--models", modules / "models"] if "focal" in names else ["--only"]
    done = run("score_torchscript", *own, *which, preds=preds, labels=labels)
    _, losses = columns(done)
    np.testing.assert_allclose(losses, expected(names.split(), preds, labels), rtol=TOLERANCE, atol=TOLERANCE)


def test_float32_losses_are_printed_to_the_last_bit(run, modules):
    _, preds, labels = CASES["multiclass"]
    done = run("score_torchscript", "--models", modules / "models", preds=preds, labels=labels)
    _, losses = columns(done)
    module = loaded(modules / "models/torchscript/focal/1/model.pt")
    with torch.inference_mode():
        np.testing.assert_array_equal(losses[0].astype(np.float32), module(*map(torch.from_numpy, (preds, labels))))


def test_focal_comes_first_and_metadata_go_to_standard_error(run, modules):
    preds, labels = numbers("f4", 4, 3), classes("i8", 3, 4)
    arguments = modules / "dice.pt", "--models", modules / "models"
    done = run("score_torchscript", *arguments, preds=preds, labels=labels)
    focal = str(modules / "models/torchscript/focal/1/model.pt")
    assert columns(done)[0] == ["focal", str(modules / "dice.pt")]
    assert done.stderr.splitlines() == [
        focal,
        *TOLD,
        "  and 2 more with --metadata",
        str(modules / "dice.pt"),
        "  it holds no metadata",
    ]
    done = run("score_torchscript", *arguments, "--metadata", preds=preds, labels=labels)
    assert done.stderr.splitlines()[:-2] == [focal, *TOLD, *MORE]


def test_models_of_one_name_are_headed_by_their_paths(run, modules):
    focal = modules / "models/torchscript/focal/1/model.pt"
    done = run("score_torchscript", "--only", focal, focal, preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert columns(done)[0] == [str(focal), str(focal)]


LISTED = "  name: n\n  inputs: []\n"
TEXTS = {
    '{"inputs" : [],"name":"n"}': LISTED,
    ' {"name": "n",\n "inputs": []\n}\n': LISTED,
    '{"parameters": {"a": ["}", {"b": "\\"]"}]}}': '  parameters: {"a": ["}", {"b": "\\"]"}]}\n',
    '{"formula": "\\\\alpha \\u001b[2J \\n"}': "  formula: \\alpha \\u001b[2J \\n\n",
    '{"own": 1}': "  own: 1\n",
    "{}": "  it holds no metadata\n",
    '{"name": "n"': '  metadata.json: {"name": "n"\n',
    '{"name": }': '  metadata.json: {"name": }\n',
    '{"name": "n"} x': '  metadata.json: {"name": "n"} x\n',
    '{"name": "n': '  metadata.json: {"name": "n\n',
    '{"name": [1': '  metadata.json: {"name": [1\n',
    "[1]": "  metadata.json: [1]\n",
}


@pytest.mark.parametrize("text", TEXTS)
def test_metadata_are_told_a_field_a_line_or_as_they_are(run, tmp_path, text):
    scripted(FocalLoss()).save(str(tmp_path / "own.pt"), _extra_files={"metadata.json": text})
    done = run("score_torchscript", "--only", "own.pt", preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert (done.returncode, done.stderr) == (0, f"own.pt\n{TEXTS[text]}")


def test_metadata_cannot_steer_the_terminal(run, tmp_path):
    module = str(tmp_path / "loud.pt")
    scripted(FocalLoss()).save(module, _extra_files={"metadata.json": "\x1b[2J\x7f{}\n"})
    done = run("score_torchscript", "--only", "loud.pt", preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert done.stderr == "loud.pt\n  metadata.json: ?[2J?{}\n\n"


def test_a_label_that_is_no_class_gives_nan_and_an_ignored_one_0(run, modules):
    preds = numbers("f4", 4, 3)
    done = run("score_torchscript", "--models", modules / "models", preds=preds, labels=np.array([0, 3, -100, -1]))
    loss = FocalLoss()(torch.from_numpy(preds[:1]), torch.tensor([0])).item()
    assert [line.split("\t")[1] for line in done.stdout.splitlines()[1:]] == [f"{loss:.9g}", "nan", "0", "nan"]


def test_no_samples_print_the_head_alone(run, modules):
    preds, labels = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    done = run("score_torchscript", "--only", modules / "dice.pt", preds=preds, labels=labels)
    assert (done.returncode, done.stdout) == (0, f"# index\t{modules / 'dice.pt'}\n")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_npy_format_is_read(run, modules, tmp_path, version):
    preds, labels = numbers("f4", 4, 3), classes("i8", 3, 4)
    for name, array in {"preds.npy": preds, "labels.npy": labels}.items():
        with (tmp_path / name).open("wb") as file:
            np.lib.format.write_array(file, array, version)
    done = run("score_torchscript", "--models", modules / "models")
    np.testing.assert_allclose(columns(done)[1], expected(["focal"], preds, labels), rtol=0, atol=TOLERANCE)


def test_help_names_the_folder_of_this_repository(run):
    done = run("score_torchscript", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"(default {ROOT / 'models'})" in done.stdout


def test_cmake_builds_the_second_program_where_the_headers_are(built):
    skipped = "score_onnxruntime is not built: no ONNX Runtime headers (ORT_INCLUDE_DIR)" in built.said
    assert (built.folder / "score_onnxruntime").exists() != skipped
    assert not (HEADERS and skipped)


def test_cmake_says_what_it_needs(built, tmp_path):
    if not HEADERS and (built.folder / "score_onnxruntime").exists():
        pytest.skip("ONNX Runtime's headers are in the system's folders")
    done = configure(tmp_path, "-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON")
    assert done.returncode == 1
    assert "Neither PyTorch nor ONNX Runtime's headers were found." in done.stderr


def test_cmake_tells_a_folder_without_headers(built, tmp_path):
    done = configure(tmp_path, f"-DORT_INCLUDE_DIR={tmp_path}", "-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())  # CMake breaks and indents lines
    assert "ORT_INCLUDE_DIR holds no onnxruntime_cxx_api.h" in said
    assert f"got {tmp_path}, expected the folder of that file" in said
