"""``evaltool verify``."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from evaltool.cli.completion import paths
from evaltool.cli.parameters import Device
from evaltool.schema import PROGRESS


@click.command(
    "verify",
    short_help="Does a file compute what its manifest says?",
    epilog="\b\nExample:\n  evaltool verify models/onnx/focal",
)
@click.argument("artifacts", metavar="PATH...", nargs=-1, required=True, shell_complete=paths("file"))
@click.option(
    "--device", type=Device(), metavar="cpu|cuda[:i]", default="cpu", show_default=True, help="Where to run the files."
)
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(artifacts: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Run artifacts on hard inputs and compare them with float64, their sha256 and metadata with their manifest.

    PATH is a file, its folder, or a whole repository. Exit status: 0 if all is as the manifests say, 1 if not.
    """
    # here: --help answers without torch
    from evaltool.export import verify

    results = []
    for result in verify([Path(path) for path in artifacts], jobs=None, **options):
        results.append(result)
        if as_json:
            continue
        if result.failure is None:
            click.echo(f"ok      {result.path}  worst error {result.worst_error:.1e} ({result.case})")
        else:
            lines = result.failure.splitlines()
            click.echo("\n".join([f"FAILED  {result.path}  {lines[0]}", *(f"      {line}" for line in lines[1:])]))
    failures = sum(result.failure is not None for result in results)
    if as_json:
        click.echo(json.dumps([result.record() for result in results], indent=2, ensure_ascii=False))
    else:
        click.echo(f"{len(results) - failures} of {len(results)} files are what their manifests say")
    sys.exit(1 if failures else 0)
