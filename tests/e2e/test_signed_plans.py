"""What somebody gets who may call the stack's functions and nothing else: no plan of their own, and no step by an edited one, by that
of a dry run or by one that nobody approved."""

import json
import uuid

from baseline import Baseline
from checks import contains
from cluster import Cluster, iso
from recovery import Recovery
from shop import fill


def refused(stack, state, payload, error="Bug"):
    """The message of the function's error."""
    name = stack.function(state)["FunctionName"]
    answer = stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload))
    said = json.loads(answer["Payload"].read())
    assert "FunctionError" in answer and said["errorType"] == error, f"{state} answered {said}"
    return said["errorMessage"]


def test_whoever_may_call_functions_gets_no_plan_signed_and_no_step_done_by_another(stack):
    cluster = Cluster.create(stack, "e2e-signed")
    fill(cluster)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    plan = json.loads(run.item()["plan"])
    started = iso(run.describe()["startDate"])
    recovery = {"id": run.id, "executionArn": run.arn, "startedAt": started}

    # Nobody but the execution gets a plan, and it only for its own request.
    asked = run.request | {"approval": "none", "unverified": "accepted"}
    said = refused(stack, "ValidateWindow", {"recovery": recovery, "request": asked}, "InvalidRequest")
    contains(said, f"no plan is signed for {run.id}: it was started with another request", "nothing was changed")
    other = f"e2e-{uuid.uuid4().hex[:12]}"
    said = refused(stack, "ValidateWindow", {"recovery": recovery | {"id": other}, "request": run.request}, "InvalidRequest")
    contains(said, f"no plan is signed for {other}: it is not the execution that runs")

    unsigned = {name: value for name, value in plan.items() if name != "signature"}
    for edited, why in [
        (plan | {"cluster": "billing"}, "a plan that is not as validate-window made it"),
        (plan | {"dns": plan["dns"] * 2}, "a plan that is not as validate-window made it"),
        (unsigned, "a plan without a signature"),
    ]:
        payload = {"recovery": recovery, "plan": edited, "restored": None}
        for state, more in [("FenceSource", {}), ("SwapDns", {"direction": "undo"}), ("DeleteRestored", {"direction": "undo"})]:
            contains(refused(stack, state, payload | more), why, "this step changed nothing")
    payload = {"recovery": recovery | {"id": other}, "plan": plan, "restored": None}
    contains(refused(stack, "FenceSource", payload), f"is for {other}, and has the plan of {run.id}")

    # The plan is signed, and nobody has approved it; and a dry run's is for people to read.
    payload = {"recovery": recovery, "plan": plan, "restored": run.result("StartRestore")}
    for state, more in [("FenceSource", {}), ("SwapDns", {}), ("SwapDns", {"approval": plan["signature"]})]:
        contains(refused(stack, state, payload | more), "a plan that people have to approve", "this step changed nothing")
    dry = Recovery(stack, {"cluster": cluster.name, "to": "1s ago", "dryRun": True})
    of_dry = json.loads(dry.wait()["output"])["plan"]
    payload = {"recovery": {"id": dry.id, "executionArn": dry.arn, "startedAt": started}, "plan": of_dry}
    contains(refused(stack, "StartRestore", payload), "the plan of a dry run", "this step changed nothing")

    run.decide("rejected")
    run.wait()
    before.is_restored()
