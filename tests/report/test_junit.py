"""--junit: what a CI server reads."""

from xml.etree import ElementTree

from evaltool.report.gate import GateResult
from evaltool.report.junit import junit_xml

RESULTS = [
    GateResult("ece > 0.1", {"ece": 0.05}, failed=False, known=True),
    GateResult('recall["<a & b>"] < 0.5', {'recall["<a & b>"]': 0.25}, failed=True, known=True),
    GateResult("recall['\x00\ud800й'] < 1", {"recall['\x00\ud800й']": None}, failed=True, known=False),
]


def test_every_gate_is_a_case():
    root = ElementTree.fromstring(junit_xml(RESULTS, run="preds.run", started="2026-01-02T03:04:05", seconds=1.25))
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.attrib == {
        "name": "evaltool report preds.run",
        "tests": "3",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
        "time": "1.250",
        "timestamp": "2026-01-02T03:04:05",
    }
    assert [case.get("name") for case in suite] == [
        "not ece > 0.1",
        'not recall["<a & b>"] < 0.5',
        "not recall['\ufffd\ufffdй'] < 1",
    ]
    assert {case.get("classname") for case in suite} == {"preds_run"}
    passed, failed, unknown = suite
    assert passed.find("failure") is None
    assert passed.find("system-out").text == "ece > 0.1 (ece = 0.05)"
    message = 'recall["<a & b>"] < 0.5 (recall["<a & b>"] = 0.25)'
    assert failed.find("failure").attrib == {"message": message, "type": "failed"}
    assert failed.find("failure").text == message
    assert unknown.find("failure").get("type") == "not-known"


def test_a_report_without_gates_is_an_empty_suite():
    (suite,) = ElementTree.fromstring(junit_xml([], run="a", started="2026-01-02T03:04:05", seconds=0))
    assert (suite.get("tests"), len(suite)) == ("0", 0)
