"""Recoveries that events ask for, and the events that recoveries send: on the account's bus, as others use it."""

import datetime
import json
import time

import pytest

from bus import Bus, Requested, executions_named
from checks import contains, wait_until
from cluster import UTC, Cluster
from queues import Queue
from recovery import CONCLUDE, moment
from stages import ASK, COMPARE, DECIDED, REJECTED, REWIND, START
from shop import fill
from stack import SEEDED

# AWS's own sample of an alarm's state change, of "Alarm events and EventBridge" in CloudWatch's user guide.
SAMPLE = {
    "version": "0",
    "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
    "detail-type": "CloudWatch Alarm State Change",
    "source": "aws.cloudwatch",
    "account": "123456789012",
    "time": "2019-10-02T17:04:40Z",
    "region": "us-east-1",
    "resources": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:ServerCpuTooHigh"],
    "detail": {
        "alarmName": "ServerCpuTooHigh",
        "configuration": {
            "description": "Goes into alarm when server CPU utilization is too high!",
            "metrics": [{
                "id": "30b6c6b2-a864-43a2-4877-c09a1afc3b87",
                "metricStat": {
                    "metric": {
                        "dimensions": {"InstanceId": "i-12345678901234567"},
                        "name": "CPUUtilization",
                        "namespace": "AWS/EC2",
                    },
                    "period": 300,
                    "stat": "Average",
                },
                "returnData": True,
            }],
        },
        "previousState": {
            "reason": "Threshold Crossed: 1 out of the last 1 datapoints [0.0666851903306472 (01/10/19 13:46:00)] was "
            "not greater than the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition).",
            "reasonData": '{"version":"1.0","queryDate":"2019-10-01T13:56:40.985+0000",'
            '"startDate":"2019-10-01T13:46:00.000+0000","statistic":"Average","period":300,'
            '"recentDatapoints":[0.0666851903306472],"threshold":50.0}',
            "timestamp": "2019-10-01T13:56:40.987+0000",
            "value": "OK",
        },
        "state": {
            "reason": "Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was "
            "greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition).",
            "reasonData": '{"version":"1.0","queryDate":"2019-10-02T17:04:40.985+0000",'
            '"startDate":"2019-10-02T16:59:00.000+0000","statistic":"Average","period":300,'
            '"recentDatapoints":[99.50160229693434],"threshold":50.0}',
            "timestamp": "2019-10-02T17:04:40.989+0000",
            "value": "ALARM",
        },
    },
}  # fmt: skip


def test_event_starts_one_recovery_however_often_it_comes(stack):
    bus = Bus(stack)
    cluster = Cluster.create(stack, "e2e-events", record=False)
    cluster.settle()
    request = {"cluster": cluster.name, "to": "1s ago", "dryRun": True}
    event = bus.ask(request)
    run = Requested(stack, event["id"])
    ended = run.wait()
    assert (ended["status"], json.loads(ended["output"])["outcome"]) == ("SUCCEEDED", "Planned"), "the end"
    # "1s ago" is before the event, whenever it is delivered.
    expected = datetime.datetime.fromisoformat(event["time"]) - datetime.timedelta(seconds=1)
    assert moment(run.request["to"]) == expected, "the moment"
    told = bus.of(run.id, "Started", "Plan Ready")
    plan = told["Plan Ready"]["plan"]
    assert (plan["strategy"], plan["dryRun"], told["Plan Ready"]["state"]) == ("restore", True, "Planned"), "what is told"
    assert plan["willDo"], "what it will do"

    for _ in range(2):
        again = bus.call(event)
        assert (again["executionArn"], again["startedBefore"]) == (run.arn, True), "the answer to the event that came again"
    bus.deliver(event)
    other = Requested(stack, bus.ask(request)["id"])
    assert other.id != run.id, "another event is another recovery"
    other.wait()
    assert (executions_named(stack, run.id), executions_named(stack, other.id)) == (1, 1), "executions of those names"


