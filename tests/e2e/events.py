"""Recoveries that events ask for, and the events that recoveries send: on the account's bus, as others use it."""

import datetime
import json
import time

from cluster import UTC, Cluster
from harness import contains, equal, holds, on_success, test, wait_until
from queues import Queue
from recovery import ASK, CONCLUDE, DECIDED, PUT_BACK, REWIND, START, UNDO_INSTANCES, Recovery, moment
from requesting import SEEDED, in_turn
from shop import fill

# What docs/events.md promises of all of them.
ALWAYS = {"recoveryId", "executionArn", "cluster", "state", "at"}
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


class Bus:
    """The account's bus, with a listener who takes everything of ours."""

    def __init__(self, stack):
        self.stack, self.events, self.lambda_ = stack, stack.client("events"), stack.client("lambda")
        self.starter = stack.function("StartRecovery")["FunctionName"]
        name = f"e2e-{time.time_ns()}"
        self.queue = Queue.made(stack, "events.amazonaws.com")
        self.events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aurora-rewind"]}))
        self.events.put_targets(Rule=name, Targets=[{"Id": "listener", "Arn": self.queue.arn}])
        on_success(lambda: self.events.delete_rule(Name=name))
        on_success(lambda: self.events.remove_targets(Rule=name, Ids=["listener"]))
        self.seen = []

    def ask(self, request):
        """Puts a request on the bus; answers the event as the bus delivers it."""
        entry = {"Source": "aurora-rewind", "DetailType": "Rewind Requested", "Detail": json.dumps(request)}
        put = self.events.put_events(Entries=[entry])
        equal(put["FailedEntryCount"], 0, f"whether the bus refused the event: {put}")
        id = put["Entries"][0]["EventId"]
        return wait_until(lambda: next((e for e in self.all() if e["id"] == id), None), "the event on the bus")

    def all(self):
        self.seen += [json.loads(message) for message in self.queue.take()]
        return self.seen

    def of(self, recovery, *kinds):
        """The events of a recovery, when all of these kinds have come: by kind, in this order, each once."""

        def look():
            found = [e for e in self.all() if e["detail"].get("recoveryId") == recovery]
            return found if len(found) >= len(kinds) else None

        found = wait_until(look, f"{', '.join(kinds)} of {recovery}", 30)
        equal(sorted(e["detail-type"] for e in found), sorted(f"Rewind {kind}" for kind in kinds), "the events")
        for event in found:
            holds(ALWAYS <= event["detail"].keys(), f"{event} lacks what docs/events.md promises of all")
            moment(event["detail"]["at"])
        return {e["detail-type"].removeprefix("Rewind "): e["detail"] for e in found}

    def call(self, event):
        """Delivers an event to the function, and waits for its answer."""
        answer = self.lambda_.invoke(FunctionName=self.starter, Payload=json.dumps(event))
        said = json.loads(answer["Payload"].read())
        equal("FunctionError" in answer, False, f"an error of the function: {said}")
        return said

    def deliver(self, event):
        """Delivers an event to the function as the bus does: without waiting, with retries and dead letters."""
        self.lambda_.invoke(FunctionName=self.starter, Payload=json.dumps(event), InvocationType="Event")

    def rule_matches(self, rule, event, target=None):
        """Whether the deployed rule of that name lets an event through to its target: the function, unless another is given."""
        found = [r for r in self.events.list_rules()["Rules"] if f"-{rule}-" in r["Name"]]
        equal([r["State"] for r in found], ["ENABLED"], f"the rules that are called {rule}")
        targets = self.events.list_targets_by_rule(Rule=found[0]["Name"])["Targets"]
        equal([t["Arn"].split(":")[-1] for t in targets], [target or self.starter], f"the targets of {rule}")
        pattern = found[0]["EventPattern"]
        return self.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]


class Begun(Recovery):
    """A recovery that an event started."""

    def __init__(self, stack, event_id):
        self.stack, self.id, self._ended = stack, f"event-{event_id}", None
        self.arn = f"{stack.machine.replace(':stateMachine:', ':execution:')}:{self.id}"
        missing = stack.states.exceptions.ExecutionDoesNotExist

        def look():
            try:
                return self.describe()
            except missing:
                return None

        described = wait_until(look, f"the execution {self.id}", 30)
        self.request, self.called = json.loads(described["input"]), described["startDate"].timestamp()


def named(stack, name):
    """How many executions have a name."""
    pages = stack.states.get_paginator("list_executions").paginate(stateMachineArn=stack.machine)
    return [e["name"] for page in pages for e in page["executions"]].count(name)


