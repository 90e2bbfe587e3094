"""Holds the planned faults of local/tools/ministack_faults.py to their names: how often each happens, what the state is told, and how often
the function ran. Runs in the venv of ministack.txt; nothing is started.
"""

import asyncio
import json
import threading
import time

import pytest

import ministack_faults as faults

STATE = ("execution", "StartRestore")


class Function:
    """A function that takes a moment and answers how often it ran."""

    def __init__(self):
        self.runs, self.most_at_once, self._now, self._lock = 0, 0, 0, threading.Lock()

    def __call__(self, *_):
        with self._lock:
            self.runs += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            run = self.runs
        time.sleep(0.05)
        with self._lock:
            self._now -= 1
        return run


@pytest.fixture
def function():
    bound = faults.current.set(STATE)
    yield Function()
    faults.current.reset(bound)
    faults.planned.clear()


def plan(**fault):
    body = {"execution": STATE[0], "state": STATE[1]} | fault
    status, _ = faults.answer("POST", "", json.dumps(body).encode())
    assert status == 200


def told():
    return faults.answer("GET", f"execution={STATE[0]}&state={STATE[1]}", b"")[1]


def hits():
    return told()["hits"]


def test_without_a_fault_the_function_just_runs(function):
    assert faults.invoke(function, "arn", {}) == 1


@pytest.mark.parametrize("kind", faults.REFUSALS)
def test_a_refused_invocation_never_reaches_the_function(function, kind):
    plan(fault=kind, times=2)
    for _ in range(2):
        with pytest.raises(faults.refused) as caught:
            faults.invoke(function, "arn", {})
        assert caught.value.error == faults.REFUSALS[kind]
    assert (function.runs, faults.invoke(function, "arn", {}), hits()) == (0, 1, 2)


def test_a_lost_answer_is_one_of_a_function_that_ran_every_time(function):
    plan(fault="lost", times=-1)
    for _ in range(3):
        with pytest.raises(faults.refused):
            faults.invoke(function, "arn", {})
    assert (function.runs, hits()) == (3, 3)


def test_a_state_gives_up_while_its_function_goes_on(function):
    plan(fault="times out", after=0.01)
    with pytest.raises(faults.refused) as caught:
        faults.invoke(function, "arn", {})
    faults.invoke(function, "arn", {})
    assert (caught.value.error, function.runs, function.most_at_once) == ("States.Timeout", 2, 2)


def test_a_function_outlives_its_state_and_is_counted_until_it_is_over(function, monkeypatch):
    monkeypatch.setattr(faults, "OUTLIVES", 0.05)
    plan(fault="outlives", times=-1, after=0.01)
    for _ in range(2):
        with pytest.raises(faults.refused) as caught:
            faults.invoke(function, "arn", {})
    assert (caught.value.error, function.runs, told()["running"]) == ("Lambda.Unknown", 0, 2)
    deadline = time.monotonic() + 5
    while told()["running"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (function.runs, told()) == (2, {"hits": 2, "running": 0})


@pytest.mark.parametrize(("kind", "at_once"), [("twice", 1), ("at once", 2)])
def test_the_state_hears_the_second_of_two_runs(function, kind, at_once):
    plan(fault=kind)
    answer = faults.invoke(function, "arn", {})
    assert (function.runs, function.most_at_once) == (2, at_once)
    assert answer == 2 or at_once == 2


def test_a_fault_is_of_one_state_of_one_execution(function):
    plan(fault="refused", times=-1)
    bound = faults.current.set(("another", STATE[1]))
    assert faults.invoke(function, "arn", {}) == 1
    faults.current.reset(bound)


def test_only_the_pause_after_a_planned_fault_is_shorter(function):
    plan(fault="refused", times=-1, pauses=0.01)
    slept = []
    # After the last attempt there is none: what follows is a wait of the machine itself.
    for error, retrier in [("Lambda.ServiceException", {}), ("ClusterNotReady", {}), ("Lambda.ServiceException", None)]:
        faults.find_retrier(lambda *_, found=retrier: (found, 0), [], error, {})
        faults.scaled_sleep(slept.append, 100)
    assert slept == [1.0, 100.0, 100.0]


@pytest.mark.parametrize("body", [b"{", b"{}", json.dumps({"execution": "e", "state": "s", "fault": "unknown"}).encode()])
def test_a_fault_that_nobody_knows_is_refused(body):
    assert faults.answer("POST", "", body)[0] == 400


def call_route53(credential):
    """The status and the body of a call to Route 53 through the gateway; 200 where ministack would be asked."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"<ChangeBatch>db.example.com", "more_body": False}

    async def app(scope, receive, send):
        assert (await receive())["body"], "the body of the call"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<Changed/>", "more_body": False})

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", f"AWS4-HMAC-SHA256 Credential={credential}/20260101/us-east-1/route53".encode())]
    scope = {"type": "http", "path": "/2013-04-01/hostedzone/Z1/rrset", "query_string": b"", "headers": headers}
    asyncio.run(faults.with_faults(app)(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_calls_of_functions_beyond_the_rate_of_route_53_are_throttled_and_those_of_people_are_not():
    faults.answer("POST", "", b'{"limit": "route53", "calls": 2, "mentions": ["other.example.com"]}')
    assert [call_route53("ASIAFUNCTION")[0] for _ in range(9)] == [200] * 9
    faults.answer("POST", "", b'{"limit": "route53", "calls": 2, "mentions": ["db.example.com"]}')
    # As many are left as a second has; up to five are saved.
    statuses = [call_route53("ASIAFUNCTION")[0] for _ in range(4)]
    assert statuses == [200, 200, 400, 400]
    assert b"<Code>Throttling</Code>" in call_route53("ASIAFUNCTION")[1]
    assert call_route53("AKIAPERSON")[0] == 200
    assert faults.answer("POST", "", b'{"limit": "route53", "calls": null, "mentions": ["db.example.com"]}')[1] == {"failed": 3}
    assert [call_route53("ASIAFUNCTION")[0] for _ in range(9)] == [200] * 9


def test_answers_that_are_cut_are_of_calls_that_were_done_and_so_many_as_were_asked_for():
    faults.answer("POST", "", b'{"limit": "route53", "calls": 0, "mentions": ["db.example.com"], "fails": "cut", "times": 2}')
    assert [call_route53("ASIAFUNCTION") for _ in range(3)] == [(200, b"<Chan"), (200, b"<Chan"), (200, b"<Changed/>")]
    assert faults.answer("POST", "", b'{"limit": "route53", "calls": null, "mentions": ["db.example.com"]}')[1] == {"failed": 2}
