"""The policies against what was called in the whole run: every call was allowed, and every action that a policy allows was called by
somebody.
"""

import pytest

from policies import WITHOUT, allowed, called, decisions, roles

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
    ("CopyRuleRole", "events:PutEvents"): "EventBridge itself copies, where CopyEvents is on; ministack asks nobody",
    ("UndoRole", "events:PutEvents"): "only where taking back ends half-way, which tests/paths/undo.py holds",
    ("HoldJobsFunctionRole", "rds:ResetDBClusterParameterGroup"): (
        "only where the source's group gives event_scheduler no value, which functions/hold-jobs/src/tests.rs holds: "
        "every group of the local RDS gives it one"
    ),
    ("StoppedRuleRole", "states:StartExecution"): "EventBridge itself starts it with the event of an end; ministack asks nobody",
    ("CleanUpRuleRole", "states:StartExecution"): "EventBridge starts the clean-up once an hour, which no run lasts",
}


@pytest.mark.last
def test_every_call_was_allowed_and_every_allowed_action_was_called(stack):
    by_name = {name: logical for logical, name in roles(stack).items()}
    refused = [d for d in decisions(stack) if not d["allowed"] and d["principal"].split("/")[1] in by_name]
    # The deployed chat hears of the executions of other machines too, and may not look into them.
    refused = [d for d in refused if f":execution:{WITHOUT}" not in d["resource"]]
    assert refused == [], "calls that were refused"
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
    assert not wrong, "\n".join(wrong)
    pairs = sum(len(calls[role]) for role in by_name)
    print(f"{pairs} actions of {len(by_name)} roles, each allowed and each called; {len(UNSEEN)} are called by AWS itself")
