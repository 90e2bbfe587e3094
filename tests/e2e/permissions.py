"""What the functions and the state machines may do, against what they do: an action that is taken away is missed, and told
of in words that help; every call of the run was allowed, and every action that a policy allows was called by somebody.

The calls are those that were recorded: functions' by ministack, which decided on each of them, RDS's included; state
machines' by their executions' histories.
"""

import collections
import contextlib
import json
import re
import uuid

from cluster import Cluster
from harness import Failed, contains, equal, holds, note, on_success, test, wait_until
from recovery import (
    CONCLUDE,
    FENCE,
    PUT_BACK,
    REWIND,
    START,
    SWITCH,
    UNDO_FENCE,
    UNDO_INSTANCES,
    UNDO_RESTORE,
    UNDO_SWITCH,
    Recovery,
    up_to,
)
from shop import fill
from undone import Before

STACK = "aurora-rewind"
# What local/tools/deploy.py grants where ministack asks on another resource than AWS does.
GRANTED_LOCALLY = "local-stack"
WITHOUT = "e2e-without-"


# ------------------------------------------------------------------------------------------------- what the template allows


def listed(value):
    return value if isinstance(value, list) else [value]


def roles(stack):
    """The stack's roles: their names by what the template calls them."""
    found = stack.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if r["ResourceType"] == "AWS::IAM::Role"}


def policies(stack, role):
    """The documents of a role's policies: its own, and those of the stack that are attached to it."""
    iam = stack.client("iam")
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        if ":aws:policy/" not in arn:  # AWS's own are what Lambda itself needs: SAM adds them
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
            yield attached["PolicyName"], found["Document"]


def allowed(stack, role):
    """Every action that a role's policies allow; calling a function counts for each function."""
    for name, document in policies(stack, role):
        for statement in listed(document["Statement"]) if name != GRANTED_LOCALLY else []:
            equal(statement["Effect"], "Allow", f"the effect of {statement}")
            for action in listed(statement["Action"]):
                if action == "lambda:InvokeFunction":
                    yield from (f"{action} {on.split(':')[-1]}" for on in listed(statement["Resource"]))
                else:
                    yield action


# ------------------------------------------------------------------------------------------------------- what was called


def decisions(stack):
    file = stack.folder / "run" / "iam-decisions.jsonl"
    if not file.exists():
        raise Failed("this stack does not enforce IAM; next step: make down, then REWIND_STACK_IAM=true make up")
    return [json.loads(line) for line in file.read_text().splitlines()]


def machines(stack):
    return {name: arn for name, arn in stack.outputs.items() if name.endswith("StateMachineArn")}


def histories(stack, machine):
    """The events of every execution of a machine."""
    states = stack.states
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine):
        for execution in page["executions"]:
            pages = states.get_paginator("get_execution_history").paginate(
                executionArn=execution["executionArn"], PaginationConfig={"PageSize": 1000}
            )
            yield [event for events in pages for event in events["events"]]


def native(definition):
    """The actions that a state takes, by the state's name, also of states inside others."""
    found = {}
    for name, state in definition["States"].items():
        for inner in [state.get("ItemProcessor"), *state.get("Branches", [])]:
            found |= native(inner) if inner else {}
        if state["Type"] == "Task":
            service, call = state["Resource"].removesuffix(".waitForTaskToken").split(":")[-2:]
            if service == "lambda":
                found[name] = f"lambda:InvokeFunction {state['Arguments']['FunctionName'].split(':')[-1]}"
            else:
                found[name] = f"{service}:{call[0].upper()}{call[1:]}"
    return found


def called(stack):
    """Who called what: the actions by role."""
    found = collections.defaultdict(set)
    for decision in decisions(stack):
        if ":assumed-role/" in decision["principal"]:
            role, action = decision["principal"].split("/")[1], decision["action"]
            on_function = action == "lambda:InvokeFunction"
            found[role].add(f"{action} {decision['resource'].split(':')[-1]}" if on_function else action)
    for machine in machines(stack).values():
        described = stack.states.describe_state_machine(stateMachineArn=machine)
        role, actions = described["roleArn"].split("/")[-1], native(json.loads(described["definition"]))
        for events in histories(stack, machine):
            for event in events:
                if event["type"] == "TaskStateEntered":
                    found[role].add(actions[event["stateEnteredEventDetails"]["name"]])
    return found


