"""Holds local/tools/needs.txt to what code, tests, Makefile and scripts start: every program is declared there, and every line there
is needed.
"""

import pytest

from programs import ROOT, TABLE, declared, started

SOURCES = declared()


@pytest.fixture(scope="module")
def programs():
    """What is started: program -> the files that start it."""
    return started()


def test_every_program_that_is_started_is_declared(programs):
    missing = {program: sorted(files) for program, files in programs.items() if program not in SOURCES}
    assert not missing, f"not in {TABLE.relative_to(ROOT)}: {missing}; next step: add their packages there"


@pytest.mark.parametrize("program", SOURCES)
def test_declared_program_is_started(programs, program):
    assert program in programs, f"nothing starts {program}; next step: take its line out of {TABLE.relative_to(ROOT)}"


@pytest.mark.parametrize("program", [program for program, source in SOURCES.items() if source.startswith("pip:")])
def test_environment_of_a_program_is_pinned(program):
    name = SOURCES[program].removeprefix("pip:")
    assert TABLE.with_name(f"{name}.txt").exists(), f"there is no local/tools/{name}.txt"
