"""The page in a real browser: silent, offline, drawn, sortable, escaped, and as wide as the window."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evaltool.report import formats
from evaltool.report.page import page_of
from tests.report.documents import HOSTILE, TASKS, document

EVERYTHING = {"slices": True, "comparison": True, "hostile": True}
DOCUMENTS = {
    "multiclass": lambda: document("multiclass", 10, exponent=2, **EVERYTHING),
    "binary": lambda: document("binary", 2, **EVERYTHING),
    "multilabel": lambda: document("multilabel", 12, absent=3, **EVERYTHING),
    "segmentation": lambda: document("segmentation", 30, **EVERYTHING),
    "regression": lambda: document("regression", **EVERYTHING),
    "one class": lambda: document("multiclass", 1),
    "no errors": lambda: document("multiclass", 4, errors=False),
    "no row": lambda: document("multiclass", 3, rows=0, **EVERYTHING),
    "one row": lambda: document("segmentation", 3, rows=1, **EVERYTHING),
    "no row of one class": lambda: document("binary", 1, rows=0),
    "no predictions": lambda: document("multiclass", 5, predictions=False),
    "1000 classes": lambda: document("multiclass", 1000, absent=30, **EVERYTHING),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_every_chart_is_drawn_in_silence_and_without_a_network(opened, case):
    page = opened(DOCUMENTS[case]())
    assert page.console == []
    assert page.dialogs == []
    assert page.requests == [page.path.as_uri()]
    charts = page.tab.eval_on_selector_all(
        "[data-chart]",
        """figures => figures.map(figure => {
            const svg = figure.querySelector("svg.marks");
            const marks = svg ? svg.querySelectorAll(".role-mark path, .role-mark line, .role-mark text").length : 0;
            return [figure.dataset.chart, figure.dataset.drawn, marks, svg ? svg.getBoundingClientRect().width : 0];
        })""",
    )
    for name, drawn, marks, width in charts:
        assert drawn == "yes", name
        assert marks > 0, name
        assert width > 150, name
    undrawn = set(json.loads(page.tab.inner_text("#data") or page.tab.text_content("#data"))["charts"])
    assert {name for name, *_ in charts} == undrawn, "a chart without a place, or a place without a chart"


@pytest.mark.parametrize("case", ["multiclass", "multilabel", "segmentation", "regression", "1000 classes"])
def test_nothing_is_wider_than_the_window(opened, case):
    page = opened(DOCUMENTS[case]())
    for width in (1280, 400):
        page.tab.set_viewport_size({"width": width, "height": 900})
        page.tab.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # charts follow in a frame
        beyond = page.tab.evaluate(
            """() => [...document.querySelectorAll("main *")].filter(e =>
                !e.closest(".scroll, svg, pre, .unseen, .vega-embed details") && e.getClientRects().length &&
                e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
        )
        assert beyond == []


def column(page, title, table="classes"):
    """Return the texts of a column, small print left out."""
    return page.tab.evaluate(
        """([table, title]) => {
            const place = document.querySelector(`[data-long="${table}"]`);
            const at = [...place.querySelectorAll("thead th")].findIndex(th => th.textContent === title);
            return [...place.querySelectorAll("tbody tr")].map(row => row.children[at].firstChild.textContent);
        }""",
        [table, title],
    )


def heading(page, title, table="classes"):
    return page.tab.locator(f'[data-long="{table}"] thead th').filter(
        has=page.tab.get_by_role("button", name=title, exact=True)
    )


@pytest.mark.parametrize("title", ["labels", "recall", "ratio", "mean loss"])
def test_a_column_sorts_by_value_both_ways_with_the_unknown_last(opened, title):
    found = document("multiclass", 40, absent=6, exponent=1.4)
    page = opened(found)
    value = {
        "labels": lambda row: row["count"],
        "recall": lambda row: row["recall"]["value"],
        "ratio": lambda row: row["losses"]["ce"]["share_ratio"]["value"],
        "mean loss": lambda row: row["losses"]["ce"]["mean"]["value"],
    }[title]
    form = {"labels": formats.count, "recall": formats.percent, "ratio": formats.times, "mean loss": formats.number}[
        title
    ]
    values = [value(row) for row in found["classes"]]
    known = sorted(x for x in values if x is not None)
    unknown = [formats.UNKNOWN] * (len(values) - len(known))
    head = heading(page, title)
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, title) == [form(x) for x in reversed(known)] + unknown
    head.get_by_role("button").press("Enter")  # by the keyboard, which keeps its place
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, title) == [form(x) for x in known] + unknown


