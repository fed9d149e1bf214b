"""The report as Markdown and on a terminal."""

import io

import pytest
from rich.console import Console

from evaltool.report.markdown import escaped, markdown_of
from evaltool.report.terminal import short_text
from tests.report.documents import HOSTILE, TASKS, document

EVERYTHING = {"slices": True, "comparison": True, "hostile": True}


def printed(found, width=120):
    out = io.StringIO()
    Console(file=out, width=width, markup=False, highlight=False, emoji=False).print(short_text(found))
    return out.getvalue()


@pytest.mark.parametrize("rows", [None, 0, 1])
@pytest.mark.parametrize("n_classes", [1, 2, 10])
@pytest.mark.parametrize("task", TASKS)
def test_every_document_has_both_texts(task, n_classes, rows):
    for options in ({}, EVERYTHING):
        found = document(task, n_classes, rows=rows, **options)
        markdown = markdown_of(found)
        assert len(markdown.splitlines()) < 150
        markdown.encode("utf-8")
        text = printed(found)
        text.encode("utf-8")
        assert "None" not in markdown + text
        assert "nan" not in markdown + text


def test_markdown_escapes_what_markdown_and_html_read():
    found = document("multiclass", len(HOSTILE), exponent=2, **EVERYTHING)
    markdown = markdown_of(found)
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markdown
    assert "pipe \\| in \\| name" in markdown


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head():
    markdown = markdown_of(document("multiclass", len(HOSTILE), exponent=2, **EVERYTHING))
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for lines in tables:
        cells = {line.replace("\\|", "").count("|") for line in lines}
        assert len(cells) == 1


@pytest.mark.parametrize("name", [*HOSTILE, "@everyone", "#12", "a_b_c", "~~x~~", "\\", "a\x1b[31m"])
def test_an_escaped_name_has_no_sign_left_that_means_something(name):
    text = escaped(name)
    for sign in "<>\n\x1b@":
        assert sign not in text
    for sign in "`*_[]|~#":
        assert text.count(sign) == text.count("\\" + sign) + (sign == "#") * text.count("&#")


def test_a_command_stays_one_piece_of_code():
    found = document("multiclass", 3)
    found["advice"]["actions"][0]["command"] = "evaltool mine `pwd`"
    found["advice"]["actions"][1]["command"] = "import torch\n\nfor _ in '```':\n    print(_)"
    text = markdown_of(found)
    assert "\n   ```\n   evaltool mine `pwd`\n   ```\n" in text
    assert "\n   ````\n   import torch\n\n   for _ in '```':\n       print(_)\n   ````\n" in text


def test_a_name_moves_no_cursor():
    found = document("multiclass", 3)
    found["names"] = [f"{name}\x1b[2J\r" for name in found["names"]]
    found["verdict"]["sentences"] = ["The classes: \x1b[2J."]
    assert "\x1b" not in printed(found)
    assert "\r" not in printed(found)


def test_markup_in_names_shows_as_it_is():
    found = document("multiclass", 3)
    found["names"] = ["[bold]a[/bold]", "[link=x]", ":smile:"]
    text = printed(found)
    assert "[bold]a[/bold]" in text
    assert ":smile:" in text


def test_the_terminal_begins_with_the_verdict_and_ends_with_what_to_do():
    found = document("multiclass", 10, exponent=2)
    lines = printed(found).splitlines()
    assert lines[:3] == found["verdict"]["sentences"]
    assert lines[-1].startswith("3. Collect more samples")
    assert len(lines) < 50


def test_no_line_is_wider_than_the_terminal():
    found = document("multiclass", len(HOSTILE), exponent=2, **EVERYTHING)
    for width in (80, 120):
        assert max(len(line) for line in printed(found, width).splitlines()) <= width


def test_the_lowest_recalls_are_named():
    found = document("multiclass", 10, exponent=2)
    known = [row for row in found["classes"] if row["recall"]["value"] is not None]
    worst = sorted(known, key=lambda row: row["recall"]["value"])[:5]
    table = printed(found).split("Lowest recall")[1].split("Dearest")[0]
    assert [line.split("  ")[0].strip() for line in table.splitlines() if line.startswith(" class ")][1:] == [
        row["name"] for row in worst
    ]
