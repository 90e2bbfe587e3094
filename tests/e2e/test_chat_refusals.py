"""The door of chat: what is not let in, and who may not. Over HTTP to the function's URL, and to its binary behind a
Lambda runtime of the test's own, which measures the handler without what the local Lambda adds to it."""

import base64
import contextlib
import http.server
import json
import os
import queue
import statistics
import subprocess
import threading
import time
import urllib.parse
import zipfile

import pytest

from slack import ANN, BEN, CLEO, DAN, NOT_IN_ANY_LIST, Slack

LIMIT = 0.1
TIMES = 5
START = "start my-aurora-cluster latest --name e2e-refused --approval none"


def unauthenticated(slack):
    """What is refused before anything of it is read: a name, the body and headers, the status."""
    line = slack.line(CLEO, START)
    good, now = slack.signed(line), time.time()
    of = lambda body: (body, slack.signed(body))
    return [
        ("no signature", (line, {}), 401),
        ("a wrong signature", (line, slack.signed(line, secret="another")), 401),
        ("a signature of another time", (line, good | {"X-Slack-Request-Timestamp": str(int(now) - 7)}), 401),
        ("a signature of another body", (line + b"&text=list", good), 401),
        ("a signature in capitals", (line, good | {"X-Slack-Signature": good["X-Slack-Signature"].upper()}), 401),
        ("an old timestamp", (line, slack.signed(line, at=now - 301)), 401),
        ("a timestamp of the future", (line, slack.signed(line, at=now + 330)), 401),
        ("a timestamp that is none", (line, good | {"X-Slack-Request-Timestamp": "now"}), 401),
        ("a body of 1 MB", of(b"text=" + b"x" * 1_000_000), 413),
    ]


def malformed(slack):
    """What is signed, and no request of Slack's, or none of this app's buttons. Each is let in once."""
    line = slack.line(CLEO, START)
    foreign = json.dumps({"user": {"id": CLEO}, "actions": [{"value": f"x{time.time_ns()}"}]})
    return [
        ("broken encoding, as UTF-8", line.replace(b"latest", b"\xff\xfe"), 400),
        ("broken encoding, as a form", line.replace(b"latest", b"%ff%fe"), 400),
        ("a body that was torn", base64.b64encode(line)[:-3], 400),
        ("no form of Slack's", json.dumps({"now": time.time_ns()}).encode(), 400),
        ("somebody else's button", b"payload=" + urllib.parse.quote(foreign).encode(), 200),
    ]


# What is let in and not done: a name, who types what from where, what they are told.
NOT_PERMITTED = [
    ("a stranger", (DAN, START), NOT_IN_ANY_LIST),
    ("another workspace", (CLEO, START, None, "TOTHER"), NOT_IN_ANY_LIST),
    ("one who may only decide", (BEN, START), "you may look, and not start a recovery"),
    ("one who may only start", (ANN, "undo e2e-refused --confirm my-aurora-cluster"), "you may look, and not decide"),
]


def executions(stack):
    """All executions of every state machine, by ARN."""
    found = set()
    for machine in stack.states.list_state_machines()["stateMachines"]:
        pages = stack.states.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
        found |= {execution["executionArn"] for page in pages for execution in page["executions"]}
    return found


def started(stack):
    """What a request that was let in would leave: executions, and who asked for them."""
    items = stack.client("dynamodb").scan(TableName=stack.table, ConsistentRead=True)["Items"]
    return executions(stack), {item["id"]["S"] for item in items if not item["id"]["S"].startswith("seen#")}


def send_all_refused(slack, send):
    """Sends all that is refused, several times, by `send`, and sees it refused; answers the seconds of each."""
    took = {}

    def timed(name, requests, status, told=None):
        seconds = []
        for body, headers in requests:
            found, answer, spent = send(body, headers)
            assert found == status, f"the status of {name}"
            if told is None:
                assert answer == b"", f"the body that {name} gets"
            else:
                assert json.loads(answer)["text"].startswith(told), f"{name} is told {answer}"
            seconds.append(spent)
        took[name] = seconds

    for name, request, status in unauthenticated(slack):
        timed(name, [request] * TIMES, status)
    for name, body, status in malformed(slack):
        # Signed at another second each: otherwise all but the first came before.
        timed(name, [(body, slack.signed(body, at=time.time() - n)) for n in range(TIMES)], status)
    body = slack.line(CLEO, "list")
    replayed = body, slack.signed(body)
    assert send(*replayed)[0] == 200, "the status of what comes for the first time"
    timed("a replay", [replayed] * TIMES, 409)
    for name, said, told in NOT_PERMITTED:
        bodies = [slack.line(*said) for _ in range(TIMES)]
        timed(name, [(body, slack.signed(body)) for body in bodies], 200, told)
    return took