# ---------------------------------------------------------------------------------------------------------- an action less


def copied(stack, stem, name, keeps, adds=(), **variables):
    """The function of the state `stem` under another name, with those actions of its role that `keeps` says yes to, the
    statements of `adds` besides, and these variables; its ARN.
    """
    iam, lambdas, like = stack.client("iam"), stack.client("lambda"), stack.function(stem)
    role = iam.get_role(RoleName=like["Role"].split("/")[-1])["Role"]
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))
    taken = 0
    for policy, document in policies(stack, role["RoleName"]):
        for statement in listed(document["Statement"]):
            actions = listed(statement["Action"])
            statement["Action"] = [one for one in actions if keeps(one)]
            taken += len(actions) - len(statement["Action"])
        document["Statement"] = [one for one in listed(document["Statement"]) if one["Action"]]
        if document["Statement"]:
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    holds(taken, f"the role of {like['FunctionName']} has no action that could be taken away")
    if adds:
        document = {"Version": "2012-10-17", "Statement": list(adds)}
        iam.put_role_policy(RoleName=name, PolicyName="added", PolicyDocument=json.dumps(document))
    folder = re.sub(r"(?<!^)([A-Z])", r"-\1", stem).lower()
    deployed = like.get("Environment", {}).get("Variables", {})
    straight = {name: value for name, value in deployed.items() if not name.startswith("AWS_ENDPOINT_URL_")}
    function = lambdas.create_function(
        FunctionName=name,
        Role=made["Role"]["Arn"],
        Code={"ZipFile": (stack.folder / "deploy/target/lambda" / folder / "bootstrap.zip").read_bytes()},
        Environment={"Variables": straight | variables},
        **{name: like[name] for name in ["Runtime", "Handler", "Timeout", "MemorySize", "LoggingConfig"]},
    )
    on_success(lambda: lambdas.delete_function(FunctionName=name))
    state = lambda: lambdas.get_function_configuration(FunctionName=name)["State"]
    wait_until(lambda: state() == "Active", f"{name} active")
    return function["FunctionArn"]


def machine_with(stack, name, functions):
    """The deployed state machine under another name, with other functions for these states; its ARN."""
    deployed = stack.states.describe_state_machine(stateMachineArn=stack.machine)
    definition = deployed["definition"]
    for stem, arn in functions.items():
        before, definition = definition, definition.replace(stack.function(stem)["FunctionArn"], arn)
        holds(definition != before, f"{stem} is no function of the state machine")
    made = stack.states.create_state_machine(name=name, definition=definition, roleArn=deployed["roleArn"])
    return made["stateMachineArn"]


class Without:
    """The deployed state machine, but for one function; and that one as deployed, but for an action that it may not."""

    def __init__(self, stack, stem, action):
        self.name = f"{WITHOUT}{stem}-{uuid.uuid4().hex[:8]}"
        function = copied(stack, stem, self.name, lambda one: one != action)
        self.machine = machine_with(stack, self.name, {stem: function})


def is_missed(stack, stem, action, path):
    """Without `action`, a recovery goes by `path`, says what is not allowed, and leaves all as it was."""
    decisions(stack)
    cluster = Cluster.create(stack, f"e2e-no-{stem.lower()}")
    fill(cluster)
    before = Before(cluster)
    cluster.settle()
    less = Without(stack, stem, action)
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, "1s ago", machine=less.machine, dns=cluster.dns(), approval="none", checks=[check])
    cause = run.failed(path, "RewindFailed", f"is not authorized to perform: {action}")
    contains(cause, less.name, "allow the caller the action that is named, and start again", f"[RewindFailed in {stem}]")
    before.is_restored()


MOVING = START + REWIND + ["IsApprovalNeeded"]


@test("start-restore without its right to restore: the recovery says which action is missing, and nothing was changed")
def restoring(stack):
    path = up_to("StartRestore", START + REWIND) + UNDO_RESTORE + CONCLUDE
    is_missed(stack, "StartRestore", "rds:RestoreDBClusterToPointInTime", path)


