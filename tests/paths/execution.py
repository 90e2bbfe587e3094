"""Runs a scenario's execution to its end, and says in sentences what is wrong with it: its path, its end, and the calls that were
made. The three machines have more to look at, in restore.py and backtrack.py, undo.py and clean_up.py.
"""

import json
import os
import re
import time

from scenario import FORGED, OPEN, UNDOS, VALUE, slug
from stages import PAYLOADS, payload

LONGEST = 170  # seconds


def execute(deployment, scenario, name, given):
    """Runs one execution, answering approvals as the scenario does; fails where it does not end."""
    states = deployment.client("stepfunctions")
    machine = deployment.arns[scenario.machine] + (f"#{slug(scenario.name)}" if scenario.mocked else "")
    execution = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))["executionArn"]
    deadline = time.monotonic() + LONGEST
    waiting = list(scenario.decide)
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline, f"it did not end within {LONGEST} seconds: {entered(deployment, execution)}"
        if waiting:
            asked = [c for c in deployment.calls_of(name) if c["call"] == "RequestApproval"]
            slice_, decision = waiting[0]
            if len(asked) >= slice_:
                states.send_task_success(taskToken=asked[slice_ - 1]["payload"]["taskToken"], output=json.dumps(decision))
                waiting.pop(0)
        time.sleep(0.2)
    return ended


def entered(deployment, execution):
    """The states that an execution has entered so far."""
    events = deployment.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)["events"]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def hold_lease(deployment, scenario, lease):
    """Gives the lease to somebody else, or to the recovery that is undone, where the scenario says so."""
    if scenario.held:
        until = int(time.time()) + (-5 if scenario.held == "expired" else 3600)
        of = slug(scenario.name)
        holder = {"own": of, "earlier": f"{of}-earlier"[:80], "clean-up": "clean-up-hourly", "undo": "the-other-one-undo-2"}.get(scenario.held, "the-other-one")
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item={
            "id": {"S": lease}, "recoveryId": {"S": holder}, "executionArn": {"S": "arn:of:the-other-one"},
            "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": str(until)},
        })  # fmt: skip


def problems_of_end(deployment, scenario, ended):
    """Compares the path and how the execution ended."""
    pages = deployment.client("stepfunctions").get_paginator("get_execution_history").paginate(
        executionArn=ended["executionArn"], PaginationConfig={"PageSize": 500}
    )
    events = [event for page in pages for event in page["events"]]
    path = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    if path != scenario.path:
        same = len(os.path.commonprefix([path, scenario.path]))
        took, due = " ".join(path[same:]) or "nothing", " ".join(scenario.path[same:]) or "nothing"
        yield f"after {' '.join(path[:same][-1:])} it went to {took}\n      expected: {due}"
    failed = scenario.error is not None
    if ended["status"] != ("FAILED" if failed else "SUCCEEDED"):
        yield f"it {ended['status']}: {ended.get('error')}: {ended.get('cause')}"
    elif failed:
        if ended["error"] != scenario.error:
            yield f"the error was {ended['error']}, expected {scenario.error}"
        for said in scenario.cause:
            if said not in ended["cause"]:
                yield f"the cause lacks {said!r}: {ended['cause']}"
        if '"errorMessage"' in ended["cause"] and '"errorMessage"' not in "".join(scenario.cause):
            yield f"the cause is raw: {ended['cause']}"


def problems_of_calls(deployment, scenario, recovery):
    """Compares the calls that were made for a recovery, and what they were passed."""
    calls = deployment.calls_of(recovery)
    for call in calls:
        definition = "undo.asl.json" if scenario.machine in UNDOS else "rewind.asl.json"
        if set(call["payload"]) != payload("open.asl.json" if scenario.machine == OPEN else definition, call["call"]):
            yield f"{call['call']} got {sorted(call['payload'])}"
        if call["payload"]["recovery"].keys() != {"id", "executionArn", "startedAt"}:
            yield f"{call['call']} got the recovery {call['payload']['recovery']}"
        yield from problems_of_payload(scenario, call["call"], call["payload"])
    yield from problems_of_counts(scenario, [call["call"] for call in calls])
    yield from problems_of_further_approvals(scenario, calls)


def problems_of_counts(scenario, calls):
    for call, times in scenario.calls.items():
        if calls.count(call) != times:
            yield f"{call} was called {calls.count(call)} times, expected {times}"


