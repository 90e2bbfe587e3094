"""The paths of the machine that opens what a recovery left behind: what is refused, what is open until its time is over, and what is closed
whatever fails.
"""

import json
import time

import stopped
import undo
from execution import LONGEST, entered, execute, problems_of_calls, problems_of_end
from scenario import OPEN, STOPPED, UNDO, Scenario, always, attempts, slug

READ = ["Begin", "ReadRecovery", "IsOpenable"]
UNDER_LEASE = [*READ, "AcquireLease", *READ[1:]]
DONE = ["IsLeaseTaken", "IsDone"]
RELEASED = ["IsLeaseTaken", "ReleaseLease", "IsDone"]
NOT_OPENED = ["ConcludeNotOpened", "NotOpened"]
REFUSED = [*READ, *DONE, *NOT_OPENED]
HELD = [*READ, "AcquireLease", "ReadLease", "IsLeaseWaitedFor", *DONE, *NOT_OPENED]
REFUSED_UNDER_LEASE = [*UNDER_LEASE, *RELEASED, *NOT_OPENED]
OPENED = [*UNDER_LEASE, "RecordOpening", "OpenSource", "IsAddressAdmitted", "ReadRules", "IsAddressTaken", "AdmitAddress", "RecordOpened", "AnnounceOpened"]
CLOSED = ["CloseSource", "IsGroupOurs", "ReadLeftRules", "IsAddressLeft", "RevokeAddress", "IsAddressLeft", "RecordClosed", "AnnounceClosed", *RELEASED]
# The address was not admitted.
NOTHING_LEFT = [state for state in CLOSED if state != "RevokeAddress"]
NOTHING_LEFT.remove("IsAddressLeft")
WAITED = ["ReleaseLeaseOpened", "WaitUntilOver", *READ[1:]]
OVER = [*WAITED, "AcquireLease", *READ[1:], *CLOSED, "Closed"]
SUCCESS = [*OPENED, *OVER]
NEEDS_OPERATOR = ["ConcludeNeedsOperator", "AnnounceFailure", *RELEASED, "NeedsOperator"]
# Step Functions carries 256 KiB, and DynamoDB keeps 400 KB.
LONG = "x" * 250_000
LARGE = {"request": "x" * 270_000}
TABLE, EC2, EVENTS = "DynamoDB.AmazonDynamoDBException", "Ec2.Ec2Exception", "EventBridge.EventBridgeException"


