"""One ministack with the template deployed, for the whole run and all of its workers: the controller starts and ends it.

Run it in the environment of local/tools/tests.txt: `.local/tools/tests/bin/python -m pytest tests/paths -n 12`. ministack, the
AWS CLI and their environments are there once `make paths` has run.
"""

import os
import signal
import shutil
import tempfile
from itertools import chain, zip_longest
from pathlib import Path

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
from deployment import ROOT, Client, Deployment, Notifications
from scenario import slug

TOOLS = ROOT / ".local" / "tools"
known = pytest.StashKey[dict]()


def all_scenarios():
    found = [*restore.scenarios(), *backtrack.scenarios(), *undo.scenarios(), *undo_in_place.scenarios(), *clean_up.scenarios(), *watch.scenarios()]
    return [*found, *resume.scenarios(), *stopped.scenarios(), *opened.scenarios()]


def pytest_addoption(parser):
    group = parser.getgroup("paths")
    group.addoption("--evaluations", type=Path, default=Path(os.devnull), help="write what was evaluated to this file, anew")
    group.addoption("--keep", action="store_true", help="leave the working folder, with ministack's log, when it ends")


def pytest_sessionstart(session):
    config = session.config
    if hasattr(config, "workerinput"):
        config.stash[known] = config.workerinput["deployment"]
        return
    if config.option.collectonly:
        return
    # Ended from outside it tidies up all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scenarios = all_scenarios()
    names = [slug(scenario.name) for scenario in scenarios]
    assert len(set(names)) == len(names), "two scenarios have one name"
    evaluations = config.option.evaluations.absolute()
    evaluations.write_bytes(b"")
    work = Path(tempfile.mkdtemp(prefix="rewind-paths-"))
    if config.option.keep:
        config.add_cleanup(lambda: print(f"\nkept {work}"))
    else:
        config.add_cleanup(lambda: shutil.rmtree(work, ignore_errors=True))
    deployment = Deployment(work, TOOLS / "ministack/bin/python", TOOLS / "aws/bin/aws", evaluations)
    config.add_cleanup(deployment.stop)
    deployment.start(scenarios)
    config.stash[known] = deployment.deploy()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tells a worker where the deployment is."""
    node.workerinput["deployment"] = node.config.stash[known]


def pytest_collection_modifyitems(items):
    """Those that wait for people take a minute: they begin first, each on a worker of its own, which gets two at a time."""
    waiting, quick = [], []
    for item in items:
        scenario = item.callspec.params.get("scenario")
        (waiting if scenario and scenario.waits_for_people else quick).append(item)
    pairs = zip_longest(waiting, quick[: len(waiting)])
    items[:] = [*filter(None, chain.from_iterable(pairs)), *quick[len(waiting) :]]


@pytest.fixture(scope="session")
def deployment(pytestconfig):
    return Client(pytestconfig.stash[known])


@pytest.fixture(scope="session")
def notifications(deployment):
    return Notifications(deployment)
