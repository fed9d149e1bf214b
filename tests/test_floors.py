"""The floors: a unit imports lower floors only (README, "How it is built")."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "evaltool"

FLOORS = [
    {"errors", "schema", "numerics"},
    {
        "partial_files",
        "run_lengths",
        "block",
        "losses",
        "metrics",
        "weights",
        "readers",
        "artifacts",
        "doctor",
        "devices",
        "progress",
    },
    {"kernels"},  # of blocks
    {"catalogue", "detect", "run", "engines", "predictor"},
    {"scorer", "report", "mine", "relabel"},
    {"export"},  # and scale-out
    {"cli"},
]
# what starts the program or is the public face stands above all
TOP = {"__init__", "__main__"}
HEAVY = {"torch", "numpy", "pyarrow", "rich", "sklearn", "pandas", "duckdb", "onnx", "onnxruntime"}


def floor_of(unit: str) -> int:
    """Return the floor a unit stands on."""
    return next(number for number, units in enumerate(FLOORS) if unit in units)


def unit_of(path: Path) -> str:
    """Return the unit a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Return the modules that a tree imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return names


FILES = sorted(path for path in PACKAGE.rglob("*.py") if unit_of(path) not in TOP)


def test_every_unit_has_a_floor():
    units = {unit_of(path) for path in FILES}
    assert units == set().union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_unit_imports_lower_floors_only(path):
    unit = unit_of(path)
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "evaltool" or len(parts) == 1 or parts[1] == unit:
            continue
        assert floor_of(parts[1]) < floor_of(unit), f"{unit} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_stays_near_300_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_walk_sees_an_import_inside_a_function():
    tree = ast.parse("def f():\n    from evaltool.cli import main\n    importlib.import_module('evaltool.scorer')\n")
    assert imported(tree) == {"evaltool.cli", "evaltool.scorer"}


LIGHT = [*sorted(PACKAGE.glob("cli/*.py")), *sorted(PACKAGE.glob("catalogue/*.py")), PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", [*LIGHT, PACKAGE / "schema.py"], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_help_needs_imports_nothing_heavy_at_the_top(path):
    if path.name in ("view.py", "mine_view.py"):
        return  # imported when there is something to show
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not {name.split(".")[0] for name in imported(tree)} & HEAVY
