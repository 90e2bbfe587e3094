"""Names of resources once they are created, and the values of Ref and GetAtt.

Names that CloudFormation makes are as long as it makes them for the longest stack name; those that the template gives are
taken as they are. Formats: the resource types' pages of the CloudFormation reference, "return values".
"""

import dataclasses

SUFFIX = "1A2B3C4D5E6F"


@dataclasses.dataclass(frozen=True)
class Kind:
    property: str | None = None  # that names it
    longest: int = 255  # of a name that CloudFormation makes
    ref: str = "{name}"
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)


def arn(service: str, rest: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{rest}"


IDENTITY = "arn:{partition}:iam::{account}:"
MACHINE, TOPIC, QUEUE = arn("states", "stateMachine:{name}"), arn("sns", "{name}"), arn("sqs", "{name}")
KINDS = {
    "AWS::CloudWatch::Alarm": Kind("AlarmName", 255, attributes={"Arn": arn("cloudwatch", "alarm:{name}")}),
    "AWS::CloudWatch::Dashboard": Kind("DashboardName", 255),
    "AWS::DynamoDB::Table": Kind("TableName", 255, attributes={"Arn": arn("dynamodb", "table/{name}")}),
    "AWS::EC2::SecurityGroup": Kind(
        "GroupName", 255, "sg-0123456789abcdef0", {"GroupId": "sg-0123456789abcdef0", "Id": "sg-0123456789abcdef0"}
    ),
    "AWS::EC2::SecurityGroupEgress": Kind(),
    "AWS::EC2::SecurityGroupIngress": Kind(),
    "AWS::Events::EventBus": Kind("Name", 256, attributes={"Arn": arn("events", "event-bus/{name}"), "Name": "{name}"}),
    "AWS::Events::EventBusPolicy": Kind(),
    "AWS::Events::Rule": Kind("Name", 64, attributes={"Arn": arn("events", "rule/{name}")}),
    "AWS::IAM::ManagedPolicy": Kind("ManagedPolicyName", 128, IDENTITY + "policy{path}{name}"),
    "AWS::IAM::Policy": Kind(),
    "AWS::IAM::Role": Kind("RoleName", 64, attributes={"Arn": IDENTITY + "role{path}{name}", "RoleId": "AROA123456789EXAMPLE1"}),
    "AWS::KMS::Alias": Kind("AliasName", 256),
    "AWS::KMS::Key": Kind(
        ref="01234567-89ab-cdef-0123-456789abcdef",
        attributes={
            "Arn": arn("kms", "key/01234567-89ab-cdef-0123-456789abcdef"),
            "KeyId": "01234567-89ab-cdef-0123-456789abcdef",
        },
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(),
    "AWS::Lambda::Function": Kind("FunctionName", 64, attributes={"Arn": arn("lambda", "function:{name}")}),
    "AWS::Lambda::Permission": Kind(longest=100),
    "AWS::Lambda::Url": Kind(
        ref=arn("lambda", "function:function"),
        attributes={
            "FunctionUrl": "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.{region}.on.aws/",
            "FunctionArn": arn("lambda", "function:function"),
        },
    ),
    "AWS::Logs::LogGroup": Kind("LogGroupName", 512, attributes={"Arn": arn("logs", "log-group:{name}:*")}),
    "AWS::Logs::MetricFilter": Kind("FilterName", 512),
    "AWS::SNS::Subscription": Kind(ref=arn("sns", "topic:01234567-89ab-cdef-0123-456789abcdef")),
    "AWS::SNS::Topic": Kind("TopicName", 256, TOPIC, {"TopicArn": TOPIC, "TopicName": "{name}"}),
    "AWS::SNS::TopicPolicy": Kind(),
    "AWS::SQS::Queue": Kind(
        "QueueName", 80, "https://sqs.{region}.{suffix}/{account}/{name}", {"Arn": QUEUE, "QueueName": "{name}"}
    ),
    "AWS::SQS::QueuePolicy": Kind(),
    "AWS::StepFunctions::StateMachine": Kind("StateMachineName", 80, MACHINE, {"Arn": MACHINE, "Name": "{name}"}),
}


def generated_name(stack: str, logical: str, longest: int) -> str:
    """Formats a name as CloudFormation does: the stack's and the resource's, shortened, with a random suffix."""
    room = longest - len(SUFFIX) - 2
    of_stack = max(room // 2, room - len(logical))
    return f"{stack[:of_stack]}-{logical[: room - min(len(stack), of_stack)]}-{SUFFIX}"
