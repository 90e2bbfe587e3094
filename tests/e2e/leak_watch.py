"""What a run has to keep to itself, and what it says and is then gone, collected from its start to its end. It judges nothing.

It lives in the controller of the tests, which the workers ask: what it answers can be sent.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import threading

EVERYTHING = "e2e-everything"
PAUSE = 1.0
# What a secret holds beside the secret itself.
NOT_SECRET = {"username", "user", "User", "engine", "host", "port", "dbname", "dbClusterIdentifier"}
TOKEN = "task token"
VALUE = "value that a check found"


class LeakWatch:
    """Collects, from the start of the run to its end, what is secret, and what is said and then gone."""

    def __init__(self, stack):
        self.stack, self._secrets, self._messages = stack, {}, []
        self._versions, self._logs, self._end = set(), {}, threading.Event()
        self._lock = threading.Lock()
        key = {("the authority's key", line) for line in (stack.folder / "run" / "ca-key.pem").read_text().split("\n")[1:-2]}
        for kind, value in in_sources() | credentials(stack) | key:
            self.remember(kind, value)
        self._listen()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def remember(self, kind, value):
        if len(value) >= 8:
            self._secrets[value] = kind

    def look(self):
        """One look at all that may be gone by the next."""
        with self._lock:
            self._read_secrets()
            self._read_tokens()
            self._read_queue()
            # Not by a pattern: a folder of a database may go while it is read, which os.walk passes over.
            walked = os.walk(self.stack.folder / "run" / "rds")
            for file in [pathlib.Path(folder, name) for folder, _, names in walked for name in names if name.endswith(".log")]:
                if file not in self._logs:
                    with contextlib.suppress(OSError):  # gone meanwhile
                        # Held open: a database that is deleted takes its log with it.
                        self._logs[file] = file.open(errors="replace")

    def secrets(self):
        """Every secret, and what it is."""
        with self._lock:
            return dict(self._secrets)

    def messages(self):
        """Every event of both buses and every message of the topics."""
        with self._lock:
            return list(self._messages)

    def logs_of_databases(self):
        """The names of the logs."""
        with self._lock:
            return [str(file) for file in self._logs]

    def log_of_database(self, name):
        with self._lock:
            opened = self._logs[pathlib.Path(name)]
            opened.seek(0)
            return opened.read()

    def stop(self):
        self._end.set()
        self._thread.join()
        events = self.stack.client("events")
        for bus in self._buses():
            events.remove_targets(Rule=EVERYTHING, EventBusName=bus, Ids=["queue"])
            events.delete_rule(Name=EVERYTHING, EventBusName=bus)
        self.stack.client("sqs").delete_queue(QueueUrl=self.queue)

    def _watch(self):
        while not self._end.wait(PAUSE):
            with contextlib.suppress(Exception):  # such as a table of a stack that is deployed again: the next look sees it
                self.look()

    def _read_secrets(self):
        secrets = self.stack.secrets
        for page in secrets.get_paginator("list_secrets").paginate():
            for secret in page["SecretList"]:
                for version in secret.get("SecretVersionsToStages") or {}:
                    if (secret["ARN"], version) in self._versions:
                        continue
                    with contextlib.suppress(secrets.exceptions.ResourceNotFoundException):
                        found = secrets.get_secret_value(SecretId=secret["ARN"], VersionId=version)
                        for value in values_of(found):
                            self.remember(f"the secret {secret['Name']}", value)
                        self._versions.add((secret["ARN"], version))

    def _read_tokens(self):
        pages = self.stack.client("dynamodb").get_paginator("scan").paginate(
            TableName=self.stack.table, ProjectionExpression="approval", FilterExpression="attribute_exists(approval)"
        )
        for page in pages:
            for item in page["Items"]:
                self.remember(TOKEN, item["approval"]["M"]["taskToken"]["S"])

    def _buses(self):
        return ["default", self.stack.outputs["EventBusName"]]

    def _listen(self):
        """A queue that gets every event of both buses and every message of the topics."""
        sqs, events, sns = self.stack.client("sqs"), self.stack.client("events"), self.stack.client("sns")
        self.queue = sqs.create_queue(QueueName=EVERYTHING)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        services = {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}
        allow = {"Effect": "Allow", "Principal": services, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": policy})
        for bus in self._buses():
            events.put_rule(Name=EVERYTHING, EventBusName=bus, EventPattern=json.dumps({"source": [{"prefix": ""}]}))
            events.put_targets(Rule=EVERYTHING, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        for topic in ["TopicArn", "PagesTopicArn"]:
            sns.subscribe(TopicArn=self.stack.outputs[topic], Protocol="sqs", Endpoint=arn)

    def _read_queue(self):
        sqs = self.stack.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._messages.append(message["Body"])
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


def values_of(found):
    """What is secret in a version of a secret, which holds a text or bytes."""
    if "SecretString" in found:
        return values(found["SecretString"])
    try:
        return values(found["SecretBinary"].decode())
    except UnicodeDecodeError:  # bytes that no text can hold come out in base64 at most
        return [base64.b64encode(found["SecretBinary"]).decode().rstrip("=")]


def values(secret):
    """What is secret in a secret: a text, or each text in a JSON object."""
    try:
        fields = json.loads(secret)
    except ValueError:
        return [secret]
    if not isinstance(fields, dict):
        return [secret]
    return [value for name, value in fields.items() if name not in NOT_SECRET and isinstance(value, str)]


def in_sources():
    """The passwords that tests give to the users that they make, as their sources have them."""
    sources = [file.read_text() for file in pathlib.Path(__file__).parent.glob("*.py")]
    written = {word for text in sources for word in re.findall(r"(?:PASSWORD|IDENTIFIED BY) '([^'{}]+)'", text)}
    assert written, "the tests' sources hold no password, or are read wrongly"
    return {("a password in the tests' sources", word) for word in written}


def credentials(stack):
    """The functions' keys, as ministack makes them: of the function and its role. One that signed nothing yet counts."""
    found = set()
    for page in stack.client("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
            for what in ["secret", "token"]:
                value = hashlib.sha256(f"{what}:{digest}".encode()).hexdigest()
                found.add((f"the {what} of the key of {function['FunctionName']}", value))
    return found
