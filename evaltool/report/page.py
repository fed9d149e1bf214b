"""The page: one HTML file that opens from disk, with every script inside and no right to reach a network.

Scripts run because their digests stand in the page's content security policy; whatever a name or a path holds cannot.
Vega interprets its expressions, since the policy forbids to compile them.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from evaltool.report import formats
from evaltool.report.chart_frame import CONFIG
from evaltool.report.charts import charts_of
from evaltool.report.long_tables import long_tables_of
from evaltool.report.terms import EVIDENCE, TERMS

MOST_CLASSES = 1000  # that are drawn and listed; of more, those that carry most of the loss
NAME_BYTES = 300_000  # for all names together: what a page below 2 MB has left
LONGEST_CODE = 20_000  # characters to paste

# id, title; the template of a section is its id; it appears where _sections says so
TITLES = {
    "verdict": "Verdict",
    "imbalance": "The imbalance",
    "classes": "Classes",
    "confusions": "Confusions that cost",
    "hardness": "Easy against hard",
    "calibration": "Calibration",
    "advice": "What to try",
    "slices": "Slices",
    "distributions": "Distributions",
    "hardest": "Hardest samples",
    "comparison": "Comparison",
    "provenance": "Provenance",
    "terms": "Terms",
}


def page_of(document: Mapping[str, Any]) -> str:
    """Return the report as a self-contained HTML page, below 2 MB up to a thousand classes.

    Args:
        document: a report as document.py describes it.
    """
    shown = _shown(document)
    labels = formats.class_labels(document["names"], length=_name_length(document["names"]))
    charts, tables = charts_of(document, shown), long_tables_of(document, shown)
    data = {
        "run": document["name"],
        "names": labels if len(labels) <= MOST_CLASSES else {row["index"]: labels[row["index"]] for row in shown},
        "config": CONFIG,
        "charts": charts,
        "tables": tables,
    }
    bundle, script = _bundle(), _text("page.js")
    html = (
        _templates()
        .get_template("page.html")
        .render(
            report=document,
            loss=formats.loss_of(document),
            labels=labels,
            shown=shown,
            charts=charts,
            tables=tables,
            titles=TITLES,
            sections=_sections(document),
            style=Markup(_text("page.css")),  # a file of this package
            bundle=Markup(bundle),  # Vega's own
            script=Markup(script),  # a file of this package
            policy=_policy([bundle, script]),
            data=_json_of(data),
            longest_code=LONGEST_CODE,
        )
    )
    # what UTF-8 cannot hold, a lone surrogate in a path, becomes a question mark
    return html.encode("utf-8", "replace").decode("utf-8")


def _shown(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    classes: Sequence[Mapping[str, Any]] = document["classes"]
    if len(classes) <= MOST_CLASSES:
        return classes
    loss = formats.loss_of(document)
    dearest = sorted(classes, key=lambda row: (-(row["losses"][loss]["share"] or 0.0), -row["count"], row["index"]))
    return sorted(dearest[:MOST_CLASSES], key=lambda row: row["index"])


def _name_length(names: Sequence[str]) -> int:
    """Return how long a name may be: 200 characters, fewer where very many long ones would fill the page."""
    size = sum(len(_json_of(name[:200]).encode("utf-8", "replace")) for name in names[:MOST_CLASSES])
    return 200 if size <= NAME_BYTES else max(24, 200 * NAME_BYTES // size)


def _sections(document: Mapping[str, Any]) -> list[str]:
    """Return the ids of the sections that have something to say, in order."""
    present = {
        "imbalance": document["imbalance"] is not None,
        "classes": document["classes"],
        "confusions": document["confusions"] is not None and document["confusions"]["n_pairs"] > 0,
        "hardness": document["losses"],
        "calibration": document["calibration"] is not None,
        "advice": document["advice"] is not None,
        "slices": document["slices"] is not None,
        "distributions": document["distributions"],
        "hardest": document["hardest"],
        "comparison": document["comparison"] is not None,
    }
    return [name for name in TITLES if present.get(name, True)]


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evaltool.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("count", "number", "percent", "times", "points", "signed", "interval", "words", "shortened", "moment")
    environment.filters |= {name: getattr(formats, name) for name in names}
    environment.filters["rate"] = lambda value, key: formats.rate_form(key)(value)
    environment.filters["rate_interval"] = lambda estimate, key: formats.interval(estimate, formats.rate_form(key))
    environment.globals |= {"TERMS": TERMS, "UNKNOWN": formats.UNKNOWN}
    environment.globals |= {
        name: getattr(formats, name) for name in ("count", "counted", "number", "percent", "times", "points")
    }
    environment.globals["signed"] = formats.signed
    forms = ("count", "percent", "times", "points")
    environment.globals |= {"EVIDENCE": EVIDENCE, "FORMS": {name: getattr(formats, name) for name in forms}}
    return environment


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert  # a second to load, and only the page needs it

    # without a snippet of ours, which the stub asks for, nothing has to be bundled anew: 0.1 s in place of 5
    script: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    # the parser of HTML would end the script at a closing tag inside a string, and make \n of \r before the digest
    return script.replace("</script", "<\\/script").replace("\r\n", "\n").replace("\r", "\n")


def _text(name: str) -> str:
    return resources.files("evaltool.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy that lets these scripts run and nothing be fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    sources = " ".join(f"'sha256-{digest}'" for digest in digests)
    # Vega-Embed and the charts put styles in; images are those that a chart is exported to
    return f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def _json_of(value: Any) -> Markup:
    """Return JSON that may stand inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # no character is left that HTML would read
