"""Completion: what a real bash inserts and offers, and what zsh and fish are told."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from click.shell_completion import get_completion_class

from evaltool.catalogue import CATALOGUE
from evaltool.cli import main
from evaltool.schema import WEIGHT_WORDS

from ..conftest import ROOT

VARIABLE = "_EVALTOOL_COMPLETE"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory with the command evaltool, of this checkout, and two files."""
    folder = tmp_path_factory.mktemp("completion")
    command = folder / "bin/evaltool"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from evaltool.cli import main\nmain(prog_name='evaltool')\n"
    )
    command.chmod(0o755)
    (folder / "preds.npy").touch()
    (folder / "my runs").mkdir()
    return folder


def environment(folder):
    return {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ ", "HISTFILE": ""}


class Bash:
    """An interactive bash on a terminal, with the completion of evaltool."""

    def __init__(self, folder):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env=environment(folder),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.write(f'eval "$({VARIABLE}=bash_source evaltool)"\n')
        self.write('bind -x \'"\\C-xp": printf "<<%s>>\\n" "$READLINE_LINE"\'\n')
        self.write("echo re''ady\n")
        self.read_until("ready")

    def write(self, keys):
        os.write(self.ours, keys.encode())

    def read_until(self, pattern):
        """Return the match of a pattern in what the terminal shows."""
        seen, deadline = "", time.monotonic() + 60
        while not (found := re.search(pattern, seen)):
            assert time.monotonic() < deadline, seen
            if select.select([self.ours], [], [], 1)[0]:
                seen += os.read(self.ours, 65536).decode()
        return found

    def completed(self, line):
        """Return the line after TAB."""
        self.write(f"{line}\t\x18p\x15")  # ^X p shows the line, ^U empties it
        return self.read_until("<<(.*)>>")[1]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture(scope="module")
def bash(folder):
    shell = Bash(folder)
    yield shell
    shell.close()


# what is typed, then TAB: what stands there; a blank at the end tells that the word is done
INSERTED = {
    "evaltool lo": "evaltool losses ",
    "evaltool losses foc": "evaltool losses focal",
    "evaltool losses focal-": "evaltool losses focal-tversky ",
    "evaltool score p l --loss fo": "evaltool score p l --loss focal",
    "evaltool score p l --loss tv": "evaltool score p l --loss tversky ",
    "evaltool score p l --loss=tv": "evaltool score p l --loss=tversky ",
    "evaltool score p l --loss hard=tv": "evaltool score p l --loss hard=tversky ",
    "evaltool score p l --loss=hard=tv": "evaltool score p l --loss=hard=tversky ",
    "evaltool score p l --loss focal:g": "evaltool score p l --loss focal:gamma=",
    "evaltool score p l --loss hard=focal:g": "evaltool score p l --loss hard=focal:gamma=",
    "evaltool score p l --loss=focal:g": "evaltool score p l --loss=focal:gamma=",
    "evaltool score p l --loss focal:gamma=2,": "evaltool score p l --loss focal:gamma=2,alpha=",
    "evaltool score p l --loss focal:alpha=ba": "evaltool score p l --loss focal:alpha=balanced ",
    'evaltool score p l --loss "hard=focal:g': 'evaltool score p l --loss "hard=focal:gamma="',
    "evaltool score p l --loss fcal:g": "evaltool score p l --loss fcal:g",
    "evaltool score pre": "evaltool score preds.npy ",
    "evaltool score p l --class-weights med": "evaltool score p l --class-weights median-frequency ",
    "evaltool score p l --class-weights pre": "evaltool score p l --class-weights preds.npy ",
    "evaltool score p l -o my": r"evaltool score p l -o my\ runs/",
    "evaltool report my": r"evaltool report my\ runs/",
    "evaltool report r --sp": "evaltool report r --split ",
    "evaltool report r --split lv": "evaltool report r --split lvis ",
    "evaltool report r --compare my": r"evaltool report r --compare my\ runs/",
    "true; evaltool losses lov": "true; evaltool losses lovasz ",
}


@pytest.mark.parametrize("line", INSERTED)
def test_what_bash_inserts(bash, line):
    assert bash.completed(line) == INSERTED[line]


def offered(folder, line, cursor=None, breaks=" \t\n\"'><=;|&(:"):
    """Return what bash's function offers with the variables as bash sets them, and the options it sets."""
    # bash splits at = and : as well, into COMP_WORDS; the function reads COMP_LINE, which is as it was typed
    words = re.findall(r"[=:]+|[^=:\s]+", line)
    script = f"""
        eval "$({VARIABLE}=bash_source evaltool)"
        compopt() {{ echo "option $*"; }}
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - (not line.endswith(" "))}
        COMP_LINE='{line}' COMP_POINT={len(line) if cursor is None else cursor}
        COMP_WORDBREAKS=$1
        _evaltool_completion evaltool "${{COMP_WORDS[COMP_CWORD]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    command = ["bash", "--norc", "-c", script, "bash", breaks]
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    return [line for line in lines if line and not line.startswith("option")], {
        line for line in lines if line.startswith("option")
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("evaltool losses ", list(CATALOGUE)),
        ("evaltool losses ce dice-", ["dice-ce", "dice-focal"]),
        ("evaltool losses dice-ce dice-", ["dice-focal"]),
        ("evaltool score p l --loss fo", ["focal", "focal-tversky"]),
        ("evaltool score p l --loss hard=fo", ["focal", "focal-tversky"]),
        ("evaltool score p l --task binary --loss b", ["bce", "binary-focal", "balanced-ce"]),
        ("evaltool score p l --task multiclass --loss b", []),
        ("evaltool score p l --loss focal:alpha=", list(WEIGHT_WORDS)),
        ("evaltool score p l --loss tversky:alpha=", []),
        ("evaltool score p l --loss logit-adjusted:prior=", []),
        ("evaltool score p l --loss l1:", []),
        ("evaltool score p l --loss auro", []),
        ("evaltool export foc", ["focal", "focal-tversky"]),
        ("evaltool export mine=auro", ["auroc"]),
        ("evaltool export --task multilabel cohen", []),
        ("evaltool losses --metrics loss-", ["loss-histogram", "loss-quantiles", "loss-share"]),
    ],
)
def test_what_bash_offers(folder, line, expected):
    assert offered(folder, line) == (expected, set())


def test_no_blank_follows_the_name_of_a_parameter(folder):
    line = "evaltool score p l --loss poly:gamma=1,"
    assert offered(folder, line) == (["1,eps=", "1,alpha="], {"option -o nospace"})


def test_parameters_of_a_metric(folder):
    line = "evaltool export loss-quantiles:"
    assert offered(folder, line) == (["loss=", "at="], {"option -o nospace"})


def test_bash_that_does_not_split_at_colons(folder):
    """Many take the colon out of COMP_WORDBREAKS; the word to replace is then a longer one."""
    line = "evaltool score p l --loss hard=focal:"
    assert offered(folder, line)[0] == ["gamma=", "alpha="]
    assert offered(folder, line, breaks=" =")[0] == ["focal:gamma=", "focal:alpha="]
    assert offered(folder, line, breaks=" ")[0] == ["hard=focal:gamma=", "hard=focal:alpha="]


def test_what_is_behind_the_cursor_is_left_alone(folder):
    line = "evaltool score p l --loss tvfoo --task binary"
    assert offered(folder, line, cursor=len("evaltool score p l --loss tv"))[0] == ["tversky"]


def told(shell, words, word):
    """Return what a shell is told where the last of some words is typed so far."""
    complete = get_completion_class(shell)(main, {}, "evaltool", VARIABLE)
    place = word if shell == "fish" else str(len(words.split()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", f"{words} {word}")
        patch.setenv("COMP_CWORD", place)
        return complete.complete()


FOCAL, FOCAL_TVERSKY = (CATALOGUE[name].formula for name in ("focal", "focal-tversky"))
# the words before the cursor, the word at it: what zsh is told
ZSH = {
    ("evaltool losses", "foc"): f"plain\nfocal\n{FOCAL}\nplain\nfocal-tversky\n{FOCAL_TVERSKY}",
    (
        "evaltool score p l --loss",
        "hard=foc",
    ): f"plain\nhard=focal\n{FOCAL}\nplain\nhard=focal-tversky\n{FOCAL_TVERSKY}",
    ("evaltool score p l", "--loss=focal-"): f"plain\n--loss=focal-tversky\n{FOCAL_TVERSKY}",
    ("evaltool score p l --loss", "focal:"): "plain\nfocal:gamma=\n_\nplain\nfocal:alpha=\n_",
    ("evaltool score p l --loss", "focal:gamma=2,"): "plain\nfocal:gamma=2,alpha=\n_",
    ("evaltool score p l --loss", "hard=focal:alpha=b"): "plain\nhard=focal:alpha=balanced\n_",
    ("evaltool score", "pre"): "file\npre\n_",
    ("evaltool score p l -o", "my"): "dir\nmy\n_",
}


@pytest.mark.parametrize("typed", ZSH, ids=" ".join)
def test_what_zsh_is_told(typed):
    assert told("zsh", *typed) == ZSH[typed]


@pytest.mark.parametrize("typed", ZSH, ids=" ".join)
def test_what_fish_is_told(typed):
    """The same, on one line each."""
    rows = ZSH[typed].split("\n")
    lines = []
    for kind, value, about in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        lines.append(f"{kind},{value}" if about == "_" else f"{kind},{value}\t{about}")
    assert told("fish", *typed) == "\n".join(lines)


def script(folder, shell):
    """Return the script for a shell."""
    command = [str(folder / "bin/evaltool")]
    values = {**environment(folder), VARIABLE: f"{shell}_source"}
    return subprocess.run(command, env=values, capture_output=True, text=True, check=True).stdout


def test_zsh_puts_no_blank_after_the_name_of_a_parameter(folder):
    assert '        compadd -U "${blank[@]}" -V unsorted -a completions\n' in script(folder, "zsh")
    assert "[[ $completions[1] == *= ]] && blank=(-S '')\n" in script(folder, "zsh")


def test_fish_keeps_the_commas_of_a_spec(folder):
    assert 'set -l metadata (string split --max 1 "," $completion);\n' in script(folder, "fish")


@pytest.mark.parametrize(
    ("shell", "start"),
    [
        ("bash", "_evaltool_completion() {\n"),
        ("zsh", "#compdef evaltool\n"),
        ("fish", "function _evaltool_completion;\n"),
    ],
)
def test_the_readme_says_how_to_enable_it(folder, shell, start):
    assert f"{VARIABLE}={shell}_source evaltool" in (ROOT / "README.md").read_text()
    assert script(folder, shell).startswith(start)
