"""Constraints that AWS's models tell in prose only, each with the words that say it or the page that does.

`lint_models.py` fails when the words are no longer in the model: a limit that AWS changed is looked at again. Nothing here
reads the template.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator

import regex

GROUP_CHARACTERS = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*"
RESERVED = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
RETENTIONS = "1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653"


@dataclasses.dataclass(frozen=True)
class Limit:
    """Says is a quotation from the documentation of the model's member; source is a page, where the model says nothing."""

    most_characters: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] | None = None
    most: int | None = None
    says: str | None = None
    source: str | None = None
    check: Callable[[object], Iterator[tuple[str, str]]] | None = None

    def broken(self, value) -> Iterator[tuple[str, str]]:
        text = value if isinstance(value, str) else str(value)
        short = repr(text if len(text) <= 100 else f"{text[:60]}…{text[-30:]}")
        why = self.says or self.source
        if self.most_characters is not None and len(text) > self.most_characters:
            yield "documented length", f"{len(text)} characters, and at most {self.most_characters}: {short} ({why})"
        if self.pattern is not None and not regex.fullmatch(self.pattern, text):
            wrong = "".join(sorted({c for c in text if not regex.fullmatch(self.pattern, c)})) if len(self.pattern) > 20 else ""
            yield "documented characters", f"{short} is not what AWS takes{': ' + wrong if wrong else ''} ({why})"
        if self.values is not None and text not in self.values:
            yield "documented values", f"{short} is none of {', '.join(self.values)} ({why})"
        if self.most is not None and float(value) > self.most:
            yield "documented range", f"{short} is more than {self.most} ({why})"
        if self.check is not None:
            yield from self.check(value)


def group_text(says: str) -> Limit:
    return Limit(255, GROUP_CHARACTERS, says=says)


def environment(variables: dict) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    for name in sorted(variables.keys() & RESERVED):
        yield "documented values", f"{name} is Lambda's own"
    if (size := len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())) > 4096:
        yield "documented length", f"the variables take {size} bytes, and at most 4096 (Lambda quotas: environment variables)"


def alarm(parameters: dict) -> Iterator[tuple[str, str]]:
    period, times = int(parameters.get("Period", 60)), int(parameters.get("EvaluationPeriods", 1))
    if period not in (10, 20, 30) and period % 60:
        yield "documented range", f"a period of {period} s is neither 10, 20, 30 nor a multiple of 60"
    if period * times > (604_800 if period >= 3600 else 86_400):
        yield "documented range", f"{times} periods of {period} s are longer than an alarm may look back"


def dashboard(body: str) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    try:
        widgets = json.loads(body)["widgets"]
    except (ValueError, KeyError, TypeError) as error:
        yield "body", f"is no dashboard: {error!r}"
        return
    if len(widgets) > 500:
        yield "body", f"{len(widgets)} widgets, and at most 500"
    for index, widget in enumerate(widgets):
        at = f"widget {index}"
        if widget.get("type") not in ("metric", "text", "log", "alarm", "explorer"):
            yield "body", f"{at} is of type {widget.get('type')!r}"
        if not 1 <= widget.get("width", 6) <= 24 or not 1 <= widget.get("height", 6) <= 1000:
            yield "body", f"{at} is {widget.get('width')} wide and {widget.get('height')} high: at most 24 and 1000"
        if widget.get("x", 0) + widget.get("width", 6) > 24:
            yield "body", f"{at} leaves the grid of 24 columns"
        properties = widget.get("properties", {})
        if widget.get("type") == "metric" and not {"metrics", "annotations"} & properties.keys():
            yield "body", f"{at} shows no metric"
        if len(properties.get("metrics", [])) > 500:
            yield "body", f"{at} has more than 500 metrics"


def transformer(given: dict) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    paths, template = given.get("InputPathsMap", {}), str(given.get("InputTemplate", ""))
    for name in sorted(set(re.findall(r"<([^<>]+)>", template)) - paths.keys()):
        if not name.startswith("aws.events."):
            yield "template", f"<{name}> is no name of InputPathsMap, and would be sent as it is"
    for name, path in paths.items():
        if not str(path).startswith("$"):
            yield "template", f"{name} is {path!r}, and no path"
        if name.startswith("AWS"):
            yield "template", f"{name}: names that begin with AWS are EventBridge's own"


