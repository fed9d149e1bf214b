"""``evaltool relabel``."""

import json
import shlex
from typing import Any

import click

from evaltool.cli.completion import paths
from evaltool.cli.parameters import one_or_more

EXAMPLE = "\b\nExample:\n  evaltool relabel apply preds.run decisions.csv -o labels_fixed.npy"


@click.group("relabel", short_help="Put reviewers' decisions into the labels.", epilog=EXAMPLE)
def command() -> None:
    """Take back what people decided about mined samples."""


@command.command(
    "apply",
    short_help="Write labels with what reviewers changed.",
    epilog=EXAMPLE,
)
@click.argument("run", shell_complete=paths("dir"))
@click.argument("decisions", nargs=-1, required=True, shell_complete=paths("file"))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="The corrected labels (.npy); FILE's stem and .audit.csv holds who changed what.",
    shell_complete=paths("file"),
)
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "majority", "keep"]),
    default="error",
    show_default=True,
    help="Where reviewers disagree; a tie keeps the label.",
)
@click.option(
    "--controls",
    metavar="FILE",
    help="The .controls.csv of the list: how often mined and random labels are wrong.",
    shell_complete=paths("file"),
)
@click.option("--labels", metavar="FILE", help="Where the labels of RUN are now.", shell_complete=paths("file"))
@click.option(
    "--preds",
    metavar="FILE",
    multiple=True,
    callback=one_or_more,
    help="Where the predictions of RUN are now; once for each that was averaged.",
    shell_complete=paths("file"),
)
@click.option(
    "--ids", metavar="FILE[:COLUMN]", help="Ids of the samples, where RUN has none.", shell_complete=paths("file")
)
@click.option(
    "--confirmed", is_flag=True, help="Take CVAT's export as reviewed and right where nobody changed anything."
)
@click.option("--overwrite", is_flag=True, help="Replace the files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def apply_command(run: str, decisions: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Write the labels of RUN with what DECISIONS change: the gallery's CSV, Label Studio's JSON, CVAT's XML or ZIP.

    Several files and reviewers go in at once. The old labels stay as they are. An unknown sample or class, or a label
    that is no longer the one reviewed, is an error, and nothing is written.
    """
    # here: --help answers without numpy
    from evaltool.relabel import apply
    from evaltool.report.provenance import score_command
    from evaltool.run.reader import open_run

    opened = open_run(run)
    applied = apply(opened, decisions, output, **options)
    if as_json:
        click.echo(json.dumps(applied.record(), indent=2, ensure_ascii=False))
    else:
        _show(applied)
    for note in applied.notes:
        click.echo(f"note: {note}", err=True)
    if not as_json:
        again = score_command(opened.manifest, preds=options["preds"], labels=output, output="NEW.run")
        click.echo(f"\nnext:\n  {again}\n  evaltool report {shlex.quote(run)} --compare NEW.run")


def _show(applied: Any) -> None:
    people = ", ".join(f"{name} ({count})" for name, count in applied.reviewers.items())
    n_labels = applied.n_reviewed + applied.n_undecided
    click.echo(f"decisions: {applied.n_decisions} on {n_labels} {'label' if n_labels == 1 else 'labels'}, by {people}")
    redraw = f"{len(applied.to_redraw)} to redraw, " if applied.to_redraw else ""
    click.echo(
        f"labels: {applied.n_changed} changed, {applied.n_kept} kept, {redraw}{applied.n_undecided} undecided, "
        f"{applied.n_conflicts} in conflict"
    )
    click.echo(f"wrong labels: {_share(applied.wrong)}")
    if applied.suggestions_right is not None:
        click.echo(f"suggestion right, of the wrong ones: {_share(applied.suggestions_right)}")
    if applied.agreement is not None:
        kappa = "" if applied.kappa is None else f"; {applied.kappa_of}'s kappa {applied.kappa:.3f}"
        click.echo(f"agreement of reviewers: {_share(applied.agreement)}{kappa}")
    if applied.wrong_mined is not None:
        click.echo(f"wrong among the mined: {_share(applied.wrong_mined)}")
        click.echo(f"wrong among the random controls: {_share(applied.wrong_controls)}")
        if applied.lift is not None:
            click.echo(f"mined labels are wrong {applied.lift:.1f} times as often as random ones")
    click.echo(f"written: {applied.output}, {applied.audit}")


def _share(share: Any) -> str:
    if share.value is None:
        return "could not be judged: nothing was decided"
    return f"{share.hits} of {share.total} = {share.value:.1%} (95% interval {share.low:.1%} to {share.high:.1%})"
