"""The tests' registry and their runner: a line a test, several at a time. It knows nothing of the stack."""

import collections
import concurrent.futures
import contextlib
import re
import threading
import time
import traceback

Test = collections.namedtuple("Test", "name slug run alone first last")
TESTS = []
_here = threading.local()
_print = threading.Lock()


def test(name, alone=False, first=False, last=False):
    """Registers a test under the behaviour it holds. `alone`: nothing runs beside it. `first`: it takes long. `last`: it
    looks at what all the others did."""

    def register(function):
        slug = f"{function.__module__}.{function.__name__}"
        assert all(known.slug != slug and known.name != name for known in TESTS), f"{slug} is there twice"
        TESTS.append(Test(name, slug, function, alone, first, last))
        return function

    return register


def note(line):
    """A line that is shown under the running test, whether it passes or not."""
    getattr(_here, "notes", []).append(line)


def on_success(function):
    """Something to tidy up when the running test has passed; after a failure everything is left to look at."""
    getattr(_here, "tidy", []).append(function)


class Failed(AssertionError):
    """What the test expected did not hold."""


def equal(found, expected, what):
    if found != expected:
        raise Failed(f"{what}: found {found!r}, expected {expected!r}")


def same_path(found, expected):
    if found == expected:
        return
    same = next(
        (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
    )
    before = found[same - 1] if same else "the start"
    went, due = " ".join(found[same:]) or "nothing", " ".join(expected[same:]) or "nothing"
    raise Failed(f"after {before} it went to {went}\nexpected: {due}")


def contains(text, *parts):
    for part in parts:
        if part not in (text or ""):
            raise Failed(f"{text!r}\nlacks {part!r}")


def holds(condition, what):
    if not condition:
        raise Failed(what)


@contextlib.contextmanager
def refused(kinds, *said):
    """What is inside must be refused with one of `kinds`, saying all of `said`."""
    try:
        yield
    except kinds as error:
        contains(str(error), *said)
        return
    raise Failed(f"it was not refused, and should have been with {kinds}")


def wait_until(look, what, timeout=60, pause=0.1):
    """Looks until it sees something; answers what it saw."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not happen within {timeout} s")
        time.sleep(pause)


def _run(one, stack):
    _here.notes, _here.tidy = [], []
    began = time.monotonic()
    wrong = None
    try:
        one.run(stack)
    except Failed as failure:
        wrong = str(failure)
        place = next(
            (f for f in traceback.extract_tb(failure.__traceback__) if one.run.__module__ + ".py" in f.filename), None
        )
        wrong += f"\n(line {place.lineno} of {one.slug})" if place else ""
    except BaseException:  # a broken test is a failed one
        wrong = traceback.format_exc()
    seconds = time.monotonic() - began
    with _print:
        print(f"{'FAILED' if wrong else 'ok    '} {seconds:5.1f} s  {one.name}", flush=True)
        for line in _here.notes:
            print(f"                 {line}", flush=True)
        for line in (wrong or "").splitlines():
            print(f"             ! {line}", flush=True)
        if wrong:
            print(f"             ! again by: tests/e2e/run.py {one.slug}", flush=True)
    if not wrong:
        for tidy in reversed(_here.tidy):
            try:
                tidy()
            except Exception as error:  # it is not what was tested
                with _print:
                    print(f"                 {one.slug} was not tidied up: {error}", flush=True)
    return wrong is None


def choose(words):
    """The tests whose name or slug holds one of `words`; all without any."""
    if not words:
        return list(TESTS)
    plain = lambda text: re.sub(r"\W+", " ", text.lower())
    return [one for one in TESTS if any(plain(word) in plain(one.slug + " " + one.name) for word in words)]


def run(chosen, stack, jobs):
    """Runs tests; answers how many passed and how many failed."""
    chosen = sorted(chosen, key=lambda one: not one.first)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        passed = list(pool.map(lambda one: _run(one, stack), chosen))
    return sum(passed), len(passed) - sum(passed)
