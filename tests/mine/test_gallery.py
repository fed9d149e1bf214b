"""The gallery as a reviewer has it: a real browser, its keys, and the file it saves."""

import csv
import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from evaltool.spreadsheets import guarded
from tests.mine.galleries import HOSTILE, digits, multiclass, multilabel, regression, segmentation, written

# keys that come before the first frame are dropped, as they are nobody's
FIRST_FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
COLUMNS = ["index", "id", "class", "label", "suggested", "decision", "new_label", "reviewer", "time"]


@pytest.fixture
def open_page(browser):
    """Open an address; what the page says on its console, throws, or asks for beside itself fails the test."""
    contexts, troubles = [], []

    def opened(url, *, width=1280, height=900, context=None, before=None, beside=None):
        context = context or browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        own = (url, "data:", "blob:", *([beside] if beside else []))
        page.on("request", lambda request: None if request.url.startswith(own) else troubles.append(request.url))
        if before:
            page.add_init_script(before)
        page.goto(url)
        page.evaluate(FIRST_FRAME)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def listed(tmp_path):
    mined = multiclass()
    return mined, written(tmp_path, mined, images=digits(40))


def until(page, expression):
    """Return an expression's value once it is truthy; playwright's own waiting needs the eval that the page forbids."""
    for _ in range(500):
        if found := page.evaluate(expression):
            return found
        page.wait_for_timeout(20)
    return pytest.fail(f"never came true: {expression}")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def where(page):
    return page.inner_text("#where").split(" of ")[0]


def shown(page):
    return page.locator("#cards > li").count()


def names_in_sight(page):
    """Return the names on the first ten cards, once these are filled."""
    first = "[...document.querySelectorAll('#cards > li:nth-child(-n+10) .name')].map(name => name.textContent)"
    # in one step: between two a card may be emptied as the list moves
    return until(page, f"(() => {{ const names = {first}; return names.length === 10 && names }})()")


def saved(page):
    """Press D and return the rows of the CSV, and its text."""
    with page.expect_download() as download:
        page.keyboard.press("d")
    text = download.value.path().read_bytes().decode()
    assert re.fullmatch(r"list\.decisions(\.[a-z-]+)?\.csv", download.value.suggested_filename)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return rows, text


def load(page, text, name="list.decisions.csv"):
    page.evaluate("document.getElementById('toast').classList.remove('up')")  # what an earlier key said
    page.set_input_files("#load-file", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})
    until(page, "document.getElementById('toast').classList.contains('up')")
    return page.inner_text("#toast")


def test_every_key_decides_what_the_csv_then_says(open_page, listed):
    mined, url = listed
    rows = mined.rows()
    names = mined.run.class_names
    page = open_page(url)
    page.fill("#reviewer", "Ann, Lee")
    page.locator("#reviewer").blur()
    press(page, "a", "k", "u", "s", "c")
    other = next(k for k in range(5) if k not in (rows[4]["label"], rows[4]["suggested"]))
    page.keyboard.type(names[other])
    press(page, "Enter")
    assert where(page) == "6"
    decided, text = saved(page)
    assert list(decided[0]) == COLUMNS
    assert [row["decision"] for row in decided] == ["accept", "keep", "unsure", "skip", "relabel"]
    new = [names[rows[0]["suggested"]], "", "", "", names[other]]
    assert [row["new_label"] for row in decided] == new
    for row, source in zip(decided, rows, strict=False):
        assert row["index"] == str(source["index"])
        assert row["label"] == names[source["label"]]
        assert row["suggested"] == names[source["suggested"]]
        assert row["reviewer"] == "Ann, Lee"
        assert len(row["time"]) == len("2026-01-01T00:00:00Z")
    assert text.endswith("\r\n")
    assert '"Ann, Lee"' in text
    assert "5 of 40 decided" in page.inner_text(".score")
    # 1 accepted and 1 relabelled of 3 judged; Wilson's intervals computed by hand
    assert "accepted 1 of 3: 33 % (6–79 %)" in page.inner_text("#precision").replace("\xa0", " ")
    assert "labels wrong 2 of 3: 67 % (21–94 %)" in page.inner_text("#precision").replace("\xa0", " ")


