"""The API calls that CloudFormation makes for each type of resource, with the rendered properties as their parameters.

A type that is not here, or a property that none of its calls takes, is a problem: nothing is passed over. To cover a new type,
add a function of its name and, in resources.py, its names and references.
"""

import json
from collections.abc import Callable, Iterator

from models.policies import BUS, INLINE, KEY, MANAGED, QUEUE, TOPIC, TRUST, many, policy, size, within
from models.shapes import Problem, call

CALLS: dict[str, Callable] = {}


def of(kind: str):
    def add(function):
        CALLS[kind] = function
        return function

    return add


def problems(kind: str, properties: dict, name: str, where: str) -> Iterator[Problem]:
    """Finds what AWS would refuse in a resource with that physical name."""
    if kind not in CALLS:
        yield Problem(where, "unknown", f"the gate does not know {kind}: add it to calls.py and resources.py")
        return
    try:
        yield from CALLS[kind](dict(properties), name, where)
    except KeyError as error:
        yield Problem(where, "required", f"{error} is required and missing")


def text(document) -> str:
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def pairs(tags: list[dict]) -> dict:
    return {tag["Key"]: tag["Value"] for tag in tags}


def put(target: dict, name: str, given: dict, key: str, change=lambda value: value) -> None:
    """Passes a property on under another name."""
    if key in given:
        target[name] = change(given.pop(key))


# ---- Lambda ----


@of("AWS::Lambda::Function")
def function(given: dict, name: str, where: str):
    put(given, "Tags", given, "Tags", pairs)
    if "ReservedConcurrentExecutions" in given:
        reserved = {"FunctionName": name, "ReservedConcurrentExecutions": given.pop("ReservedConcurrentExecutions")}
        yield from call("lambda", "PutFunctionConcurrency", reserved, where)
    yield from call("lambda", "CreateFunction", given | {"FunctionName": name}, where)


@of("AWS::Lambda::Permission")
def permission(given: dict, name: str, where: str):
    yield from call("lambda", "AddPermission", given | {"StatementId": name}, where)


@of("AWS::Lambda::EventInvokeConfig")
def event_invoke_config(given: dict, _: str, where: str):
    yield from call("lambda", "PutFunctionEventInvokeConfig", given, where)


@of("AWS::Lambda::Url")
def url(given: dict, _: str, where: str):
    put(given, "FunctionName", given, "TargetFunctionArn")
    yield from call("lambda", "CreateFunctionUrlConfig", given, where)


# ---- IAM ----


@of("AWS::IAM::Role")
def role(given: dict, name: str, where: str):
    inline, managed = given.pop("Policies", []), given.pop("ManagedPolicyArns", [])
    for each in inline:
        yield from call("iam", "PutRolePolicy", {**each, "PolicyDocument": text(each["PolicyDocument"]), "RoleName": name}, where)
        yield from policy(each["PolicyDocument"], "identity", f"{where}: {each['PolicyName']}")
    yield from within(sum(size(each["PolicyDocument"]) for each in inline), INLINE, "all inline policies of a role", where)
    names = [each["PolicyName"] for each in inline]
    for twice in sorted({each for each in names if names.count(each) > 1}):
        yield Problem(where, "policy", f"the inline policy {twice} is there twice: the last replaces the others")
    for arn in managed:
        yield from call("iam", "AttachRolePolicy", {"RoleName": name, "PolicyArn": arn}, where)
    # The default of the quota.
    yield from within(len(managed), 10, "managed policies of a role", where)
    trust = given["AssumeRolePolicyDocument"]
    yield from policy(trust, "trust", f"{where}: AssumeRolePolicyDocument")
    yield from within(size(trust), TRUST, "the trust policy", where)
    given.pop("RoleName", None)
    yield from call("iam", "CreateRole", given | {"RoleName": name, "AssumeRolePolicyDocument": text(trust)}, where)


@of("AWS::IAM::ManagedPolicy")
def managed_policy(given: dict, name: str, where: str):
    document = given["PolicyDocument"]
    yield from policy(document, "identity", where)
    yield from within(size(document), MANAGED, "a managed policy", where)
    for each in given.pop("Roles", []):
        yield from call("iam", "AttachRolePolicy", {"RoleName": each, "PolicyArn": "arn:aws:iam::123456789012:policy/p"}, where)
    given.pop("ManagedPolicyName", None)
    yield from call("iam", "CreatePolicy", given | {"PolicyName": name, "PolicyDocument": text(document)}, where)


@of("AWS::IAM::Policy")
def inline_policy(given: dict, name: str, where: str):
    """Of roles that other policies of theirs are counted without: the quota is all inline policies of a role together."""
    document, roles = given.pop("PolicyDocument"), given.pop("Roles", [])
    yield from policy(document, "identity", where)
    yield from within(size(document), INLINE, "an inline policy", where)
    for each in roles:
        yield from call("iam", "PutRolePolicy", {**given, "PolicyDocument": text(document), "RoleName": each}, where)


