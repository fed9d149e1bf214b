"""Cells that start no formula, and give their texts back."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaltool.spreadsheets import FORMULA, guarded, unguarded

NASTY = st.text(st.sampled_from("=+-@'\t\r\n;,\"＝－a1 "), max_size=8)


@given(st.one_of(NASTY, st.text()))
@example("a;'=b")
@example("'tis")
@example("''")
@example("=1;'")
def test_a_cell_gives_its_text_back_and_starts_no_formula(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not any(part.startswith(FORMULA) and not part.startswith("'") for part in cell.split(";"))
    written = io.StringIO()
    csv.writer(written).writerow([cell, "end"])
    assert next(csv.reader(io.StringIO(written.getvalue(), newline=""))) == [cell, "end"]


@pytest.mark.parametrize("text", ["'tis", "rock 'n' roll", "a;'b", "'", "a'=b", "';x"])
def test_apostrophes_that_nobody_put_there_stay(text):
    assert unguarded(text) == text
