"""What tests of fusing share: each loss's graph is exported once in a session, for it takes seconds."""

from types import SimpleNamespace

import pytest

from evaltool.artifacts.onnx_graphs import onnx_model
from evaltool.export import fuse_onnx

GRAPHS = {}


def _contents(module):
    """Return all that a module holds, as text."""
    found = [str(module)]
    for part in module.modules():
        numbers = {name: value.tolist() for name, value in part.named_buffers(recurse=False)}
        settings = {name: value for name, value in vars(part).items() if not name.startswith("_")}
        found.append(f"{type(part).__name__} {numbers} {settings}")
    return "; ".join(found)


@pytest.fixture
def exported_once(monkeypatch):
    def known(module, signature):
        key = (_contents(module), signature)
        if key not in GRAPHS:
            GRAPHS[key] = onnx_model(module, signature).SerializeToString()
        return fuse_onnx.ModelProto.FromString(GRAPHS[key])

    monkeypatch.setattr(fuse_onnx, "onnx_model", known)
    return SimpleNamespace(known=known)