def test_invalid_event_starts_nothing_and_is_kept_in_the_dead_letter_queue(stack):
    bus = Bus(stack)
    mark = f"e2e-{time.time_ns()}"
    event = bus.ask({"cluster": "my-aurora-cluster", "to": mark, "keepSource": "1440"})
    group = stack.function("StartRecovery")["LoggingConfig"]["LogGroup"]
    pages = lambda: stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    refused = lambda: [e for page in pages() for e in page["events"] if mark in e["message"]]
    wait_until(refused, "a refusal in the log", 30)
    # The local bus calls a function once. On AWS the bus invokes it asynchronously, as is done here: twice more
    # where it fails, and then what came and why it failed goes to the queue.
    bus.deliver(event)
    dead = Queue(stack, stack.outputs["DeadLettersUrl"])
    letters = []

    def look():
        letters.extend(dead.take())
        return [letter for letter in map(json.loads, letters) if mark in json.dumps(letter)]

    (letter,) = wait_until(look, "the event in the dead-letter queue", 60)
    assert letter["requestPayload"] == event, "the event that is kept"
    assert letter["responsePayload"]["errorType"] == "InvalidRequest", "the error that is kept with it"
    contains(letter["responsePayload"]["errorMessage"], f'`to` is "{mark}"', "`keepSource`", "nothing was")
    assert executions_named(stack, f"event-{event['id']}") == 0, "executions"
    alarms = stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
    queue = stack.outputs["DeadLettersUrl"].rsplit("/", 1)[1]
    watching = [a for a in alarms if {"Name": "QueueName", "Value": queue} in a.get("Dimensions", [])]
    assert [(a["MetricName"], a["Threshold"], a["AlarmActions"]) for a in watching] == [("ApproximateNumberOfMessagesVisible", 1.0, [stack.outputs["PagesTopicArn"]])], (
        "the alarm on the queue"
    )


def alarm_event(stack, name, description, moments, threshold=10.0):
    """An alarm of that description goes to ALARM by its metric: the event that CloudWatch sends, shaped like SAMPLE."""
    watch = stack.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=name, AlarmDescription=description, Namespace="e2e", MetricName=name, Statistic="Minimum", Period=60,
        EvaluationPeriods=2, Threshold=threshold, ComparisonOperator="LessThanThreshold",
    )  # fmt: skip
    stack.on_success(lambda: watch.delete_alarms(AlarmNames=[name]))
    values = [400.0] + [0.0] * (len(moments) - 1)
    data = [{"MetricName": name, "Timestamp": at, "Value": v} for at, v in zip(moments, values, strict=True)]
    watch.put_metric_data(Namespace="e2e", MetricData=data)
    look = lambda: next(a for a in watch.describe_alarms(AlarmNames=[name])["MetricAlarms"])
    alarm = wait_until(lambda: look() if look()["StateValue"] == "ALARM" else None, f"{name} in ALARM", 30)
    stamp = lambda at: at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    points = [{"timestamp": stamp(at), "value": v} for at, v in zip(moments, values, strict=True)]
    crossed = f"{len(moments) - 1} out of the last {len(moments)} datapoints"
    reason = f"Threshold Crossed: {crossed} were less than the threshold ({threshold})"
    state = {
        "value": alarm["StateValue"], "reason": reason, "timestamp": stamp(alarm["StateUpdatedTimestamp"]),
        "reasonData": json.dumps({
            "version": "1.0", "queryDate": stamp(datetime.datetime.now(UTC)), "startDate": points[0]["timestamp"],
            "period": 60, "threshold": threshold, "evaluatedDatapoints": points[::-1],
        }),
    }  # fmt: skip
    detail = {
        "alarmName": alarm["AlarmName"], "configuration": {"description": alarm["AlarmDescription"], "metrics": []},
        "previousState": {"value": "OK"}, "state": state,
    }  # fmt: skip
    return SAMPLE | {
        "id": f"{time.time_ns()}", "time": datetime.datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "account": alarm["AlarmArn"].split(":")[4], "resources": [alarm["AlarmArn"]], "detail": detail,
    }  # fmt: skip