def test_a_name_typed_late_stands_on_all_that_was_decided_before(open_page, listed):
    page = open_page(listed[1])
    press(page, "k", "u")
    page.fill("#reviewer", "Dana Ö'Neil")
    press(page, "Enter", "a", "k")  # none of them goes into the field
    assert page.input_value("#reviewer") == "Dana Ö'Neil"
    press(page, "p", "p", "p", "p")
    assert page.inner_text("#decision") == "Kept by Dana Ö'Neil"
    decided, _ = saved(page)
    assert [row["reviewer"] for row in decided] == ["Dana Ö'Neil"] * 4


def test_a_download_without_a_name_is_saved_at_once_and_says_so(open_page, browser, listed):
    page = open_page(listed[1])
    press(page, "k")
    assert not page.locator("#nameless").is_visible()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "list.decisions.csv"
    decided, text = saved(page)
    assert [(row["decision"], row["reviewer"]) for row in decided] == [("keep", "")]
    assert "without the reviewer's name" in page.inner_text("#nameless")
    page.fill("#reviewer", "Dana Ö'Neil")
    press(page, "Enter")
    assert not page.locator("#nameless").is_visible()
    with page.expect_download() as download:
        press(page, "d")
    assert download.value.suggested_filename == "list.decisions.dana-o-neil.csv"
    assert "Dana Ö'Neil" in download.value.path().read_text("utf-8")
    assert not page.locator("#nameless").is_visible()
    page = open_page(listed[1], context=browser.new_context())
    load(page, text)
    page.fill("#reviewer", "Bo")
    press(page, "Enter")
    assert [row["reviewer"] for row in saved(page)[0]] == [""]  # somebody else's


def test_keys_move_undo_and_explain(open_page, listed):
    page = open_page(listed[1])
    press(page, "n", "ArrowRight", "n")
    assert where(page) == "4"
    press(page, "p", "ArrowLeft")
    assert where(page) == "2"
    press(page, "End", "n")
    assert where(page) == "40"
    press(page, "Home", "a", "k")
    until(page, "document.querySelectorAll('.badge:not(:empty)').length === 2")
    press(page, "z")
    assert where(page) == "2"
    press(page, "Control+z")
    assert where(page) == "1"
    until(page, "document.querySelectorAll('.badge:not(:empty)').length === 0")
    assert "0 of 40 decided" in page.inner_text(".score")
    press(page, "z")
    assert page.inner_text("#toast") == "There is nothing to undo."
    press(page, "?")
    assert page.locator("#help").is_visible()
    press(page, "a", "Escape")  # a key under the overlay decides nothing
    assert not page.locator("#help").is_visible()
    assert "0 of 40 decided" in page.inner_text(".score")
    press(page, "/")
    page.keyboard.type("ask")  # typing does not decide either
    press(page, "Escape")
    assert "0 of 40 decided" in page.inner_text(".score")


def test_a_key_held_down_decides_once(open_page, listed):
    page = open_page(listed[1])
    for _ in range(5):
        page.keyboard.down("a")
    page.keyboard.up("a")
    assert "1 of 40 decided" in page.inner_text(".score")


def test_buttons_do_what_keys_do(open_page, listed):
    page = open_page(listed[1])
    for name in ("accept", "keep", "unsure", "skip"):
        page.click(f"#{name}")
    page.click("#other")
    page.click("#options li:nth-child(2)")
    page.click("#cards li:nth-child(9)")
    assert where(page) == "9"
    page.click("#previous")
    page.click("#next")
    assert where(page) == "9"
    page.click("#undo")
    assert "4 of 40 decided" in page.inner_text(".score")


