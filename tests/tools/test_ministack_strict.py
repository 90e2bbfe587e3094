"""Holds local/tools/ministack_strict.py to what it is for: each thing that AWS refuses is refused, ministack alone takes it, and
what is just within the limit passes.

Runs in the environment of local/tools/ministack.txt, and never leaves the machine. A check that ministack has come to make itself
fails a test: it can be taken out of the strict one.
"""

import functools
import json
import logging
import os
import re
import threading
import time

import pytest

os.environ["SFN_WAIT_SCALE"] = "0"  # read when ministack is imported
import ministack_strict  # noqa: E402
from ministack.services import dynamodb, ec2, eventbridge, lambda_svc, sns, stepfunctions  # noqa: E402

ROLE = "arn:aws:iam::000000000000:role/strict"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
KIB = 1024
names = iter(range(10_000))
resources = {}  # the ARN of each that `prepare` makes


def machine(states: dict, **more) -> dict:
    return {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states} | more


def create(definition) -> str:
    """Answers the ARN, or the code of the refusal."""
    text = definition if isinstance(definition, str) else json.dumps(definition)
    status, _, body = stepfunctions._create_state_machine({"name": f"m{next(names)}", "definition": text, "roleArn": ROLE})
    answer = json.loads(body)
    return answer["stateMachineArn"] if status == 200 else answer["__type"].rsplit("#")[-1]


def start(arn: str, name=None, given="{}"):
    status, _, body = stepfunctions._start_execution({"stateMachineArn": arn, "name": name or f"e{next(names)}", "input": given})
    answer = json.loads(body)
    return answer["executionArn"] if status == 200 else answer["__type"].rsplit("#")[-1]


def run(states: dict, given=None) -> str:
    """How an execution ends: SUCCEEDED, or the name of its error."""
    execution = start(create(machine(states)), given=json.dumps(given or {}))
    deadline = time.monotonic() + 60
    while (found := stepfunctions._executions[execution])["status"] == "RUNNING":
        if time.monotonic() > deadline:
            return "it did not end"
        time.sleep(0.01)
    return found.get("error") or found["status"]


def passing(**fields) -> dict:
    return {"One": {"Type": "Pass", "End": True} | fields}


def text(size: int) -> str:
    """An expression for a text of so many bytes as JSON."""
    return f"{{% $pad('', {size - 2}, 'x') %}}"


def assigns(count: int) -> dict:
    """As many states, of which each sets 250 KiB more."""
    states = {f"S{n}": {"Type": "Pass", "Output": {}, "Assign": {f"v{n}": text(250 * KIB)}, "Next": f"S{n + 1}"} for n in range(count)}
    return states | {f"S{count}": {"Type": "Succeed"}}


def loop(times: int) -> dict:
    """So many rounds of two events each, and three in the end beside the first."""
    return {
        "Begin": {"Type": "Pass", "Assign": {"n": 0}, "Next": "Round"},
        "Round": {"Type": "Choice", "Choices": [{"Condition": f"{{% $n < {times} %}}", "Assign": {"n": "{% $n + 1 %}"}, "Next": "Round"}], "Default": "End"},
        "End": {"Type": "Succeed"},
    }


def task(resource="arn:aws:states:::dynamodb:getItem", arguments=None, **fields) -> dict:
    return {"Call": {"Type": "Task", "Resource": resource, "Arguments": arguments or {}, "End": True} | fields}


def caught(errors: list[str], fails: dict, **catch) -> dict:
    return task(**fails, Catch=[{"ErrorEquals": errors, "Next": "Caught"} | catch]) | {"Caught": {"Type": "Succeed"}}


def large_task() -> dict:
    return {"arguments": {"TableName": text(300 * KIB)}}


def put_item(size: int) -> str:
    status, _, body = dynamodb._put_item({"TableName": "strict", "Item": {"id": {"S": "k"}, "data": {"S": "x" * (size - 7)}}})
    return "taken" if status == 200 else json.loads(body)["__type"].rsplit("#")[-1]


