"""A deployment on which two people have to agree (`TwoPeople=always`): the real functions, a terminal, Slack and raw calls of AWS. Ann has
the keys of the account, at a terminal and by hand; Ben and Cleo are in Slack."""

import contextlib
import json
import time

import pytest

from checks import contains, wait_until
from cluster import iso
from recovery import Recovery, Started
from shop import settled_shop
from slack import BEN, CLEO, TEAM, Slack
from test_cli import Terminal

STEMS = ["ValidateWindow", "ConfirmApproval", "Chatops"]


def set_environment(stack, name, variables):
    lambdas = stack.client("lambda")
    lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    look = lambda: lambdas.get_function_configuration(FunctionName=name)
    is_set = lambda now: now.get("LastUpdateStatus") == "Successful" and now["Environment"]["Variables"] == variables
    wait_until(lambda: is_set(look()), f"the new environment of {name}")


@contextlib.contextmanager
def two_people(stack):
    """The deployment as `TwoPeople=always` makes it; as it was afterwards, however the test ends."""
    ann = stack.client("sts").get_caller_identity()["Arn"]
    people = f"ann={TEAM}/UANN|{ann},ben={TEAM}/{BEN},cleo={TEAM}/{CLEO}"
    strict = {"REWIND_TWO_PEOPLE": "always", "REWIND_PEOPLE": people}
    before = {}
    try:
        for function in map(stack.function, STEMS):
            name = function["FunctionName"]
            before[name] = function["Environment"]["Variables"]
            set_environment(stack, name, before[name] | strict)
        yield
    finally:
        for name, variables in before.items():
            set_environment(stack, name, variables)


def is_asked_again(run, times, why):
    """The approval was looked at so often and was not enough: people are still asked, and are told why."""

    def look():
        path, item = run.whole_path(), run.item()
        asked = path.count("ConfirmApproval") == times and path[-1] == "RequestApproval"
        return asked and why in ((item.get("approval") or {}).get("lastRefused") or "")

    wait_until(look, f"{run.id} to wait again because {why!r}", 60)
    assert run.item()["state"] == "AwaitingApproval", "the state after an approval that is not enough"


def approves(slack, person, run):
    """Somebody types that they approve; answers what they are told."""
    said = slack.says(person, f"approve {run.id} --hash {run.approval()['hash'][:8]}")
    return (said.later() if "sending" in said.text else said).text


def recovers(run):
    ended = run.wait()
    assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
    assert json.loads(ended["output"])["outcome"] == "Recovered", "the outcome"


def started_at_a_terminal(stack, terminal, slack):
    """Ann starts and approves herself, which is not enough; Ben's approval is. She undoes it alone, as documented."""
    cluster = settled_shop(stack, "e2e-two-ann")
    target = cluster.mistake("DELETE FROM orders")
    name = f"e2e-two-ann-{time.time_ns()}"
    words = [cluster.name, iso(target), "--dns", f"{stack.zone}:{cluster.record}", "--new-cluster", f"{cluster.name}-r"]
    terminal.run("start", *words, "--name", name, "--detach")
    run = Started(stack, name)
    terminal.run("approve", name, "--hash", run.approval()["hash"])
    is_asked_again(run, 1, "may be who started it")
    contains(approves(slack, BEN, run), f"{name}: approved by ben")
    recovers(run)
    contains(json.loads(run.item()["decision"])["by"], "ben")
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    out, _ = terminal.run("undo", name, "--confirm", cluster.name)
    contains(out, "Undone")


def started_in_chat(stack, slack):
    """Cleo starts it: neither she nor a decision by hand in Ben's name approves it. Anybody who may decide rejects it."""
    cluster = settled_shop(stack, "e2e-two-cleo")
    name, record = f"e2e-two-cleo-{time.time_ns()}", f"{stack.zone}:{cluster.record}"
    begun = slack.says(CLEO, f"start {cluster.name} 1s ago --dns {record} --name {name} --new-cluster {cluster.name}-r")
    contains(begun.text, f"{name} is started")
    run = Started(stack, name)
    run.approval()
    contains(approves(slack, CLEO, run), "you started this recovery, so somebody else has to approve it")
    assert "ConfirmApproval" not in run.whole_path(), "an approval that was sent"
    run.decide("approved", by="ben", identity={"kind": "slack", "team": TEAM, "user": BEN})
    is_asked_again(run, 1, "nothing shows that the approval of somebody unknown")
    answer = slack.says(CLEO, f"reject {name} not now --hash {run.approval()['hash'][:8]}")
    contains((answer.later() if "sending" in answer.text else answer).text, f"{name}: rejected by cleo")
    assert run.wait()["error"] == "NotApproved", "the end of what was rejected"
    assert stack.records()[cluster.record][0] == cluster.endpoint, "the record"


def started_by_nobody_known(stack, slack):
    """Started by a raw call: two people approve it, and one twice is not two. In chat two people undo it as well."""
    cluster = settled_shop(stack, "e2e-two-raw")
    target = cluster.mistake("DELETE FROM orders")
    records = [{"hostedZoneId": stack.zone, "name": cluster.record}]
    run = Recovery.of(cluster, iso(target), dns=records, unverified="accepted")
    for times in (1, 2):
        contains(approves(slack, BEN, run), "approved by ben", "it is not known who started it")
        is_asked_again(run, times, "two people have to approve it, and one has")
    approves(slack, CLEO, run)
    recovers(run)
    undo = f"undo {run.id} --confirm {cluster.name}"
    for _ in range(2):
        contains(answered(slack.says(BEN, undo)), "Nothing was done: it takes two people")
    assert run.item()["state"] == "Recovered", "the state after one person asked for an undo"
    contains(answered(slack.says(CLEO, undo)), f"{run.id}-undo is started")
    wait_until(lambda: run.item().get("state") == "Undone", f"the end of the undo of {run.id}", 120)
    assert stack.records()[cluster.record][0] == cluster.endpoint, "the record"


def answered(said):
    """What somebody is told in the end, at once or later."""
    at_once = said.text
    return at_once if "two people" in at_once or "is started" in at_once else said.later().text


# No other test may meet the strict functions, and those that are killed have another address: a proof is signed for the one of stack.env.
@pytest.mark.alone
def test_no_approval_is_enough_that_may_be_of_who_started_it(stack):
    terminal, slack = Terminal(stack), Slack(stack)
    with two_people(stack):
        started_at_a_terminal(stack, terminal, slack)
        started_in_chat(stack, slack)
        started_by_nobody_known(stack, slack)
