"""The losses of other libraries, imported in this one place.

`import torchvision` loads compiled operators. Beside a CPU build of torch, PyPI's wheel has none that fit ("operator
torchvision::nms does not exist"), and segmentation_models_pytorch and timm import torchvision on their first line,
although their losses, like torchvision's focal loss, are plain PyTorch. So the module with the losses is imported
below an empty parent package that has the real one's path: the losses' code runs, the parent's __init__ does not.
This works as well, and takes a second in place of ten, where the real import would.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType

MODULES = {  # name: the module that holds the losses
    "MONAI": "monai.losses",
    "smp": "segmentation_models_pytorch.losses",
    "kornia": "kornia.losses",
    "torchvision": "torchvision.ops.focal_loss",
    "timm": "timm.loss",
}
BARE = {"smp", "torchvision", "timm"}  # imported without what their packages' __init__ import


def package(name: str) -> str:
    """Return the import package of a library, which is also the name it is installed by."""
    return MODULES[name].partition(".")[0]


def installed(name: str) -> bool:
    """Return whether the library is there; says nothing about whether it can be imported."""
    return importlib.util.find_spec(package(name)) is not None


def installed_version(name: str) -> str:
    """Return the version of the library as installed."""
    return version(package(name))


def losses_of(name: str) -> ModuleType:
    """Return the module that holds the library's losses."""
    if name not in BARE:
        return importlib.import_module(MODULES[name])
    with empty_parents(MODULES[name]):
        return importlib.import_module(MODULES[name])


@contextmanager
def empty_parents(module: str) -> Iterator[None]:
    """Put a package without contents in the place of each parent of module that is not imported yet, then remove it."""
    parents = module.split(".")[:-1]
    added = []
    for depth in range(len(parents)):
        parent = ".".join(parents[: depth + 1])
        if parent not in sys.modules:
            spec = importlib.util.find_spec(parent)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {parent!r}", name=parent)
            empty = ModuleType(parent)
            empty.__path__ = list(spec.submodule_search_locations or ())
            sys.modules[parent] = empty
            added.append(parent)
    try:
        yield
    finally:
        for parent in added:
            del sys.modules[parent]
