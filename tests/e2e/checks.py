"""Checks that say more than a plain assert, and waiting. It knows nothing of the stack."""

import contextlib
import os
import time

import pytest


def same_path(found, expected):
    same = len(os.path.commonprefix([found, expected]))
    before = found[same - 1] if same else "the start"
    went, due = " ".join(found[same:]) or "nothing", " ".join(expected[same:]) or "nothing"
    assert found == expected, f"after {before} it went to {went}\nexpected: {due}"


def contains(text, *parts):
    missing = [part for part in parts if part not in (text or "")]
    assert not missing, f"{text!r}\nlacks {missing}"


@contextlib.contextmanager
def refused(kinds, *said):
    """What is inside must be refused with one of `kinds`, saying all of `said`."""
    with pytest.raises(kinds) as caught:
        yield
    contains(str(caught.value), *said)


def wait_until(look, what, timeout=60, pause=0.1):
    """Looks until it sees something; answers what it saw."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(pause)
