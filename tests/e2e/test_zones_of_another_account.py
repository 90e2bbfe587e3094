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


MOVES = ["SwapDns"]
CHANGES = "route53:ChangeResourceRecordSets"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Elsewhere:
    """Two roles for the zone, one that moves records and one that only reads, which admit roles whose names begin with `admits`; and
    the deployed state machine with functions that call Route 53 by them.
    """

    def __init__(self, stack, admits=WITHOUT):
        self.stack, zone = stack, f"arn:aws:route53:::hostedzone/{stack.zone}"
        reads = {"Effect": "Allow", "Action": "route53:ListResourceRecordSets", "Resource": zone}
        lists = {"Effect": "Allow", "Action": "route53:ListHostedZones", "Resource": "*"}
        # AWS asks about the change; ministack asks about everything.
        asks = {"Effect": "Allow", "Action": "route53:GetChange", "Resource": "*"}
        moves = {
            "Effect": "Allow",
            "Action": CHANGES,
            "Resource": zone,
            "Condition": {
                "Null": {f"{CHANGES}{key}": "false" for key in ["NormalizedRecordNames", "RecordTypes", "Actions"]},
                "ForAllValues:StringLike": {f"{CHANGES}NormalizedRecordNames": ["*.example.com"]},
                "ForAllValues:StringEquals": {f"{CHANGES}RecordTypes": ["CNAME"], f"{CHANGES}Actions": ["CREATE", "DELETE"]},
            },
        }
        self.moving = self.role(admits, MOVES, reads, moves)
        self.reading = self.role(admits, [stem for stem in [*ASKING, "FindRecords"] if stem not in MOVES], reads, lists, asks)
        self.functions = {stem: self.copy(stem) for stem in ASKING}
        self.machine = machine_with(stack, f"{WITHOUT}zones-{self.moving.split('/')[-1]}", self.functions)

    def role(self, admits, stems, *allowed):
        """A role that admits the functions of these states; its ARN."""
        iam, account, name = self.stack.client("iam"), self.stack.machine.split(":")[4], f"e2e-zones-{uuid.uuid4().hex[:8]}"
        # Of a function's session AWS compares the role, ministack the session.
        callers = [f"arn:aws:{kind}/{admits}{stem}-*" for kind in [f"iam::{account}:role", f"sts::{account}:assumed-role"] for stem in stems]
        trusted = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:PrincipalArn": callers}},
        }
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusted))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="zones", PolicyDocument=document(*allowed))
        self.stack.on_success(lambda: iam.delete_role_policy(RoleName=name, PolicyName="zones"))
        return arn

    def copy(self, stem):
        """The function, with its role of the other account in place of the permissions for Route 53."""
        role = self.moving if stem in MOVES else self.reading
        assume = {"Sid": "Assume", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
        name = f"{WITHOUT}{stem}-{uuid.uuid4().hex[:8]}"
        mine = lambda action: not action.startswith("route53:")
        return copied(self.stack, stem, name, mine, [assume], REWIND_HOSTED_ZONE_ROLE_ARN=role)

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
    # Other zones may lead to the source too: the plan tells which of them could not be read.
    elsewhere_in_account = lambda d: d["action"] == "route53:ListResourceRecordSets" and not d["resource"].endswith(stack.zone)
    assert [d for d in calls if not d["allowed"] and not elsewhere_in_account(d)] == [], "calls that were refused"
    of_route53 = [d for d in calls if d["action"].startswith("route53:")]
    by_role = lambda arn: [d for d in of_route53 if f":assumed-role/{arn.split('/')[-1]}/" in d["principal"]]
    moving, reading = by_role(elsewhere.moving), by_role(elsewhere.reading)
    assert len(moving) + len(reading) == len(of_route53), "calls of Route 53 by other roles"
    assert CHANGES not in {d["action"] for d in reading}, "what the role that reads was used for"
    # The session bears the function's name.
    by = {stem: {d["action"] for d in of_route53 if d["principal"].endswith(arn.split(":")[-1])} for stem, arn in elsewhere.functions.items()}
    listing = {"route53:ListResourceRecordSets"}
    assert by == { "ValidateWindow": listing | {"route53:ListHostedZones"}, "ConfirmApproval": listing, "SwapDns": listing | {CHANGES}, "AwaitRewind": {"route53:GetChange"}, "FindRecords": listing, }, (
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
    cause = run.failed(up_to("ValidateWindow", START) + CONCLUDE, "RewindFailed", f"sts:AssumeRole of {elsewhere.reading}: AWS answered AccessDenied")
    contains(
        cause,
        "no record was read or changed",
        f"the trust policy of {elsewhere.reading} must admit the role of this function",
        "[RewindFailed in ValidateWindow]",
    )
    before.is_restored()
