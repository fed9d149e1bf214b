"""The doctor: what follows from the facts, and the facts of simulated installs."""

import sys
from copy import deepcopy

import pytest
import torch

from evaltool.doctor import advice, machine
from evaltool.doctor.advice import engines, onnxruntime_wheel, problems
from evaltool.doctor.child import probe
from evaltool.doctor.probes import DOUBLED
from evaltool.schema import ENGINES

from .conftest import ROOT

WHEEL = onnxruntime_wheel()
H100 = {"name": "NVIDIA H100", "memory": 85 * 10**9}
SEEN = {**H100, "compute_capability": "9.0", "error": None}
CPU_ONLY = {
    "driver": {"version": None, "gpus": [], "error": None},
    "hidden": False,
    "torch": {
        "installed": "2.13.0",
        "error": None,
        "version": "2.13.0",
        "cuda": "13.0",
        "instructions": "AVX2",
        "threads": 2,
        "scripts": True,
        "gpus": [],
        "warning": None,
    },
    "onnxruntime": {
        "wheels": {"onnxruntime-gpu": "1.31.1"},
        "error": None,
        "version": "1.31.1",
        "path": "/lib/onnxruntime",
        "providers": [
            {"name": "CUDAExecutionProvider", "works": False, "reason": "libcublasLt.so.13: not there"},
            {"name": "CPUExecutionProvider", "works": True, "reason": None},
        ],
    },
    "packages": {
        name: {"version": "1.0", "error": None} for name in ("click", "numba", "numpy", "pyarrow", "rich", "onnx")
    }
    | {"ray": {"version": None, "error": None}},
    "compiler": {"command": "g++", "version": "g++ 12.2.0"},
}
GPU = {
    "driver": {"version": "580.65", "gpus": [H100]},
    "torch": {"gpus": [SEEN]},
    "onnxruntime": {
        "providers": [
            {"name": "CUDAExecutionProvider", "works": True, "reason": None},
            {"name": "CPUExecutionProvider", "works": True, "reason": None},
        ]
    },
}
BUILDS = "https://pytorch.org/get-started/locally"


def facts(*changes):
    """Return the facts of a machine without a GPU, changed."""
    changed = deepcopy(CPU_ONLY)
    for change in changes:
        for name, value in change.items():
            changed[name] = changed[name] | value if isinstance(value, dict) else value
    return changed


@pytest.mark.parametrize("changes", [(), (GPU,), ({"driver": GPU["driver"], "hidden": True},)])
def test_a_gpu_or_package_that_is_absent_or_hidden_is_no_problem(changes):
    assert problems(facts(*changes)) == []


