"""What the functions and the state machines may do, by their deployed policies, and what they did; and copies of functions that
may do less. The calls are those that were recorded: functions' by ministack, which decided on each of them, RDS's included; state
machines' by their executions' histories.
"""

import collections
import json
import re

from checks import wait_until

STACK = "aurora-rewind"
# What local/tools/deploy.py grants where ministack asks on another resource than AWS does.
GRANTED_LOCALLY = "local-stack"
WITHOUT = "e2e-without-"
STATE_MACHINE = "AWS::StepFunctions::StateMachine"
# IAM's name of a service, where a state's resource has another.
PREFIXES = {"sfn": "states"}


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
            assert statement["Effect"] == "Allow", f"the effect of {statement}"
            for action in listed(statement["Action"]):
                if action == "lambda:InvokeFunction":
                    yield from (f"{action} {on.split(':')[-1]}" for on in listed(statement["Resource"]))
                else:
                    yield action


# ------------------------------------------------------------------------------------------------------- what was called


def decisions(stack):
    file = stack.folder / "run" / "iam-decisions.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()]
    # A key that is nobody's has no principal.
    return [decision for decision in found if decision["principal"].startswith("arn:")]


def machines(stack):
    """The stack's machines: their ARNs by what the template calls them."""
    found = stack.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if r["ResourceType"] == STATE_MACHINE}


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
                found[name] = f"{PREFIXES.get(service, service)}:{call[0].upper()}{call[1:]}"
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
    assert taken, f"the role of {like['FunctionName']} has no action that could be taken away"
    if adds:
        document = {"Version": "2012-10-17", "Statement": list(adds)}
        iam.put_role_policy(RoleName=name, PolicyName="added", PolicyDocument=json.dumps(document))
    folder = re.sub(r"(?<!^)([A-Z])", r"-\1", stem).lower()
    deployed = like.get("Environment", {}).get("Variables", {})
    without_repeated_waits = {name: value for name, value in deployed.items() if not name.startswith("AWS_ENDPOINT_URL_")}
    function = lambdas.create_function(
        FunctionName=name,
        Role=made["Role"]["Arn"],
        Code={"ZipFile": (stack.folder / "deploy/target/lambda" / folder / "bootstrap.zip").read_bytes()},
        Environment={"Variables": without_repeated_waits | variables},
        **{name: like[name] for name in ["Runtime", "Handler", "Timeout", "MemorySize", "LoggingConfig"]},
    )
    stack.on_success(lambda: lambdas.delete_function(FunctionName=name))
    state = lambda: lambdas.get_function_configuration(FunctionName=name)["State"]
    wait_until(lambda: state() == "Active", f"{name} active")
    return function["FunctionArn"]


def machine_with(stack, name, functions, change=lambda definition: definition):
    """The deployed state machine under another name, with other functions for these states or another change, for whose executions plans are
    signed; its ARN."""
    deployed = stack.states.describe_state_machine(stateMachineArn=stack.machine)
    definition = change(deployed["definition"])
    for stem, arn in functions.items():
        before, definition = definition, definition.replace(stack.function(stem)["FunctionArn"], arn)
        assert definition != before, f"{stem} is no function of the state machine"
    made = stack.states.create_state_machine(name=name, definition=definition, roleArn=deployed["roleArn"])["stateMachineArn"]
    # validate-window may read the executions of the deployed machine alone.
    planner = functions.get("ValidateWindow", stack.function("ValidateWindow")["FunctionArn"])
    role = stack.client("lambda").get_function_configuration(FunctionName=planner)["Role"].split("/")[-1]
    read = {"Effect": "Allow", "Action": "states:DescribeExecution", "Resource": made.replace(":stateMachine:", ":execution:") + ":*"}
    iam, policy = stack.client("iam"), f"executions-of-{name}"
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
    stack.on_success(lambda: iam.delete_role_policy(RoleName=role, PolicyName=policy))
    return made