def test_sorting_is_stable(opened):
    found = document("multiclass", 20, exponent=0)
    for row in found["classes"]:
        row["recall"] = {"value": (row["index"] % 2) / 2, "low": None, "high": None}
    page = opened(found)
    heading(page, "class").get_by_role("button").click()
    in_order = column(page, "class")
    heading(page, "recall").get_by_role("button").click()
    names = page.tab.eval_on_selector_all(
        '[data-long="classes"] tbody .index', "cells => cells.map(c => +c.textContent)"
    )
    assert names == [i for i in range(20) if i % 2] + [i for i in range(20) if not i % 2]
    assert len(in_order) == 20


@pytest.mark.parametrize(
    ("region", "title", "form", "values"),
    [
        (
            "Frequency groups",
            "recall",
            formats.percent,
            lambda d: [row["recall"]["value"] for row in d["groups"]["rows"]],
        ),
        ("Confusions", "count", formats.count, lambda d: [pair["count"] for pair in d["confusions"]["pairs"]]),
        ("Hardest samples", "p label", formats.number, lambda d: [row["p_label"] for row in d["hardest"]]),
    ],
)
def test_every_table_sorts(opened, region, title, form, values):
    found = document("multiclass", 40, exponent=1.4)
    page = opened(found)
    tables = page.tab.locator(f'[role="region"][aria-label="{region}"]')
    head = tables.first.locator("thead th").filter(has=page.tab.get_by_role("button", name=title, exact=True))
    at = head.evaluate("cell => cell.cellIndex")
    known = sorted(values(found), reverse=True)
    assert len(known) > 1
    for order, direction in ((known, "descending"), (known[::-1], "ascending")):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        cells = tables.locator("tbody tr").evaluate_all(
            "(rows, at) => rows.map(row => row.cells[at].firstChild.data.trim())", at
        )
        assert cells == [form(value) for value in order]


def test_a_table_of_slices_fits_the_page(opened):
    found = document("multiclass", 10, exponent=2, slices=True)
    for row in found["slices"]["rows"]:
        row["losses"] = {f"focal_{i}": {"value": 0.1234, "low": 0.1122, "high": 0.1357} for i in range(6)}
    page = opened(found)
    page.tab.set_viewport_size({"width": 1280, "height": 900})
    table = page.tab.locator('[data-long="slices"] .scroll')
    fits = "place => place.scrollWidth <= place.clientWidth"
    assert table.evaluate(fits)
    page.tab.locator('[data-long="slices"]').get_by_label("all columns").check()
    assert not table.evaluate(fits)  # what does not fit is a choice away
    assert page.tab.locator('[data-long="slices"]').get_by_role("button", name="mean focal_5").count()


def test_classes_are_found_by_name_and_by_group(opened):
    found = document("multiclass", 60, exponent=1.6)
    page = opened(found)
    page.tab.get_by_label("Find a class").first.fill("CLASS 5")
    names = page.tab.eval_on_selector_all('[data-long="classes"] tbody .name', "cells => cells.map(c => c.textContent)")
    assert sorted(names) == sorted(name for name in found["names"] if name.startswith("class 5"))
    page.tab.get_by_label("Find a class").first.fill("")
    page.tab.get_by_label("Group", exact=True).select_option("few")
    few = [row["name"] for row in found["classes"] if row["group"] == "few"]
    page.tab.locator('[data-long="classes"] [data-more]').click() if len(few) > 50 else None
    names = page.tab.eval_on_selector_all('[data-long="classes"] tbody .name', "cells => cells.map(c => c.textContent)")
    assert sorted(names) == sorted(few)