@test("an event starts one recovery, however often it comes, and the recovery tells on the bus how it stands")
def requested(stack):
    bus = Bus(stack)
    cluster = Cluster.create(stack, "e2e-events", record=False)
    cluster.settle()
    request = {"cluster": cluster.name, "to": "1s ago", "dryRun": True}
    event = bus.ask(request)
    run = Begun(stack, event["id"])
    ended = run.wait()
    equal((ended["status"], json.loads(ended["output"])["outcome"]), ("SUCCEEDED", "Planned"), "the end")
    # "1s ago" is before the event, whenever it is delivered.
    expected = datetime.datetime.fromisoformat(event["time"]) - datetime.timedelta(seconds=1)
    equal(moment(run.request["to"]), expected, "the moment")
    told = bus.of(run.id, "Started", "Plan Ready")
    plan = told["Plan Ready"]["plan"]
    equal((plan["strategy"], plan["dryRun"], told["Plan Ready"]["state"]), ("restore", True, "Planned"), "what is told")
    holds(plan["willDo"], "what it will do")

    for _ in range(2):
        again = bus.call(event)
        equal(
            (again["executionArn"], again["startedBefore"]), (run.arn, True), "the answer to the event that came again"
        )
    bus.deliver(event)
    other = Begun(stack, bus.ask(request)["id"])
    holds(other.id != run.id, "another event is another recovery")
    other.wait()
    equal((named(stack, run.id), named(stack, other.id)), (1, 1), "executions of those names")


@test("an event that can be no recovery starts nothing, and is kept where an alarm watches")
def kept(stack):
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
    equal(letter["requestPayload"], event, "the event that is kept")
    equal(letter["responsePayload"]["errorType"], "InvalidRequest", "the error that is kept with it")
    contains(letter["responsePayload"]["errorMessage"], f'`to` is "{mark}"', "`keepSource`", "nothing was")
    equal(named(stack, f"event-{event['id']}"), 0, "executions")
    alarms = stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
    queue = stack.outputs["DeadLettersUrl"].rsplit("/", 1)[1]
    watching = [a for a in alarms if {"Name": "QueueName", "Value": queue} in a.get("Dimensions", [])]
    equal(
        [(a["MetricName"], a["Threshold"], a["AlarmActions"]) for a in watching],
        [("ApproximateNumberOfMessagesVisible", 1.0, [stack.outputs["PagesTopicArn"]])],
        "the alarm on the queue",
    )


def alarm_event(stack, name, description, moments, threshold=10.0):
    """An alarm of that description goes to ALARM by its metric: the event that CloudWatch sends, shaped like SAMPLE."""
    watch = stack.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=name, AlarmDescription=description, Namespace="e2e", MetricName=name, Statistic="Minimum", Period=60,
        EvaluationPeriods=2, Threshold=threshold, ComparisonOperator="LessThanThreshold",
    )  # fmt: skip
    on_success(lambda: watch.delete_alarms(AlarmNames=[name]))
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


@test("an alarm that names a cluster proposes a recovery to before its first bad datapoint, and a person decides")
def alarmed(stack):
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
    equal(refusal.get("ErrorCode"), "NotAuthorizedForSourceException", "what a forged alarm gets")
    equal(bus.rule_matches("AlarmRule", event), True, "whether the rule lets the alarm through")
    bus.deliver(event)
    run = Begun(stack, event["id"])
    equal(moment(run.request["to"]), bad - datetime.timedelta(seconds=1), "the moment")
    equal(run.request["approval"], "required", "whether a person is asked, whatever the alarm says")
    token = run.approval()["taskToken"]
    run.decide("rejected", comment="a false alarm")
    path = START + REWIND + ASK + ["IsApprovalToConfirm", *DECIDED] + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    run.failed(path, "NotApproved", "a false alarm")
    told = bus.of(run.id, "Started", "Plan Ready", "Approval Requested", "Nothing Changed")
    equal(told["Nothing Changed"]["error"], "NotApproved", "the error that is told")
    contains(told["Nothing Changed"]["cause"], "a false alarm")
    wanted = told["Approval Requested"]
    equal((wanted["passed"], wanted["newCluster"]), (True, f"{cluster.name}-r"), "what is told of the approval")
    holds(token not in json.dumps(told), "a task token is in an event")


@test("an alarm that names no cluster starts nothing; AWS's own sample does, with a description that names one")
@in_turn
def sampled(stack):
    bus = Bus(stack)
    equal(bus.rule_matches("AlarmRule", SAMPLE), False, "whether the rule lets an alarm through that names no cluster")
    event = described(SAMPLE | {"id": f"sample-{time.time_ns()}"}, f"aurora-rewind: {SEEDED} 2m")
    equal(bus.rule_matches("AlarmRule", event), True, "whether the rule lets it through with a cluster")
    calm = event["detail"] | {"state": event["detail"]["previousState"]}
    equal(bus.rule_matches("AlarmRule", event | {"detail": calm}), False, "whether the rule lets an OK through")
    bus.deliver(event)
    run = Begun(stack, event["id"])
    equal(run.request, {"cluster": SEEDED, "to": "2019-10-02T16:57:00Z", "approval": "required"}, "the request")
    ended = run.wait()
    equal(ended.get("error"), "OutsideWindow", "the error")
    contains(ended["cause"], "2019-10-02T16:57:00Z is before the earliest restorable time", "nothing was changed")