def test_picking_the_given_label_keeps_it_and_the_suggested_one_accepts(open_page, listed):
    mined, url = listed
    names, rows = mined.run.class_names, mined.rows()
    page = open_page(url)
    for row, column in zip(rows, ("label", "suggested"), strict=False):
        press(page, "c")
        page.keyboard.type(names[row[column]])
        press(page, "Enter")
    decided, _ = saved(page)
    assert [row["decision"] for row in decided] == ["keep", "accept"]
    assert [row["new_label"] for row in decided] == ["", names[rows[1]["suggested"]]]


def test_tabs_and_filters_show_what_they_say(open_page, listed):
    mined, url = listed
    names, rows = mined.run.class_names, mined.rows()
    pairs = Counter(f"{names[row['label']]} → {names[row['suggested']]}" for row in rows)
    page = open_page(url)
    page.click("[data-set=pair]")
    tabs = {tab.split("\n")[0]: tab for tab in page.locator("#tabs [role=tab]").all_inner_texts()}
    assert len(tabs) == len(pairs)
    assert shown(page) == max(pairs.values())
    name, count = pairs.most_common()[-1]
    page.locator("#tabs [role=tab]", has_text=name).click()
    assert shown(page) == count
    page.click("[data-set=class]")
    page.locator("#tabs [role=tab]", has_text="cat").click()
    assert shown(page) == sum(names[row["label"]] == "cat" for row in rows)
    page.click("[data-set=all]")
    page.select_option("#filter-group", "site 1")
    assert shown(page) == sum(row["group"] == "site 1" for row in rows)
    page.select_option("#filter-label", "dog")
    assert shown(page) == sum(row["group"] == "site 1" and names[row["label"]] == "dog" for row in rows)
    page.click("#clear")
    assert shown(page) == 40
    page.fill("#filter-text", "reason 17")
    assert shown(page) == 1
    assert page.inner_text("#why") == "reason 17"
    page.fill("#filter-text", "no such thing")
    assert page.locator("#nothing").is_visible()
    assert page.inner_text("#detail") == "No sample to decide."
    page.click("#clear-all")
    page.select_option("#sort", "loss:ce")
    order = names_in_sight(page)
    expected = [f"#{row['index']}" for row in sorted(rows, key=lambda row: -row["ce"])]
    assert order == expected[:10]


def test_a_filter_opens_at_the_first_undecided_sample_unless_this_one_stays(open_page, listed):
    mined, url = listed
    labels = [mined.run.class_names[row["label"]] for row in mined.rows()]
    cats = [row for row, label in enumerate(labels) if label == "cat"]
    page = open_page(url)
    page.click(f"#cards li:nth-child({cats[0] + 1})")
    press(page, "k")
    page.click(f"#cards li:nth-child({max(row for row in range(40) if row not in cats) + 1})")
    page.select_option("#filter-label", "cat")
    assert where(page) == "2"  # the first one is decided
    assert page.inner_text("#sample-name") == f"#{cats[1]}"
    page.click("#clear")
    assert page.inner_text("#sample-name") == f"#{cats[1]}"
    page.click("[data-set=class]")
    page.locator("#tabs [role=tab]", has_text="cat").click()
    assert page.inner_text("#sample-name") == f"#{cats[1]}"
    page.locator("#tabs [role=tab]", has_text="dog").click()
    assert where(page) == "1"


def test_the_undecided_ones_leave_as_they_are_decided(open_page, listed):
    page = open_page(listed[1])
    page.select_option("#filter-state", "open")
    page.locator("#filter-state").blur()
    press(page, "a", "a", "k")
    assert shown(page) == 37
    assert page.inner_text("#sample-name") == "#3"
    page.select_option("#filter-state", "accept")
    assert shown(page) == 2
    page.select_option("#filter-state", "done")
    assert shown(page) == 3
    page.locator("#filter-state").blur()
    press(page, "z")
    assert page.inner_text("#sample-name") == "#2"


