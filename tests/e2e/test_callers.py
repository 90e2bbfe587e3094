"""Who may ask the local AWS: nobody of the machine but whoever started it, and no web page."""

import contextlib
import stat
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from cluster import Cluster

LIST = b"Action=DescribeDBClusters&Version=2014-10-31"


def answer(url, body=None, **headers):
    """The status and the text of an answer."""
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.parametrize(
    ("key", "secret"), [("test", "test"), ("000000000000", "test"), (None, "wrong"), ("AKIA0123456789ABCDEF", "x" * 40)]
)
@pytest.mark.parametrize("service", ["sts", "lambda", "route53", "s3", "stepfunctions", "secretsmanager", "rds"])
def test_keys_of_another_start_open_nothing(stack, service, key, secret):
    client = boto3.client(
        service, endpoint_url=stack.env["AWS_ENDPOINT_URL_RDS" if service == "rds" else "AWS_ENDPOINT_URL"],
        region_name=stack.env["AWS_REGION"], aws_access_key_id=key or stack.env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=secret,
    )  # fmt: skip
    call = {
        "sts": "get_caller_identity", "lambda": "list_functions", "route53": "list_hosted_zones", "s3": "list_buckets",
        "stepfunctions": "list_state_machines", "secretsmanager": "list_secrets", "rds": "describe_db_clusters",
    }[service]  # fmt: skip
    with pytest.raises(ClientError) as refused:
        getattr(client, call)()
    code = refused.value.response["Error"]["Code"]
    assert code in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"), refused.value


def test_a_request_without_a_signature_opens_nothing_but_what_is_open(stack):
    gateway, rds = stack.env["AWS_ENDPOINT_URL"], stack.env["AWS_ENDPOINT_URL_RDS"]
    for url, body in [
        (f"{gateway}/", b"Action=GetCallerIdentity&Version=2011-06-15"), (f"{gateway}/2015-03-31/functions/", None),
        (f"{gateway}/2013-04-01/hostedzone?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/x", None),
        (f"{gateway}/2013-04-01/hostedzone?AWSAccessKeyId=test&Signature=x", None), (f"{gateway}/_ministack/reset", b""),
        (f"{gateway}/_rewind/faults", b"{}"), (f"{gateway}/_rewind/authorize", b"{}"), (f"{rds}/", LIST),
        (f"{rds}/_local/faults?rate=off", b""), (f"{rds}/_local/instances?quota=none", b""),
    ]:  # fmt: skip
        status, said = answer(url, body)
        assert status == 403, f"{url}: {status} {said}"
    assert answer(f"{gateway}/_ministack/health")[0] == 200
    assert answer(f"{rds}/health")[0] == 200
    # The chat function's own refusal: the signature of Slack is missing.
    assert "invalid" not in answer(stack.env["CHAT_URL"], b"command=%2Frewind")[1]


def test_a_web_page_is_let_in_nowhere(stack):
    health = [f"{stack.env['AWS_ENDPOINT_URL']}/_ministack/health", f"{stack.env['AWS_ENDPOINT_URL_RDS']}/health"]
    for url in [*health, stack.env["CHAT_URL"], stack.env["CHAT_RESPONSE_PREFIX"]]:
        for headers in [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example:4566"}]:
            status, said = answer(url, **headers)
            assert (status, "web page" in said) == (403, True), f"{url} with {headers}: {status} {said}"


def test_no_web_page_writes_as_chat(stack):
    # A form of a page may send JSON as text without asking first.
    for headers in [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example:4568"}]:
        status, _ = answer(f"{stack.env['CHAT_RESPONSE_PREFIX']}page", b'{"text": "of a page"}', Content_Type="text/plain", **headers)
        assert status == 403, headers
    assert answer(f"{stack.env['CHAT_RESPONSE_PREFIX']}page", b'"' + b"x" * 262_144 + b'"')[0] == 413, "a message of any size"
    assert '"/page"' not in (Path(stack.folder) / "logs" / "chat.log").read_text()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_for_their_owner(stack):
    folder = Path(stack.folder)
    assert mode(folder / "stack.env") == 0o600
    assert {name: mode(folder / name) for name in ("logs", "deploy", "run/tmp")} == dict.fromkeys(("logs", "deploy", "run/tmp"), 0o700)
    # The databases' own users have to get through to their files, and nobody lists what is in these two. The certificate is for everybody.
    assert exposed(folder / "run") == {"": 0o711, "rds": 0o711, "ca.pem": 0o644}


def exposed(folder):
    """All of a folder that its owner's group or others may do something with, by its path: its mode. What is in a folder that they may
    not pass is out of their reach, whatever its own mode."""
    found, waiting = {}, [folder]
    while waiting:
        path = waiting.pop()
        with contextlib.suppress(FileNotFoundError):  # a cluster may go meanwhile
            if not path.is_symlink() and mode(path) & 0o077:
                found["" if path == folder else str(path.relative_to(folder))] = mode(path)
                if path.is_dir() and mode(path) & 0o011:
                    waiting += path.iterdir()
    return found


def test_what_others_reach_is_found_and_what_is_closed_to_them_is_not(tmp_path):
    tmp_path.chmod(0o711)
    for name, of_folder in [("open", 0o711), ("closed", 0o700)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
        (tmp_path / name / "file").chmod(0o640)
        (tmp_path / name).chmod(of_folder)
    (tmp_path / "own").touch(0o600)
    assert exposed(tmp_path) == {"": 0o711, "open": 0o711, "open/file": 0o640}


# What shows that a cluster was seen to be made: a reader of PostgreSQL begins with a copy of its writer's data.
MAKES = {"postgresql": "pg_basebackup", "mysql": "mariadb-install-db"}


def test_no_password_is_on_a_command_line(stack, engine):
    seen, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            time.sleep(0.005)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        cluster = Cluster.create(stack, f"{engine.prefix}-callers", instances=({}, {}), record=False, engine=engine)
    finally:
        ended.set()
        watching.join()
    own = [line for line in seen if str(stack.folder) in line]
    assert [line for line in own if MAKES[engine.name] in line], f"no {MAKES[engine.name]} was seen: nothing was tested"
    # Of the whole machine: a client of a database need not name the stack.
    secrets = {name: stack.env[name] for name in ("AWS_SECRET_ACCESS_KEY", "CHAT_SIGNING_SECRET", "PGPASSWORD")}
    secrets["the master password"] = cluster.password
    assert all(len(secret) >= 16 for secret in secrets.values()), "secrets that could be found by chance"
    shown = {(name, line.split()[0]) for name, secret in secrets.items() for line in seen if secret in line}
    assert shown == set(), "secrets, and the programs that were given them"
    assert [line for line in own if "password=" in line.lower()] == [], "passwords"