def described(event, description):
    """The event of an alarm with that description."""
    detail = event["detail"]
    return event | {"detail": detail | {"configuration": detail["configuration"] | {"description": description}}}


def test_alarm_proposes_a_recovery_and_a_person_decides(stack):
    bus = Bus(stack)
    cluster = Cluster.create(stack, "e2e-alarm")
    fill(cluster)
    cluster.settle(6)
    good = datetime.datetime.now(UTC).replace(microsecond=0) - datetime.timedelta(seconds=3)
    bad = good + datetime.timedelta(seconds=2)
    wish = {
        "cluster": cluster.name,
        "before": "1s",
        "dns": cluster.dns(),
        "newCluster": f"{cluster.name}-r",
        "approval": "none",
    }
    event = alarm_event(stack, "e2e-alarm", f"Orders vanish. aurora-rewind: {json.dumps(wish)} Call Ann.", [good, bad])
    # Nobody but CloudWatch can put it on the bus, here as on AWS: the rule is asked, then what it calls is called.
    forged = {"Source": "aws.cloudwatch", "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    refusal = stack.client("events").put_events(Entries=[forged])["Entries"][0]
    assert refusal.get("ErrorCode") == "NotAuthorizedForSourceException", "what a forged alarm gets"
    assert bus.rule_matches("AlarmRule", event) is True, "whether the rule lets the alarm through"
    bus.deliver(event)
    run = Requested(stack, event["id"])
    assert moment(run.request["to"]) == bad - datetime.timedelta(seconds=1), "the moment"
    assert run.request["approval"] == "required", "whether a person is asked, whatever the alarm says"
    token = run.approval()["taskToken"]
    run.decide("rejected", comment="a false alarm")
    path = START + REWIND + COMPARE + ASK + ["IsApprovalToConfirm", *DECIDED] + REJECTED + CONCLUDE
    run.failed(path, "NotApproved", "a false alarm")
    told = bus.of(run.id, "Started", "Plan Ready", "Approval Requested", "Nothing Changed")
    assert told["Nothing Changed"]["error"] == "NotApproved", "the error that is told"
    contains(told["Nothing Changed"]["cause"], "a false alarm")
    wanted = told["Approval Requested"]
    assert (wanted["passed"], wanted["newCluster"]) == (True, f"{cluster.name}-r"), "what is told of the approval"
    assert token not in json.dumps(told), "a task token is in an event"


@pytest.mark.usefixtures("seeded_cluster_to_itself")
def test_alarm_without_a_cluster_starts_nothing_and_awss_sample_with_one_does(stack):
    bus = Bus(stack)
    # AWS's sample comes from another account.
    sample = SAMPLE | {"account": stack.machine.split(":")[4]}
    assert bus.rule_matches("AlarmRule", sample) is False, "whether the rule lets an alarm through that names no cluster"
    event = described(sample | {"id": f"sample-{time.time_ns()}"}, f"aurora-rewind: {SEEDED} 2m")
    assert bus.rule_matches("AlarmRule", event) is True, "whether the rule lets it through with a cluster"
    elsewhere = event | {"account": SAMPLE["account"]}
    assert bus.rule_matches("AlarmRule", elsewhere) is False, "whether the rule lets another account's alarm through"
    calm = event["detail"] | {"state": event["detail"]["previousState"]}
    assert bus.rule_matches("AlarmRule", event | {"detail": calm}) is False, "whether the rule lets an OK through"
    bus.deliver(event)
    run = Requested(stack, event["id"])
    assert run.request == {"cluster": SEEDED, "to": "2019-10-02T16:57:00Z", "approval": "required"}, "the request"
    ended = run.wait()
    assert ended.get("error") == "OutsideWindow", "the error"
    contains(ended["cause"], "2019-10-02T16:57:00Z is before the earliest restorable time", "nothing was changed")
