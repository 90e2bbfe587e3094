"""The local RDS under real clients. It makes clusters whose names begin with `rc-`, and removes them.

    .local/tools/tests/bin/python -m pytest tests/rds [-k mysql or -k postgresql]

The stack is the one in $REWIND_STACK_DIR, or in .local, unless the environment says where RDS is. The tests of an engine follow its
source cluster from its creation (test_creation.py, then what is the engine's own, then test_rds.py) to its deletion: they build upon
one another, and after an error the engine's others are skipped. Each check is a subtest: the test goes on when one fails. The engines
may run side by side, each in a process of its own: --numprocesses=2 --dist=loadgroup.
"""

import os
import pathlib
import shlex

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["postgresql", "mysql"]  # of engines
BROKEN = pytest.StashKey[dict]()


def pytest_configure(config):
    config.stash[BROKEN] = {}
    os.environ["PATH"] = f"{ROOT / '.local/tools/aws/bin'}:{os.environ['PATH']}"
    if "AWS_ENDPOINT_URL_RDS" in os.environ:
        return
    file = pathlib.Path(os.environ.get("REWIND_STACK_DIR", ROOT / ".local")) / "stack.env"
    if not file.exists():
        pytest.exit(f"there is no running stack in {file.parent}; next step: make up", returncode=1)
    pairs = (line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line[0] != "#")
    os.environ.update({name: shlex.split(value)[0] for name, value in pairs})


def pytest_generate_tests(metafunc):
    """Each test runs on every engine, or on the one that it is marked with."""
    if "on" in metafunc.fixturenames:
        marks = [mark.args[0] for mark in metafunc.definition.iter_markers("engine")]
        metafunc.parametrize("on", marks or NAMES, indirect=True, scope="session")


def pytest_itemcollected(item):
    """All of an engine runs in one process."""
    item.add_marker(pytest.mark.xdist_group(item.callspec.params["on"]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """One engine after the other; of each as the files tell it."""
    items.sort(key=lambda item: (NAMES.index(item.callspec.params["on"]), item.path, item.location[1]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    broken, engine = item.config.stash[BROKEN], item.callspec.params["on"]
    if engine in broken:
        pytest.skip(f"{broken[engine]} did not come to its end")
    try:
        return (yield)
    except Exception:
        broken[engine] = item.name
        raise


@pytest.fixture(scope="session")
def on(request):
    """The engine under test."""
    from rds_engines import ENGINES  # its clients take what `pytest_configure` sets

    subject = ENGINES[request.param]
    yield subject
    subject.remove()


@pytest.fixture(autouse=True)
def subtests_of_on(on, subtests):
    on.subtests = subtests


@pytest.fixture
def source(on):
    """The source cluster as it is now."""
    from rds_clients import cluster

    return cluster(on.source)
