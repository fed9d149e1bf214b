"""``evaltool doctor``: in plain text, because rich may be what is broken."""

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

WIDTH = 100  # at most, wherever the text goes; problems hold commands to copy and are not wrapped
Rows = Sequence[tuple[str, str]]


@click.command(
    "doctor",
    short_help="What this machine can run, and what is broken.",
    epilog="\b\nExample:\n  evaltool doctor",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show versions, GPUs, ONNX Runtime's providers and engines, and what to do about what is broken.

    Whatever is installed is tried: packages are imported, GPUs compute, providers run a session.

    Exit status: 0 if everything that is installed works, 1 if something is broken. A GPU or an optional package
    that is not there is no problem.
    """
    from evaltool.doctor import diagnosis  # here: --help answers without it

    found = diagnosis()
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)
    sys.exit(1 if found["problems"] else 0)


def _print(found: Mapping[str, Any]) -> None:
    python, machine = found["python"], found["machine"]
    click.secho(f"evaltool {found['evaltool']} · Python {python['version']} · {machine['platform']}", bold=True)
    _section("Machine", [("python", python["executable"]), *_machine(found)])
    packages = {name: package["version"] for name, package in found["packages"].items()}
    installed = {**{name: version for name, version in packages.items() if version}, **found["onnxruntime"]["wheels"]}
    shown = [("torch", _torch(found["torch"])), *installed.items()]
    _section(
        "Packages",
        [*shown, ("not installed", ", ".join(name for name, version in packages.items() if version is None) or "-")],
    )
    if found["onnxruntime"].get("providers"):
        providers = found["onnxruntime"]["providers"]
        _section("ONNX Runtime's providers", [(row["name"], _provider(row)) for row in providers])
    _section("Engines", [(row["engine"], _engine(row)) for row in found["engines"]])
    click.echo()
    for problem in found["problems"]:
        click.echo(f"problem: {problem['wrong']}\n  {problem['do']}")
    if not found["problems"]:
        click.echo("No problem found: what this machine has, works.")


def _machine(found: Mapping[str, Any]) -> Rows:
    machine, compiler = found["machine"], found["compiler"]
    instructions = found["torch"].get("instructions")
    return [
        ("CPU", ", ".join(filter(None, [machine["cpu"], instructions]))),
        ("cores", f"{machine['cores']} usable"),
        ("memory", _size(machine["memory"])),
        *_gpus(found),
        ("C++ compiler", compiler["version"] or f"none ({compiler['command']} is not here)"),
    ]


def _gpus(found: Mapping[str, Any]) -> Rows:
    """Return a row per GPU: those that torch sees, or else those that only the driver sees."""
    driver, seen = found["driver"], found["torch"].get("gpus")
    version = f"driver {driver['version'] or 'unknown'}"
    rows = []
    for index, gpu in enumerate(seen or driver["gpus"]):
        here = f"compute capability {gpu['compute_capability']}" if seen else "torch does not see it"
        rows.append((f"GPU {index}", ", ".join([gpu["name"], _size(gpu["memory"]), here, version])))
    return rows or [("GPU", "none")]


def _torch(torch: Mapping[str, Any]) -> str:
    if torch["error"]:
        return f"{torch['installed'] or 'not installed'}: see the problems"
    return f"{torch['version']}, built " + (f"with CUDA {torch['cuda']}" if torch["cuda"] else "without CUDA")


def _provider(row: Mapping[str, Any]) -> str:
    return "works" if row["works"] else f"not usable here: {row['reason']}"


def _engine(row: Mapping[str, Any]) -> str:
    devices = ", ".join(row["devices"]) or "does not run"
    return f"{devices} ({row['note']})" if row["note"] else devices


def _size(size: int | None) -> str:
    return "memory unknown" if size is None else f"{size / 2**30:.1f} GiB"


def _section(title: str, rows: Rows) -> None:
    click.echo()
    click.secho(title, bold=True)
    wide = max(len(name) for name, _ in rows) + 4
    width = min(WIDTH, max(40, shutil.get_terminal_size().columns))
    wrapped = textwrap.TextWrapper(width, subsequent_indent=" " * wide, break_on_hyphens=False, break_long_words=False)
    for name, text in rows:
        click.echo(wrapped.fill(f"  {name}".ljust(wide) + text))
