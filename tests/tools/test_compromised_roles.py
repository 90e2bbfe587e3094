"""Takes each role of the stack, one at a time, as taken over, and asks ministack's IAM what it could do to things that are no
recovery's: what SECURITY.md says in its table "What a role could do", and nothing else.

A role that may tag is asked again about the thing with every tag that it can set or remove. Runs in the environment of
local/tools/ministack.txt, and never leaves the machine. What only reads what is no data (`Describe…`, `List…`) is in no row. An
execution is data: it has the request, and in its history what checks found.
"""

import dataclasses
import itertools
import json
import pathlib
import re

import pytest
from deployed_policies import ACCOUNT, REGION, STACK, Deployment
from ministack.core.iam_evaluator import EvalContext, combine_resource_policy, evaluate, parse_policy_document

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = ROOT / "infra/template.yaml"
EXAMPLE = json.loads((ROOT / "infra/parameters.example.json").read_text())["Parameters"]
CHAT = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:chat-AbCdEf"
MOVES, READS = (f"arn:aws:iam::210987654321:role/zones-{what}" for what in ("move", "read"))

MARKS = [f"aurora-rewind:{mark}" for mark in ("recovery", "fenced-by", "keep-until", "safety-clone-of", "secret")]
# As a recovery leaves the cluster that clients are on.
LIVE = {f"aurora-rewind:{mark}": "x" for mark in ("recovery", "target", "source-resource-id", "secret")}
ONLY_READ = re.compile(r"(ec2|rds|route53|secretsmanager|sns|kms|logs|xray):(Describe|List|Get)(?!SecretValue)")
TAGGING = {"rds:AddTagsToResource", "rds:RemoveTagsFromResource"}
MAY_TAG = re.compile(r"rds:(AddTags|RemoveTags|Restore|Create|Copy)")


@dataclasses.dataclass(frozen=True)
class Thing:
    """Something in the account, and what a request about it tells IAM. `actions` is what can be done to it, as a pattern. It may stand
    for several: a role that reaches one of them reaches it.
    """

    actions: str
    arn: str
    tags: dict = dataclasses.field(default_factory=dict)
    context: dict = dataclasses.field(default_factory=dict)
    others: tuple[str, ...] = ()

    def each(self) -> list["Thing"]:
        return [dataclasses.replace(self, arn=arn, others=()) for arn in (self.arn, *self.others)]


def rds(kind: str, name: str) -> str:
    return f"arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{name}"


def item(kind: str) -> Thing:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Table"
    return Thing("dynamodb:.*", arn, context={"dynamodb:LeadingKeys": [f"{kind}#shop-main"]})


def record(zone: str, name: str, kind: str = "CNAME", action: str = "CREATE") -> Thing:
    keys = {"NormalizedRecordNames": name, "RecordTypes": kind, "Actions": action}
    context = {f"route53:ChangeResourceRecordSets{key}": [value] for key, value in keys.items()}
    return Thing("route53:Change.*", f"arn:aws:route53:::hostedzone/{zone}", context=context)


def login(name: str, cluster: str | None = None) -> Thing:
    tags = {"aws:rds:primaryDBClusterArn": rds("cluster", cluster)} if cluster else {}
    return Thing("secretsmanager:.*", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}", tags)