def publish(subject, message="m") -> str:
    status, _, body = sns._publish({"TopicArn": resources["topic"], "Subject": subject, "Message": message})
    return "taken" if status == 200 else "InvalidParameter" if b"InvalidParameter" in body else str(body)


def put_events(*entries) -> str:
    full = [{"Source": "s", "DetailType": "t", "Detail": "{}"} | entry for entry in entries]
    status, _, body = eventbridge._put_events({"Entries": full})
    return "taken" if status == 200 else json.loads(body)["__type"].rsplit("#")[-1]


def answer_token(**given) -> str:
    stepfunctions._task_tokens["a-token"] = {"event": threading.Event(), "result": None, "error": None}
    send = stepfunctions._send_task_failure if "cause" in given or "error" in given else stepfunctions._send_task_success
    status, _, body = send({"taskToken": "a-token"} | given)
    return "taken" if status == 200 else json.loads(body)["__type"].rsplit("#")[-1]


def tag(kind: str, count: int) -> str:
    """Tags a resource as often as is said, one call after the other."""
    for n in range(count):
        if kind == "topic":
            status, _, body = sns._tag_resource({"ResourceArn": resources["topic"], "Tags.member.1.Key": f"k{n}", "Tags.member.1.Value": "v"})
        elif kind == "table":
            arn = "arn:aws:dynamodb:us-east-1:000000000000:table/strict"
            status, _, body = dynamodb._tag_resource({"ResourceArn": arn, "Tags": [{"Key": f"k{n}", "Value": "v"}]})
        elif kind == "function":
            arn = "arn:aws:lambda:us-east-1:000000000000:function:strict"
            status, _, body = lambda_svc._tag_resource(arn, {"Tags": {f"k{n}": "v"}})
        elif kind == "bus":
            status, _, body = eventbridge._tag_resource({"ResourceARN": BUS, "Tags": [{"Key": f"k{n}", "Value": "v"}]})
        else:
            status, _, body = stepfunctions._tag_resource({"resourceArn": resources["machine"], "tags": [{"key": f"k{n}", "value": "v"}]})
        if status >= 400:
            return f"refused at {n}" if n == 50 else str(body)
    return "taken"


def taken(answer: str) -> str:
    return "taken" if answer.startswith("arn:") else answer


def detail(size: int) -> dict:
    return {"Detail": json.dumps({"a": "x" * (size - 9 - 2)})}


OK = "SUCCEEDED"
DATA, QUERY, RUNTIME = "States.DataLimitExceeded", "States.QueryEvaluationError", "States.Runtime"
LIMIT = 256 * KIB
KNOWN = {"Type": "Pass", "End": True}

