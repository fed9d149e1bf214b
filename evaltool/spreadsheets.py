"""Cells of CSV files that spreadsheets open without computing anything, and the texts behind them."""

# what begins a formula, in any width; an apostrophe gets another, so that taking one away gives the text back
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")


def guarded(text: str) -> str:
    """Return a cell: the text with an apostrophe in front of what a spreadsheet would compute.

    Where spreadsheets separate cells by semicolons, what follows one is a cell as well.
    """
    return ";".join(f"'{part}" if part.startswith(FORMULA) else part for part in text.split(";"))


def unguarded(cell: str) -> str:
    """Return the text of a cell; apostrophes that ``guarded`` would not have put there stay."""
    return ";".join(
        part[1:] if part.startswith("'") and part[1:].startswith(FORMULA) else part for part in cell.split(";")
    )