# ---- Step Functions and EventBridge ----


@of("AWS::StepFunctions::StateMachine")
def state_machine(given: dict, name: str, where: str):
    given.pop("StateMachineName", None)
    put(given, "type", given, "StateMachineType")
    yield from call("stepfunctions", "CreateStateMachine", given | {"name": name}, where)


@of("AWS::Events::EventBus")
def event_bus(given: dict, name: str, where: str):
    yield from call("events", "CreateEventBus", given | {"Name": name}, where)


@of("AWS::Events::EventBusPolicy")
def event_bus_policy(given: dict, _: str, where: str):
    document = {"Version": "2012-10-17", "Statement": [given.pop("Statement") | {"Sid": given.pop("StatementId")}]}
    yield from resource_policy(document, BUS, where)
    yield from call("events", "PutPermission", given | {"Policy": text(document)}, where)


@of("AWS::Events::Rule")
def rule(given: dict, name: str, where: str):
    targets = given.pop("Targets", [])
    put(given, "EventPattern", given, "EventPattern", text)
    if not {"EventPattern", "ScheduleExpression"} & given.keys():
        yield Problem(where, "required", "has neither a pattern nor a schedule")
    bus = {key: value for key, value in given.items() if key == "EventBusName"}
    yield from call("events", "PutRule", given | {"Name": name}, where)
    yield from call("events", "PutTargets", {"Rule": name, "Targets": targets} | bus, where)
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    yield from within(len(targets), 5, "targets of a rule", where)
    ids = [target.get("Id") for target in targets]
    if len(ids) != len(set(ids)):
        yield Problem(where, "targets", f"two targets have one id: {ids}")


# ---- SNS and SQS ----


@of("AWS::SNS::Topic")
def topic(given: dict, name: str, where: str):
    tags, subscriptions = given.pop("Tags", []), given.pop("Subscription", [])
    given.pop("TopicName", None)
    yield from call("sns", "CreateTopic", {"Name": name, "Tags": tags, "Attributes": given}, where)
    for each in subscriptions:
        yield from call("sns", "Subscribe", {"TopicArn": name, **each}, where)


@of("AWS::SNS::Subscription")
def subscription(given: dict, _: str, where: str):
    direct = {key: given.pop(key) for key in ("TopicArn", "Protocol", "Endpoint") if key in given}
    given.pop("Region", None)
    attributes = {key: text(value) if isinstance(value, dict) else value for key, value in given.items()}
    yield from call("sns", "Subscribe", direct | {"Attributes": attributes}, where)


@of("AWS::SNS::TopicPolicy")
def topic_policy(given: dict, _: str, where: str):
    yield from resource_policy(given.pop("PolicyDocument"), TOPIC, where)
    for arn in given.pop("Topics"):
        yield from call("sns", "SetTopicAttributes", {"TopicArn": arn, "AttributeName": "Policy", **given}, where)


@of("AWS::SQS::Queue")
def queue(given: dict, name: str, where: str):
    tags = pairs(given.pop("Tags", []))
    given.pop("QueueName", None)
    attributes = {key: text(value) if isinstance(value, dict) else value for key, value in given.items()}
    if given.get("KmsMasterKeyId") and str(given.get("SqsManagedSseEnabled", False)).lower() == "true":
        yield Problem(where, "encryption", "has a key of KMS and SQS's own at the same time")
    yield from call("sqs", "CreateQueue", {"QueueName": name, "tags": tags, "Attributes": attributes}, where)


@of("AWS::SQS::QueuePolicy")
def queue_policy(given: dict, _: str, where: str):
    document = given.pop("PolicyDocument")
    yield from resource_policy(document, QUEUE, where)
    for each in given.pop("Queues"):
        parameters = {"QueueUrl": each, "Attributes": {"Policy": text(document)}, **given}
        yield from call("sqs", "SetQueueAttributes", parameters, where)


def resource_policy(document: dict, most: int, where: str):
    yield from policy(document, "resource", where)
    yield from within(len(text(document).encode()), most, "the policy", where)


# ---- KMS ----


@of("AWS::KMS::Key")
def key(given: dict, _: str, where: str):
    document = given.pop("KeyPolicy")
    yield from resource_policy(document, KEY, where)
    rotation = {k: given.pop(k) for k in ("RotationPeriodInDays",) if k in given}
    rotates = given.pop("EnableKeyRotation", False)
    if rotates or rotation:
        yield from call("kms", "EnableKeyRotation", {"KeyId": "key", **rotation}, where)
    if "PendingWindowInDays" in given:
        parameters = {"KeyId": "key", "PendingWindowInDays": given.pop("PendingWindowInDays")}
        yield from call("kms", "ScheduleKeyDeletion", parameters, where)
    given.pop("Enabled", None)
    put(given, "Tags", given, "Tags", lambda tags: [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags])
    yield from call("kms", "CreateKey", given | {"Policy": text(document)}, where)


