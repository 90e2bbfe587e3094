"""Lists the executions of a stack's state machines that have not ended (recoveries, undos, clean-up), before an update changes the
functions that they call.

It only reads. Runs in the venv of local/tools/aws.txt.
"""

import dataclasses
import datetime
import json

import boto3
import botocore.exceptions

# Each takes two calls. More than a few never run at a time, and an update waits for all of them anyway.
MOST_DESCRIBED = 20


@dataclasses.dataclass(frozen=True)
class Execution:
    machine: str  # by its name in the template
    name: str
    arn: str
    started: datetime.datetime
    state: str | None = None  # that it was in last
    about: str | None = None  # its cluster, or the recovery that is undone

    def __str__(self) -> str:
        started = self.started.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        known = [f"since {started}", self.state and f"in {self.state}", self.about and f"of {self.about}"]
        return f"{self.machine:16} {self.name:44} {', '.join(filter(None, known))}"


def unfinished(stack_name: str) -> list[Execution]:
    """Returns the running executions, the oldest first. To AWS, one that waits for an approval is running."""
    states, found = boto3.client("stepfunctions"), []
    for machine, arn in machines(stack_name):
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=arn, statusFilter="RUNNING")
        for each in (execution for page in pages for execution in page["executions"]):
            found.append(Execution(machine, each["name"], each["executionArn"], each["startDate"]))
    found.sort(key=lambda execution: execution.started)
    return [with_state(states, each) for each in found[:MOST_DESCRIBED]] + found[MOST_DESCRIBED:]


def machines(stack_name: str) -> list[tuple[str, str]]:
    """Returns the stack's state machines, their names in the template and their ARNs; none if the stack does not exist yet."""
    client = boto3.client("cloudformation")
    try:
        pages = list(client.get_paginator("list_stack_resources").paginate(StackName=stack_name))
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return []
        raise
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [
        (resource["LogicalResourceId"], resource["PhysicalResourceId"])
        for resource in resources
        if resource["ResourceType"] == "AWS::StepFunctions::StateMachine"
        and resource.get("PhysicalResourceId")
        and resource["ResourceStatus"] != "DELETE_COMPLETE"
    ]


def with_state(states, execution: Execution) -> Execution:
    """Adds the state and the cluster to an execution, if the caller may read them."""
    try:
        given = json.loads(states.describe_execution(executionArn=execution.arn).get("input") or "{}")
        history = states.get_execution_history(executionArn=execution.arn, reverseOrder=True, maxResults=20)
    except (botocore.exceptions.ClientError, ValueError):
        return execution
    entered = (event.get("stateEnteredEventDetails", {}).get("name") for event in history["events"])
    about = given.get("cluster") or given.get("recovery") if isinstance(given, dict) else None
    return dataclasses.replace(execution, state=next(filter(None, entered), None), about=about)