# What AWS refuses: what it is about, what AWS says, what is tried.
REFUSED = {
    "a state's output": (DATA, lambda: run(passing(Output=text(LIMIT + 1)))),
    "what a state passes on": (DATA, lambda: run(task(**large_task()))),
    "a result": (DATA, lambda: put_item(300 * KIB) and run(task(arguments={"TableName": "strict", "Key": {"id": {"S": "k"}}}, Output={}))),
    "a variable": (DATA, lambda: run(passing(Assign={"a": text(LIMIT + 1)}, Output={}))),
    "one Assign": (DATA, lambda: run(passing(Assign={"a": text(130 * KIB), "b": text(130 * KIB)}, Output={}))),
    "all variables": (DATA, lambda: run(assigns(42))),
    "Assign that reads what it sets": (QUERY, lambda: run(passing(Assign={"a": 1, "b": "{% $a %}"}))),
    "States.ALL and DataLimitExceeded": (DATA, lambda: run(caught(["States.ALL"], large_task()))),
    "States.TaskFailed and DataLimitExceeded": (DATA, lambda: run(caught(["States.TaskFailed"], large_task()))),
    "States.ALL and Runtime": (RUNTIME, lambda: run(caught(["States.ALL"], {"resource": "arn:aws:states:::nothing:here"}))),
    "a condition that is a text": (QUERY, lambda: run({"C": {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "One"}]}, "One": KNOWN})),
    "a condition that is a number": (QUERY, lambda: run({"C": {"Type": "Choice", "Choices": [{"Condition": "{% 0 %}", "Next": "One"}], "Default": "One"}, "One": KNOWN})),
    "the interpreter's own context": (QUERY, lambda: run(passing(Assign={"a": "{% $states.context.variables %}"}))),
    "a result where there is none": (QUERY, lambda: run(passing(Output="{% $states.result %}"))),
    "$eval": ("InvalidDefinition", lambda: taken(create(machine(passing(Output="{% $eval('1') %}"))))),
    "a function for a value": (QUERY, lambda: run(passing(Output="{% function($x) { $x } %}"))),
    "a token where nothing waits for it": (QUERY, lambda: run(after_token())),
    "a Wait": (QUERY, lambda: run({"W": {"Type": "Wait", "Seconds": "{% 100000000 %}", "End": True}})),
    "a Wait's number": ("InvalidDefinition", lambda: taken(create(machine({"W": {"Type": "Wait", "Seconds": 100_000_000, "End": True}})))),
    "a timeout": ("InvalidDefinition", lambda: taken(create(machine(task(TimeoutSeconds=100_000_000))))),
    "a timeout of 0": ("InvalidDefinition", lambda: taken(create(machine(task(TimeoutSeconds=0))))),
    "the machine's timeout": ("InvalidDefinition", lambda: taken(create(machine(passing(), TimeoutSeconds=100_000_000)))),
    "a heartbeat longer than the timeout": ("InvalidDefinition", lambda: taken(create(machine(task(TimeoutSeconds=10, HeartbeatSeconds=10))))),
    "a retry's interval": ("InvalidDefinition", lambda: taken(create(machine(task(Retry=[{"ErrorEquals": ["A"], "IntervalSeconds": 0}]))))),
    "a retry's backoff": ("InvalidDefinition", lambda: taken(create(machine(task(Retry=[{"ErrorEquals": ["A"], "BackoffRate": 0.5}]))))),
    "a retry's longest delay": ("InvalidDefinition", lambda: taken(create(machine(task(Retry=[{"ErrorEquals": ["A"], "IntervalSeconds": 9, "MaxDelaySeconds": 9}]))))),
    "a state that leads nowhere": ("InvalidDefinition", lambda: taken(create(machine({"One": {"Type": "Pass", "Next": "Two"}})))),
    "a state without an end": ("InvalidDefinition", lambda: taken(create(machine({"One": {"Type": "Pass"}})))),
    "a definition that is no JSON": ("InvalidDefinition", lambda: taken(create("{"))),
    "a definition by which another is replaced": ("InvalidDefinition", lambda: update(machine({"One": {"Type": "Pass"}}))),
    "a definition": ("InvalidDefinition", lambda: taken(create(machine(passing(Comment="x" * 1024 * KIB))))),
    "a variable's name": ("InvalidDefinition", lambda: taken(create(machine(passing(Assign={"x" * 81: 1}))))),
    "the events of an execution": (RUNTIME, lambda: run(loop(12_497))),
    "an Error": (RUNTIME, lambda: run({"F": {"Type": "Fail", "Error": text(259), "Cause": "c"}})),
    "a Cause": (RUNTIME, lambda: run({"F": {"Type": "Fail", "Error": "E", "Cause": text(32_771)}})),
    "an execution's name": ("InvalidName", lambda: taken(start(create(machine(passing())), "x" * 81))),
    "an execution's name with a space": ("InvalidName", lambda: taken(start(create(machine(passing())), "a b"))),
    "an execution's input": ("InvalidExecutionInput", lambda: taken(start(create(machine(passing(Output={}))), given=json.dumps("x" * 262_143)))),
    "an execution's input that is no JSON": ("InvalidExecutionInput", lambda: taken(start(create(machine(passing())), given="{"))),
    "a token's answer": ("InvalidOutput", lambda: answer_token(output=json.dumps("x" * 262_143))),
    "a token's answer that is no JSON": ("InvalidOutput", lambda: answer_token(output="yes")),
    "a token's error": ("ValidationException", lambda: answer_token(error="x" * 257)),
    "a token's cause": ("ValidationException", lambda: answer_token(cause="x" * 32_769)),
    "a subject": ("InvalidParameter", lambda: publish("x" * 101)),
    "a subject with a line break": ("InvalidParameter", lambda: publish("a\nb")),
    "a subject beyond ASCII": ("InvalidParameter", lambda: publish("größer")),
    **{f"the tags of a {kind}": ("refused at 50", functools.partial(tag, kind, 51)) for kind in ("topic", "table", "function", "bus", "machine")},
    "a function that cannot bring its token": ("Lambda.ResourceNotFoundException", lambda: run(token_task())),
    "an event": ("ValidationException", lambda: put_events(detail(LIMIT))),
    "events together": ("ValidationException", lambda: put_events(detail(200 * KIB), detail(100 * KIB))),
    "an event's detail that is no JSON": ("ValidationException", lambda: put_events({"Detail": "{"})),
}
# What ministack refuses by itself, as of the version in ministack.txt.
REFUSED_BY_MINISTACK = {
    "an expression that yields nothing": (QUERY, lambda: run(passing(Output="{% $states.input.a %}"))),
    "an Error that is no text": (QUERY, lambda: run({"F": {"Type": "Fail", "Error": "{% 5 %}"}})),
    "an item of 400 KB": ("ValidationException", lambda: put_item(400 * KIB + 1)),
    "a message": ("InvalidParameter", lambda: publish("s", "x" * (LIMIT + 1))),
}
# What is just within a limit.
ALLOWED = {
    "a state's output": (OK, lambda: run(passing(Output=text(LIMIT)))),
    "a variable": (OK, lambda: run(passing(Assign={"a": text(LIMIT)}, Output={}))),
    "all variables": (OK, lambda: run(assigns(40))),
    "a Wait": (OK, lambda: run({"W": {"Type": "Wait", "Seconds": "{% 99999999 %}", "End": True}})),
    "a timeout": ("taken", lambda: taken(create(machine(task(TimeoutSeconds=99_999_999))))),
    "the events of an execution": (OK, lambda: run(loop(12_496))),
    "a Cause": ("E", lambda: run({"F": {"Type": "Fail", "Error": "E", "Cause": text(32_770)}})),
    "DataLimitExceeded by its name": (OK, lambda: run(caught([DATA], large_task()))),
    "an error's output": (OK, lambda: run(caught([DATA], large_task(), Assign={"a": "{% $states.errorOutput.Error %}"}))),
    "an execution's name": ("taken", lambda: taken(start(create(machine(passing())), "x" * 80))),
    "an execution's input": ("taken", lambda: taken(start(create(machine(passing(Output={}))), given=json.dumps("x" * 262_142)))),
    "a token's answer": ("taken", lambda: answer_token(output=json.dumps("x" * 262_142))),
    "a token's cause": ("taken", lambda: answer_token(error="x" * 256, cause="x" * 32_768)),
    "an item of 400 KB": ("taken", lambda: put_item(400 * KIB)),
    "a subject": ("taken", lambda: publish("x" * 99)),
    "a message": ("taken", lambda: publish("s", "x" * LIMIT)),
    "an event": ("taken", lambda: put_events(detail(LIMIT - 1))),
}  # fmt: skip


