"""Hosted zones of another account: every call of Route 53 is made with the role there, and the functions themselves may
nothing of Route 53. The zone is the stack's own, for the name server shows no other; the role, its trust and its permissions are as
docs/install.md says.
"""

import json
import uuid

from baseline import Baseline
from checks import contains
from cluster import Cluster
from policies import WITHOUT, copied, decisions, machine_with
from recovery import APPROVED, CONCLUDE, Recovery, up_to
from stages import START
from shop import fill

ASKING = ["ValidateWindow", "ConfirmApproval", "SwapDns", "AwaitRewind"]


class Elsewhere:
    """A role for the zone that admits roles whose names begin with `admits`; and the deployed state machine with functions
    that call Route 53 by it.
    """

    def __init__(self, stack, admits=WITHOUT):
        self.stack = stack
        self.role = f"e2e-zones-{uuid.uuid4().hex[:8]}"
        iam, zone = stack.client("iam"), f"arn:aws:route53:::hostedzone/{stack.zone}"
        account = stack.machine.split(":")[4]
        # Of a function's session AWS compares the role, ministack the session.
        callers = [f"arn:aws:iam::{account}:role/{admits}*", f"arn:aws:sts::{account}:assumed-role/{admits}*"]
        trusted = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:PrincipalArn": callers}},
        }
        allowed = [
            {"Effect": "Allow", "Action": "route53:ListResourceRecordSets", "Resource": zone},
            {"Effect": "Allow", "Action": "route53:ListHostedZones", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "route53:ChangeResourceRecordSets",
                "Resource": zone,
                "Condition": {
                    "ForAllValues:StringEquals": {
                        "route53:ChangeResourceRecordSetsRecordTypes": ["CNAME"],
                        "route53:ChangeResourceRecordSetsActions": ["CREATE", "DELETE"],
                    }
                },
            },
            # AWS asks about the change; ministack asks about everything.
            {"Effect": "Allow", "Action": "route53:GetChange", "Resource": "*"},
        ]
        document = lambda *statements: json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.arn = iam.create_role(RoleName=self.role, AssumeRolePolicyDocument=document(trusted))["Role"]["Arn"]
        iam.put_role_policy(RoleName=self.role, PolicyName="zones", PolicyDocument=document(*allowed))
        stack.on_success(lambda: iam.delete_role_policy(RoleName=self.role, PolicyName="zones"))
        self.functions = {stem: self.copy(stem) for stem in ASKING}
        self.machine = machine_with(stack, f"{WITHOUT}zones-{self.role}", self.functions)

    def copy(self, stem):
        """The function, with the role's right in place of those for Route 53."""
        assume = {"Sid": "Assume", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": self.arn}
        name = f"{WITHOUT}{stem}-{uuid.uuid4().hex[:8]}"
        mine = lambda action: not action.startswith("route53:")
        return copied(self.stack, stem, name, mine, [assume], REWIND_HOSTED_ZONE_ROLE_ARN=self.arn)

    def calls(self):
        """What was decided on: of Route 53 by whom, and who assumed the role."""
        names = [arn.split(":")[-1] for arn in self.functions.values()]
        found = [d for d in decisions(self.stack) if any(name in d["principal"] for name in names)]
        return [d for d in found if d["action"].startswith(("route53:", "sts:"))]


def test_records_are_moved_and_looked_for_by_the_role_of_the_other_account(stack):
    decisions(stack)
    elsewhere = Elsewhere(stack)
    cluster = Cluster.create(stack, "e2e-zones")
    fill(cluster)
    cluster.settle()
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, "1s ago", machine=elsewhere.machine, dns=cluster.dns(), checks=[check])
    run.decide("approved")
    output = run.recovered(APPROVED)
    contains(stack.records()[cluster.record][0], output["newCluster"])

    # The record is where it was meant to go, and nothing points at the source.
    elsewhere.functions["FindRecords"] = elsewhere.copy("FindRecords")
    payload = {"cluster": cluster.name, "recoveryId": run.id}
    invoke = lambda: json.loads(
        stack.client("lambda")
        .invoke(FunctionName=elsewhere.functions["FindRecords"], Payload=json.dumps(payload))["Payload"]
        .read()
    )
    assert invoke()["why"] == [], "the records that point at the source"
    stack.change_record("CREATE", f"old.{cluster.record}", cluster.describe()["Endpoint"])
    try:
        contains("\n".join(invoke()["why"]), f"the CNAME record old.{cluster.record} points at {cluster.describe()['Endpoint']}")
    finally:
        stack.change_record("DELETE", f"old.{cluster.record}", cluster.describe()["Endpoint"])

    calls = elsewhere.calls()
    assert [d for d in calls if not d["allowed"]] == [], "calls that were refused"
    of_route53 = [d for d in calls if d["action"].startswith("route53:")]
    others = [d for d in of_route53 if f":assumed-role/{elsewhere.role}/" not in d["principal"]]
    assert others == [], "calls of Route 53 by other roles"
    # The session bears the function's name.
    by = {stem: {d["action"] for d in of_route53 if d["principal"].endswith(arn.split(":")[-1])} for stem, arn in elsewhere.functions.items()}
    listing = {"route53:ListResourceRecordSets"}
    assert by == { "ValidateWindow": listing | {"route53:ListHostedZones"}, "ConfirmApproval": listing, "SwapDns": listing | {"route53:ChangeResourceRecordSets"}, "AwaitRewind": {"route53:GetChange"}, "FindRecords": listing, }, (
        "what each function called by the role"
    )
    assumed = [d for d in calls if d["action"] == "sts:AssumeRole"]
    assert len(elsewhere.functions) <= len(assumed) <= len(of_route53), f"the role was assumed {len(assumed)} times"
    print(f"{len(of_route53)} calls of Route 53 in {len(assumed)} sessions")


def test_role_that_does_not_admit_the_functions_is_told_before_any_change(stack):
    elsewhere = Elsewhere(stack, admits="somebody-else-")
    cluster = Cluster.create(stack, "e2e-zones-shut")
    fill(cluster)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", machine=elsewhere.machine, dns=cluster.dns(), approval="none")
    cause = run.failed(up_to("ValidateWindow", START) + CONCLUDE, "RewindFailed", f"sts:AssumeRole of {elsewhere.arn}: AWS answered AccessDenied")
    contains(
        cause,
        "no record was read or changed",
        f"the trust policy of {elsewhere.arn} must admit the role of this function",
        "[RewindFailed in ValidateWindow]",
    )
    before.is_restored()
