"""The paths of the state machines on ministack with stand-in functions: every step fails in turn, every undo fails in turn, and
the ways that end without a failure. Each scenario is a test: `-k` takes part of its name.
"""

import json

import pytest

import backtrack
import clean_up
import opened
import restore
import resume
import stopped
import undo
import undo_in_place
import watch
from execution import run_recovery
from scenario import DEFINITIONS, name_of


@pytest.mark.parametrize("scenario", restore.scenarios(), ids=name_of)
def test_restore(deployment, scenario):
    holds(run_recovery(deployment, scenario))


@pytest.mark.parametrize("scenario", backtrack.scenarios(), ids=name_of)
def test_backtrack(deployment, scenario):
    holds(run_recovery(deployment, scenario))


@pytest.mark.parametrize("scenario", undo.scenarios(), ids=name_of)
def test_undo(deployment, scenario):
    run = {undo.Stopped: undo.run_stopped, undo.Unplanned: undo.run_unplanned}.get(type(scenario), undo.run)
    holds([*run(deployment, scenario)])


@pytest.mark.parametrize("scenario", undo_in_place.scenarios(), ids=name_of)
def test_undo_in_place(deployment, scenario):
    holds((undo.run_stopped if isinstance(scenario, undo.Stopped) else undo_in_place.run)(deployment, scenario))


@pytest.mark.parametrize("scenario", clean_up.scenarios(), ids=name_of)
def test_clean_up(deployment, notifications, scenario):
    holds(clean_up.run(deployment, notifications, scenario))


@pytest.mark.parametrize("scenario", [*watch.scenarios()], ids=name_of)
def test_watch(deployment, scenario):
    holds(watch.run(deployment, scenario))


@pytest.mark.parametrize("scenario", [*stopped.scenarios()], ids=name_of)
def test_stopped(deployment, scenario):
    holds(stopped.run(deployment, scenario))


@pytest.mark.parametrize("scenario", [*opened.scenarios()], ids=name_of)
def test_open(deployment, scenario):
    holds([*opened.run(deployment, scenario)])


@pytest.mark.parametrize("then", ["close", "undo"])
def test_opening_that_is_stopped_locks_nobody_out(deployment, then):
    holds([*opened.run_stopped(deployment, then)])


@pytest.mark.parametrize("scenario", resume.scenarios(), ids=name_of)
def test_resume(deployment, scenario):
    holds(resume.run(deployment, scenario))


MACHINES = {
    "rewind.asl.json": [*restore.scenarios(), *backtrack.scenarios(), *resume.scenarios()],
    "undo.asl.json": [*undo.scenarios(), *undo_in_place.scenarios()], "cleanup.asl.json": clean_up.scenarios(), "watch.asl.json": [*watch.scenarios()],
    "stopped.asl.json": [*stopped.scenarios()], "open.asl.json": [*opened.scenarios()],
}  # fmt: skip


@pytest.mark.parametrize("definition", MACHINES)
def test_every_state_that_calls_a_service_without_a_function_is_made_to_throw(definition):
    states = json.loads((DEFINITIONS / definition).read_text())["States"]
    calling = {name for name, state in states.items() if state["Type"] == "Task" and ":::lambda:" not in state["Resource"]}
    thrown = {state for scenario in MACHINES[definition] for state in scenario.mocked or {}}
    assert calling - thrown == set(), "states that never fail in a test"


def holds(problems):
    assert not problems, "\n".join(f"- {problem}" for problem in problems)