def token_task() -> dict:
    return task("arn:aws:states:::lambda:invoke.waitForTaskToken", {"FunctionName": "nobody", "Payload": "{% $states.context.Task.Token %}"}, TimeoutSeconds=1)


def after_token() -> dict:
    states = token_task() | {"Next": {"Type": "Pass", "Output": "{% $states.context.Task.Token %}", "End": True}}
    states["Call"]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Next"}]
    return states


def update(definition: dict) -> str:
    status, _, body = stepfunctions._update_state_machine({"stateMachineArn": create(machine(passing())), "definition": json.dumps(definition)})
    return "taken" if status == 200 else json.loads(body)["__type"].rsplit("#")[-1]


def prepare() -> None:
    """Makes a resource of each kind, without tags."""
    dynamodb._create_table({
        "TableName": "strict", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    })  # fmt: skip
    body = sns._create_topic({"Name": f"strict{next(names)}"})[2]
    resources["topic"] = (body if isinstance(body, str) else body.decode()).split("<TopicArn>")[1].split("<")[0]
    resources["machine"] = create(machine(passing()))
    lambda_svc._functions["strict"] = {"config": {}}
    dynamodb._tags.pop("arn:aws:dynamodb:us-east-1:000000000000:table/strict", None)
    eventbridge._tags.pop(BUS, None)