@of("AWS::KMS::Alias")
def alias(given: dict, _: str, where: str):
    yield from call("kms", "CreateAlias", given, where)


# ---- CloudWatch ----


@of("AWS::Logs::LogGroup")
def log_group(given: dict, name: str, where: str):
    put(given, "tags", given, "Tags", pairs)
    if "RetentionInDays" in given:
        retention = {"logGroupName": name, "retentionInDays": given.pop("RetentionInDays")}
        yield from call("logs", "PutRetentionPolicy", retention, where)
    given.pop("LogGroupName", None)
    yield from call("logs", "CreateLogGroup", given | {"logGroupName": name}, where)


@of("AWS::Logs::MetricFilter")
def metric_filter(given: dict, name: str, where: str):
    transformations = [dict(each) for each in given.pop("MetricTransformations")]
    for each in transformations:
        put(each, "dimensions", each, "Dimensions", pairs)
    given.pop("FilterName", None)
    parameters = given | {"filterName": name, "metricTransformations": transformations}
    yield from call("logs", "PutMetricFilter", parameters, where)


@of("AWS::CloudWatch::Alarm")
def alarm(given: dict, name: str, where: str):
    yield from call("cloudwatch", "PutMetricAlarm", given | {"AlarmName": name}, where)


@of("AWS::CloudWatch::Dashboard")
def dashboard(given: dict, name: str, where: str):
    yield from call("cloudwatch", "PutDashboard", given | {"DashboardName": name}, where)


# ---- DynamoDB ----


@of("AWS::DynamoDB::Table")
def table(given: dict, name: str, where: str):
    for operation, property in (
        ("UpdateTimeToLive", "TimeToLiveSpecification"),
        ("UpdateContinuousBackups", "PointInTimeRecoverySpecification"),
    ):
        if property in given:
            yield from call("dynamodb", operation, {"TableName": name, property: given.pop(property)}, where)
    encryption = dict(given.pop("SSESpecification", {}))
    put(encryption, "Enabled", encryption, "SSEEnabled")
    defined = {each["AttributeName"] for each in given.get("AttributeDefinitions", [])}
    indexes = [*given.get("LocalSecondaryIndexes", []), *given.get("GlobalSecondaryIndexes", [])]
    used = {each["AttributeName"] for keys in [given, *indexes] for each in keys.get("KeySchema", [])}
    if defined != used:
        yield Problem(where, "attributes", f"what is defined is not what keys use: {sorted(defined ^ used)}")
    parameters = given | {"TableName": name} | ({"SSESpecification": encryption} if encryption else {})
    yield from call("dynamodb", "CreateTable", parameters, where)


# ---- EC2 ----


@of("AWS::EC2::SecurityGroup")
def security_group(given: dict, name: str, where: str):
    tags = given.pop("Tags", [])
    for operation, property in (
        ("AuthorizeSecurityGroupIngress", "SecurityGroupIngress"),
        ("AuthorizeSecurityGroupEgress", "SecurityGroupEgress"),
    ):
        rules = [permission_of(each) for each in many(given.pop(property, []))]
        if rules:
            yield from call("ec2", operation, {"GroupId": name, "IpPermissions": rules}, where)
        # The default of the quota.
        yield from within(len(rules), 60, f"rules of {property}", where)
    put(given, "Description", given, "GroupDescription")
    given.pop("GroupName", None)
    tagged = {"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]} if tags else {}
    yield from call("ec2", "CreateSecurityGroup", given | {"GroupName": name} | tagged, where)


for _kind, _operation in (
    ("AWS::EC2::SecurityGroupIngress", "AuthorizeSecurityGroupIngress"),
    ("AWS::EC2::SecurityGroupEgress", "AuthorizeSecurityGroupEgress"),
):

    def _rule(given: dict, _: str, where: str, operation: str = _operation):
        parameters = {"GroupId": given.pop("GroupId"), "IpPermissions": [permission_of(given)]}
        yield from call("ec2", operation, parameters, where)

    CALLS[_kind] = _rule


def permission_of(rule: dict) -> dict:
    """A rule in CloudFormation's flat form as EC2 takes it."""
    rule = dict(rule)
    about = {"Description": rule.pop("Description")} if "Description" in rule else {}
    permission = {}
    for source, group, member in (
        ("CidrIp", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("SourceSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("DestinationSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("SourcePrefixListId", "PrefixListIds", "PrefixListId"),
        ("DestinationPrefixListId", "PrefixListIds", "PrefixListId"),
    ):
        if source in rule:
            permission[group] = [{member: rule.pop(source), **about}]
    return rule | permission