def group(name: str) -> Thing:
    return Thing("ec2:.*", f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{name}")


def key(service: str | None) -> Thing:
    context = {"kms:GrantIsForAWSResource": "true"} | ({"kms:ViaService": f"{service}.{REGION}.amazonaws.com"} if service else {})
    return Thing("kms:.*", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0000", context=context)


def role(arn: str, service: str) -> Thing:
    return Thing("iam:PassRole", arn, context={"iam:PassedToService": f"{service}.amazonaws.com"})


def function(*names: str) -> Thing:
    first, *others = (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" for name in names)
    return Thing("lambda:.*", first, others=tuple(others))


def machine(name: str) -> Thing:
    return Thing("states:.*", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")


def execution(*machines: str) -> Thing:
    """What is read of the executions of state machines."""
    first, *others = (f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{name}:x" for name in machines)
    return Thing("states:(Describe|Get|List).*", first, others=tuple(others))


def event(source: str, bus: str = "default") -> Thing:
    return Thing("events:.*", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}", context={"events:source": [source]})


ZONE, OTHER_ZONE = "Z0123456789ABCDEFGHIJ", "Z9999999999999999999"
RDS = "rds:(?!.*(ParameterGroup|DBInstance|Snapshot)).*|rds:CreateDBInstance|rds:CreateDBClusterSnapshot"
CLUSTER, INSTANCE, GROUP, SNAPSHOT = RDS, "rds:.*(DBInstance|Tags).*", "rds:.*(ParameterGroup|Tags|ModifyDBCluster).*", "rds:.*(Snapshot|Tags|DeleteDBCluster)"
DATED = "shop-main-rewind-20261123-103000"
ROLES = f"arn:aws:iam::{ACCOUNT}:role"

FUNCTIONS = set(re.findall(r"^  (\w+Function):$", TEMPLATE.read_text(), re.MULTILINE))
IN_VPC = [f"{name}Function" for name in ("CompareTables", "ConfirmCutover", "FenceSource", "HoldJobs", "Preflight", "Verify")]
NO_STEPS = [f"{name}Function" for name in ("StartRecovery", "SetWindow", "Chatops")]

# By the words of SECURITY.md.
THINGS = {
    "a cluster of ClusterPattern": Thing(CLUSTER, rds("cluster", "shop-main")),
    "the master password of such a cluster, if Secrets Manager manages it": Thing(
        "rds:ModifyDBCluster", rds("cluster", "shop-main"), context={"rds:ManageMasterUserPassword": "false"}
    ),
    "a cluster that a recovery gave to clients": Thing(CLUSTER, rds("cluster", DATED), LIVE),
    "any other cluster": Thing(CLUSTER, rds("cluster", "billing-main")),
    "an instance of such a cluster": Thing(INSTANCE, rds("db", "shop-main-1")),
    "an instance that a recovery gave to clients": Thing(INSTANCE, rds("db", f"{DATED}-1"), {"aurora-rewind:recovery": "x"}),
    "any other instance": Thing(INSTANCE, rds("db", "billing-main-1")),
    "a parameter group": Thing(GROUP, rds("cluster-pg", "shop-parameters")),
    "a snapshot": Thing(SNAPSHOT, rds("cluster-snapshot", "shop-main-2026-11-23")),
    "a secret of SecretArns": login("rds!cluster-0000", "shop-main"),
    "the managed secret of any other cluster": login("rds!cluster-1111", "billing-main"),
    "the secret of the chat": login("chat-AbCdEf"),
    "the secret of what is open": dataclasses.replace(login("aurora-rewind/open/x-AbCdEf"), tags={"aurora-rewind:recovery": "x"}),
    "any other secret": login("payments/key-AbCdEf"),
    "the security group of what is open": group("OpenSecurityGroup"),
    "any other security group": group("sg-0fedcba9876543210"),
    "a CNAME of RecordNames": record(ZONE, "db.example.com"),
    "such a CNAME, by overwriting it": record(ZONE, "db.example.com", action="UPSERT"),
    "such a name, as another type": record(ZONE, "db.example.com", kind="A"),
    "any other record of the zone": record(ZONE, "www.example.com"),
    "a record of any other zone": record(OTHER_ZONE, "db.example.com"),
    "a lease": item("lease"),
    "the item of any recovery": item("recovery"),
    "the record of a fence": item("fence"),
    "the times of a cluster's fences": item("fences"),
    "who started a recovery in chat": item("requested"),
    "who approved one in chat": item("approved"),
    "who asked for an undo or a window in chat": item("asked"),
    "a chat message that was seen": item("seen"),
    "a notice of the clean-up": item("kept"),
    "any other item": item("else"),
    "a step in the VPC": function(*IN_VPC),
    "any other step": function(*sorted(FUNCTIONS - {*IN_VPC, *NO_STEPS})),
    "start-recovery": function("StartRecoveryFunction"),
    "set-window": function("SetWindowFunction"),
    "chatops": function("ChatopsFunction"),
    "any other function": function("payments"),
    "the machine of recoveries": machine("Rewind"),
    "the machine of undos": machine("Undo"),
    "the machine of the clean-up": machine("CleanUpMachine"),
    "the watch of a fence": machine("FenceWatch"),
    "the machine that opens what was left behind": machine("Open"),
    "the machine that records a stop": machine("Stopped"),
    "a recovery that runs": Thing("states:StopExecution", f"arn:aws:states:{REGION}:{ACCOUNT}:execution:Rewind:x"),
    "the execution of a recovery": execution("Rewind"),
    "the execution of an undo": execution("Undo"),
    "any other execution": execution("CleanUpMachine", "FenceWatch", "Open", "Stopped", "payments"),
    "any other state machine": machine("payments"),
    "people who approve": Thing("sns:.*", f"arn:aws:sns:{REGION}:{ACCOUNT}:Approvals"),
    "any other topic": Thing("sns:.*", f"arn:aws:sns:{REGION}:{ACCOUNT}:payments"),
    "an event as aurora-rewind": event("aurora-rewind", STACK),
    "such an event on the default bus": event("aurora-rewind"),
    "any other event": dataclasses.replace(event("payments"), others=(event("payments", STACK).arn,)),
    "the queue of failed starts": Thing("sqs:.*", f"arn:aws:sqs:{REGION}:{ACCOUNT}:DeadLetters"),
    "any other queue": Thing("sqs:.*", f"arn:aws:sqs:{REGION}:{ACCOUNT}:payments"),
    "a role of ClusterRoleArns, to RDS": role(f"{ROLES}/rds-monitoring-role", "monitoring.rds"),
    "such a role, to any other service": role(f"{ROLES}/rds-monitoring-role", "lambda"),
    "any other role": role(f"{ROLES}/admin", "rds"),
    "a key, through RDS": key("rds"),
    "a key, through Secrets Manager": key("secretsmanager"),
    "a key, by itself": key(None),
    "the key of approvals": Thing("kms:.*", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/ApprovalKey"),
    "the key of plans": Thing("kms:.*", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/PlanKey"),
    "the role that moves records of the other account": Thing("sts:.*", MOVES),
    "the role that reads zones of the other account": Thing("sts:.*", READS),
    "logs and traces": Thing("(logs|xray):.*", "*"),
}


def deployed(**more: str) -> dict[str, list[dict]]:
    """The policies by role, as with the example's parameters, a chat, and `more`."""
    return Deployment(TEMPLATE, EXAMPLE | {"ChatSecretArn": CHAT} | more).policies()


class Role:
    """A role in the hands of somebody who may make any request with it."""

    def __init__(self, documents: list[dict], boundary: dict | None = None):
        self.policies = [parse_policy_document(document) for document in documents]
        self.limits = [[parse_policy_document(boundary)]] if boundary else []
        named = {action for policy in self.policies for statement in policy for action in statement.actions}
        assert not [action for action in named if "*" in action], "an action with a wildcard"
        self.actions = {action for action in named if not ONLY_READ.match(action)}

    def may(self, action: str, thing: Thing, tags: dict) -> bool:
        return any(self.is_allowed(action, thing, tags, given) for given in choices(action))

    def is_allowed(self, action: str, thing: Thing, tags: dict, given: tuple) -> bool:
        """True if IAM allows it to a request that gives (or removes) these tags."""
        context = {f"aws:ResourceTag/{tag}": value for tag, value in tags.items()} | thing.context
        if given:
            context["aws:TagKeys"] = list(given)
        if "RemoveTags" not in action:
            context |= {f"aws:RequestTag/{tag}": "x" for tag in given}
        request = EvalContext(
            principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session", principal_type="AssumedRole",
            principal_account=ACCOUNT, action=action, resource_arn=thing.arn, region=REGION,
            service_context={"aws:tagkeys": None} | {key.lower(): value for key, value in context.items()},
        )  # fmt: skip
        return evaluate(request, self.policies, *self.limits).decision == "Allow"

    def tagged(self, thing: Thing) -> list[dict]:
        """The thing's tags, and those that it can have after this role has tagged it."""
        if not self.actions & TAGGING:
            return [thing.tags]
        seen, waiting = [], [thing.tags]
        while waiting:
            tags = waiting.pop()
            if tags in seen:
                continue
            seen.append(tags)
            for given in choices("rds:AddTagsToResource"):
                if given and self.is_allowed("rds:AddTagsToResource", thing, tags, given):
                    waiting.append(tags | {tag: "x" for tag in given})
                if given and self.is_allowed("rds:RemoveTagsFromResource", thing, tags, given):
                    waiting.append({tag: value for tag, value in tags.items() if tag not in given})
        return seen

    def reach(self) -> set[tuple[str, str]]:
        """Each action with each thing that it can be done to."""
        found = set()
        for name, thing in THINGS.items():
            for action in self.actions:
                if re.fullmatch(thing.actions, action) and any(
                    self.may(action, one, tags) for one in thing.each() for tags in self.tagged(one)
                ):
                    found.add((action, name))
        return found


def choices(action: str) -> list[tuple]:
    """The tags that a request may give: none, and every set of up to three of ours and one of somebody else."""
    if not MAY_TAG.match(action):
        return [()]
    return [given for size in range(4) for given in itertools.combinations([*MARKS, "team"], size)]


def documented() -> dict[str, set[tuple[str, str]]]:
    """The rows of SECURITY.md: what each role could do."""
    page = (ROOT / "SECURITY.md").read_text()
    section = page.split("## What a role could do")[1].split("\n## ")[0]
    found: dict[str, set[tuple[str, str]]] = {}
    for action, things, roles in re.findall(r"^\| `(\w+:\w+)` \| ([^|]+) \| ([^|]+) \|", section, re.MULTILINE):
        for thing in things.strip().split("; "):
            assert thing in THINGS, f"SECURITY.md names {thing!r}, which is none of {list(THINGS)}"
            for role in roles.strip().split(", "):
                rows = found.setdefault(role_of(role), set())
                assert (action, thing) not in rows, f"SECURITY.md says twice that {role} could {action} {thing}"
                rows.add((action, thing))
    return found


def role_of(name: str) -> str:
    """The role by its name in the table: `swap-dns` of a function, `Undo` of anything else."""
    if name.islower():
        return "".join(word.capitalize() for word in name.split("-")) + "FunctionRole"
    return f"{name}Role"


POLICIES = deployed()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_taken_over_role_reaches_what_the_table_says_and_nothing_else(name):
    reach, rows = Role(POLICIES[name]).reach(), documented().get(name, set())
    wrong = [f"{name} could {action} {thing}, and SECURITY.md does not say so" for action, thing in sorted(reach - rows)]
    wrong += [f"SECURITY.md says that {name} could {action} {thing}, and it could not" for action, thing in sorted(rows - reach)]
    assert not wrong, "\n".join(wrong)


def test_the_table_has_roles_of_the_stack_only():
    assert documented().keys() - POLICIES.keys() == set()


def test_every_action_of_a_role_is_asked_about_something():
    # A new kind of action would otherwise be in no row, and nobody would notice.
    for name, documents in POLICIES.items():
        for action in Role(documents).actions:
            assert any(re.fullmatch(thing.actions, action) for thing in THINGS.values()), f"{action} of {name}"


def test_no_role_may_both_set_a_tag_and_delete_what_bears_it():
    for name, documents in POLICIES.items():
        role = Role(documents)
        for thing in (thing for thing in THINGS.values() if thing.arn.startswith("arn:aws:rds:")):
            untagged = dataclasses.replace(thing, tags={})
            for tags in role.tagged(untagged):
                deletes = [action for action in role.actions if action.startswith("rds:Delete") and role.may(action, untagged, tags)]
                assert not deletes, f"{name} may set {list(tags)} on {thing.arn}, and then {deletes}"


@pytest.mark.parametrize("pattern", ["", "shop-restored-*"])
def test_names_of_requests_bring_no_cluster_of_people_into_reach(pattern):
    for name, documents in deployed(NewClusterPattern=pattern).items():
        assert Role(documents).reach() == Role(POLICIES[name]).reach(), name


def test_passwords_of_managed_clusters_are_in_reach_only_where_the_deployment_says_any():
    password = ("rds:ModifyDBCluster", "the master password of such a cluster, if Secrets Manager manages it")
    open_to = {name for name, documents in deployed(MasterPasswords="any").items() if password in Role(documents).reach()}
    assert open_to == {"FenceSourceFunctionRole", "SetWindowFunctionRole"}
    assert not [name for name, documents in POLICIES.items() if password in Role(documents).reach()]


def test_with_zones_of_another_account_only_swap_dns_may_assume_the_role_that_moves_records():
    reach = {name: Role(documents).reach() for name, documents in deployed(HostedZoneRoleArn=MOVES, HostedZoneReadRoleArn=READS).items()}
    assert not [name for name, may in reach.items() if any(action.startswith("route53:") for action, _ in may)]
    by = lambda thing: {name for name, may in reach.items() if ("sts:AssumeRole", thing) in may}
    assert by("the role that moves records of the other account") == {"SwapDnsFunctionRole"}
    readers = {"ValidateWindow", "ConfirmApproval", "AwaitRewind", "FindRecords", "Chatops"}
    assert by("the role that reads zones of the other account") == {f"{name}FunctionRole" for name in readers}


def test_one_role_signs_plans_and_another_approvals():
    for key, signer in [("the key of plans", "ValidateWindowFunctionRole"), ("the key of approvals", "ConfirmApprovalFunctionRole")]:
        signs = {name for name, documents in POLICIES.items() if ("kms:GenerateMac", key) in Role(documents).reach()}
        assert signs == {signer}, key


def test_nobody_but_the_machines_may_speak_as_the_product():
    """The policy of the bus, asked about whoever may do everything by policies of their own."""
    everything = [parse_policy_document({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})]
    policy, speak = Deployment(TEMPLATE, EXAMPLE).bus_policy(), set()
    people = [f"{ROLES}/admin", f"{ROLES}/Rewind", f"{ROLES}/team/RewindRole", f"{ROLES}/RewindRole2", f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:root"]
    elsewhere = [f"arn:aws:iam::210987654321:role/{name}" for name in ("RewindRole", "admin")]
    for principal in [*people, *elsewhere, *(f"{ROLES}/{name}" for name in POLICIES)]:
        request = EvalContext(
            principal_arn=principal, principal_type="AssumedRole", principal_account=principal.split(":")[4], action="events:PutEvents",
            resource_arn=event("aurora-rewind", STACK).arn, region=REGION, service_context={"events:source": ["aurora-rewind"]},
        )  # fmt: skip
        if combine_resource_policy(evaluate(request, everything), request, policy, ACCOUNT).decision == "Allow":
            speak.add(principal.removeprefix(f"{ROLES}/"))
    assert speak == {"FenceWatchRole", "OpenRole", "RewindRole", "StoppedRole", "UndoRole"}


@pytest.mark.parametrize("parameter", ["ClusterPattern", "SecretArns", "HostedZoneArns", "RecordNames"])
def test_what_would_open_everything_must_be_given(parameter):
    given = {name: value for name, value in EXAMPLE.items() if name != parameter}
    with pytest.raises(ValueError, match=parameter):
        Deployment(TEMPLATE, given)


@pytest.mark.parametrize("parameter", ["HostedZoneArns", "RecordNames"])
def test_an_empty_list_is_nothing_and_not_everything(parameter):
    assert not [name for name, may in deployed(**{parameter: ""}).items() if any(action.startswith("route53:") for action, _ in Role(may).reach())]


def named(resource: str) -> str:
    """The resource with the stack's name before its own, as CloudFormation names what has no name in the template."""
    return re.sub(rf"^(arn:aws:(?:dynamodb|lambda|sns|sqs):[^:]*:{ACCOUNT}:(?:table/|function:)?)(?=\w)", rf"\g<1>{STACK}-", resource)


def test_the_boundary_of_the_example_takes_nothing_that_a_role_needs():
    """Each action of each role, on a resource that its statement names, with what the statement asks for."""
    boundary = json.loads((ROOT / "infra/boundary.example.json").read_text())
    wrong = []
    for name, documents in POLICIES.items():
        statements = [s for document in documents for s in parse_policy_document(document)]
        for statement in statements:
            for action, resource in itertools.product(statement.actions, statement.resources):
                arn = named(resource.replace("*", "x-final-x" if "snapshot" in resource else "x")) if resource != "*" else "*"
                allow = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}
                via = statement.conditions.get("StringEquals", {})
                # A statement without a service for its key is chat's, whose condition is the same.
                context = {key: value if isinstance(value, str) else value[0] for key, value in via.items()}
                tags = {key.split("/", 1)[1]: "x" for key, value in statement.conditions.get("Null", {}).items() if "ResourceTag/" in key and value == "false"}
                if not Role([allow], boundary).is_allowed(action, Thing("", arn, tags, context), tags, ()):
                    wrong.append(f"{name}: {action} on {arn}")
    assert not wrong, "\n".join(wrong)


def test_the_boundary_of_the_example_holds_without_the_roles_own_policies():
    boundary = json.loads((ROOT / "infra/boundary.example.json").read_text())
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    role = Role([{"Version": "2012-10-17", "Statement": []}])
    role.policies, role.limits = [parse_policy_document(everything)], [[parse_policy_document(boundary)]]
    may = lambda action, thing: role.is_allowed(action, THINGS[thing], THINGS[thing].tags, ())
    assert may("rds:DeleteDBCluster", "a cluster that a recovery gave to clients")
    for action, thing in [
        ("rds:DeleteDBCluster", "a cluster of ClusterPattern"), ("rds:DeleteDBInstance", "an instance of such a cluster"),
        ("rds:ModifyDBCluster", "any other cluster"), ("rds:BacktrackDBCluster", "any other cluster"),
        ("secretsmanager:GetSecretValue", "any other secret"), ("route53:ChangeResourceRecordSets", "a record of any other zone"),
        ("iam:PassRole", "any other role"), ("kms:Decrypt", "a key, by itself"), ("lambda:InvokeFunction", "any other function"),
        ("iam:CreateUser", "any other role"),
    ]:  # fmt: skip
        assert not may(action, thing), f"{action} {thing}"
