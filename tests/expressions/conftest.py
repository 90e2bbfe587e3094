"""The reference implementation of JSONata, and what the path tests recorded for it.

Run it in the environment of local/tools/ministack.txt, after the path tests:
`.local/tools/ministack/bin/python -m pytest tests/expressions`.
"""

from pathlib import Path

import pytest

from reference import ROOT, Reference


def pytest_addoption(parser):
    group = parser.getgroup("expressions")
    group.addoption(
        "--evaluations", type=Path, default=ROOT / ".local" / "evaluations.jsonl", help="what the path tests recorded"
    )


@pytest.fixture(scope="session")
def reference():
    return Reference(ROOT / ".local" / "tools" / "jsonata")
