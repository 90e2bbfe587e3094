"""Holds local/tools/ministack_iam.py to what it tells policies about a change of records, and to what it asks the policy of an event bus.

Runs in the environment of local/tools/ministack.txt, and never leaves the machine.
"""

import os

# The module is imported as the stack starts it: with a file to write to, and the keys of the stack.
for name in ("REWIND_IAM_DECISIONS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ.setdefault(name, os.devnull)
import ministack_strict  # noqa: E402
from ministack.core.iam_evaluator import EvalContext, combine_resource_policy, evaluate, parse_policy_document  # noqa: E402
from ministack_iam import bus_policy_for_arn, changed_records, has_tags  # noqa: E402

BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/rewind"
OURS, OTHER = ("arn:aws:iam::123456789012:role/" + name for name in ("ours", "other"))

CHANGE = "<Change><Action>{}</Action><ResourceRecordSet><Name>{}</Name><Type>{}</Type></ResourceRecordSet></Change>"


def batch(*changes):
    inner = "".join(CHANGE.format(*change) for change in changes)
    namespace = "https://route53.amazonaws.com/doc/2013-04-01/"
    return f'<ChangeResourceRecordSetsRequest xmlns="{namespace}"><ChangeBatch><Changes>{inner}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>'.encode()


def decision(who, policy, owner):
    """Whether somebody who may do everything may put events on the bus."""
    everything = [parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})]
    request = EvalContext(
        principal_arn=who, principal_type="AssumedRole", principal_account=owner, action="events:PutEvents", resource_arn=BUS, region="eu-west-1"
    )
    return combine_resource_policy(evaluate(request, everything), request, policy, owner).decision


def test_policies_are_told_every_name_type_and_action_of_a_batch():
    told = changed_records(batch(("DELETE", "DB.example.com.", "CNAME"), ("CREATE", "www.example.org", "A")))
    assert told == {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["db.example.com", "www.example.org"],
        "route53:ChangeResourceRecordSetsRecordTypes": ["CNAME", "A"],
        "route53:ChangeResourceRecordSetsActions": ["DELETE", "CREATE"],
    }


def test_without_a_change_there_are_no_keys():
    # A condition that the keys be there refuses such a call.
    assert changed_records(b"") == changed_records(batch()) == {}


def test_a_secret_with_tags_is_told_from_one_without():
    assert has_tags(b'{"Name": "a", "Tags": [{"Key": "k", "Value": "v"}]}')
    assert not any(has_tags(body) for body in [b'{"Name": "a"}', b'{"Name": "a", "Tags": []}', b"", b"[]", b"{"])


def test_the_policy_of_a_bus_counts_and_keeps_everybody_else_from_it():
    statement = {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": BUS, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [OURS]}}}
    created, _ = ministack_strict.BUS_POLICY["create"]("Policy", {"EventBusName": "rewind", "StatementId": "s", "Statement": statement}, "stack")
    decide = lambda who: decision(who, *bus_policy_for_arn(BUS))
    assert (decide(OURS), decide(OURS.replace("role/ours", "role/admin"))) == ("Allow", "Deny")
    assert bus_policy_for_arn(BUS.replace("rewind", "default")) is None
    assert bus_policy_for_arn(BUS.replace("event-bus/", "rule/")) is None
    changed = statement | {"Condition": {"ArnNotEquals": {"aws:PrincipalArn": [OURS, OTHER]}}}
    ministack_strict.BUS_POLICY["update"](created, {}, {"EventBusName": "rewind", "StatementId": "s", "Statement": changed}, "stack")
    assert decide(OTHER) == "Allow"
    ministack_strict.BUS_POLICY["delete"](created, {})
    assert decide(OURS.replace("role/ours", "role/admin")) == "Allow"
