"""``evaltool report``."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from evaltool.cli.completion import paths
from evaltool.cli.parameters import one_or_more
from evaltool.schema import PROGRESS

if TYPE_CHECKING:
    from evaltool.report.job import ReportResult

PAGE = "report.html"
OPTIONS = {"output": "-o", "json": "--json", "md": "--md", "junit": "--junit"}
STDOUT = "-"
WIDTH = 120  # where stdout is no terminal


@click.command(
    "report",
    short_help="What class imbalance does to the model, and what to do.",
    epilog="\b\nExample:\n  evaltool report preds.run -o report.html --fail-if 'loss_share_ratio[max] > 9'",
)
@click.argument("run", shell_complete=paths("dir"))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help=f"The page, one HTML file that opens from disk.  [default: {PAGE} here]",
    shell_complete=paths("file"),
)
@click.option("--json", metavar="FILE", help="Every number as JSON; - prints it.", shell_complete=paths("file"))
@click.option("--md", metavar="FILE", help="Markdown for a pull request; - prints it.", shell_complete=paths("file"))
@click.option(
    "--train-counts",
    metavar="FILE|1,2,3",
    help="Labels of each class in the training data, which then group the classes.  [default: the run's labels]",
    shell_complete=paths("file"),
)
@click.option(
    "--split",
    type=click.Choice(["many-medium-few", "lvis"]),
    default="many-medium-few",
    show_default=True,
    help="Groups of classes by count: above 100 and 20, or LVIS's above 100 and 10.",
)
@click.option(
    "--group-by",
    metavar="FILE[:COLUMN]",
    help="One group per sample, for the same numbers by group: .csv, .parquet, .npy, or one per line.",
    shell_complete=paths("file"),
)
@click.option(
    "--fail-if",
    metavar="EXPR",
    multiple=True,
    help="Exit with status 1 if this holds or cannot be told, as 'recall[few] < 50% or ece > 0.1'; repeatable.",
)
@click.option("--junit", metavar="FILE", help="What came of --fail-if, as JUnit XML.", shell_complete=paths("file"))
@click.option("--compare", metavar="RUN2", help="A second run of the same samples.", shell_complete=paths("dir"))
@click.option(
    "--preds",
    metavar="FILE",
    multiple=True,
    callback=one_or_more,
    help="Where the scored predictions are now; once for each that was averaged.",
    shell_complete=paths("file"),
)
@click.option("--labels", metavar="FILE", help="Where the labels are now.", shell_complete=paths("file"))
@click.option("--title", metavar="TEXT", help="Heading of the report.  [default: the run's name]")
@click.option("--overwrite", is_flag=True, help="Replace files that are no earlier report.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    help="A bar (rich), lines (plain) or neither on stderr.  [default: auto]",
)
def command(run: str, **options: Any) -> None:
    """Report what class imbalance does to the model behind RUN, and what to do about it.

    Writes a page and prints a short version. Exit status: 0 done; 1 done, but a --fail-if holds or cannot be told;
    2 unusable input, nothing written.
    """
    # here: --help answers without them
    from evaltool.report.job import report

    printed = [kind for kind in OPTIONS if options[kind] == STDOUT]
    if len(printed) > 1:
        raise click.UsageError(f"{' and '.join(OPTIONS[kind] for kind in printed)} cannot both print to stdout.")
    if not printed and options["output"] is None:
        options["output"] = PAGE
    for kind in printed:
        options[kind] = None
    result = report(run, **options)
    try:
        if sys.stdout is None:  # closed: the files are whole, and nobody reads a view
            pass
        elif printed:
            click.echo(result.content(printed[0]), nl=False)
        else:
            _print(result)
    except BrokenPipeError:  # as in `| head`: the files are whole, and nobody wants more of the view
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for gate in result.failed:
        click.echo(f"failed: {gate.message}", err=True)
    sys.exit(1 if result.failed else 0)


def _print(result: "ReportResult") -> None:
    """Print the short version, the gates that passed and where the files are."""
    from rich.console import Console

    from evaltool.report.terminal import short_text

    terminal = sys.stdout.isatty()
    console = Console(markup=False, highlight=False, emoji=False, width=None if terminal else WIDTH)
    shown = short_text(result.document)
    if terminal:
        console.print(shown)
    else:
        with console.capture() as captured:
            console.print(shown)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    passed = [gate for gate in result.gates if not gate.failed]
    click.echo("".join(f"\npassed: {gate.negation}" for gate in passed), nl=bool(passed))
    click.echo(f"\nreport: {', '.join(str(path) for path in result.files.values())}")