def run(deployment, scenario):
    """Runs it for a recovery whose item is as the scenario says; answers what is wrong."""
    recovery = slug(scenario.name)
    cluster, table = f"cluster-of-{recovery}", deployment.client("dynamodb")
    # An address of its own: one rule of a security group admits an address once.
    address = scenario.request["given"].get("from", f"2001:db8::{abs(hash(recovery)) % 65_536:x}")
    if scenario.request["item"] is not None:
        fields = item_of(recovery) | scenario.request["item"]
        table.put_item(TableName=deployment.table, Item={name: {"S": value} for name, value in fields.items() if value is not None})
    if scenario.held:
        lease = {
            "id": {"S": f"lease#{cluster}"}, "recoveryId": {"S": "another" if scenario.held is True else scenario.held},
            "executionArn": {"S": "arn:of:another"}, "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": str(int(time.time()) + 3600)},
        }  # fmt: skip
        table.put_item(TableName=deployment.table, Item=lease)
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps(scenario.script))
    given = {"recovery": recovery, "by": "ana", "from": address, "seconds": 60} | scenario.request["given"]
    ended = execute(deployment, scenario, recovery, given)
    yield from problems_of_end(deployment, scenario, ended)
    yield from problems_of_calls(deployment, scenario, recovery)
    yield from problems_of_table(deployment, scenario, recovery, cluster)
    rules = deployment.client("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [deployment.known["group"]]}])
    left = [rule for rule in rules["SecurityGroupRules"] if rule.get("Description") == recovery]
    if bool(left) != scenario.request["left"]:
        yield f"the security group admits {left}"


def item_of(recovery):
    """The item of a recovery that left a fenced source behind."""
    cluster = f"cluster-of-{recovery}"
    plan = {"recoveryId": recovery, "cluster": cluster, "newCluster": f"{cluster}-rewind", "strategy": "restore", "approval": "none"}
    return {
        "id": f"recovery#{recovery}", "recoveryId": recovery, "executionArn": f"arn:of:{recovery}", "startedAt": "2026-11-23T10:35:00Z",
        "state": "Recovered", "cluster": cluster, "plan": json.dumps(plan),
    }  # fmt: skip


def read_as(name, *openings):
    """What the readings of the item answer, each with the opening of that id, or without one."""
    fields = {name: {"S": value} for name, value in item_of(slug(f"open: {name}")).items()}
    return [{"Item": fields | ({"opening": {"S": opening(of)}} if of else {})} for of in openings]


def problems_of_table(deployment, scenario, recovery, cluster):
    if scenario.held is False and deployment.item(f"lease#{cluster}"):
        yield "the lease is left"
    if scenario.request["item"] is None:
        return
    item = deployment.item(f"recovery#{recovery}")
    if ("opening" in item) != scenario.request["open"]:
        yield f"by its record it is {'open' if 'opening' in item else 'closed'}"
    last = json.loads(item["lastOpening"]["S"]) if "lastOpening" in item else None
    if scenario.path == SUCCESS and (last or {}).get("closedBy") != "its time":
        yield f"the last opening is {last}"
    # Whatever the input holds, the item can be read by all machines.
    given = scenario.request["given"]
    name = (last or {}).get("closedBy" if given.get("close") else "by")
    if "by" in given and name != given["by"][:200]:
        yield f"the name in the item is {name}"


def scenario(name, path, *rest, item=(), given=None, open=False, left=False, **more):
    request = {"item": None if item is None else dict(item), "given": given or {}, "open": open, "left": left}
    return Scenario(f"open: {name}", path, *rest, request=request, machine=OPEN, **more)


def opening(recovery):
    fields = {"id": recovery, "by": "ben", "from": "203.0.113.9", "until": "2026-11-23T13:00:00Z"}
    return json.dumps(fields, separators=(",", ":"))  # as $string writes it


def scenarios():
    yield scenario("until its time is over", SUCCESS, calls={"OpenSource": 1, "CloseSource": 1})
    yield scenario("by somebody with a name of the longest", SUCCESS, given={"by": LONG, "database": "x" * 64})
    # A request is of any size, and a record of another version may be: neither is read.
    yield scenario("of an item that is larger than a machine reads", SUCCESS, item=LARGE)
    yield from refused()
    yield from failing()
    yield from closing()


def refused():
    no = ("InvalidRequest", ["nobody was let in"])
    yield scenario("no recovery", REFUSED, *no, item=None)
    yield scenario("a recovery without a plan", REFUSED, *no, item={"plan": None})
    for state in ["Running", "NothingChanged", "RolledBack", "Undone", "NeedsOperator"]:
        yield scenario(f"what is {state}", REFUSED, "InvalidRequest", [f"it is {state}", "nobody was let in"], item={"state": state})
    yield scenario("what is being deleted", REFUSED, "InvalidRequest", ["being deleted"], item={"cleanUp": "{}"})
    other = {"opening": opening("another")}
    yield scenario("what is open already", REFUSED, "InvalidRequest", ["for ben from 203.0.113.9", "--close"], item=other, open=True)
    for what, given in [
        ("a range", {"from": "203.0.113.0/24"}), ("no address", {"from": "laptop"}), ("two lines", {"from": "203.0.113.7\n"}),
        ("less than a minute", {"seconds": 59}), ("more than 8 hours", {"seconds": 28_801}), ("parts of a second", {"seconds": 60.5}),
    ]:  # fmt: skip
        yield scenario(f"for {what}", REFUSED, *no, given=given)
    yield scenario("while another works there", HELD, "LeaseHeld", ["another holds lease#cluster-of-open--while-another-works-there since", "nothing was changed"], held=True)
    yield scenario("while the clean-up works there", HELD, "LeaseHeld", ["the clean-up holds lease#", "nothing was changed"], held="clean-up-hourly")
    unread = {"ReadLease": TABLE}
    yield scenario("while nobody sees who works there", HELD, "LeaseHeld", ["another execution works on", "nothing was changed"], held=True, mocked=unread)
    for what, given in [("a name that is no database's", {"database": "x" * 65}), ("no name", {"database": ""}), ("a long name", {"database": LONG})]:
        yield scenario(f"for {what}", REFUSED, "InvalidRequest", ["no database has such a name", "nobody was let in"], given=given)
    yield scenario("a long text for the recovery", REFUSED, *no, item=None, given={"recovery": LONG})
    yield scenario("a long text for the address", REFUSED, *no, given={"from": "1" * len(LONG)})
    at, taken = OPENED.index("AdmitAddress"), [{"SecurityGroupRules": [{"FromPort": 5432, "CidrIpv4": "203.0.113.77/32"}]}]
    yield scenario(
        "from an address that another opening has", [*OPENED[:at], *NOTHING_LEFT, *NOT_OPENED], "InvalidRequest", ["203.0.113.77 is admitted to another cluster"],
        given={"from": "203.0.113.77"}, mocked={"ReadRules": taken}, calls={"CloseSource": 1},
    )  # fmt: skip
    condition = {"RecordOpening": "DynamoDB.ConditionalCheckFailedException"}
    yield scenario("changed before it is recorded", [*UNDER_LEASE, "RecordOpening", *RELEASED, *NOT_OPENED], *no, mocked=condition)


def failing():
    """Each state throws in turn: whatever was opened is closed."""
    yield scenario("ReadRecovery throws", ["Begin", "ReadRecovery", "IsLeaseWaitedFor", *DONE, *NOT_OPENED], "Unavailable", mocked={"ReadRecovery": TABLE})
    yield scenario("AcquireLease throws", [*READ, "AcquireLease", "IsLeaseWaitedFor", *DONE, *NOT_OPENED], "Unavailable", mocked={"AcquireLease": TABLE})
    yield scenario("RecordOpening throws", [*UNDER_LEASE, "RecordOpening", *RELEASED, *NOT_OPENED], "Unavailable", mocked={"RecordOpening": TABLE})
    for state, error, closed in [
        ("ReadRules", EC2, NOTHING_LEFT), ("AdmitAddress", EC2, NOTHING_LEFT), ("RecordOpened", TABLE, CLOSED), ("AnnounceOpened", EVENTS, CLOSED),
    ]:  # fmt: skip
        path = [*OPENED[: OPENED.index(state) + 1], *closed, *NOT_OPENED]
        yield scenario(f"{state} throws", path, "Unavailable", mocked={state: error}, calls={"CloseSource": 1})
    up_to = OPENED[: OPENED.index("OpenSource") + 1]
    for error in ["InvalidRequest", "RewindFailed", "Unavailable", "Bug"]:
        script = {"OpenSource": always(error, "it is so")}
        yield scenario(f"OpenSource fails by {error}", [*up_to, *NOTHING_LEFT, *NOT_OPENED], error, ["it is so"], script=script, calls={"CloseSource": 1})
    script = {"OpenSource": always("RewindFailed"), "CloseSource": always("RewindFailed", "no way")}
    cause = ["could not be closed: no way", "before that: it is so", "--close"]
    yield scenario("neither opened nor closed", [*up_to, "CloseSource", *NEEDS_OPERATOR], "RewindFailed", cause, script=script, open=True)
    # It opens, and what closes it fails.
    at_close = [*OPENED, *WAITED, "AcquireLease", *READ[1:]]
    script = {"CloseSource": always("RewindFailed", "no way")}
    yield scenario("not closed", [*at_close, "CloseSource", *NEEDS_OPERATOR], "Unavailable", ["no way"], script=script, open=True, left=True)
    tolerated = {"ReleaseLeaseOpened": TABLE, "AnnounceClosed": EVENTS}
    for state, error in tolerated.items():
        yield scenario(f"{state} throws", SUCCESS, mocked={state: error}, held=None)
    yield scenario("ReleaseLease throws", SUCCESS, mocked={"ReleaseLease": TABLE}, held=None)
    for state, error, left in [("ReadLeftRules", EC2, True), ("RevokeAddress", EC2, True), ("RecordClosed", TABLE, False)]:
        path = [*at_close, *CLOSED[: CLOSED.index(state) + 1], *NEEDS_OPERATOR]
        yield scenario(f"{state} throws", path, "Unavailable", ["--close"], mocked={state: error}, open=True, left=left)
    script = {"CloseSource": always("RewindFailed", "no way")}
    yield scenario("AnnounceFailure throws", [*at_close, "CloseSource", *NEEDS_OPERATOR], "Unavailable", ["no way"], script=script, mocked={"AnnounceFailure": EVENTS}, open=True, left=True)


def closing():
    close = {"close": True}
    closed = [*UNDER_LEASE, *NOTHING_LEFT, "Closed"]
    yield scenario("closed by hand", closed, item={"opening": opening("another")}, given=close, calls={"OpenSource": 0, "CloseSource": 1})
    yield scenario("closed by hand after an undo", closed, item={"opening": opening("another"), "state": "Undone"}, given=close)
    yield scenario("closed by hand by somebody with a name of the longest", closed, item={"opening": opening("another")}, given=close | {"by": LONG})
    yield scenario("closed by hand in an item that is larger than a machine reads", closed, item={"opening": opening("another")} | LARGE, given=close)
    yield scenario("closed already", [*READ, *DONE, "Closed"], given=close, calls={"CloseSource": 0})
    yield scenario("closed by hand while another works there", HELD, "LeaseHeld", item={"opening": opening("another")}, given=close, held=True, open=True)
    n = attempts("CloseSource", "Unavailable", "open.asl.json")
    away = [{"error": ["Unavailable", "away"]}] * 3
    assert 4 < n < 20, "a close waits for minutes, for it holds the lease"
    yield scenario("closed after a while", closed, item={"opening": opening("another")}, given=close, script={"CloseSource": away}, calls={"CloseSource": 4})
    yield from over()


def over():
    """Its time is over, and somebody else has the item or the lease."""
    left = [*OPENED, *WAITED, "ReadLeftRules", "IsAddressLeft", "RevokeAddress", "IsAddressLeft", "Closed"]
    name = "closed meanwhile, and opened again by another: its own rule goes"
    yield scenario(name, left, mocked={"ReadRecovery": read_as(name, None, None, "another")}, calls={"CloseSource": 0}, open=True)
    held = [*OPENED, *WAITED, "AcquireLease", "ReadLease", "IsLeaseWaitedFor"]
    refused = ("DynamoDB.ConditionalCheckFailedException", "told to")
    waited = [*held, "WaitForLease", *READ[1:], "AcquireLease", *READ[1:], *CLOSED, "Closed"]
    yield scenario("over while another works there", waited, mocked={"AcquireLease": [{}, refused, {}]}, held=None)
    name = "over for hours while another works there"
    never = [*held, "ConcludeNeedsOperator", "AnnounceFailure", *DONE, "NeedsOperator"]
    mocked = {"AcquireLease": [{}, refused], "ReadRecovery": read_as(name, None, None, slug(f"open: {name}"))}
    yield scenario(name, never, "LeaseHeld", ["could not be closed", "--close"], mocked=mocked, held=None, open=True, left=True)


def run_stopped(deployment, then):
    """Stops an opening whose function is at work, has that found, and closes or undoes; answers what is wrong."""
    recovery = f"an-opening-is-stopped-then-{then}"
    name, lease = f"{recovery}-open", f"lease#{undo.cluster(recovery)}"
    states = deployment.client("stepfunctions")
    deployment.client("dynamodb").put_item(TableName=deployment.table, Item=undo.item(recovery))
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps({"OpenSource": [{"seconds": 3}]}))
    given = {"recovery": recovery, "by": "ana", "from": "203.0.113.88", "seconds": 60}
    arn = states.start_execution(stateMachineArn=deployment.arns[OPEN], name=name, input=json.dumps(given))["executionArn"]
    deadline = time.monotonic() + LONGEST
    while "OpenSource" not in [call["call"] for call in deployment.calls_of(recovery)]:
        assert time.monotonic() < deadline, f"it never opened: {entered(deployment, arn)}"
        time.sleep(0.2)
    states.stop_execution(executionArn=arn)

    def runs(machine, name, given, path, *rest):
        scenario = Scenario(name, path, *rest, machine=machine)
        yield from problems_of_end(deployment, scenario, execute(deployment, scenario, name, given))

    of_undo, of_close = {"recovery": recovery, "by": "ana"}, {"recovery": recovery, "by": "ana", "close": True}
    # Until it is found, its lease keeps both out, an undo after a quarter of an hour, and who holds it is told.
    waits = ["WaitForLease", "IsSourceLeaseTaken", *undo.READ[1:], "AcquireLease", *undo.HELD] * undo.WAITS
    kept_out = [*undo.up_to("AcquireLease", undo.SUCCESS), *undo.HELD, *waits, *undo.REFUSED]
    yield from runs(UNDO, f"{recovery}-undo", of_undo, kept_out, "LeaseHeld", [f"{name} holds {lease} since"])
    yield from runs(OPEN, f"{recovery}-close", of_close, HELD, "LeaseHeld", [f"{name} holds {lease} since"])
    found = stopped.event_of_opening(deployment, name, arn, given)
    yield from runs(STOPPED, f"{recovery}-found", found, stopped.LEFT_OPEN, "OutcomeUnknown", [f"next step: rewind open {recovery} --close"])
    under_lease = len([*undo.READ, *undo.OVER_BY_NOW, *undo.UNDER_LEASE])
    closing = ["CloseSource", "IsOpenGroupOurs", "ReadOpenRules", "IsOpenRuleLeft", "RecordSourceClosed", "IsUndoable"]
    if then == "close":
        yield from runs(OPEN, f"{recovery}-close2", of_close, [*UNDER_LEASE, *NOTHING_LEFT, "Closed"])
        closing = []
    yield from runs(UNDO, f"{recovery}-undo2", of_undo, [*undo.SUCCESS[:under_lease], *closing, *undo.SUCCESS[under_lease:]])
    item = deployment.item(f"recovery#{recovery}")
    if item["state"]["S"] != "Undone" or "opening" in item or deployment.item(lease):
        yield f"it ended as {item}, with the lease {deployment.item(lease)}"