@test("add-instances without the right to tag, which creating with tags takes: told so, and the restored cluster goes")
def tagging(stack):
    path = up_to("AddInstances", START + REWIND) + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    is_missed(stack, "AddInstances", "rds:AddTagsToResource", path)


@test("verify without the right to read the login: told so, and the restored cluster goes")
def reading_the_login(stack):
    path = up_to("Verify", START + REWIND) + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    is_missed(stack, "Verify", "secretsmanager:GetSecretValue", path)


@test("fence-source without the right to record what it changes: told so, nothing is fenced, and the restored cluster goes")
def recording_the_fence(stack):
    path = up_to("FenceSource", MOVING + FENCE) + UNDO_FENCE + UNDO_INSTANCES + CONCLUDE
    is_missed(stack, "FenceSource", "dynamodb:UpdateItem", path)


@test("swap-dns without the right to move records: told so, the fence is lifted, and the restored cluster goes")
def moving_records(stack):
    path = up_to("SwapDns", MOVING + FENCE + SWITCH) + UNDO_SWITCH + UNDO_INSTANCES + CONCLUDE
    is_missed(stack, "SwapDns", "route53:ChangeResourceRecordSets", path)


# ------------------------------------------------------------------------------------------------------- both directions

# What a policy allows and nobody was seen to call, by role ("" for every role) and action, with the reason.
UNSEEN = {
    ("", "kms:Decrypt"): "Secrets Manager uses a key in the caller's name; the local one encrypts nothing",
    ("", "logs:CreateLogDelivery"): "Step Functions itself calls it when a machine is made, and so for the seven below",
    ("", "logs:GetLogDelivery"): "as above",
    ("", "logs:UpdateLogDelivery"): "as above",
    ("", "logs:DeleteLogDelivery"): "as above",
    ("", "logs:ListLogDeliveries"): "as above",
    ("", "logs:PutResourcePolicy"): "as above",
    ("", "logs:DescribeResourcePolicies"): "as above",
    ("", "logs:DescribeLogGroups"): "as above",
    ("", "xray:PutTraceSegments"): "Step Functions itself traces an execution; the local one does not",
    ("", "xray:PutTelemetryRecords"): "as above",
    ("", "xray:GetSamplingRules"): "as above",
    ("", "xray:GetSamplingTargets"): "as above",
    ("StartRecoveryFunctionRole", "sqs:SendMessage"): "Lambda itself sends what failed to the queue; ministack asks nobody",
    ("UndoRole", "events:PutEvents"): "only where taking back ends half-way, which tests/paths/undo.py holds",
    ("CleanUpRuleRole", "states:StartExecution"): "EventBridge starts the clean-up once an hour, which no run lasts",
}


@test("every call of this run was allowed to whoever made it, and every action that a policy allows was called", last=True)
def agree(stack):
    by_name = {name: logical for logical, name in roles(stack).items()}
    refused = [d for d in decisions(stack) if not d["allowed"] and d["principal"].split("/")[1] in by_name]
    # The deployed chat hears of the executions of other machines too, and may not look into them.
    refused = [d for d in refused if f":execution:{WITHOUT}" not in d["resource"]]
    equal(refused, [], "calls that were refused")
    calls, wrong, needed = called(stack), [], set()
    for role, logical in sorted(by_name.items(), key=lambda pair: pair[1]):
        may, did = set(allowed(stack, role)), calls[role]
        wrong += [f"{logical} called {action}, which its policy does not name" for action in sorted(did - may)]
        for action in sorted(may - did):
            excuse = next((key for key in [(logical, action), ("", action)] if key in UNSEEN), None)
            needed.add(excuse)
            if not excuse:
                wrong.append(f"{logical} may {action}, and nobody saw it call that")
    wrong += [f"no excuse is needed for {action} of {role or 'any role'}" for role, action in UNSEEN.keys() - needed]
    holds(not wrong, "\n".join(wrong))
    pairs = sum(len(calls[role]) for role in by_name)
    note(f"{pairs} actions of {len(by_name)} roles, each allowed and each called; {len(UNSEEN)} are called by AWS itself")