def test_another_loss_and_more_columns_are_a_choice_away(opened):
    found = document("multiclass", 5)
    page = opened(found)
    page.tab.get_by_label("Loss", exact=True).select_option("dice")
    heading(page, "class").get_by_role("button").click()
    means = [formats.number(row["losses"]["dice"]["mean"]["value"]) for row in found["classes"]]
    assert column(page, "mean loss") == means
    assert heading(page, "AUROC").count() == 0
    page.tab.get_by_label("all columns").check()
    assert column(page, "AUROC") == [formats.number(row["auroc"]["value"]) for row in found["classes"]]


def test_long_tables_start_short_and_open_whole(opened):
    page = opened(document("multiclass", 300, rows=90_000))
    rows = page.tab.locator('[data-long="classes"] tbody tr')
    assert rows.count() == 50
    page.tab.locator('[data-long="classes"] [data-more]').click()
    assert rows.count() == 300


def test_numbers_in_long_tables_read_as_those_elsewhere(opened):
    """page.js and formats.py write the same number the same way."""
    values = [
        0.0,
        1.0,
        2.0,
        0.5,
        0.99951,
        0.9994,
        1e-7,
        3.14159,
        12.3456,
        999.4,
        12345.6,
        1.5e10,
        0.00012345,
        1.25e-5,
        0.034,
    ]
    values += [float(f"{x:.6g}") for x in np.random.default_rng(5).lognormal(-1, 4, 60)]
    found = document("multiclass", len(values), absent=0)
    for row, value in zip(found["classes"], values, strict=True):
        row["losses"]["ce"]["mean"] = {"value": value, "low": None, "high": None}
        row["losses"]["ce"]["share"] = value
        row["losses"]["ce"]["share_ratio"] = {"value": value, "low": None, "high": None}
    page = opened(found)
    page.tab.locator('[data-long="classes"] [data-more]').click()
    heading(page, "class").get_by_role("button").click()
    assert column(page, "mean loss") == [formats.number(x) for x in values]
    assert column(page, "loss share") == [formats.percent(x) for x in values]
    assert column(page, "ratio") == [formats.times(x) for x in values]


def test_names_show_literally_and_run_nothing(opened):
    found = document("multilabel", len(HOSTILE), **EVERYTHING)
    page = opened(found)
    shown = page.tab.eval_on_selector_all('[data-long="classes"] tbody .name', "cells => cells.map(c => c.textContent)")
    assert sorted(shown) == sorted(formats.class_labels(HOSTILE))
    assert "<script>alert(1)</script>" in shown
    assert "<img src=x onerror=alert(2)>" in shown
    assert page.tab.locator("main script, main img, main b").count() == 0
    assert page.dialogs == []
    # in a tooltip too
    page.tab.locator('[data-chart="recall"] .mark-symbol.role-mark path').first.hover(force=True)
    page.tab.wait_for_selector("#vg-tooltip-element.visible")
    assert page.tab.locator("#vg-tooltip-element script, #vg-tooltip-element img").count() == 0
    assert page.console == []


