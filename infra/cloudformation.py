"""Deploys a template and its zips to CloudFormation: packages them, creates a change set to look at, and executes it.

`make deploy` and the local stack use it. It decides nothing: its caller says whether a change set is executed.
Runs in the venv of local/tools/aws.txt.
"""

import contextlib
import hashlib
import io
import pathlib
import sys
import time

import awscli.clidriver
import boto3
import botocore.exceptions

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


def package(template: pathlib.Path, bucket: str, out: pathlib.Path, prefix: str = "") -> str:
    """Runs `aws cloudformation package` of the AWS CLI in this process, and returns the URL of the packaged template. The template is
    uploaded because in the call itself it may have 51,200 bytes only."""
    cli(
        *("cloudformation", "package", "--template-file", str(template), "--output-template-file", str(out)),
        *("--s3-bucket", bucket),
        *(("--s3-prefix", prefix) if prefix else ()),
    )
    s3 = boto3.client("s3")
    body = out.read_bytes()
    key = "/".join(filter(None, (prefix, f"{hashlib.sha256(body).hexdigest()[:32]}.template")))
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def cli(*arguments: str) -> None:
    """Runs the AWS CLI. Shows its output only when it fails, because it prints a line for each chunk of each upload."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = awscli.clidriver.create_clidriver().main(list(arguments))
    if code:
        sys.exit(f"aws {' '.join(arguments[:2])} failed with {code}: {output.getvalue()[-2000:]}")


class Stack:
    """A stack by its name, which may not exist yet. It polls by itself, because CloudFormation's own waiters sleep 30 s."""

    def __init__(self, name: str, poll: float, timeout: float) -> None:
        self.name, self.poll, self.timeout = name, poll, timeout
        self.client = boto3.client("cloudformation")

    def status(self) -> str | None:
        try:
            return self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def propose(self, template_url: str, parameters: dict[str, str], tags: dict[str, str]) -> list[dict] | None:
        """Creates a change set and returns its changes; None if there is nothing to change."""
        before = self.status()
        if before == "ROLLBACK_COMPLETE":
            sys.exit(
                f"{self.name} is in ROLLBACK_COMPLETE: its first deployment failed, and it can only be deleted; nothing was "
                f"changed; next step: aws cloudformation delete-stack --stack-name {self.name}, then deploy again"
            )
        self.was_there = before is not None
        self.change_set = f"deploy-{time.time_ns()}"
        self.client.create_change_set(
            StackName=self.name,
            ChangeSetName=self.change_set,
            # REVIEW_IN_PROGRESS: a stack that has never been more than a change set.
            ChangeSetType="CREATE" if before in (None, "REVIEW_IN_PROGRESS") else "UPDATE",
            TemplateURL=template_url,
            Capabilities=CAPABILITIES,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Tags=[{"Key": name, "Value": value} for name, value in tags.items()],
        )
        made = self._wait(lambda: self._change_set())
        if made["Status"] == "FAILED":
            reason = made.get("StatusReason", "")
            self.client.delete_change_set(StackName=self.name, ChangeSetName=self.change_set)
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return None
            sys.exit(f"the change set was refused, nothing was changed: {reason}")
        return [change["ResourceChange"] for change in made["Changes"]]

    def withdraw(self) -> None:
        """Deletes a change set that is not executed, and the stack too if it was never more than that change set."""
        self.client.delete_change_set(StackName=self.name, ChangeSetName=self.change_set)
        if not self.was_there:
            self.client.delete_stack(StackName=self.name)

    def carry_out(self) -> None:
        """Executes the change set. CloudFormation rolls everything back if a part of it fails."""
        token = self.change_set
        self.client.execute_change_set(StackName=self.name, ChangeSetName=self.change_set, ClientRequestToken=token)
        stack = self._wait(lambda: self.client.describe_stacks(StackName=self.name)["Stacks"][0], "StackStatus")
        if stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return
        for event in self.client.describe_stack_events(StackName=self.name)["StackEvents"]:
            # Not those of earlier deployments.
            if event["ResourceStatus"].endswith("FAILED") and event.get("ClientRequestToken", token) == token:
                print(event["LogicalResourceId"], event.get("ResourceStatusReason"), file=sys.stderr)
        sys.exit(f"the stack ended in {stack['StackStatus']}: {stack.get('StackStatusReason')}")

    def outputs(self) -> dict[str, str]:
        stack = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def _change_set(self) -> dict:
        """Returns the change set with all its changes, which AWS returns in pages."""
        found = self.client.describe_change_set(StackName=self.name, ChangeSetName=self.change_set)
        token = found.get("NextToken")
        while token:
            page = self.client.describe_change_set(StackName=self.name, ChangeSetName=self.change_set, NextToken=token)
            found["Changes"] += page["Changes"]
            token = page.get("NextToken")
        return found

    def _wait(self, look, key: str = "Status") -> dict:
        """Polls until the status is not one that passes by itself."""
        deadline = time.monotonic() + self.timeout
        while True:
            seen = look()
            # UPDATE_COMPLETE_CLEANUP_IN_PROGRESS passes too; REVIEW_IN_PROGRESS is left once the change set begins.
            if not seen[key].endswith(("_PENDING", "_IN_PROGRESS")):
                return seen
            if time.monotonic() > deadline:
                sys.exit(f"still {seen[key]} after {self.timeout:.0f} s; what was begun goes on without this command")
            time.sleep(self.poll)
