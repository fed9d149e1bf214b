"""What arguments take beside words and paths: shares, numbers, labels, devices, named files."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from evaltool.cli.completion import paths
from evaltool.errors import EvaltoolError
from evaltool.schema import WEIGHT_WORDS


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share: 0.01 or 1%."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share as a number in [0, 1]."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share; write 0.01 or 1%.", param, ctx)
        return share


class Positive(click.ParamType):  # type: ignore[type-arg]
    """A finite number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is no finite number above 0.", param, ctx)
        return number


class Label(click.ParamType):  # type: ignore[type-arg]
    """An integer of 64 bits."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the integer."""
        try:
            number = int(value)
        except ValueError:
            number = 2**63
        if not -(2**63) <= number < 2**63:
            self.fail(f"{value!r} is no integer of 64 bits.", param, ctx)
        return number


class Device(click.ParamType):  # type: ignore[type-arg]
    """auto, cpu, cuda or cuda:i."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the device's name."""
        kind, colon, index = str(value).partition(":")
        known = kind == "cuda" and (not colon or index.isdecimal())
        if not known and value not in ("auto", "cpu"):
            self.fail(f"{value!r} is no device; write auto, cpu, cuda or cuda:0.", param, ctx)
        return str(value)


class BatchSize(click.ParamType):  # type: ignore[type-arg]
    """auto, or an integer above 0."""

    name = "batch size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number of rows, or "auto"."""
        if value != "auto" and not (str(value).isdecimal() and int(value) > 0):
            self.fail(f"{value!r} is no batch size; write auto or an integer above 0.", param, ctx)
        return "auto" if value == "auto" else int(value)


def named_files(texts: Sequence[str]) -> dict[str, str]:
    """Return files by the name they were given, as in ``name=file.npy``; "" is that of a file without one.

    Raises:
        EvaltoolError: a name is given twice.
    """
    files: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():  # a path may hold =
            name, path = "", text
        if name in files:
            twice = f"the input {name!r} is given twice" if name else "several inputs have no name"
            raise EvaltoolError(f"{twice}\n  {files[name]} and {path}\n  Name every input once, as in name=file.npy.")
        files[name] = path
    return files


def loss_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that a loss is built with where there are no labels to count."""
    command = click.option(
        "--counts",
        metavar="FILE|1,2,3",
        help="Labels of each class in the training data, for rules, priors and margins.",
        shell_complete=paths("file"),
    )(command)
    command = click.option(
        "--class-weights",
        metavar="FILE|RULE|1,2,3",
        help=f"One number per class, or a rule on --counts: {', '.join(WEIGHT_WORDS)}.",
        shell_complete=paths("file", tuple(WEIGHT_WORDS)),
    )(command)
    return click.option(
        "--ignore-index", type=Label(), default=-100, show_default=True, help="Label that counts for nothing."
    )(command)


def one_or_more(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> str | list[str] | None:
    """Return what a repeatable option was given: a text, several, or None."""
    return list(value) if len(value) > 1 else value[0] if value else None
