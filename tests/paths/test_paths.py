"""The paths of the state machines on ministack with stand-in functions: every step fails in turn, every undo fails in turn, and
the ways that end without a failure. Each scenario is a test: `-k` takes part of its name.
"""

import pytest

import backtrack
import clean_up
import restore
import resume
import stopped
import undo
import watch
from execution import run_recovery
from scenario import name_of


@pytest.mark.parametrize("scenario", restore.scenarios(), ids=name_of)
def test_restore(deployment, scenario):
    holds(run_recovery(deployment, scenario))


@pytest.mark.parametrize("scenario", backtrack.scenarios(), ids=name_of)
def test_backtrack(deployment, scenario):
    holds(run_recovery(deployment, scenario))


@pytest.mark.parametrize("scenario", undo.scenarios(), ids=name_of)
def test_undo(deployment, scenario):
    holds((undo.run_stopped if isinstance(scenario, undo.Stopped) else undo.run)(deployment, scenario))


@pytest.mark.parametrize("scenario", clean_up.scenarios(), ids=name_of)
def test_clean_up(deployment, notifications, scenario):
    holds(clean_up.run(deployment, notifications, scenario))


@pytest.mark.parametrize("scenario", [*watch.scenarios()], ids=name_of)
def test_watch(deployment, scenario):
    holds(watch.run(deployment, scenario))


@pytest.mark.parametrize("scenario", [*stopped.scenarios()], ids=name_of)
def test_stopped(deployment, scenario):
    holds(stopped.run(deployment, scenario))


@pytest.mark.parametrize("scenario", resume.scenarios(), ids=name_of)
def test_resume(deployment, scenario):
    holds(resume.run(deployment, scenario))


def holds(problems):
    assert not problems, "\n".join(f"- {problem}" for problem in problems)