@pytest.fixture(scope="module", autouse=True)
def answers_of_ministack_alone():
    """What ministack says of each attempt by itself, all of which are made before it is made strict: there is no way back."""
    logging.getLogger("states").setLevel(logging.CRITICAL)  # it logs each execution that fails
    prepare()
    answers = {name: attempt() for name, (_, attempt) in REFUSED.items()}
    prepare()
    ministack_strict.tighten()
    return answers


@pytest.mark.parametrize("name", REFUSED)
def test_what_aws_refuses_is_taken_by_ministack_alone(answers_of_ministack_alone, name):
    assert answers_of_ministack_alone[name] != REFUSED[name][0], "ministack refuses it by itself"


@pytest.mark.parametrize(("said", "attempt"), REFUSED.values(), ids=REFUSED)
def test_what_aws_refuses_is_refused(said, attempt):
    assert attempt()[:300] == said


@pytest.mark.parametrize(("said", "attempt"), REFUSED_BY_MINISTACK.values(), ids=REFUSED_BY_MINISTACK)
def test_what_ministack_refuses_by_itself_is_refused(said, attempt):
    assert attempt()[:300] == said


@pytest.mark.parametrize(("said", "attempt"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_just_within_the_limit_is_allowed(said, attempt):
    assert attempt()[:300] == said


def test_a_rule_of_a_security_group_is_admitted_once_and_in_force_at_once(tmp_path, monkeypatch):
    file = tmp_path / "security-groups.json"
    file.write_text('{"sg-app": ["127.0.0.0/8"]}')
    monkeypatch.setenv("REWIND_SECURITY_GROUPS", str(file))
    call = lambda action, **params: ec2._ACTION_MAP[action]({name: [value] for name, value in params.items()})
    status, _, body = call("CreateSecurityGroup", GroupName=f"g{next(names)}", GroupDescription="one")
    group = re.search("<groupId>(sg-[0-9a-f]+)</groupId>", body.decode() if isinstance(body, bytes) else body)[1]
    # Before it has a rule: the control plane takes a group that it does not know for one that admits everybody.
    assert (status, json.loads(file.read_text())[group]) == (200, [])
    rule = {
        "GroupId": group, "IpPermissions.1.IpProtocol": "tcp", "IpPermissions.1.FromPort": "5432", "IpPermissions.1.ToPort": "5432",
        "IpPermissions.1.IpRanges.1.CidrIp": "203.0.113.7/32",
    }  # fmt: skip
    assert call("AuthorizeSecurityGroupIngress", **rule)[0] == 200
    rules = json.loads(file.read_text())
    assert (rules[group], rules["sg-app"]) == (["203.0.113.7/32"], ["127.0.0.0/8"])
    assert call("AuthorizeSecurityGroupIngress", **rule)[0] == 400
    assert call("RevokeSecurityGroupIngress", **rule)[0] == 200
    assert json.loads(file.read_text())[group] == []