def problems_of_further_approvals(scenario, calls):
    """Compares what an approval that was not enough leaves to the next one, and to the next request for one."""
    told = [step.get("answer", {}) for step in scenario.script.get("ConfirmApproval", [])]
    for call, given, kept, nothing in [("ConfirmApproval", "approvers", "approvers", []), ("RequestApproval", "lastRefused", "why", None)]:
        passed = [c["payload"][given] for c in calls if c["call"] == call]
        expected = [nothing] + [answer.get(kept, nothing) for answer in told]
        for n, (one, other) in enumerate(zip(passed, expected)):
            # A slice that nobody answered in asks again with what the last answer was.
            if one != other and scenario.calls.get("ConfirmApproval"):
                yield f"{call} got {one} as {given} the {n + 1}. time, expected {other}"


def problems_of_payload(scenario, call, payload):
    """Compares what differs with the strategy, and what goes no further than the input."""
    if "startedBy" in payload.get("request", {}):
        yield f"{call} got the proof of who started it"
    if "plan" not in payload:
        return
    if "approval" in payload and call != "ConfirmApproval":
        approval = "signed" if payload["plan"]["approval"] == "required" else None
        if payload["approval"] != approval:
            yield f"{call} got {payload['approval']} for the approval, expected {approval}"
    in_place = payload["plan"]["strategy"] == "backtrack"
    if "differences" in payload:
        found = [difference["what"] for difference in payload["differences"]]
        if found != ([] if in_place else ["autoscaling", *scenario.differences, "jobs that act by themselves"]):
            yield f"{call} got the differences {found}"
    if "comparison" in payload:
        yield from problems_of_comparison(scenario, call, payload["comparison"], payload["plan"]["compareSeconds"] > 0)
    if restored := payload.get("restored"):
        if restored["cluster"] != payload["plan"]["cluster" if in_place else "newCluster"]:
            yield f"{call} got {restored['cluster']} for the rewound cluster"
    elif "restored" in payload and not (
        in_place and call in ("RequestApproval", "ConfirmApproval", "VerifyForward", "FenceSource")
    ):
        yield f"{call} got no rewound cluster"
    if call == "AwaitInSync" and payload["awaiting"]["what"] != "change":
        yield f"{call} waited for {payload['awaiting']}"
    # Where Route 53 could not be asked, or is not in sync, nobody knows since when it is.
    unknown = any(entry.get("always") for entry in scenario.script.get("AwaitInSync", []))
    asked = not unknown and bool((payload.get("swap") or {}).get("changeId"))
    if call in ("ConfirmCutover", "ConfirmSource") and bool(payload["inSyncAt"]) != asked:
        yield f"{call} got {payload['inSyncAt']} for the time of INSYNC"
    if "heldJobs" in payload and [job["name"] for job in payload["heldJobs"]] != ([] if in_place else ["shop.purge"]):
        yield f"{call} got the jobs {payload['heldJobs']}"
    if call == "FenceRestored" and payload["writes"] != (None if scenario.machine in UNDOS else {"count": 7, "server": None}):
        yield f"{call} got {payload['writes']} for the writes before the source was fenced"
    if "safetyClone" in payload and bool(payload["safetyClone"]) != in_place:
        yield f"{call} got the safety clone {payload['safetyClone']}"


def problems_of_comparison(scenario, call, comparison, compared):
    """Compares what is passed on of a comparison: its summary without a cursor, and why it is not whole."""
    if not compared or not isinstance(comparison, dict):
        if compared or comparison is not None:
            yield f"{call} got the comparison {comparison}"
        return
    told = scenario.script.get("CompareTables", [])
    failed = [entry for entry in told if "error" in entry]
    notes = [note for entry in told[:1] if failed and "answer" in entry for note in entry["answer"]["notes"]]
    found = comparison.get("notes", [])
    if found[: len(notes)] != notes or len(found) != len(notes) + len(failed):
        yield f"{call} got the notes {found} of a comparison"
    if failed and not re.fullmatch(rf"not compared any further: .* \[{failed[0]['error'][0]} in CompareTables\]", found[-1]):
        yield f"{call} got {found[-1]!r} for why there is no comparison"
    if "after" in comparison or not failed and comparison["tables"] != 2:
        yield f"{call} got the comparison {comparison}"


def run_recovery(deployment, scenario):
    """Runs a recovery; answers what is wrong."""
    recovery, request = slug(scenario.name), scenario.request
    if isinstance(request, dict) and "cluster" in request and request["cluster"] != FORGED:
        request = request | {"cluster": f"Cluster-of-{recovery}"}  # a lease of its own, and in mixed case
    lease = f"lease#cluster-of-{recovery}"
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps(scenario.script))
    hold_lease(deployment, scenario, lease)
    ended = execute(deployment, scenario, recovery, request)
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_calls(deployment, scenario, recovery),
        *problems_of_findings(deployment, recovery),
        *problems_of_output(scenario, recovery, ended),
        *problems_of_approvals(deployment, recovery),
        *problems_of_table(deployment, scenario, recovery, ended, lease),
        *problems_of_values(deployment, scenario, recovery, ended),
    ]


