"""Completion in bash, zsh and fish: what can be typed next, and where click's shell scripts need help."""

import os
from collections.abc import Callable, Mapping

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from evaltool.catalogue import CATALOGUE, METRICS, LossEntry, MetricEntry
from evaltool.schema import DEFAULT_LOSSES, WEIGHT_WORDS

Items = list["CompletionItem[str]"]


def loss_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return the losses whose name begins so, of the task if one is given, without those given already.

    They are metrics where those are asked for.
    """
    return _names(METRICS if ctx.params.get("metrics") else CATALOGUE, ctx, incomplete)


def _names(registry: Mapping[str, LossEntry | MetricEntry], ctx: click.Context, incomplete: str) -> Items:
    task, given = ctx.params.get("task"), ctx.params.get("names") or ()
    return [
        CompletionItem(name, help=entry.formula)
        for name, entry in registry.items()
        if name.startswith(incomplete) and name not in given and task in (None, "auto", *entry.tasks)
    ]


def specs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return SPECs that begin so: up to a loss's name, a parameter's name, or the rule that fills it in."""
    head, colon, tail = incomplete.partition(":")
    column, equals, name = head.rpartition("=")
    if not colon:
        return [CompletionItem(column + equals + item.value, help=item.help) for item in loss_names(ctx, param, name)]
    if name not in CATALOGUE:
        return []
    entry = CATALOGUE[name]
    done, comma, last = tail.rpartition(",")
    start = head + colon + done + comma
    parameter, equals, value = last.partition("=")
    if equals:
        rules = WEIGHT_WORDS if parameter in entry.from_labels and parameter not in entry.counted else ()
        return [CompletionItem(f"{start}{parameter}={rule}") for rule in rules if rule.startswith(value)]
    given = {piece.partition("=")[0] for piece in done.split(",")}
    return [CompletionItem(f"{start}{key}=") for key in entry.parameters if key.startswith(last) and key not in given]


def artifacts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return SPECs of losses and metrics that begin so."""
    head, colon, tail = incomplete.partition(":")
    start, equals, name = head.rpartition("=")
    if not colon:
        metrics = [CompletionItem(start + equals + item.value, help=item.help) for item in _names(METRICS, ctx, name)]
        return [*specs(ctx, param, incomplete), *metrics]
    if name not in METRICS:
        return specs(ctx, param, incomplete)
    done, comma, last = tail.rpartition(",")
    known = [*(["loss"] if METRICS[name].of_loss else []), *METRICS[name].parameters]
    given = {piece.partition("=")[0] for piece in done.split(",")}
    start = head + colon + done + comma
    return [CompletionItem(f"{start}{key}=") for key in known if key.startswith(last) and key not in given]


def paths(kind: str, words: tuple[str, ...] = ()) -> Callable[[click.Context, click.Parameter, str], Items]:
    """Return a completion of paths of a kind, "file" or "dir", and of some words."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        return [CompletionItem(incomplete, type=kind), *found]

    return complete


def mine_by(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return what can rank, by name: the words, and the loss columns that runs have by default."""
    losses = dict.fromkeys(name for names in DEFAULT_LOSSES.values() for name in names)
    words = ("label-error", "hard", "ambiguous", *losses, "margin", "entropy", "p_label")
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class WholeWords(ShellComplete):
    """Answers ``--loss=fo`` with ``--loss=focal``: shells replace the word, and click answers with the value alone."""

    def get_completions(self, args: list[str], incomplete: str) -> Items:
        """Return the words that may stand in place of the incomplete one."""
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("-"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


class Bash(WholeWords, BashComplete):
    """Completion in bash, which takes ``focal:gamma=2`` for five words and replaces the last one alone."""

    source_template = """\
%(complete_func)s() {
    local response type value
    response=$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value != *= ]] || compopt -o nospace
                ;;
        esac
    done <<< "$response"
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, as evaltool would get them, and the one at the cursor."""
        # the x stands at the cursor, where there may be an open quote or no word yet
        words = split_arg_string(os.environ["COMP_LINE"] + "x")
        return words[1:-1], words[-1][:-1]

    def get_completions(self, args: list[str], incomplete: str) -> Items:
        """Return what may stand in place of the part of the incomplete word that bash replaces."""
        items = super().get_completions(args, incomplete)
        quoted = os.environ["COMP_LINE"].removesuffix(incomplete).endswith(("'", '"'))
        breaks = () if quoted else set(os.environ["COMP_WORDBREAKS"]) & {":", "="}
        kept = max((incomplete.rfind(mark) + 1 for mark in breaks), default=0)
        for item in items:
            item.value = item.value[kept:]
        return items


class Zsh(WholeWords, ZshComplete):
    """Completion in zsh; no blank follows ``focal:gamma=``."""

    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        "local -a blank; [[ $completions[1] == *= ]] && blank=(-S '')\n"
        '        compadd -U "${blank[@]}" -V unsorted -a completions',
    )


class Fish(WholeWords, FishComplete):
    """Completion in fish; a SPEC may hold commas."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


for shell in (Bash, Zsh, Fish):
    add_completion_class(shell)