def test_decisions_outlive_a_reload_and_a_longer_list(open_page, browser, tmp_path):
    mined = multiclass()
    context = browser.new_context()
    page = open_page(written(tmp_path, mined._replace(table=mined.table.slice(0, 10))), context=context)
    page.fill("#reviewer", "Bo")
    page.locator("#reviewer").blur()
    press(page, "a", "k", "u")
    page.reload()
    assert "3 of 10 decided" in page.inner_text(".score")
    assert page.input_value("#reviewer") == "Bo"
    assert where(page) == "4"
    page = open_page(written(tmp_path, mined), context=context)
    assert "3 of 40 decided" in page.inner_text(".score")
    other = open_page(written(tmp_path, multiclass(seed=1)), context=context)
    assert "0 of 40 decided" in other.inner_text(".score")


def test_a_saved_csv_is_read_back(open_page, browser, listed):
    _, url = listed
    page = open_page(url)
    page.fill("#reviewer", '=cmd"|x')
    page.locator("#reviewer").blur()
    press(page, "a", "k", "u", "s", "c", "Enter")
    before, text = saved(page)
    assert before[0]["reviewer"] == "'=cmd\"|x"  # no formula in a spreadsheet
    page = open_page(url, context=browser.new_context())
    assert load(page, text) == "5 decisions read from list.decisions.csv."
    after, again = saved(page)
    assert (after, again) == (before, text)
    press(page, "z")
    assert "0 of 40 decided" in page.inner_text(".score")


def test_ids_leave_as_cells_of_a_list_and_come_back(open_page, browser, tmp_path):
    ids = ["a;'=b", "=1+1", "'=x", "''", "'tis", "-x", "@a;+b", "＝w", "a;b", " =s", "t\tb", ";", "a;'b"]
    url = written(tmp_path, multiclass(ids=ids + [f"p{k}" for k in range(40 - len(ids))]))
    page = open_page(url)
    press(page, *"k" * len(ids))
    rows, text = saved(page)
    assert [row["id"] for row in rows] == [guarded(key) for key in ids]
    page = open_page(url, context=browser.new_context())
    assert load(page, text) == f"{len(ids)} decisions read from list.decisions.csv."
    bare = "".join(f"{cell},keep\n" for cell in ("'tis", "a;'b"))  # as people write them
    assert "2 decisions read" in load(open_page(url, context=browser.new_context()), f"id,decision\n{bare}")


def test_what_does_not_fit_in_a_csv_is_named(open_page, listed):
    mined, url = listed
    page = open_page(url)
    press(page, "k", "k")
    _, text = saved(page)
    head, first, second = text.split("\r\n")[:3]
    label = mined.run.class_names[mined.rows()[0]["label"]]
    foreign = first.replace(f",{label},", ",zebra,")
    said = load(page, "\r\n".join([head, foreign, second.replace("1,", "999,", 1), second.replace("keep", "drop")]))
    assert said == (
        f"0 decisions read from list.decisions.csv. 3 do not fit: row 2: sample 0 is labelled {label} here and zebra "
        "there; row 3: sample 999 is not in this list; row 4: unknown decision drop."
    )
    assert "it has no column decision" in load(page, "a,b\r\n1,2\r\n", "other.csv")


def test_a_csv_of_three_columns_is_read(open_page, browser, tmp_path):
    mined = multiclass(ids=[f"p{row}" for row in range(40)])
    name = next(n for n in mined.run.class_names if n != mined.run.class_names[mined.rows()[1]["label"]])
    url = written(tmp_path, mined)
    for key, cells in (("index", ("0", "1", "2")), ("id", ("p0", "p1", "p2"))):
        page = open_page(url, context=browser.new_context())
        text = f"{key},decision,new_label\n{cells[0]},Keep,\n{cells[1]},relabel,{name}\n{cells[2]},,\n999,keep,\n"
        said = load(page, text, "mine.csv")
        assert said == "2 decisions read from mine.csv. 1 do not fit: row 5: sample 999 is not in this list."
        assert where(page) == "3"  # the first undecided one
        decided, _ = saved(page)
        assert [(row["index"], row["new_label"]) for row in decided] == [("0", ""), ("1", name)]


