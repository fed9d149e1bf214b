"""The command line: one file per command, each of which parses, calls once and prints."""

import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

import evaltool
import evaltool.cli.completion  # makes the shells' completions known to click
from evaltool.errors import EvaltoolError

COMMANDS = {
    "score": "evaltool.cli.score",
    "mine": "evaltool.cli.mine",
    "report": "evaltool.cli.report",
    "export": "evaltool.cli.export",
    "verify": "evaltool.cli.verify",
    "predict": "evaltool.cli.predict",
    "fuse": "evaltool.cli.fuse",
    "relabel": "evaltool.cli.relabel",
    "losses": "evaltool.cli.losses",
    "doctor": "evaltool.cli.doctor",
}


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which schedulers and ``kill`` end a job; it cleans up as after Ctrl-C."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise ``Terminated``, once: a second one does not break off the cleaning up."""

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reserve_streams() -> None:
    """Keep descriptors 0 to 2 from a file that is opened later, where the caller closed them (``2>&-``).

    What compiled code writes to stderr would go into that file.  What is said on a closed stderr goes nowhere;
    ``sys.stdout`` stays None, and who prints a result decides what that means.
    """
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  it stays open as long as the program runs


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the user can mend is told without a traceback, with exit status 2."""
        _reserve_streams()
        try:
            with _sigterm_raises():
                return super().invoke(ctx)
        except EvaltoolError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly when nobody reads on
            click.echo(f"error: {error.strerror}\n  {error.filename or 'standard output'}", err=True)
            sys.exit(2)
        except Terminated:
            click.echo("terminated: nothing was written", err=True)
            sys.exit(143)
        except KeyboardInterrupt:
            click.echo("interrupted: nothing was written", err=True)
            sys.exit(130)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExample:\n  evaltool score preds.npy labels.npy",
)
@click.version_option(evaltool.__version__, prog_name="evaltool")
def main() -> None:
    """Score predictions against labels, sample by sample."""