# what is changed: what is wrong, and what to do
BROKEN = {
    "driver": (
        [{"driver": {"error": "nvidia-smi: cannot communicate"}}],
        "NVIDIA's driver does not answer: nvidia-smi: cannot communicate",
        "Load or reinstall the driver until `nvidia-smi` lists the GPU; without a GPU, remove nvidia-smi.",
    ),
    "torch without CUDA": (
        [GPU, {"torch": {"version": "2.13.0+cpu", "cuda": None, "gpus": []}}],
        "torch 2.13.0+cpu is built without CUDA and cannot use the GPU (NVIDIA H100)",
        f"Install a build with CUDA: {BUILDS}; or hide the GPU: CUDA_VISIBLE_DEVICES=-1",
    ),
    "old driver": (
        [GPU, {"torch": {"gpus": [], "warning": "UserWarning: The NVIDIA driver on your system is too old"}}],
        "torch 2.13.0, built with CUDA 13.0, does not see the GPU (NVIDIA H100, driver 580.65): UserWarning: The "
        "NVIDIA driver on your system is too old",
        f"Update the driver, or install a torch build for an older CUDA: {BUILDS}; start a container with --gpus all.",
    ),
    "no kernels": (
        [GPU, {"torch": {"gpus": [{**SEEN, "error": "RuntimeError: no kernel image"}]}}],
        "torch 2.13.0 computes nothing on cuda:0 (NVIDIA H100, compute capability 9.0): RuntimeError: no kernel image",
        f"Install a torch build for this GPU: {BUILDS}",
    ),
    "torch cannot be imported": (
        [{"torch": {"installed": "2.13.0+cpu", "version": None, "error": "OSError: libgomp.so.1"}}],
        "torch 2.13.0+cpu cannot be imported: OSError: libgomp.so.1",
        "pip install --force-reinstall --no-deps torch==2.13.0+cpu --index-url https://download.pytorch.org/whl/cpu; "
        "`pip check` lists versions that do not fit together",
    ),
    "a needed package": (
        [{"packages": {"pyarrow": {"version": None, "error": None}}}],
        "pyarrow is not installed, and evaltool needs it",
        "pip install pyarrow",
    ),
    "an optional package": (
        [{"packages": {"onnx": {"version": "1.0", "error": "ImportError: protobuf"}}}],
        "onnx 1.0 cannot be imported: ImportError: protobuf",
        "pip install --force-reinstall --no-deps onnx==1.0; `pip check` lists versions that do not fit together",
    ),
    "two wheels": (
        [
            GPU,
            {"onnxruntime": {**CPU_ONLY["onnxruntime"], "wheels": {"onnxruntime": "1.26.0", "onnxruntime-gpu": "2"}}},
        ],
        "2 wheels of ONNX Runtime share one folder and overwrite each other: onnxruntime 1.26.0, onnxruntime-gpu 2",
        f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install {WHEEL}",
    ),
    "broken wheel": (
        [{"onnxruntime": {"version": None, "providers": [], "error": "it has no InferenceSession"}}],
        "onnxruntime-gpu 1.31.1 cannot be used: it has no InferenceSession",
        "pip install --force-reinstall --no-deps onnxruntime-gpu==1.31.1",
    ),
    "left over": (
        [{"onnxruntime": {"version": None, "providers": [], "error": "it has no InferenceSession", "wheels": {}}}],
        "onnxruntime is there without its wheel and cannot be used: it has no InferenceSession",
        f"Delete /lib/onnxruntime, then pip install {WHEEL}",
    ),
    "silent fallback": (
        [GPU, {"onnxruntime": {"providers": CPU_ONLY["onnxruntime"]["providers"]}}],
        "ONNX Runtime lists CUDAExecutionProvider, but does not run on the GPU: libcublasLt.so.13: not there",
        "Install its CUDA libraries: pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_one_problem_with_advice(name):
    changes, wrong, do = BROKEN[name]
    assert problems(facts(*changes)) == [{"wrong": wrong, "do": do}]


def ran(*changes):
    """Return what is said of each engine: its devices and the note."""
    return {row["engine"]: (row["devices"], row["note"]) for row in engines(facts(*changes))}


def test_every_engine_has_a_row():
    assert set(ENGINES) - {"auto"} <= set(ran())


def test_engines_run_on_what_works():
    none = (["cpu"], "no GPU here")
    kernels = {"fused": (["cpu"], None)}
    assert ran() == kernels | dict.fromkeys(("torch", "torchscript", "onnxruntime", "aoti"), none)
    both = (["cpu", "cuda:0"], None)
    expected = kernels | {"torch": both, "torchscript": both, "onnxruntime": (["cpu", "cuda"], None), "aoti": both}
    assert ran(GPU) == expected


def test_an_engine_says_why_it_does_not_run():
    wheel = {
        "providers": [{"name": "CPUExecutionProvider", "works": True, "reason": None}],
        "wheels": {"onnxruntime": "1"},
    }
    hidden = "CUDA_VISIBLE_DEVICES hides every GPU"
    missing = ran({"packages": {"numba": {"version": None, "error": None}}})["fused"]
    assert missing == ([], "numba does not work: see the problems")
    assert ran({"torch": {"error": "OSError"}})["aoti"] == ([], "torch does not work: see the problems")
    assert ran({"torch": {"scripts": False}})["torchscript"] == ([], "PYTORCH_JIT=0 turns TorchScript off: unset it")
    assert ran({"driver": GPU["driver"], "hidden": True})["torch"] == (["cpu"], hidden)
    assert ran({"driver": GPU["driver"]})["torch"] == (["cpu"], "the GPU is not used: see the problems")
    assert ran({"onnxruntime": {"version": None}})["onnxruntime"] == ([], f"not installed: pip install {WHEEL}")
    assert ran({"compiler": {"command": "g++", "version": None}})["aoti"] == (
        ["cpu"],
        "runs pt2 files; to export them install a C++ compiler or set CXX (g++ is not here)",
    )
    assert ran(GPU, {"onnxruntime": wheel})["onnxruntime"] == (
        ["cpu"],
        f"no CUDA in this wheel: pip uninstall -y onnxruntime && pip install {WHEEL}",
    )


def test_one_wheel_serves_cpu_and_gpu_where_it_exists(monkeypatch):
    for system, processor, wheel in [
        ("linux", "x86_64", "onnxruntime-gpu"),
        ("linux", "aarch64", "onnxruntime"),
        ("darwin", "arm64", "onnxruntime"),
        ("win32", "AMD64", "onnxruntime-gpu"),
    ]:
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(advice.platform, "machine", lambda processor=processor: processor)
        assert onnxruntime_wheel() == wheel


def install(folder, name, version, *files):
    """Write what pip leaves of a wheel: its files and the metadata that lists them."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder that is the only one with installed packages."""
    standard = [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(ROOT), *standard])
    return tmp_path


def test_wheels_are_those_that_share_the_folder(alone):
    assert machine.wheels() == {}
    install(alone, "onnxruntime", "1.26.0", "onnxruntime/__init__.py")
    install(alone, "onnxruntime_gpu", "1.31.1", "onnxruntime/__init__.py")
    install(alone, "onnxruntime-extensions", "0.14", "onnxruntime_extensions/__init__.py")
    assert machine.wheels() == {"onnxruntime": "1.26.0", "onnxruntime-gpu": "1.31.1"}


def test_a_wheel_that_lost_its_files_is_found_broken(alone):
    assert probe("onnxruntime_facts", False) == {"error": None, "version": None, "path": None, "providers": []}
    install(alone, "onnxruntime-gpu", "1.31.1", "onnxruntime/capi/left_over.py")
    assert probe("onnxruntime_facts", False) == {
        "error": "files of onnxruntime are missing: it has no InferenceSession",
        "version": None,
        "path": str(alone / "onnxruntime"),
        "providers": [],
    }


def test_a_wheel_whose_import_fails_says_why(alone):
    (alone / "onnxruntime").mkdir()
    (alone / "onnxruntime/__init__.py").write_text("raise ImportError('libonnxruntime.so.1: not there\\nand more')")
    assert probe("onnxruntime_facts", False)["error"] == "ImportError: libonnxruntime.so.1: not there"


# what a module does when it is imported: the error
IMPORTS = {
    "print('noise')": None,
    "import sys; sys.exit(3)": "exit status 3",
    "import os; os.abort()": "the process was ended by SIGABRT",
    "raise OSError('libcudart.so: not there')": "OSError: libcudart.so: not there",
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("code", IMPORTS)
def test_a_probe_survives_what_a_library_does(alone, code):
    (alone / "library.py").write_text(code)
    assert probe("import_error", "library") == {"error": IMPORTS[code]}


def test_a_library_that_hangs_is_given_up(alone, monkeypatch):
    monkeypatch.setattr("evaltool.doctor.child.TIMEOUT", 0.2)
    (alone / "library.py").write_text("import time; time.sleep(60)")
    assert probe("import_error", "library") == {"error": "no answer within 0.2 s"}


def test_the_listed_cuda_provider_is_not_believed(monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    works = {row["name"]: row["works"] for row in probe("onnxruntime_facts", False)["providers"]}
    assert (works["CUDAExecutionProvider"], works["CPUExecutionProvider"]) == (False, True)


def test_the_model_of_the_probe_doubles():
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(DOUBLED)
    onnx.checker.check_model(model, full_check=True)
    assert [(node.op_type, [*node.input], [*node.output]) for node in model.graph.node] == [("Add", ["x", "x"], ["y"])]
    assert model.opset_import[0].version == 18


def test_torch_facts_are_those_of_this_process():
    found = probe("torch_facts")
    assert (found["error"], found["version"], found["scripts"]) == (None, torch.__version__, True)
    assert len(found["gpus"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


@pytest.mark.gpu
def test_a_gpu_computes():
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    assert names
    assert [(gpu["name"], gpu["error"]) for gpu in probe("torch_facts")["gpus"]] == [(name, None) for name in names]


def smi(folder, monkeypatch, script):
    """Put an nvidia-smi that runs script first on the path of commands."""
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


# what nvidia-smi does: what is known of the driver
ANSWERS = {
    "echo 'NVIDIA H100, 81559, 580.65'; echo 'NVIDIA L4, [N/A], 580.65'": {
        "version": "580.65",
        "gpus": [{"name": "NVIDIA H100", "memory": 81559 * 2**20}, {"name": "NVIDIA L4", "memory": None}],
        "error": None,
    },
    "echo NVIDIA-SMI has failed; exit 9": {"version": None, "gpus": [], "error": "nvidia-smi: NVIDIA-SMI has failed"},
    "echo No devices were found; exit 6": {"version": None, "gpus": [], "error": None},
}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize("script", ANSWERS)
def test_nvidia_smi_tells_of_the_driver(tmp_path, monkeypatch, script):
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "proc")
    smi(tmp_path, monkeypatch, script)
    assert machine.driver() == ANSWERS[script]


def test_the_driver_is_known_without_nvidia_smi(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "DRIVER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.driver() == {"version": None, "gpus": [], "error": None}
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\nGCC: 12\n"
    )
    (tmp_path / "gpus/0000:01:00.0/information").write_text("Model: \t\t NVIDIA H100\nIRQ:   \t\t 40\n")
    assert machine.driver() == {
        "version": "580.65.06",
        "gpus": [{"name": "NVIDIA H100", "memory": None}],
        "error": None,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_the_compiler_is_the_one_that_cxx_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "c++-9 -m64"))
    assert machine.compiler() == {"command": str(tmp_path / "c++-9 -m64"), "version": None}
    (tmp_path / "c++-9").write_text("#!/bin/sh\necho c++ 9.4 $*\necho more\n")
    (tmp_path / "c++-9").chmod(0o755)
    assert machine.compiler()["version"] == "c++ 9.4 -m64 --version"
