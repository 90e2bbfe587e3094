"""What calls people: pages that arrive whole, notifications in the form of Amazon Q Developer, and ends that nobody asked for."""

import json
import time

import pytest

from bus import Bus
from checks import contains, wait_until
from policies import machines
from queues import Queue

# A cause may hold whatever a database, a person or AWS said; 4,000 characters of it are announced.
CAUSE = ('the check "orders are back" found \'0\', \\ and {"a": 1}\nnext line\tAufträge 注文 🙂; ' + "and so weiter " * 300)[:4000]
# As AWS sends it, of "EventBridge for Step Functions execution status changes" in the Step Functions guide.
STATUS = {"startDate": 1551225271984, "stopDate": 1551225272000, "input": "{}", "output": None, "inputDetails": {"included": True}}


def subscribed(stack, output):
    """A queue that gets what is published to the topic of an output."""
    queue, sns = Queue.create(stack, "sns.amazonaws.com"), stack.client("sns")
    arn = sns.subscribe(TopicArn=stack.outputs[output], Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"]
    stack.on_success(lambda: sns.unsubscribe(SubscriptionArn=arn))
    return queue


def message(queue, mark):
    """The one message that names `mark`, read as JSON."""
    seen = []

    def look():
        seen.extend(json.loads(body)["Message"] for body in queue.take())
        return next((text for text in seen if mark in text), None)

    return json.loads(wait_until(look, f"a message about {mark}", 30))


def announce(stack, kind, bus=None, **detail):
    """Puts an event on the stack's own bus, as the account's root user, whom the local AWS refuses nothing; or on another."""
    on = bus or stack.outputs["EventBusName"]
    put = stack.client("events").put_events(
        Entries=[{"EventBusName": on, "Source": "aurora-rewind", "DetailType": kind, "Detail": json.dumps(detail)}]
    )
    assert put["FailedEntryCount"] == 0, f"whether the bus refused the event: {put}"


@pytest.mark.quick
def test_nobody_is_paged_by_an_event_on_another_bus(stack):
    pages, notes, mark = subscribed(stack, "PagesTopicArn"), subscribed(stack, "NotificationsTopicArn"), f"forged-{time.time_ns()}"
    told = {"recoveryId": mark, "cluster": "orders", "error": "Bug", "cause": CAUSE, "state": "NeedsOperator"}
    kinds = ["Needs Operator", "Fence Overdue", "Rolled Back", "Cutover Unconfirmed", "Approval Requested", "Recovered"]
    for kind in kinds:
        announce(stack, f"Rewind {kind}", bus="default", **told)
    # What is put after them, on the stack's own bus, has arrived when all of theirs would have.
    last = f"last-{mark}"
    for kind in ["Needs Operator", "Recovered"]:
        announce(stack, f"Rewind {kind}", **told | {"recoveryId": last})
    for queue in [pages, notes]:
        seen = []

        def look():
            seen.extend(json.loads(body)["Message"] for body in queue.take())
            return next((text for text in seen if last in text), None)

        wait_until(look, f"the message about {last}", 30)
        assert not [text for text in seen if f'"{mark}"' in text], "messages about what nobody of the stack put"


@pytest.mark.quick
def test_page_has_the_whole_cause(stack):
    pages, mark = subscribed(stack, "PagesTopicArn"), f"page-{time.time_ns()}"
    said = {"recoveryId": mark, "cluster": 'or"ders', "error": "Bug", "cause": CAUSE}
    announce(stack, "Rewind Needs Operator", state="NeedsOperator", **said)
    page = message(pages, mark)
    assert {name: page[name] for name in ("recovery", "cluster", "error", "cause")} == {"recovery": mark, "cluster": said["cluster"], "error": "Bug", "cause": CAUSE}, (
        "the page"
    )


@pytest.mark.quick
def test_amazon_q_developer_gets_notifications_in_its_own_form(stack):
    told, mark = subscribed(stack, "NotificationsTopicArn"), f"notice-{time.time_ns()}"
    always = {"cluster": 'or"ders', "state": "Running"}
    ended = {"outage": "9.4 s at most", "outageSeconds": 9.4}
    failed = {"error": "NotApproved", "cause": CAUSE, **ended}
    for n, (kind, detail) in enumerate([
        ("Rewind Approval Requested", {}), ("Rewind Recovered", ended), ("Rewind Nothing Changed", failed), ("Rewind Needs Operator", failed),
        ("Rewind Stopped", failed),
    ]):  # fmt: skip
        announce(stack, kind, recoveryId=f"{mark}-{n}", **always, **detail)
        notice = message(told, f"{mark}-{n}")
        assert (notice["version"], notice["source"]) == ("1.0", "custom"), "what Amazon Q reads at all"
        assert (notice["content"]["title"], notice["content"]["textType"]) == (kind, "client-markdown"), "the title"
        about = notice["metadata"]["additionalContext"]
        assert (about["recovery"], about["cluster"]) == (f"{mark}-{n}", always["cluster"]), "the recovery"
        assert about.get("outage") == detail.get("outage"), "how long clients had no database"
        if detail:
            contains(notice["content"]["description"], f"rewind status {mark}-{n}")
            assert CAUSE not in json.dumps(notice), "the cause, which has text of databases and of people in it"
        else:
            contains(notice["content"]["description"], f"rewind status {mark}-{n}", f"rewind approve {mark}-{n}")


def ended(machine, status, **more):
    arn = machine.replace(":stateMachine:", ":execution:") + ":my-recovery"
    detail = STATUS | {"executionArn": arn, "stateMachineArn": machine, "name": "my-recovery", "status": status} | more
    account, region = machine.split(":")[4], machine.split(":")[3]
    return {
        "version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175", "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states", "account": account, "time": "2019-02-26T19:42:21Z", "region": region, "resources": [arn],
        "detail": detail,
    }  # fmt: skip


def test_unexpected_end_of_an_execution_pages(stack):
    bus = Bus(stack)
    topic = stack.outputs["PagesTopicArn"].split(":")[-1]
    deployed = machines(stack)
    assert set(deployed) == {"Rewind", "Undo", "CleanUpMachine", "FenceWatch", "Stopped", "Open"}, "the machines"
    for name, machine in deployed.items():
        # Of a recovery, its undo and an opening a machine tells, which knows whether anybody has to look.
        rule, target = ("StoppedRule", deployed["Stopped"].split(":")[-1]) if name in ("Rewind", "Undo", "Open") else ("UnexpectedEndRule", topic)
        for expected, status, more in [
            (True, "FAILED", {"error": "States.Runtime", "cause": "the history has 25,000 events"}),
            (True, "FAILED", {"error": "States.DataLimitExceeded", "cause": ""}),
            (True, "FAILED", {"error": "States.QueryEvaluationError", "cause": ""}),
            (True, "FAILED", {}),
            (True, "TIMED_OUT", {}),
            (True, "ABORTED", {}),
            (False, "FAILED", {"error": "NotApproved", "cause": "a false alarm"}),
            (False, "FAILED", {"error": "Unavailable", "cause": "[States.Timeout in Verify]"}),
            (False, "SUCCEEDED", {}),
            (False, "RUNNING", {}),
        ]:
            matches = bus.rule_matches(rule, ended(machine, status, **more), target)
            assert matches == expected, f"whether {status} of {name} with {more or 'no error'} pages"
    elsewhere = ended(stack.machine + "-of-somebody-else", "ABORTED")
    assert bus.rule_matches("UnexpectedEndRule", elsewhere, topic) is False, "whether another machine pages"


def test_recovery_that_is_stopped_before_it_fenced_pages_too(stack):
    pages, states = subscribed(stack, "PagesTopicArn"), stack.client("stepfunctions")
    name = f"stopped-{time.time_ns()}"
    run = states.start_execution(
        stateMachineArn=stack.machine, name=name, input=json.dumps({"cluster": "nobody", "to": "1m ago", "dryRun": True})
    )["executionArn"]
    states.stop_execution(executionArn=run)
    assert states.describe_execution(executionArn=run)["status"] == "ABORTED", "how the execution ended"
    page = message(pages, name)
    assert (page["recovery"], page["error"]) == (name, "Unavailable"), "what the page names"
    contains(page["cause"], "ABORTED", "nothing was changed; next step: start again")


def test_recovery_that_is_stopped_after_its_fence_began_is_recorded_and_pages_with_the_command(stack):
    pages, states = subscribed(stack, "PagesTopicArn"), stack.client("stepfunctions")
    name = f"stopped-{time.time_ns()}"
    # A dry run leaves no item, so this one is what the recovery would have written by then.
    item = {
        "id": f"recovery#{name}", "recoveryId": name, "state": "Running", "cluster": "nobody", "newCluster": "nobody-r",
        "plan": json.dumps({"strategy": "restore"}), "startedAt": "2026-11-23T10:30:00Z", "fenceBegunAt": "2026-11-23T10:40:00Z",
    }  # fmt: skip
    stack.client("dynamodb").put_item(TableName=stack.table, Item={key: {"S": value} for key, value in item.items()})
    key = {"id": {"S": item["id"]}}
    stack.on_success(lambda: stack.client("dynamodb").delete_item(TableName=stack.table, Key=key))
    begun = time.monotonic()
    run = states.start_execution(
        stateMachineArn=stack.machine, name=name, input=json.dumps({"cluster": "nobody", "to": "1m ago", "dryRun": True})
    )["executionArn"]
    states.stop_execution(executionArn=run)
    assert states.describe_execution(executionArn=run)["status"] == "ABORTED", "how the execution ended"
    page = message(pages, name)
    assert time.monotonic() - begun < 60, "the time until people know"
    assert (page["recovery"], page["cluster"], page["error"]) == (name, "nobody", "OutcomeUnknown"), "what the page names"
    contains(page["cause"], "ABORTED", "nobody may be fenced", f"rewind undo {name}")
    recorded = stack.item(item["id"])
    assert (recorded["state"], recorded["cause"]) == ("NeedsOperator", page["cause"]), "what the table tells"
