"""evaltool doctor: what it prints, as text and as JSON, and its exit status."""

import json
import re
import subprocess
import sys

import pytest
import torch

import evaltool
from evaltool import doctor
from evaltool.doctor import advice

from ..test_doctor import CPU_ONLY, GPU, SEEN, facts, smi

SHOWN = """\
evaltool _ · Python 3.12.1 · Linux

Machine
  python        /usr/bin/python
  CPU           AMD EPYC, AVX2
  cores         2 usable
  memory        7.5 GiB
  GPU 0         NVIDIA H100, 79.2 GiB, compute capability 9.0, driver 580.65
  C++ compiler  g++ 12.2.0

Packages
  torch            2.13.0, built with CUDA 13.0
  click            1.0
  numba            1.0
  numpy            1.0
  pyarrow          1.0
  rich             1.0
  onnx             1.0
  onnxruntime-gpu  1.31.1
  not installed    ray

ONNX Runtime's providers
  CUDAExecutionProvider  works
  CPUExecutionProvider   works

Engines
  fused        cpu
  torch        cpu, cuda:0
  torchscript  cpu, cuda:0
  onnxruntime  cpu, cuda
  aoti         cpu, cuda:0

"""
MACHINE = {
    "evaltool": "_",
    "python": {"version": "3.12.1", "executable": "/usr/bin/python"},
    "machine": {"platform": "Linux", "cpu": "AMD EPYC", "cores": 2, "memory": 15 * 2**29},
}


@pytest.fixture
def diagnosed(monkeypatch):
    """Lets the doctor see given facts."""

    def set_facts(*changes):
        found = {**MACHINE, **facts(*changes)}
        found |= {"engines": advice.engines(found), "problems": advice.problems(found)}
        monkeypatch.setattr(doctor, "diagnosis", lambda: found)
        return found

    return set_facts


def test_a_sound_install_is_shown_and_exits_with_0(cli, diagnosed):
    diagnosed(GPU)
    result = cli("doctor")
    assert result.stdout == SHOWN + "No problem found: what this machine has, works.\n"
    assert (result.exit_code, result.stderr) == (0, "")


def test_problems_come_last_with_what_to_do_and_exit_with_1(cli, diagnosed):
    diagnosed(GPU, {"onnxruntime": {"providers": CPU_ONLY["onnxruntime"]["providers"]}})
    result = cli("doctor")
    shown = SHOWN.replace(
        "CUDAExecutionProvider  works", "CUDAExecutionProvider  not usable here: libcublasLt.so.13: not there"
    )
    shown = shown.replace("cpu, cuda\n", "cpu (the GPU is not used: see the problems)\n")
    assert result.stdout == (
        f"{shown}problem: ONNX Runtime lists CUDAExecutionProvider, but does not run on the GPU: "
        "libcublasLt.so.13: not there\n"
        "  Install its CUDA libraries: pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'\n"
    )
    assert result.exit_code == 1


def test_json_holds_everything_and_the_same_exit_status(cli, diagnosed):
    broken = {"torch": {"gpus": [{**SEEN, "error": "RuntimeError: no kernel image"}]}}
    for changes, status in [((GPU,), 0), ((GPU, broken), 1)]:
        found = diagnosed(*changes)
        result = cli("doctor", "--json")
        assert json.loads(result.stdout) == found
        assert result.exit_code == status


def test_what_is_broken_still_shows_the_rest(cli, diagnosed):
    """Probes that failed say nothing but their error."""
    failed = diagnosed({"driver": GPU["driver"]})
    failed["machine"] = {**MACHINE["machine"], "memory": None}
    failed["torch"] = {"installed": None, "error": "ModuleNotFoundError: No module named 'torch'"}
    failed["onnxruntime"] = {"wheels": {}, "error": "the process was ended by SIGSEGV"}
    failed |= {"engines": advice.engines(failed), "problems": advice.problems(failed)}
    result = cli("doctor")
    assert "  memory        memory unknown\n" in result.stdout
    assert "  GPU 0         NVIDIA H100, 79.2 GiB, torch does not see it, driver 580.65\n" in result.stdout
    assert "  torch          not installed: see the problems\n" in result.stdout
    assert "  onnxruntime  does not run (ONNX Runtime does not work: see the problems)\n" in result.stdout
    assert result.stdout.endswith(
        "problem: torch is not installed, and evaltool needs it\n"
        "  pip install torch\n"
        "problem: onnxruntime is there without its wheel and cannot be used: the process was ended by SIGSEGV\n"
        f"  Delete it, then pip install {advice.onnxruntime_wheel()}\n"
    )
    assert result.exit_code == 1


def test_the_doctor_sees_this_machine(cli):
    result = cli("doctor", "--json")
    found = json.loads(result.stdout)
    assert found["evaltool"] == evaltool.__version__
    assert found["torch"]["error"] is None
    assert found["packages"]["numpy"]["version"]
    assert {row["engine"]: row["devices"][0] for row in found["engines"][:2]} == {"fused": "cpu", "torch": "cpu"}
    assert result.exit_code == bool(found["problems"])
    assert result.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_gpu_that_only_the_driver_sees_is_a_problem(cli, tmp_path, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    smi(tmp_path, monkeypatch, "echo 'NVIDIA H100, 81559, 580.65'")
    result = cli("doctor")
    assert re.search(r"\nproblem: torch .* (cannot use|does not see) the GPU \(NVIDIA H100", result.stdout)
    assert result.exit_code == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    hidden = cli("doctor").stdout
    assert "  torch        cpu (CUDA_VISIBLE_DEVICES hides every GPU)\n" in hidden
    assert "problem: torch" not in hidden


def test_the_doctor_itself_imports_nothing_that_may_be_broken():
    code = (
        "import sys; from click.testing import CliRunner; from evaltool.cli import main\n"
        "CliRunner().invoke(main, ['doctor'])\n"
        "print([name for name in ('torch', 'numpy', 'pyarrow', 'rich', 'onnxruntime') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_help_ends_with_an_example_that_runs(cli):
    result = cli("doctor", "--help")
    example = result.stdout.rstrip().splitlines()[-1].split()
    assert example == ["evaltool", "doctor"]
    assert cli(*example[1:]).exit_code in (0, 1)
