"""Holds local/tools/lint_models.py, the model check of `make lint`, to what it is for: a sound template passes, and each fault that
AWS would refuse is found.

Runs in the environment of local/tools/lint.txt, and never leaves the machine.
"""

import copy
import json
import pathlib
from collections.abc import Callable

import lint_models
import pytest
from models.render import read

ROOT = pathlib.Path(__file__).resolve().parents[2]

DEFINITION = {
    "StartAt": "Call",
    "QueryLanguage": "JSONata",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:${Partition}:states:::lambda:invoke",
            "Arguments": {"FunctionName": "${FunctionArn}"},
            "Next": "Both",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}],
            "End": True,
        },
    },
}


def sub(text: str) -> dict:
    return {"Fn::Sub": text}


def ref(name: str) -> dict:
    return {"Ref": name}


def arn(name: str) -> dict:
    return {"Fn::GetAtt": [name, "Arn"]}


def policy(action: str, resource, **more) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}


def text(pattern: str, default: str = "", **more) -> dict:
    return {"Type": "String", "Default": default, "AllowedPattern": pattern, **more}


def trust(service: str) -> dict:
    by = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [by]}


def given(name: str) -> dict:
    return {"Fn::Not": [{"Fn::Equals": [ref(name), ""]}]}


def sound() -> dict:
    """A template with every type of resource that the check knows best, of which AWS would refuse nothing."""
    group = {"GroupDescription": "functions", "VpcId": ref("VpcId"), "SecurityGroupEgress": [
        {"Description": "APIs of AWS", "IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535, "CidrIp": "0.0.0.0/0"}]}  # fmt: skip
    function = {"CodeUri": "code.zip", "Handler": "bootstrap", "Runtime": "provided.al2023", "Timeout": 900,
        "Environment": {"Variables": {"REWIND_TABLE": ref("Table"), "REWIND_PEOPLE": ref("People")}},
        "VpcConfig": {"Fn::If": ["InVpc", {"SubnetIds": ref("Subnets"), "SecurityGroupIds": [
            {"Fn::GetAtt": ["Group", "GroupId"]}]}, ref("AWS::NoValue")]},
        "Policies": [policy("dynamodb:GetItem", arn("Table"))],
        "RolePath": ref("RolePath")}  # fmt: skip
    machine = {"DefinitionUri": "machine.asl.json", "Role": arn("MachineRole"),
        "DefinitionSubstitutions": {"Partition": ref("AWS::Partition"), "FunctionArn": arn("Function")},
        "Logging": {"Level": "ALL", "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Log")}}]}}  # fmt: skip
    rule = {"Description": "a rule", "EventPattern": {"source": ["aws.states"], "detail": {"name": [{"prefix": "a"}]}},
        "Targets": [{"Id": "page", "Arn": ref("Topic"),
            "InputTransformer": {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '"<id>"'}}]}  # fmt: skip
    resources = {
        "Function": ("Serverless::Function", function),
        "Machine": ("Serverless::StateMachine", machine),
        "MachineRole": ("IAM::Role", {"AssumeRolePolicyDocument": trust("states.amazonaws.com"), "Path": ref("RolePath"),
            "Policies": [{"PolicyName": "steps", "PolicyDocument": policy("lambda:InvokeFunction", arn("Function"))}]}),
        "Managed": ("IAM::ManagedPolicy", {"PolicyDocument": policy("xray:PutTraceSegments", "*")}),
        "Bus": ("Events::EventBus", {"Name": ref("AWS::StackName"), "Description": "events"}),
        "BusPolicy": ("Events::EventBusPolicy", {"EventBusName": ref("Bus"), "StatementId": "a",
            "Statement": policy("events:PutEvents", arn("Bus"), Principal="*")["Statement"][0]}),
        "Rule": ("Events::Rule", rule | {"EventBusName": ref("Bus")}),
        "Schedule": ("Events::Rule", {"ScheduleExpression": "rate(1 hour)", "Targets": [{"Id": "a", "Arn": arn("Function")}]}),
        "Permission": ("Lambda::Permission", {"Action": "lambda:InvokeFunction", "FunctionName": ref("Function"),
            "Principal": "events.amazonaws.com", "SourceArn": arn("Schedule")}),
        "Topic": ("SNS::Topic", {"DisplayName": "pages"}),
        "TopicPolicy": ("SNS::TopicPolicy", {"Topics": [ref("Topic")],
            "PolicyDocument": policy("sns:Publish", ref("Topic"), Principal={"Service": "events.amazonaws.com"})}),
        "Subscription": ("SNS::Subscription", {"TopicArn": ref("Topic"), "Protocol": "email", "Endpoint": ref("Mail")}),
        "Queue": ("SQS::Queue", {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}),
        "Key": ("KMS::Key", {"EnableKeyRotation": True, "KeyPolicy": policy("kms:*", "*",
            Principal={"AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")})}),
        "Log": ("Logs::LogGroup", {"LogGroupName": sub("/aws/vendedlogs/states/${AWS::StackName}"), "RetentionInDays": ref("Days")}),
        "Filter": ("Logs::MetricFilter", {"LogGroupName": ref("Log"), "FilterPattern": '{ $.type = "a" }',
            "MetricTransformations": [{"MetricNamespace": ref("AWS::StackName"), "MetricName": "a", "MetricValue": "1"}]}),
        "Alarm": ("CloudWatch::Alarm", {"Namespace": "AWS/SQS", "MetricName": "a", "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [ref("Topic")]}),
        "Dashboard": ("CloudWatch::Dashboard", {"DashboardName": sub("${AWS::StackName}-${AWS::Region}"), "DashboardBody": sub(
            '{"widgets": [{"type": "metric", "width": 24, "properties": {"metrics": [["${AWS::StackName}", "a"]]}}]}')}),
        "Table": ("DynamoDB::Table", {"BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "SSESpecification": {"SSEEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True}}),
        "Group": ("EC2::SecurityGroup", group),
    }  # fmt: skip
    template = {
        "Parameters": {
            "VpcId": text("^(vpc-[0-9a-f]{8,17})?$"),
            "Subnets": {"Type": "CommaDelimitedList", "Default": "", "AllowedPattern": "^(subnet-[0-9a-f]{8,17})?$"},
            "RolePath": text("^/([a-z]+/)*$", "/", MaxLength=100),
            "People": text("^[A-Z0-9,]*$", MaxLength=2000),
            "Mail": text(r"^[a-z0-9.]+@[a-z0-9]+\.[a-z]+$", "a@example.com", MaxLength=100),
            "Days": {"Type": "Number", "Default": 90, "AllowedValues": [1, 90]},
        },
        "Conditions": {"InVpc": {"Fn::And": [{"Condition": "HasVpc"}, given("VpcId")]}, "HasVpc": given("VpcId")},
        "Rules": {"Subnets": {"RuleCondition": given("VpcId"), "Assertions": [
            {"Assert": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", ref("Subnets")]}, ""]}]}}]}},
        "Resources": {name: {"Type": f"AWS::{kind}", "Properties": properties} for name, (kind, properties) in resources.items()},
        "Outputs": {"Group": {"Condition": "HasVpc", "Value": {"Fn::GetAtt": ["Group", "GroupId"]}}},
    }  # fmt: skip
    template["Resources"]["Group"]["Condition"] = "HasVpc"
    return {"Transform": "AWS::Serverless-2016-10-31", **copy.deepcopy(template)}


def of(name: str) -> Callable[[dict], dict]:
    return lambda template: template["Resources"][name]["Properties"]


def change(name: str, **properties) -> Callable[[dict], object]:
    return lambda template: of(name)(template).update(properties)


def parameter(name: str, **declared) -> Callable[[dict], object]:
    return lambda template: template["Parameters"][name].update(declared)


def unconstrained(name: str) -> Callable[[dict], object]:
    return lambda template: template["Parameters"][name].pop("AllowedPattern")


def also(name: str, kind: str, **properties) -> Callable[[dict], object]:
    return lambda template: template["Resources"].update({name: {"Type": kind, "Properties": properties}})


def statement(name: str, **elements) -> Callable[[dict], object]:
    """Changes the statement of a role's policy."""
    return lambda template: of(name)(template)["Policies"][0]["PolicyDocument"]["Statement"][0].update(elements)


STATES = "arn:aws:states:::lambda:invoke"
# What is put in, and what has to be found of it.
FAULTS: list[tuple[Callable[[dict], object], str]] = [
    # names
    (change("Function", FunctionName=sub("${AWS::StackName}-a")), "FunctionName: 130 characters, and at most 64"),
    (change("MachineRole", RoleName=sub("${AWS::StackName}")), "RoleName: 128 characters"),
    (change("Rule", Name=sub("${AWS::StackName}")), "128 characters: "),
    (change("Queue", QueueName=sub("${AWS::StackName}")), "QueueName: 128 characters, and at most 80"),
    (change("Machine", Name=sub("${AWS::StackName}")), "name: 128 characters"),
    (change("Log", LogGroupName="a b"), "logGroupName: 'a b' does not match"),
    (change("Dashboard", DashboardName="a.b"), "DashboardName: 'a.b' is not what AWS takes"),
    # texts
    (lambda t: of("Group")(t)["SecurityGroupEgress"][0].update(Description="AWS's"), "IpRanges[0].Description: \"AWS's\""),
    (change("Group", GroupDescription="AWS's"), "CreateSecurityGroup.Description: \"AWS's\""),
    (change("Function", Description="a" * 257), "Description: 257 characters"),
    (change("Rule", Description="a" * 513), "Description: 513 characters"),
    (change("Alarm", AlarmDescription="a" * 1025), "AlarmDescription: 1025 characters"),
    (change("Topic", DisplayName="a" * 101), "DisplayName: 'aaa"),
    # values
    (change("Function", Timeout=901), "Timeout: '901' is more than 900"),
    (change("Function", MemorySize=64), "MemorySize: 64"),
    (change("Function", Runtime="provided.al2"), ""),
    (change("Function", Runtime="provided.al1"), "is none of"),
    (change("Function", Environment={"Variables": {"AWS_REGION": "a"}}), "AWS_REGION is Lambda's own"),
    (change("Log", RetentionInDays=91), "'91' is none of"),
    (change("Queue", MessageRetentionPeriod=1209601), "MessageRetentionPeriod: '1209601' is not within 60 and 1209600"),
    (change("Alarm", Period=45), "neither 10, 20, 30 nor a multiple of 60"),
    (change("Alarm", Period=86400, EvaluationPeriods=8), "longer than an alarm may look back"),
    (change("Alarm", TreatMissingData="fine"), "TreatMissingData: 'fine' is none of"),
    (change("Alarm", AlarmActions=[ref("Topic")] * 6), "AlarmActions: 6 items is more than 5"),
    (change("Schedule", ScheduleExpression="rate(1 hours)"), "'rate(1 hours)' is neither"),
    (change("Subscription", Protocol="mail"), "'mail' is no protocol of SNS"),
    (change("Dashboard", DashboardBody='{"widgets": [{"type": "metric", "x": 20, "width": 6, "properties": {"metrics": []}}]}'), "leaves the grid"),
    (change("Dashboard", DashboardBody='{"widgets": ['), "is no dashboard"),
    (lambda t: of("Group")(t)["SecurityGroupEgress"][0].update(ToPort=65536), "ToPort: '65536' is more than 65535"),
    (lambda t: of("Rule")(t)["Targets"][0]["InputTransformer"].update(InputTemplate='"<name>"'), "<name> is no name of InputPathsMap"),
    (change("Rule", EventPattern={"source": "aws.states"}), ".source is no list of values"),
    (change("Rule", EventPattern={"source": [{"begins": "a"}]}), "is no matcher of EventBridge"),
    (lambda t: of("Filter")(t)["MetricTransformations"][0].update(DefaultValue=0, Dimensions=[{"Key": "a", "Value": "$.a"}]), "exclude each other"),
    (change("Table", AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}]), "what is defined is not what keys use"),
    # members
    (change("Alarm", Colour="red"), "Alarm: PutMetricAlarm.Colour: AWS's model has no such member"),
    (change("Queue", Colour="red"), "does not know the attribute Colour"),
    (lambda t: of("Permission")(t).pop("Principal"), "AddPermission.Principal: is required and missing"),
    (lambda t: of("Rule")(t).pop("EventPattern"), "has neither a pattern nor a schedule"),
    (also("Bucket", "AWS::S3::Bucket"), "does not know AWS::S3::Bucket"),
    (change("Queue", KmsMasterKeyId="alias/a"), "has a key of KMS and SQS's own"),
    (change("Log", KmsKeyId="alias/a"), "kmsKeyId: 'alias/a' is not what AWS takes"),
    # policies
    (statement("MachineRole", Resource="Function"), "'Function' is neither * nor an ARN"),
    (statement("MachineRole", Action="lambda"), "'lambda' is no action"),
    (statement("MachineRole", Sid="a b"), "a Sid has letters and digits only"),
    (statement("MachineRole", Condition={"StringIs": {"aws:SourceAccount": "1"}}), "StringIs is no condition operator"),
    (statement("MachineRole", Principal={"AWS": "*"}), "has a principal"),
    (statement("MachineRole", Resource=[sub(f"arn:${{AWS::Partition}}:s3:::{'a' * 60}{n}") for n in range(140)]), "all inline policies of a role: "),
    (change("Managed", PolicyDocument=policy("s3:Get*", ["arn:*:s3:::" + "a" * 60] * 100)), "a managed policy: "),
    (change("MachineRole", ManagedPolicyArns=["Managed"]), "PolicyArn: 'Managed' is not what AWS takes"),
    # places
    (statement("MachineRole", Resource="arn:aws:s3:::a"), "names the partition aws in aws-cn"),
    (statement("MachineRole", Resource=sub("arn:${AWS::Partition}:sqs:eu-west-1:${AWS::AccountId}:a")), "names the Region eu-west-1"),
    (statement("MachineRole", Resource=sub("arn:${AWS::Partition}:sqs:${AWS::Region}:210987654321:a")), "names the account 210987654321"),
    (statement("MachineRole", Condition={"StringEquals": {"kms:ViaService": sub("rds.${AWS::Region}.amazonaws.com")}}), "names rds.cn-northwest-1.amazonaws.com in aws-cn"),
    (change("MachineRole", AssumeRolePolicyDocument=trust("ec2.amazonaws.com")), "names ec2.amazonaws.com in aws-cn"),
    (lambda t: t["Outputs"].update(A={"Value": "arn:aws:s3:::a"}), "Outputs.A.Value: names the partition aws in aws-cn"),
    (parameter("People", Default="arn:aws:s3:::a", AllowedPattern="^.*$"), "names the partition aws in aws-cn"),
    # parameters, conditions and functions
    (unconstrained("Subnets"), "SubnetIds[0]: 'a' does not match"),
    (unconstrained("RolePath"), "Path: "),
    (parameter("RolePath", MaxLength=300), "roleArn: "),
    (parameter("People", MaxLength=4096), "the variables take"),
    (parameter("Mail", AllowedPattern="^[^ ]*$"), "is no endpoint of email"),
    (parameter("Days", AllowedValues=[1, 90, 2]), "'2' is none of"),
    (parameter("VpcId", Default="subnet-1"), "does not admit its default"),
    (parameter("Mail", AllowedPattern=r"^\p{Lower}+$"), "the gate finds no value that it admits"),
    (lambda t: t["Conditions"].update(Never={"Fn::Equals": [ref("VpcId"), "never"]}) or t["Resources"]["Alarm"].update(Condition="Never"), "no values of the parameters make it True"),
    (lambda t: t["Conditions"].update(Mailed={"Fn::Equals": [ref("Mail"), "b@b.b"]}) or change("Alarm", Period={"Fn::If": ["Mailed", 45, 60]})(t), "a period of 45 s"),
    (lambda t: t["Resources"]["Alarm"].pop("Condition", None) or change("Alarm", Unit={"Fn::GetAtt": ["Group", "GroupId"]})(t), "Group is referred to and does not exist"),
    (change("Alarm", Unit={"Fn::GetAtt": ["Queue", "Colour"]}), "does not know Colour of AWS::SQS::Queue"),
    (change("Alarm", Unit={"Fn::Cidr": ["a"]}), "does not know Fn::Cidr"),
    (change("Bus", Name="a b"), "Bus"),
    (lambda t: of("BusPolicy")(t)["Statement"].update(Effect="Maybe"), "BusPolicy"),
    # definitions
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].pop("FunctionArn"), "nothing substitutes ${FunctionArn}"),
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].update(Other="a"), "does not use the substitution Other"),
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].update(FunctionArn='"'), "is no JSON once substituted"),
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].update(FunctionArn=STATES), "Machine.definition.Call.Arguments.FunctionName: names the partition aws"),
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].update(Partition="aws"), "Machine.definition.Call.Resource: names the partition aws"),
    (lambda t: of("Machine")(t)["DefinitionSubstitutions"].update(FunctionArn="{% 'arn:aws:rds:' & $states.input.name %}"), "FunctionName: names the partition aws in aws-cn"),
    (change("Machine", Logging={"Level": "ALL", "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": "arn:a"}}]}), "logGroupArn: 'arn:a' is not what AWS takes"),
    # sizes of the template
    (lambda t: t.update(Description="ü" * 513), "Description: is longer than 1024 bytes"),
    (lambda t: t["Parameters"].update({f"P{n}": text("^a?$") for n in range(200)}), "Parameters: has more than 200"),
    (lambda t: t["Resources"].update({f"T{n}": {"Type": "AWS::SNS::Topic"} for n in range(500)}), "Resources: has more than 500"),
    (lambda t: t["Resources"]["Alarm"].update(Metadata={"a": "a" * 2**20}), "the template: takes"),
    (lambda t: t["Parameters"].update({"vpc-id": text("^a?$")}), "Parameters.vpc-id: is no name"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Where the template's definition is."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "machine.asl.json").write_text(json.dumps(DEFINITION))
    return folder


def test_sound_template_passes(folder):
    assert problems(sound(), folder) == []


@pytest.mark.parametrize(("damage", "expected"), FAULTS, ids=[f"{n:02}-{expected or 'nothing'}" for n, (_, expected) in enumerate(FAULTS)])
def test_fault_is_found(folder, damage, expected):
    damaged = sound()
    damage(damaged)
    found = problems(damaged, folder)
    assert any(expected in problem for problem in found) if expected else found == [], found


def test_faults_are_found_in_the_projects_own_template():
    """The faults that this check was made for, where the same may be found already."""
    template, folder = read(ROOT / "infra" / "template.yaml"), ROOT / "infra"
    resources = template["Resources"]
    resources["FenceSecurityGroup"]["Properties"]["SecurityGroupIngress"][0]["Description"] = "AWS's"
    resources["SetWindowFunction"]["Properties"]["FunctionName"] = sub("${AWS::StackName}-set-window")
    resources["UndoRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"] = ["arn:aws:lambda:*:*:*"]
    found = problems(template, folder)
    for expected in (
        "FenceSecurityGroup: AuthorizeSecurityGroupIngress.IpPermissions[0].UserIdGroupPairs[0].Description: \"AWS's\"",
        "SetWindowFunction: CreateFunction.FunctionName: 139 characters",
        "UndoRole.Policies[0].PolicyDocument.Statement[0].Resource[0]: names the partition aws in aws-cn",
    ):
        assert any(expected in problem for problem in found), f"{expected} is not among {found}"


def problems(template: dict, folder: pathlib.Path) -> list[str]:
    return [f"{problem.where}: {problem.message}" for problem in lint_models.lint(template, folder)]