def test_the_policy_lets_no_other_script_run(opened):
    page = opened(document("multiclass", 3))
    page.tab.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.intruder = true";
            document.body.append(script);
        }"""
    )
    assert page.tab.evaluate("window.intruder") is None
    assert any("Content Security Policy" in line for line in page.console)


def test_code_is_copied(opened):
    found = document("multiclass", 3)
    page = opened(found, permissions=["clipboard-read", "clipboard-write"])
    page.tab.locator('[data-copy="action-1"]').click()
    page.tab.get_by_text("Copied").wait_for()
    assert page.tab.evaluate("navigator.clipboard.readText()") == found["advice"]["actions"][0]["command"]


def test_a_chart_is_saved_as_svg_and_png(opened):
    page = opened(document("multiclass", 12))
    menu = page.tab.locator('[data-chart="frequency"] details')
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        menu.locator("summary").click()
        with page.tab.expect_download() as download:
            menu.get_by_text(f"Save as {kind}").click()
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(start)
        assert download.value.suggested_filename == f"preds.run-frequency.{kind.lower()}"
        page.tab.locator("h1").click()
    assert page.console == []


def test_it_prints(opened):
    page = opened(document("multiclass", 1000, absent=30))
    pdf = page.tab.pdf(format="A4")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert pdf.startswith(b"%PDF")
    assert 3 <= pages <= 16  # long tables are cut
    page.tab.emulate_media(media="print")
    assert not page.tab.locator(".contents").is_visible()
    assert page.tab.locator('[data-long="classes"] tbody tr:visible').count() == 40


def test_nothing_is_folded_or_cut_on_paper(opened):
    page = opened(document("multiclass", 10, exponent=2))
    page.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.tab.emulate_media(media="print")
    assert page.tab.locator("main details:not([title]):not([open])").count() == 0
    assert page.tab.locator("main pre").count() > 3
    cut = page.tab.eval_on_selector_all(
        "main pre", "all => all.filter(e => e.scrollHeight > e.clientHeight + 1).length"
    )
    assert cut == 0
    assert page.tab.locator("#terms dd").first.is_visible()
    page.tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.tab.locator("main details[open]:not([title])").count() == 0


def test_the_verdict_can_be_read_without_javascript(opened, browser, tmp_path):
    found = document("multiclass", 10, exponent=2)
    (tmp_path / "report.html").write_text(page_of(found), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "report.html").as_uri())
    text = tab.inner_text("main")
    context.close()
    for sentence in found["verdict"]["sentences"]:
        assert sentence in text
    assert "need JavaScript" in text


def test_contents_lead_to_every_section_and_headings_do_not_skip(opened):
    page = opened(DOCUMENTS["multiclass"]())
    sections = page.tab.eval_on_selector_all("main section", "all => all.map(s => '#' + s.id)")
    assert page.tab.eval_on_selector_all(".contents a", "all => all.map(a => a.getAttribute('href'))") == sections
    levels = page.tab.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.tab.locator("thead th:not([scope]), tbody th:not([scope])").count() == 0
    ids = page.tab.eval_on_selector_all("[id]", "all => all.map(e => e.id).filter(id => !id.startsWith('gradient'))")
    assert len(ids) == len(set(ids))


def luminance(color):
    red, green, blue = (
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (float(part) / 255 for part in color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_the_paper(opened, scheme):
    """WCAG AA: 4.5 to 1 for texts."""
    page = opened(DOCUMENTS["multiclass"](), color_scheme=scheme)
    colors = page.tab.evaluate(
        """() => {
            const paper = getComputedStyle(document.body).backgroundColor;
            const found = [".note", ".intro", ".lede", ".badge", ".meta", ".contents a", "td", ".interval", ".copy"];
            return [paper, ...found.map(name => getComputedStyle(document.querySelector(name)).color)];
        }"""
    )
    paper, *inks = (luminance(re.findall(r"[\d.]+", color)[:3]) for color in colors)
    for ink in inks:
        light, dark = max(paper, ink), min(paper, ink)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "segmentation"])
def test_it_is_below_two_megabytes_at_a_thousand_classes(task):
    found = document(task, 1000, absent=30, **EVERYTHING)
    assert len(page_of(found).encode()) < 2_000_000


def test_of_more_than_a_thousand_classes_those_with_most_loss_are_listed():
    found = document("multiclass", 1500, rows=40_000, hostile=True)
    html = page_of(found)
    assert len(html.encode()) < 2_000_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    listed = {row[0] for row in data["tables"]["classes"]["rows"]}
    shares = [row["losses"]["ce"]["share"] for row in found["classes"]]
    assert len(listed) == 1000
    assert min(shares[i] for i in listed) >= max(shares[i] for i in range(1500) if i not in listed)
    assert "1,000 of 1,500 classes" in html


@pytest.mark.parametrize("rows", [None, 0, 1])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n_classes", [1, 2, 10])
def test_every_document_has_a_page(task, n_classes, rows):
    for options in ({}, EVERYTHING) if n_classes == 2 else (EVERYTHING,):
        html = page_of(document(task, n_classes, rows=rows, **options))
        assert html.startswith("<!DOCTYPE html>")
        assert "alert(1)</script>" not in html
        assert html.count("<script") == html.count("</script>") == 3