@pytest.mark.alone
def test_bad_requests_are_refused_within_100_ms_and_start_nothing(stack):
    slack = Slack(stack)
    before = started(stack)
    slack.says(CLEO, "help")  # a cold start is Lambda's
    with runtime(stack) as handler:
        handler(b"", {})
        inside = send_all_refused(slack, handler)
    lambdas = []

    def over_http(body, headers):
        # What the local Lambda takes for it at this very moment is not the function's: a GET is refused unread.
        status, _, empty = slack.send(body, headers, method="GET")
        assert status == 405, "the status of a GET"
        lambdas.append(empty)
        status, answer, spent = slack.send(body, headers)
        return status, answer, spent - empty

    from_outside = send_all_refused(slack, over_http)
    assert started(stack) == before, "executions and items of the table, but for what was seen"
    print(f"the local Lambda itself takes {statistics.median(lambdas) * 1000:.0f} ms a request, which are not counted")
    for where, took in [("in the handler", inside), ("over HTTP", from_outside)]:
        usual = {name: statistics.median(seconds) for name, seconds in took.items()}
        slowest = max(usual, key=usual.get)
        ms = usual[slowest] * 1000
        print(f"{where}: {len(took)} kinds, each {TIMES} times; the slowest is {slowest}, {ms:.0f} ms")
        assert usual[slowest] < LIMIT, f"{slowest} was refused after {ms:.0f} ms {where}"


@contextlib.contextmanager
def runtime(stack):
    """The function's binary behind a runtime of our own: gives a way to send it a request, which answers status, body
    and the seconds from the request going in to the answer coming out."""
    function = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs["ChatopsFunctionName"])
    events, answers = queue.Queue(), queue.Queue()

    class Runtime(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: in two, the second waits 40 ms for the first one's receipt

        def do_GET(self):  # …/invocation/next
            event = events.get()
            if event is None:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", f"e2e-{time.time_ns()}")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", function["FunctionArn"])
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)
            answers.put(time.monotonic())

        def do_POST(self):  # …/invocation/<id>/response
            answer = self.rfile.read(int(self.headers["Content-Length"]))
            answers.put((time.monotonic(), answer))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

        def handle(self):
            with contextlib.suppress(ConnectionError):  # the binary was ended
                super().handle()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    folder = stack.folder / "run" / "tmp" / f"chatops-{os.getpid()}"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(stack.folder / "deploy" / "target" / "lambda" / "chatops" / "bootstrap.zip") as zipped:
        zipped.extract("bootstrap", folder)
    binary = folder / "bootstrap"
    binary.chmod(0o755)
    environment = {name: value for name, value in stack.env.items() if name.startswith("AWS_")}
    environment |= function["Environment"]["Variables"] | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": function["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["MemorySize"]),
        "AWS_LAMBDA_LOG_GROUP_NAME": "e2e",
        "AWS_LAMBDA_LOG_STREAM_NAME": "e2e",
        "REWIND_CHAT_RESPONSE_PREFIX": stack.env["CHAT_RESPONSE_PREFIX"],
    }
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def send(body, headers):
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": headers,
            "requestContext": {"http": {"method": "POST", "path": "/"}},
            "body": base64.b64encode(body).decode(), "isBase64Encoded": True,
        }  # fmt: skip
        events.put(json.dumps(event).encode())
        began = answers.get(timeout=10)
        ended, answer = answers.get(timeout=10)
        answer = json.loads(answer)
        return answer["statusCode"], answer["body"].encode(), ended - began

    try:
        yield send
    finally:
        events.put(None)
        process.kill()
        process.wait()
        server.shutdown()
        binary.unlink()
