"""Holds the fault matrix to the declaration: a state that invokes a function and is in no flow, a state without a rule for its end, or
a page that is not of this declaration fails here, without a stack."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "faults"))

import flows  # noqa: E402
import report  # noqa: E402


def test_every_state_that_invokes_a_function_has_a_row():
    assert flows.uncovered() == [], "next step: a flow of tests/faults/flows.py that passes there"


def test_every_cell_has_an_end():
    ends = {case.id: case.due()[0] for case in flows.cases()}
    known = {state for machine in flows.DECLARED.values() for states in machine["stages"].values() for state in states}
    assert {case: end for case, end in ends.items() if end not in known} == {}, "ends that no machine has"


def test_the_page_is_that_of_the_declaration():
    page = (ROOT / "docs" / "fault-matrix.md").read_text()
    assert page == report.page(), "next step: python3 tests/faults/report.py, then make faults"


def test_a_state_that_is_in_no_flow_is_found(monkeypatch):
    machine = {**flows.DECLARED[flows.REWIND]}
    machine["payloads"] = {**machine["payloads"], "BrandNew": []}
    monkeypatch.setitem(flows.DECLARED, flows.REWIND, machine)
    assert flows.uncovered() == [(flows.REWIND, "BrandNew")]
