"""The account's default event bus, on which recoveries are requested, and the stack's own, on which they send events."""

import json
import time

from checks import wait_until
from queues import Queue
from recovery import Recovery, moment

# What docs/events.md promises of all of them.
ALWAYS = {"recoveryId", "executionArn", "cluster", "state", "at"}


class Bus:
    """Both buses, with a listener who takes everything of ours."""

    def __init__(self, stack):
        self.stack, self.events, self.lambda_ = stack, stack.client("events"), stack.client("lambda")
        self.starter = stack.function("StartRecovery")["FunctionName"]
        name = f"e2e-{time.time_ns()}"
        self.queue = Queue.create(stack, "events.amazonaws.com")
        for bus in ["default", stack.outputs["EventBusName"]]:
            on = {"EventBusName": bus}
            self.events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aurora-rewind"]}), **on)
            self.events.put_targets(Rule=name, Targets=[{"Id": "listener", "Arn": self.queue.arn}], **on)
            stack.on_success(lambda on=on: self.events.delete_rule(Name=name, **on))
            stack.on_success(lambda on=on: self.events.remove_targets(Rule=name, Ids=["listener"], **on))
        self.seen = []

    def ask(self, request):
        """Puts a request on the bus; answers the event as the bus delivers it."""
        entry = {"Source": "aurora-rewind", "DetailType": "Rewind Requested", "Detail": json.dumps(request)}
        put = self.events.put_events(Entries=[entry])
        assert put["FailedEntryCount"] == 0, f"whether the bus refused the event: {put}"
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
        assert sorted(e["detail-type"] for e in found) == sorted(f"Rewind {kind}" for kind in kinds), "the events"
        for event in found:
            assert ALWAYS <= event["detail"].keys(), f"{event} lacks what docs/events.md promises of all"
            moment(event["detail"]["at"])
        return {e["detail-type"].removeprefix("Rewind "): e["detail"] for e in found}

    def call(self, event):
        """Delivers an event to the function, and waits for its answer."""
        answer = self.lambda_.invoke(FunctionName=self.starter, Payload=json.dumps(event))
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, f"an error of the function: {said}"
        return said

    def deliver(self, event):
        """Delivers an event to the function as the bus does: without waiting, with retries and dead letters."""
        self.lambda_.invoke(FunctionName=self.starter, Payload=json.dumps(event), InvocationType="Event")

    def rule_matches(self, rule, event, target=None):
        """Whether the deployed rule of that name lets an event through to its target: the function, unless another is given."""
        found = [r for r in self.events.list_rules()["Rules"] if f"-{rule}-" in r["Name"]]
        assert [r["State"] for r in found] == ["ENABLED"], f"the rules that are called {rule}"
        targets = self.events.list_targets_by_rule(Rule=found[0]["Name"])["Targets"]
        assert [t["Arn"].split(":")[-1] for t in targets] == [target or self.starter], f"the targets of {rule}"
        pattern = found[0]["EventPattern"]
        return self.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]


class Requested(Recovery):
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


def executions_named(stack, name):
    """How many executions have a name."""
    pages = stack.states.get_paginator("list_executions").paginate(stateMachineArn=stack.machine)
    return [e["name"] for page in pages for e in page["executions"]].count(name)
