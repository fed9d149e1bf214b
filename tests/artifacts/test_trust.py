"""A file of code runs only when somebody vouches for it, and what is no module is told from one without running it."""

import ast
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import evaltool
from evaltool.artifacts import torchscript
from evaltool.artifacts.archives import archive_names
from evaltool.artifacts.pt2 import load_pt2
from evaltool.artifacts.torchscript import load_torchscript
from evaltool.artifacts.trust import LARGEST_MANIFEST, artifact_bytes, check_trusted, file_sha256, manifest_of
from evaltool.errors import EvaltoolError
from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import scripted

ROOT = Path(__file__).parent.parent.parent
SAVE = "Save it with torch.jit.script(module).save(path)."


class WritesWhenLoaded(torch.nn.Module):
    def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return preds[:, 0]

    @torch.jit.export
    def __getstate__(self):
        return (torch.zeros(1), self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        torch.save(state[0], "sentinel")
        self.training = state[1]


class WritesWhenUnpickled:
    def __reduce__(self):
        return os.system, ("touch sentinel",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current directory: a file that runs leaves ``sentinel`` there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_script():
    scripted(WritesWhenLoaded()).save("bad.pt")


def write_pickle():
    Path("bad.pt").write_bytes(pickle.dumps(WritesWhenUnpickled()))


def write_saved_object():
    torch.save(WritesWhenUnpickled(), "bad.pt")


def write_eager_module():
    module = torch.nn.Linear(2, 2)
    module.extra = WritesWhenUnpickled()
    torch.save(module, "bad.pt")


def write_weights():
    torch.save(torch.nn.Linear(2, 2).state_dict(), "bad.pt")


def write_truncated():
    data = scripted(WritesWhenLoaded()).save_to_buffer()
    Path("bad.pt").write_bytes(data[: len(data) // 2])


def write_traversal():
    import zipfile

    write_script()
    with zipfile.ZipFile("bad.pt", "a") as file:
        file.writestr("bad/../../evil", b"")


def write_pt2():
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    file = io.BytesIO()
    torch.export.save(program, file)
    Path("bad.pt").write_bytes(file.getvalue())


def run_it():
    """Load bad.pt as its maker hopes that somebody does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.jit.load("bad.pt")
        except RuntimeError:
            data = Path("bad.pt").read_bytes()
            pickle.loads(data) if data.startswith(b"\x80") else torch.load("bad.pt", weights_only=False)


UNASKED = "a TorchScript file is code and is not run unasked"
TORCH_SAVED = (
    "this holds weights or a pickled module, not TorchScript\n  bad.pt: written by torch.save\n  Load it into the "
    "module in Python and save that with torch.jit.script(module).save(path)."
)
TRUNCATED = "the file is truncated or damaged\n  bad.pt: no whole zip archive\n  Copy or export it again."
PICKLE = (
    "not a TorchScript file\n  bad.pt: begins with b'\\x80\\x04\\x95)\\x00\\x00', expected a zip archive\n"
    f"  It looks like a pickle, which runs code when it is loaded. {SAVE}"
)
TRAVERSAL = (
    "the archive would be unpacked outside its folder\n  bad.pt: holds 'bad/../../evil', expected names inside the "
    "archive\n  PyTorch writes no such file: do not load it."
)
# who writes bad.pt, and what is said of it even where it is trusted
MALICIOUS = {
    "pickle": (write_pickle, PICKLE),
    "saved object": (write_saved_object, TORCH_SAVED),
    "eager module": (write_eager_module, TORCH_SAVED),
}
USELESS = {
    "weights": (write_weights, TORCH_SAVED),
    "truncated": (write_truncated, TRUNCATED),
    "traversal": (write_traversal, TRAVERSAL),
    "pt2": (write_pt2, f"not a TorchScript file\n  bad.pt: a pt2 package\n  {SAVE}"),
}


def refusal(**options):
    with pytest.raises(EvaltoolError) as caught:
        load_torchscript(Path("bad.pt"), **{"trust": False, **options})
    return str(caught.value)


def test_script_that_writes_a_file_when_loaded_is_refused_and_writes_nothing(folder):
    write_script()
    digest = hashlib.sha256(Path("bad.pt").read_bytes()).hexdigest()
    assert refusal() == (
        f"{UNASKED}\n  bad.pt: no manifest.json beside it (or one folder above) holds its sha256 {digest[:16]}...\n"
        "  Pass --trust if you know where it comes from."
    )
    assert not Path("sentinel").exists()
    load_torchscript(Path("bad.pt"), trust=True)
    assert Path("sentinel").exists()  # the danger is real


@pytest.mark.parametrize(("write", "message"), MALICIOUS.values(), ids=MALICIOUS)
def test_pickle_is_refused_and_not_run_even_where_it_is_trusted(folder, write, message):
    write()
    assert refusal(trust=False) == message
    assert refusal(trust=True) == message
    assert not Path("sentinel").exists()
    run_it()
    assert Path("sentinel").exists()  # the danger is real


@pytest.mark.parametrize(("write", "message"), USELESS.values(), ids=USELESS)
def test_what_is_no_module_is_refused(folder, write, message):
    write()
    assert refusal(trust=False) == message
    assert refusal(trust=True) == message


def test_missing_empty_and_odd_files(folder):
    assert refusal() == "no such file\n  bad.pt\n  Give a TorchScript file (.pt)."
    Path("bad.pt").touch()
    assert refusal() == "the file is empty\n  bad.pt: 0 bytes\n  Copy or export it again."
    Path("bad.pt").unlink()
    os.mkfifo("bad.pt")  # opening it would wait for ever
    assert refusal() == "this is no regular file\n  bad.pt\n  Give a TorchScript file (.pt)."
    Path("bad.pt").unlink()
    Path("bad.pt").write_bytes(b"weights")
    assert refusal() == f"not a TorchScript file\n  bad.pt: begins with b'weight', expected a zip archive\n  {SAVE}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_file_without_rights(folder):
    write_script()
    Path("bad.pt").chmod(0)
    assert refusal() == "cannot read the file\n  bad.pt: Permission denied\n  Check the path and its rights."


def vouch(path, **fields):
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    Path("manifest.json").write_text(json.dumps({"sha256": {"1/model.pt": digest}, **fields}))
    return digest


def test_vouched_for_file_loads_with_what_was_saved_beside_it(folder):
    scripted(FocalLoss(gamma=3.0)).save("focal.pt", _extra_files={"metadata.json": '{"name": "focal"}'})
    vouch("focal.pt", name="focal")
    beside = {"metadata.json": ""}
    module = load_torchscript(Path("focal.pt"), trust=False, extra_files=beside)
    assert beside == {"metadata.json": b'{"name": "focal"}'}
    preds, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(module(preds, labels), FocalLoss(gamma=3.0)(preds, labels))


def test_the_bytes_that_were_judged_are_the_bytes_that_run(folder, monkeypatch):
    """Another file under the same path, once the first is judged, is not run."""
    scripted(FocalLoss()).save("bad.pt")
    vouch("bad.pt")

    def checked_then_exchanged(path, **options):
        check_trusted(path, **options)
        write_script()

    monkeypatch.setattr(torchscript, "check_trusted", checked_then_exchanged)
    load_torchscript(Path("bad.pt"), trust=False)
    assert not Path("sentinel").exists()


STRANGE = {
    "list": b'["DIGEST"]',
    "text": b'"DIGEST"',
    "number": b"7",
    "null": b"null",
    "no digest": b"{}",
    "null for a digest": b'{"sha256": null}',
    "number for a digest": b'{"sha256": 1e999}',
    "list of digests": b'{"sha256": ["DIGEST"]}',
    "deeper": b'{"sha256": {"a": {"b": "DIGEST"}}}',
    "digest elsewhere": b'{"name": "DIGEST"}',
    "deep nesting": b'{"a":' * 100_000,
    "deep list": b"[" * 1_000_000,
    "not UTF-8": b'{"sha256": "DIGEST", "name": "\xff"}',
    "huge number": b'{"sha256": "DIGEST", "n": ' + b"9" * 5000 + b"}",
    "trailing": b'{"sha256": "DIGEST"} {}',
    "nothing": b"",
    "large": b'{"sha256": "DIGEST", "pad": "' + b" " * LARGEST_MANIFEST + b'"}',
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_manifest_vouches_for_nothing(folder, text):
    write_script()
    digest = vouch("bad.pt")
    assert manifest_of(Path("bad.pt")) is not None
    Path("manifest.json").write_bytes(text.replace(b"DIGEST", digest.encode()))
    assert manifest_of(Path("bad.pt")) is None
    assert refusal().startswith(UNASKED)


def test_manifest_that_is_no_file_vouches_for_nothing(folder):
    write_script()
    Path("manifest.json").mkdir()
    assert refusal().startswith(UNASKED)
    Path("manifest.json").rmdir()
    os.mkfifo("manifest.json")  # opening it would wait for ever
    assert refusal().startswith(UNASKED)


def test_pt2_package_is_native_code_and_needs_trust(folder):
    write_pt2()
    path = Path("bad.pt").rename("bad.pt2")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(EvaltoolError) as caught:
        check_trusted(path, trust=False, kind="pt2")
    assert str(caught.value) == (
        "a pt2 package is native code and is not run unasked\n  bad.pt2: no manifest.json beside it (or one folder "
        f"above) holds its sha256 {digest[:16]}...\n  Pass --trust if you know where it comes from."
    )
    check_trusted(path, trust=True, kind="pt2")
    vouch(path)
    check_trusted(path, trust=False, kind="pt2")
    with pytest.raises(EvaltoolError, match=r"^no such file\n  gone\.pt2\n  Give a pt2 package \(\.pt2\)\.$"):
        check_trusted(Path("gone.pt2"), trust=True, kind="pt2")


def test_truncated_pt2_package_is_refused(folder):
    write_pt2()
    path = Path("bad.pt").rename("bad.pt2")
    data = artifact_bytes(path, kind="pt2")
    path.write_bytes(data[:-30])
    with path.open("rb") as file, pytest.raises(EvaltoolError, match="the file is truncated or damaged"):
        archive_names(file, path)


def test_exported_program_is_no_compiled_package(folder):
    path = Path("program.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(3, 2),)), path)
    with pytest.raises(EvaltoolError) as caught:
        load_pt2(path, trust=False)
    assert str(caught.value) == (
        f"an exported program, not a compiled package\n  {path}: written by torch.export.save\n  Compile it: "
        "torch._inductor.aoti_compile_and_package(torch.export.load(path), package_path=...)."
    )


def test_bare_name_of_a_vouched_for_file(monkeypatch):
    """Its manifest is one folder above, which a bare name does not show."""
    monkeypatch.chdir(ROOT / "models/torchscript/focal/1")
    load_torchscript(Path("model.pt"), trust=False)


def test_digest_in_capitals_vouches(folder):
    shutil.copy(ROOT / "models/torchscript/focal/1/model.pt", "model.pt")
    Path("manifest.json").write_text(json.dumps({"sha256": file_sha256(Path("model.pt")).upper()}))
    load_torchscript(Path("model.pt"), trust=False)


def test_strange_name_in_a_manifest_leaves_the_files(folder):
    scripted(FocalLoss()).save("mine.pt")
    vouch("mine.pt", name=["a", {"b": 1}])
    scores = evaltool.score(np.zeros((4, 3), np.float32), np.zeros(4, np.int64), module="mine.pt")
    assert "mine" in scores.summary["losses"]


@pytest.mark.parametrize(
    ("write", "message"),
    [(write_script, UNASKED), *MALICIOUS.values(), *USELESS.values()],
    ids=["script", *MALICIOUS, *USELESS],
)
def test_command_line_refuses_the_file_and_writes_nothing(cli, saved, write, message):
    saved(np.eye(3, dtype=np.float32), np.arange(3))
    write()
    result = cli("score", "preds.npy", "labels.npy", "--module", "bad.pt", "-o", "out.run")
    assert result.exit_code == 2
    assert f"error: {message}" in result.stderr
    assert "Traceback" not in result.output
    assert sorted(path.name for path in Path().iterdir()) == ["bad.pt", "labels.npy", "preds.npy"]


def test_program_refuses_the_file_and_writes_nothing(folder, saved):
    """The same in a process of its own: no traceback, exit status 2."""
    saved(np.eye(3, dtype=np.float32), np.arange(3))
    write_script()
    command = [sys.executable, "-m", "evaltool", "score", "preds.npy", "labels.npy", "--module", "bad.pt"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert f"error: {UNASKED}\n  bad.pt: no manifest.json" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["bad.pt", "labels.npy", "preds.npy"]


PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def unsafe(source):
    """Return the calls and imports of a source text that may unpickle what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.split(".")[0] in PICKLERS]
            if isinstance(node, ast.ImportFrom) and node.module in ("torch", "numpy"):
                found += [f"from {node.module} import load" for alias in node.names if alias.name == "load"]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                found.append(ast.unparse(node))
            if called in ("np.load", "numpy.load") and (
                given.get("allow_pickle", "False") != "False" or len(node.args) > 2
            ):
                found.append(ast.unparse(node))
    return found


SOURCES = sorted(path for part in ("evaltool", "examples", "scripts") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    assert unsafe(path.read_text()) == []


def test_torchscript_is_loaded_in_one_place_only():
    """After check_trusted: whoever loads otherwise runs code unasked."""
    loads = {path.name for path in SOURCES if "torch.jit.load(" in path.read_text()}
    calls = {path.name for path in SOURCES if re.search(r"\bloaded\(", path.read_text())}
    assert (loads, calls) == ({"scripting.py"}, {"scripting.py", "torchscript.py"})


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, None, True)",
        "def f():\n    import pickle",
        "from torch import load",
    ],
)
def test_the_walk_sees_what_would_be_unpickled(source):
    assert len(unsafe(source)) == 1
    assert unsafe("torch.load(path, weights_only=True); np.load(path); np.load(path, allow_pickle=False)") == []