def test_a_later_decision_stays_when_a_csv_is_read(open_page, listed):
    page = open_page(listed[1])
    press(page, "k")
    _, text = saved(page)
    older = text.replace("keep", "skip").replace(text.split(",")[-1].strip(), "2001-01-01T00:00:00Z")
    assert "0 decisions read from list.decisions.csv. 1 left as decided here later." in load(page, older)


def test_blind_hides_the_model(open_page, tmp_path):
    mined = multiclass()
    url = written(tmp_path, mined, images=digits(40), blind=True)
    page = open_page(url)
    names = names_in_sight(page)
    assert names != sorted(names, key=lambda name: int(name[1:]))
    assert not page.locator("#accept").is_visible()
    press(page, "a")
    assert page.inner_text("#toast") == "A blind review shows no suggestion. Keep the label, or pick another."
    press(page, "k", "c")
    page.keyboard.type("eel")
    press(page, "Enter")
    assert page.inner_text("#why") == ""
    assert page.locator("#opinions .opinion").count() == 1
    assert "accepted" not in page.inner_text(".score")
    decided, _ = saved(page)
    assert {row["suggested"] for row in decided} == {""}
    assert {row["decision"] for row in decided} <= {"keep", "relabel"}
    page.reload()
    assert names_in_sight(page) == names


