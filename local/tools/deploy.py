"""Lays the build out as `cargo lambda build --output-format zip` would and deploys the template, unchanged, to the local AWS.

Runs in the venv of aws.txt. Prints the stack's outputs as JSON; everything else goes to stderr. It reads its endpoint and
credentials from the environment and never touches an account: it refuses to run without AWS_ENDPOINT_URL.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

BUCKET = "aurora-rewind-deploy"
POLL_SECONDS = 0.05
TIMEOUT_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the checkout")
    parser.add_argument("--binaries", type=pathlib.Path, required=True, help="the folder of the functions' binaries")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder that the layout is written to")
    parser.add_argument("--stack-name", required=True)
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    if not os.environ.get("AWS_ENDPOINT_URL"):
        sys.exit("AWS_ENDPOINT_URL is not set; nothing was deployed: this deploys to a local AWS only")

    began = time.monotonic()
    lay_out(arguments.root, arguments.binaries, arguments.out)
    packaged = time.monotonic()
    sys.path.insert(0, str(arguments.root / "infra"))
    outputs = deploy(arguments.stack_name, arguments.out, [*arguments.parameter, f"OpenSecurityGroupId={open_group()}"])
    # The end-to-end tests hold the second of them to a limit, on a machine that does nothing else.
    took = f"packaged in {packaged - began:.2f} s, deployed in {time.monotonic() - packaged:.2f} s"
    print(f"{took}, at a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    grant(arguments.stack_name)
    print(json.dumps(outputs))


def lay_out(root: pathlib.Path, binaries: pathlib.Path, out: pathlib.Path) -> None:
    """Puts each function's binary in a zip, and template and state machine beside them."""
    functions = sorted(path.parent.name for path in root.glob("functions/*/Cargo.toml"))
    zips = root / ".local" / "zips"
    zips.mkdir(parents=True, exist_ok=True)
    # Stacks of one checkout share the zips, and may start at the same time.
    with open(zips / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in functions:
            binary = binaries / name
            if not binary.is_file():
                sys.exit(
                    f"the binary of {name} is not in {binaries}; nothing was deployed; next step: cargo build --locked -p {name}"
                )
            link(zip_binary(binary, zips / name), out / "target" / "lambda" / name / "bootstrap.zip")
    for folder in [*(out / "target" / "lambda").glob("*"), *zips.glob("*/")]:
        if folder.name not in functions:
            shutil.rmtree(folder)
    for folder in ("infra", "statemachine"):
        shutil.rmtree(out / folder, ignore_errors=True)
        shutil.copytree(root / folder, out / folder)


def link(archive: pathlib.Path, to: pathlib.Path) -> None:
    """Links a zip to where the template expects it; copies it where the stack's directory is on another disk."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    try:
        to.hardlink_to(archive)
    except OSError:
        shutil.copyfile(archive, to)


def zip_binary(binary: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Writes bootstrap.zip, unless the one there was made from this very binary."""
    stat = binary.stat()
    made_from = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    mark, archive = folder / "made-from", folder / "bootstrap.zip"
    if archive.exists() and mark.exists() and mark.read_text() == made_from:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    stripped = folder / "bootstrap"
    # A development build is mostly symbols: without them it is a fifth of the size to zip, upload and unpack.
    subprocess.run(["strip", "-o", stripped, binary], check=True)
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))  # the same binary gives the same zip
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    temporary = archive.with_suffix(".new")
    with zipfile.ZipFile(temporary, "w") as zipped:
        zipped.writestr(entry, stripped.read_bytes(), compresslevel=1)
    temporary.replace(archive)
    stripped.unlink()
    mark.write_text(made_from)
    return archive


def deploy(name: str, out: pathlib.Path, parameters: list[str]) -> dict[str, str]:
    """Deploys the template as `make deploy` does, but asks nobody."""
    import boto3

    import cloudformation

    s3 = boto3.client("s3")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_REGION"]})
    url = cloudformation.package(out / "infra" / "template.yaml", BUCKET, out / "packaged.yaml")
    stack = cloudformation.Stack(name, POLL_SECONDS, TIMEOUT_SECONDS)
    if stack.propose(url, dict(pair.split("=", 1) for pair in parameters), {}) is not None:
        stack.carry_out()
    return stack.outputs()


OPEN_GROUP = "aurora-rewind-open"


def open_group() -> str:
    """Finds the security group that admits one address while a cluster is open, or creates it. With a VPC the template does."""
    import boto3

    ec2 = boto3.client("ec2")
    known = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [OPEN_GROUP]}])["SecurityGroups"]
    if known:
        return known[0]["GroupId"]
    return ec2.create_security_group(GroupName=OPEN_GROUP, Description="Admits one address while a cluster is open.")["GroupId"]


# Actions that ministack authorizes on `*`, where AWS authorizes them on the change and the state machine, as in the template.
AUTHORIZED_ON_ALL = {
    "AwaitRewindFunctionRole": "route53:GetChange",
    "ChatopsFunctionRole": "states:SendTaskSuccess",
}


def grant(stack_name: str) -> None:
    """Allows the actions that ministack authorizes on another resource than AWS does."""
    import boto3

    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack_name)["StackResources"]
    for resource in resources:
        if action := AUTHORIZED_ON_ALL.get(resource["LogicalResourceId"]):
            allow = {"Effect": "Allow", "Action": action, "Resource": "*"}
            boto3.client("iam").put_role_policy(
                RoleName=resource["PhysicalResourceId"],
                PolicyName="local-stack",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
            )


if __name__ == "__main__":
    main()