def problems_of_values(deployment, scenario, recovery, ended):
    """Looks for the value that the checks found: it is in the answer of Verify, in what later steps are passed, and nowhere else. And for
    what stood in place of a cluster: in the lease alone, which nobody reads."""
    for what, text in [
        ("the end", json.dumps([ended.get("error"), ended.get("cause"), ended.get("output")])),
        ("the table", json.dumps(deployment.item(f"recovery#{recovery}"))),
        *((f"a call of {kind}", text) for kind, text in calls_beside_functions(deployment, ended["executionArn"])),
    ]:
        if VALUE in text:
            yield f"a value that a check found is in {what}"
        if isinstance(scenario.request, dict) and scenario.request.get("cluster") == FORGED and what not in ("a call of putItem", "a call of deleteItem") and any(word in text for word in ["channel", "touch"]):
            yield f"what stands in place of a cluster is in {what}"


def calls_beside_functions(deployment, execution):
    """What the states themselves call, events and the table among it, with all that they are passed."""
    pages = deployment.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    for page in pages:
        for event in page["events"]:
            scheduled = event.get("taskScheduledEventDetails", {})
            # AWS writes `invoke`, the local Step Functions the whole ARN.
            kind = scheduled.get("resource", "invoke").split(":")[-1]
            if kind not in ("invoke", "invoke.waitForTaskToken"):
                yield kind, scheduled["parameters"]


def problems_of_findings(deployment, recovery):
    """Compares the findings in each plan: what the preflight answered goes to every later step, and so to people and the hash."""
    for call in deployment.calls_of(recovery):
        codes = [finding["code"] for finding in call["payload"].get("plan", {}).get("findings", [])]
        due = [] if call["call"] in ("ValidateWindow", "Preflight") else ["check-slow"]
        if codes != due:
            yield f"{call['call']} got the findings {codes}, expected {due}"


def problems_of_output(scenario, recovery, ended):
    if ended["status"] != "SUCCEEDED" or scenario.error is not None:
        return
    output = json.loads(ended["output"])
    outcome = {"Recovered": "Recovered", "Planned": "Planned"}[scenario.end]
    if output.get("outcome") != outcome or output.get("recoveryId") != recovery:
        yield f"the output was {output}"
    if scenario.end == "Planned":
        codes = [finding["code"] for finding in output["plan"]["findings"]]
        if codes != ["secret-plain-text" if "Preflight" in scenario.script else "check-slow"]:
            yield f"the dry run showed the findings {codes}"
    if scenario.end == "Recovered":
        marks = [state for state in scenario.path if state in PAYLOADS and state not in ("Finish",)]
        # Its failure is a note, and no time.
        marks = [state for state in marks if state != "ReleaseJobs" or not scenario.script.get(state)]
        if "CloneSource" in marks:
            marks.append("AwaitSafetyClone")  # the same state as AwaitRewind, told apart
        # A state that failed has no end, and nothing that follows is undone.
        failed = [state for state, entries in scenario.script.items() if entries[-1].get("always") and "error" in entries[-1]]
        # A call before the one that failed has left its time.
        failed = [state for state in failed if not any("answer" in entry for entry in scenario.script[state])]
        # FailOver leads on with a difference, and keeps its time.
        marks = [state for state in marks if state not in failed or state == "FailOver"]
        if set(output["timings"]) != set(marks):
            yield f"the timings are of {list(output['timings'])}, expected {marks}"


def problems_of_approvals(deployment, recovery):
    asked = [c["payload"] for c in deployment.calls_of(recovery) if c["call"] == "RequestApproval"]
    if len({a["requestedAt"] for a in asked}) > 1 or len({a["taskToken"] for a in asked}) != len(asked):
        yield "the slices of an approval differ in requestedAt, or share a token"


def problems_of_table(deployment, scenario, recovery, ended, lease):
    """Compares the lease and the recovery's item after the end."""
    left = deployment.item(lease)
    if bool(left) != scenario.lease_stays:
        yield f"the lease {'stayed' if left else 'is gone'}"
    kept = deployment.item(f"recovery#{recovery}")
    expected = {True: scenario.end, False: None}.get(scenario.recorded, scenario.recorded)
    if (kept or {}).get("state", {}).get("S") != expected:
        yield f"the table says {kept}, expected the state {expected}"
    if kept and scenario.error is not None and scenario.recorded is True:
        if kept["error"]["S"] != ended.get("error") or kept["cause"]["S"] != ended.get("cause") or "approval" in kept:
            yield f"the table tells it otherwise: {kept}"
    if (length := len((kept or {}).get("decision", {}).get("S", ""))) > 25_000:
        yield f"the decision in the table has {length} characters"