def test_hostile_names_are_shown_as_they_are(open_page, tmp_path):
    ids = [f"{HOSTILE[row % 5]}{row}" for row in range(40)]
    mined = multiclass(classes=HOSTILE, ids=ids)
    texts = {row: [(HOSTILE[row % 5], HOSTILE[(row + 1) % 5])] for row in range(40)}
    page = open_page(written(tmp_path, mined, texts=texts, title=HOSTILE[0]))
    assert page.inner_text("h1") == HOSTILE[0]
    assert page.text_content("#sample-name") == ids[0]
    assert page.text_content(".text dt") == HOSTILE[0]
    assert page.text_content(".text dd") == HOSTILE[1]
    assert page.text_content(".given .what") == HOSTILE[mined.rows()[0]["label"]]
    page.click("[data-set=pair]")
    page.click("[data-set=all]")
    for _ in range(40):
        press(page, "a")
    decided, text = saved(page)
    assert page.evaluate("window.hacked") is None
    assert [row["id"].removeprefix("'") for row in decided] == [ids[row].removeprefix("'") for row in range(40)]
    assert [unquoted(row["new_label"]) for row in decided] == [HOSTILE[row["suggested"]] for row in mined.rows()]
    assert not [cell for row in decided for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    page.evaluate("localStorage.clear()")
    page.reload()
    assert "40 decisions read" in load(page, text)
    assert saved(page)[1] == text


def unquoted(cell):
    return cell[1:] if cell.startswith("'") else cell


def test_two_thousand_pictures_are_decoded_only_near_the_window(open_page, tmp_path):
    mined = multiclass(2000)
    images = (np.random.default_rng(2).random((2000, 24, 24)) * 255).astype(np.uint8)
    page = open_page(written(tmp_path, mined, images=images))
    assert shown(page) == 2000
    page.wait_for_selector("#cards li:first-child img")
    names_in_sight(page)
    assert 5 <= page.locator("#cards img").count() <= 80
    press(page, "End")
    page.wait_for_selector("#cards li:last-child img")
    until(page, "!document.querySelector('#cards li:first-child img')")
    assert page.locator("#cards img").count() <= 80
    page.fill("#filter-text", "reason 1234")
    assert shown(page) == 1


def test_masks_are_laid_over_and_toggled(open_page, tmp_path):
    mined = segmentation()
    page = open_page(written(tmp_path, mined, images=np.zeros((6, 12, 16))))
    assert page.locator(".stage img").count() == 4
    assert page.locator(".stage .mask-disagreement").is_visible()
    assert not page.locator(".stage .mask-prediction").is_visible()
    press(page, "2", "3")
    assert page.locator(".stage .mask-prediction").is_visible()
    assert not page.locator(".stage .mask-disagreement").is_visible()
    page.fill("#opacity", "80")
    assert page.evaluate("getComputedStyle(document.querySelector('.stage .mask-label')).opacity") == "0.8"
    box = page.evaluate("(() => { const b = document.querySelector('.stage .box'); return b.style.cssText })()")
    assert box == "left: 0%; top: 0%; width: 25%; height: 25%;"
    assert page.locator("#legend span").all_inner_texts() == ["cell", "vessel"]
    press(page, "a", "k", "c")
    decided, _ = saved(page)
    assert [row["decision"] for row in decided] == ["accept", "keep", "relabel"]
    assert {row["new_label"] for row in decided} == {""}


def test_without_storage_the_page_says_that_decisions_will_be_lost(open_page, listed):
    refuse = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
    page = open_page(listed[1], before=refuse)
    assert page.inner_text("#problem").startswith("Decisions will be lost when this page closes: this browser keeps no")
    press(page, "a", "k")
    assert len(saved(page)[0]) == 2


def test_two_windows_on_one_list_share_their_decisions(open_page, browser, listed):
    context = browser.new_context()
    one, two = (open_page(listed[1], context=context) for _ in range(2))
    press(one, "a")
    until(two, "document.getElementById('done').textContent.startsWith('1 of')")
    press(two, "n", "k")
    until(one, "document.getElementById('done').textContent.startsWith('2 of')")


def test_a_filter_chosen_with_the_pointer_gives_the_keys_back(open_page, listed):
    page = open_page(listed[1])
    page.click("#filter-text")
    press(page, "Escape")
    page.evaluate("document.dispatchEvent(new PointerEvent('pointerdown'))")
    page.focus("#filter-state")
    page.select_option("#filter-state", "open")
    press(page, "a")
    assert shown(page) == 39


def test_a_tab_clicked_gives_the_keys_back_and_one_reached_by_keys_keeps_them(open_page, listed):
    page = open_page(listed[1])
    page.click("[data-set=class]")
    tab = page.locator("#tabs [role=tab]").nth(1)
    tab.click()
    press(page, "ArrowRight")
    assert where(page) == "2"
    assert tab.get_attribute("aria-selected") == "true"
    tab.focus()
    press(page, "ArrowRight")
    assert page.locator("#tabs [role=tab]").nth(2).get_attribute("aria-selected") == "true"
    assert where(page) == "1"


def test_a_filter_chosen_with_the_keyboard_gives_the_keys_back_on_enter(open_page, listed):
    page = open_page(listed[1])
    for leave in ("Enter", "Escape"):
        page.focus("#filter-state")
        press(page, "a")  # the select jumps to "Accepted"
        if page.input_value("#filter-state") != "accept":
            press(page, "c")
        assert page.input_value("#filter-state") == "accept"
        assert page.locator("#nothing").is_visible()
        press(page, leave, "a")
        assert page.inner_text("#detail") == "No sample to decide."
        assert "0 of 40 decided" in page.inner_text(".score")
        page.click("#clear-all")
        assert shown(page) == 40
    press(page, "k")
    assert "1 of 40 decided" in page.inner_text(".score")


def test_up_and_down_move_by_a_row_of_cards(open_page, listed):
    page = open_page(listed[1])
    tops = page.evaluate("[...document.querySelectorAll('#cards > li')].map(li => li.offsetTop)")
    columns = tops.count(tops[0])
    assert columns > 1
    press(page, "n", "ArrowDown")
    assert where(page) == str(2 + columns)
    press(page, "ArrowUp", "ArrowUp")
    assert where(page) == "2"
    assert page.inner_text("#toast") == "This is the first row shown."
    for _ in range(40 // columns + 1):
        press(page, "ArrowDown")
    assert tops[int(where(page)) - 1] == tops[-1]


def test_the_keys_of_the_slider_move_the_slider(open_page, tmp_path):
    page = open_page(written(tmp_path, segmentation(), images=np.zeros((6, 12, 16))))
    page.focus("#opacity")
    press(page, "ArrowRight", "ArrowRight", "k")
    assert page.input_value("#opacity") == "47"
    assert where(page) == "2"


def test_a_label_of_each_class_is_present_or_absent(open_page, tmp_path):
    """Multilabel: one sample may be listed for several classes, each decided by itself."""
    mined = multilabel()
    page = open_page(written(tmp_path, mined))
    press(page, "a", "c")
    page.keyboard.type("pre")
    press(page, "Enter")
    press(page, "k")
    decided, text = saved(page)
    assert [(row["index"], row["class"], row["label"], row["new_label"]) for row in decided] == [
        ("0", "ant", "0", "1"),
        ("0", "bee", "0", "1"),
        ("1", "ant", "1", ""),
    ]
    assert page.locator("#tab-sets [role=tab]").all_inner_texts() == ["All", "By confusion", "By class"]
    press(page, "z", "z", "z")
    assert "3 decisions read" in load(page, text)
    assert saved(page)[1] == text


def test_a_number_is_corrected_by_typing_it(open_page, tmp_path):
    page = open_page(written(tmp_path, regression()))
    press(page, "c")
    page.keyboard.type("-2.5")
    press(page, "Enter", "k")
    decided, _ = saved(page)
    assert [(row["label"], row["decision"], row["new_label"]) for row in decided] == [
        ("0.1", "relabel", "-2.5"),
        ("-3", "keep", ""),
    ]


@pytest.mark.parametrize("width", [400, 1280])
def test_a_long_label_hides_no_suggestion(open_page, tmp_path, width):
    mined = multiclass(classes=["a very long name of a class " + "x" * 30, "ant", "bee", "class 16", "class 17"])
    page = open_page(written(tmp_path, mined, images=digits(40)), width=width)
    page.locator("#cards .suggested").first.wait_for()
    for card in page.locator("#cards li[data-filled]").all()[:8]:
        words, frame = card.locator(".suggested").bounding_box(), card.bounding_box()
        assert words["height"] > 12
        assert frame["y"] < words["y"]
        assert words["y"] + words["height"] < frame["y"] + frame["height"]
        label = card.locator(".label").bounding_box()
        assert label["y"] + label["height"] <= words["y"] + 1  # above it


@pytest.mark.parametrize("width", [320, 400, 820, 1280])
def test_no_width_scrolls_sideways(open_page, tmp_path, width):
    ids = [f"{'unbroken' * 12}{row}" for row in range(40)]
    mined = multiclass(ids=ids, classes=["x" * 60, "ant", "bee", "y " * 40, "eel"])
    page = open_page(written(tmp_path, mined, images=digits(40)), width=width)
    page.click("[data-set=pair]")
    press(page, "a", "k")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_files_are_linked_by_their_path_beside_the_page(open_page, tmp_path):
    folder = tmp_path / "pic tures"
    folder.mkdir()
    for row in range(40):
        Image.fromarray(np.full((30, 40), row, np.uint8)).save(folder / f"{row}#.png")
    url = written(tmp_path, multiclass(), images=f"{folder}/{{index}}#.png", link=True)
    page = open_page(url, beside=folder.as_uri())
    until(page, "document.querySelector('.stage img').naturalWidth === 40")
    box = page.locator(".stage").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(40 / 30, abs=0.02)  # whole pixels
    assert page.get_attribute(".stage img", "src") == "pic%20tures/0%23.png"
