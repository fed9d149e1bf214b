"""JUnit XML of the gates: what CI servers (Jenkins, GitLab, GitHub's actions, Azure) show as tests.

One ``testsuite`` with one ``testcase`` per gate; attributes as Jenkins's junit-10.xsd has them.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from evaltool.report.gate import GateResult

SUITE = "evaltool report"
# what XML 1.0 cannot hold, escaped or not
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: Sequence[GateResult], *, run: str, started: str, seconds: float) -> bytes:
    """Return the results of the gates as an XML file.

    Args:
        results: one per gate.
        run: the run's name, which groups the cases.
        started: when, as ISO 8601.
        seconds: how long it took.
    """
    failures = sum(result.failed for result in results)
    counts = {"tests": str(len(results)), "failures": str(failures), "errors": "0", "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites", {"name": SUITE, **counts})
    attributes = {"name": f"{SUITE} {run}", **counts, "skipped": "0", "timestamp": started}
    suite = ElementTree.SubElement(root, "testsuite", {key: _writable(value) for key, value in attributes.items()})
    for result in results:
        # servers tell cases apart by classname and name; a dot in classname would be read as a package
        names = {"classname": _writable(run).replace(".", "_"), "name": _writable(f"not {result.expression}")}
        case = ElementTree.SubElement(suite, "testcase", {**names, "time": "0"})
        values = _writable(result.message)
        if result.failed:
            kind = "failed" if result.known else "not-known"
            ElementTree.SubElement(case, "failure", {"message": values, "type": kind}).text = values
        else:
            ElementTree.SubElement(case, "system-out").text = values
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