def pattern(text: str) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html"""
    known = {"prefix", "suffix", "anything-but", "numeric", "exists", "wildcard", "equals-ignore-case", "cidr", "$or"}

    def walk(value, at: str):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{at}.{key}")
        elif not isinstance(value, list) or not value:
            yield "pattern", f"{at or 'the pattern'} is no list of values"
        elif at.endswith(".$or"):
            for inner in value:
                yield from walk(inner, at.removesuffix(".$or"))
        else:
            for matcher in (each for each in value if isinstance(each, dict)):
                if len(matcher) != 1 or not matcher.keys() <= known:
                    yield "pattern", f"{at}: {matcher} is no matcher of EventBridge"

    yield from walk(json.loads(text), "")


def schedule(text: str) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
    rate = re.fullmatch(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)", text)
    if rate and (rate[1] == "1") == (not rate[3]):
        return
    if not re.fullmatch(r"cron\((\S+ ){5}\S+\)", text):
        yield "schedule", f"{text!r} is neither rate(1 hour), rate(5 minutes) nor a cron of six fields"


def endpoint(parameters: dict) -> Iterator[tuple[str, str]]:
    forms = {
        "http": r"http://\S+",
        "https": r"https://\S+",
        "email": r"[^\s@\"'<>]+@[^\s@\"'<>]+\.[^\s@\"'<>]+",
        "email-json": r"[^\s@\"'<>]+@[^\s@\"'<>]+\.[^\s@\"'<>]+",
        "sms": r"\+[1-9]\d{6,14}",
        "sqs": r"arn:[^:]+:sqs:.+",
        "application": r"arn:[^:]+:sns:.+",
        "lambda": r"arn:[^:]+:lambda:.+",
        "firehose": r"arn:[^:]+:firehose:.+",
    }
    protocol, to = str(parameters.get("Protocol")), str(parameters.get("Endpoint"))
    if protocol not in forms:
        yield "documented values", f"{protocol!r} is no protocol of SNS"
    elif not regex.fullmatch(forms[protocol], to):
        yield "documented form", f"{to[:100]!r} is no endpoint of {protocol}"


def attributes(known: dict[str, str | range]) -> Limit:
    """Attributes that an API takes as a map of texts, by what each may be."""

    def check(given: dict) -> Iterator[tuple[str, str]]:
        for name, value in given.items():
            text, form = str(value).lower() if isinstance(value, bool) else str(value), known.get(name)
            if form is None:
                yield "unknown", f"the gate does not know the attribute {name}"
            elif isinstance(form, range):
                if not text.isdecimal() or int(text) not in form:
                    yield "documented range", f"{name}: {text[:100]!r} is not within {form.start} and {form.stop - 1}"
            elif not regex.fullmatch(form, text, regex.DOTALL):
                yield "documented form", f"{name}: {text[:100]!r} is not what AWS takes ({form})"

    return Limit(check=check, source="the attributes in the model's documentation")


BOOLEAN, POLICY, KEY = "true|false", r"\{.*\}", r"[a-zA-Z0-9:/_-]{1,2048}"
TOPIC = {
    # SNS: "must be 100 characters or less"; what is no ASCII or a control character becomes no sender's name.
    "DisplayName": r"[\x20-\x7e]{0,100}",
    "KmsMasterKeyId": KEY,
    "FifoTopic": BOOLEAN,
    "ContentBasedDeduplication": BOOLEAN,
    "SignatureVersion": "1|2",
    "TracingConfig": "PassThrough|Active",
    "ArchivePolicy": POLICY,
}
QUEUE = {
    "DelaySeconds": range(901),
    "MaximumMessageSize": range(1024, 1_048_577),
    "MessageRetentionPeriod": range(60, 1_209_601),
    "ReceiveMessageWaitTimeSeconds": range(21),
    "VisibilityTimeout": range(43_201),
    "KmsMasterKeyId": KEY,
    "KmsDataKeyReusePeriodSeconds": range(60, 86_401),
    "SqsManagedSseEnabled": BOOLEAN,
    "FifoQueue": BOOLEAN,
    "ContentBasedDeduplication": BOOLEAN,
    "RedrivePolicy": POLICY,
    "RedriveAllowPolicy": POLICY,
    "Policy": POLICY,
}
SUBSCRIPTION = {
    "FilterPolicy": POLICY,
    "FilterPolicyScope": "MessageAttributes|MessageBody",
    "RawMessageDelivery": BOOLEAN,
    "RedrivePolicy": POLICY,
    "DeliveryPolicy": POLICY,
    "SubscriptionRoleArn": r"arn:[^:]+:iam::\d{12}:role/.+",
}

# By service and shape, or service, structure and member.
PROSE = {
    "lambda.CreateFunctionRequest.FunctionName": Limit(64, says="it is limited to 64 characters in length"),
    "lambda.CreateFunctionRequest.Timeout": Limit(most=900, says="the maximum allowed value is 900 seconds"),
    "lambda.CreateFunctionRequest.MemorySize": Limit(most=10_240, source="Lambda quotas: memory, 128 MB to 10,240 MB"),
    "lambda.Environment.Variables": Limit(check=environment, source=environment.__doc__),
    "iam.CreateRoleRequest.PermissionsBoundary": Limit(
        pattern=r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", source="IAM identifiers: the ARN of a managed policy"
    ),
    "iam.AttachRolePolicyRequest.PolicyArn": Limit(
        pattern=r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", source="IAM identifiers: the ARN of a managed policy"
    ),
    "stepfunctions.CreateStateMachineInput.name": Limit(
        pattern="[0-9A-Za-z_-]+", says="the name should only contain 0-9, A-Z, a-z, - and _"
    ),
    "stepfunctions.CreateStateMachineInput.roleArn": Limit(
        pattern=r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", source="IAM identifiers: the ARN of a role"
    ),
    "stepfunctions.CloudWatchLogsLogGroup.logGroupArn": Limit(
        pattern=r"arn:.*:\*", says="The ARN must end with :*"
    ),
    "events.PutRuleRequest.EventPattern": Limit(check=pattern, source=pattern.__doc__),
    "events.PutRuleRequest.ScheduleExpression": Limit(check=schedule, source=schedule.__doc__),
    "events.Target.InputTransformer": Limit(check=transformer, source=transformer.__doc__),
    "events.Target.Arn": Limit(pattern=r"arn:\S+", source="EventBridge: the ARN of the target"),
    "events.ResourceArn": Limit(pattern=r"arn:\S+", source="EventBridge: the ARN of the queue"),
    "sns.CreateTopicInput.Name": Limit(256, "[A-Za-z0-9_-]+(\\.fifo)?", says="must be between 1 and 256 characters long"),
    "sns.CreateTopicInput.Attributes": attributes(TOPIC),
    "sns.SubscribeInput": Limit(check=endpoint, source="the documentation of SubscribeInput"),
    "sns.SubscribeInput.Attributes": attributes(SUBSCRIPTION),
    "sqs.CreateQueueRequest.QueueName": Limit(80, "[A-Za-z0-9_-]+(\\.fifo)?", says="A queue name can have up to 80 characters"),
    "sqs.CreateQueueRequest.Attributes": attributes(QUEUE),
    "kms.CreateAliasRequest.AliasName": Limit(
        pattern="alias/(?!aws/)[a-zA-Z0-9/_-]+", says="The alias name cannot begin with alias/aws/"
    ),
    "logs.CreateLogGroupRequest.kmsKeyId": Limit(
        pattern=r"arn:[^:]+:kms:[^:]+:\d{12}:key/.+", says="The Amazon Resource Name (ARN) of the KMS key"
    ),
    "logs.Days": Limit(values=tuple(RETENTIONS.split()), says="2922, 3288, and 3653"),
    "logs.MetricTransformation.dimensions": Limit(
        check=lambda given: [("documented length", "more than three dimensions")] if len(given) > 3 else [],
        says="One metric filter can include as many as three dimensions",
    ),
    "logs.MetricTransformation": Limit(
        check=lambda given: [("documented form", "a default value and dimensions exclude each other")]
        if {"defaultValue", "DefaultValue"} & given.keys() and {"dimensions", "Dimensions"} & given.keys()
        else [],
        source="CloudWatch Logs guide, metric filters: with dimensions no default value can be given",
    ),
    "cloudwatch.PutDashboardInput.DashboardName": Limit(255, "[A-Za-z0-9_-]+", says="The maximum length is 255"),
    "cloudwatch.PutDashboardInput.DashboardBody": Limit(check=dashboard, source=dashboard.__doc__),
    "cloudwatch.PutMetricAlarmInput": Limit(check=alarm, source="the documentation of PutMetricAlarmInput.Period"),
    "cloudwatch.PutMetricAlarmInput.AlarmName": Limit(pattern=r"[^\x00-\x1f\x7f]+", says="can't contain ASCII control characters"),
    "cloudwatch.PutMetricAlarmInput.TreatMissingData": Limit(
        values=("breaching", "notBreaching", "ignore", "missing"), says="breaching | notBreaching | ignore | missing"
    ),
    "dynamodb.CreateTableInput.TableName": Limit(
        255, "[a-zA-Z0-9_.-]{3,}", source="DynamoDB naming rules: 3 to 255 characters of a-z, A-Z, 0-9, _, -, ."
    ),
    "ec2.CreateSecurityGroupRequest.Description": group_text("Valid characters: a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;"),
    "ec2.CreateSecurityGroupRequest.GroupName": group_text("Can't start with sg-"),
    "ec2.CreateSecurityGroupRequest.VpcId": Limit(pattern="vpc-[0-9a-f]+", source="EC2 resource ids"),
    "ec2.IpRange.Description": group_text("Allowed characters are a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;"),
    "ec2.Ipv6Range.Description": group_text("Allowed characters are a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;"),
    "ec2.PrefixListId.Description": group_text("Allowed characters are a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+="),
    "ec2.UserIdGroupPair.Description": group_text("Allowed characters are a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+="),
    "ec2.UserIdGroupPair.GroupId": Limit(pattern="sg-[0-9a-f]+", source="EC2 resource ids"),
    "ec2.IpRange.CidrIp": Limit(pattern=r"(\d{1,3}\.){3}\d{1,3}/([12]?\d|3[0-2])", source="EC2: an IPv4 range in CIDR form"),
    "ec2.IpPermission.IpProtocol": Limit(pattern=r"-1|tcp|udp|icmp|icmpv6|\d{1,3}", says="tcp , udp , icmp , icmpv6"),
    "ec2.IpPermission.FromPort": Limit(most=65_535, source="TCP and UDP"),
    "ec2.IpPermission.ToPort": Limit(most=65_535, source="TCP and UDP"),
}
