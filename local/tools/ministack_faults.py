"""Faults that a test plans for one state of one execution: its function is not reached, its answer is lost, it is killed, it runs twice.
Beside them the rates of Route 53 and DynamoDB, which an account shares: calls of functions beyond them are throttled, or fail otherwise.

ministack_strict.py turns it on where REWIND_FAULTS=true, for local stacks; without a planned fault it changes nothing. The functions,
the definitions and the databases are as they are: only the invocation fails, as Step Functions and Lambda make it fail. A state that calls
another service than Lambda fails in the same way, or does its work and loses the answer. For the executions with a fault the pauses before
a retry can be shortened: those that follow a fault of this file, and with "short pauses", which is no fault, all of its state.

    POST /_rewind/faults    {"execution": "<name>", "state": "<state>", "fault": "<kind>", "times": 3, "after": 0.2, "pauses": 0.01}
    GET  /_rewind/faults?execution=<name>&state=<state>    {"hits": 3, "running": 1}, how often the fault happened so far, and how many
                            functions still run that nobody waits for any more
    POST /_rewind/faults    {"limit": "<service>", "calls": 5, "mentions": ["<text>"], "fails": "throttle"}, so many calls a second that contain
                            all of the texts, of route53 or dynamodb; others throttle, are unavailable or denied, or are done while half of
                            the answer arrives ("cut"). With "times": 2 no more than two fail. {"calls": null} ends the limit of the same texts.
                            Answers how many failed under it
"""

import contextvars
import functools
import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

from ministack import app as gateway
from ministack.core.responses import error_response_json
from ministack.services import lambda_svc, route53, stepfunctions

PATH = "/_rewind/faults"
CAUSE = "a planned fault"
OUTLIVES = 3.0  # the seconds by which a function outlives its state: longer than most undos take here
refused = stepfunctions._ExecutionError
# What Step Functions reports where an invocation does not reach its function.
REFUSALS = {
    "refused": "Lambda.ServiceException",
    "gone": "Lambda.ResourceNotFoundException",
    "throttled": "Lambda.TooManyRequestsException",
    "not ready": "Lambda.ResourceNotReadyException",
}
SHORT_PAUSES = "short pauses"
KINDS = {*REFUSALS, "lost", "outlives", "times out", "killed", "twice", "at once", SHORT_PAUSES}
# The call is done, and half of its answer arrives.
CUT = "cut"
# The errors of a service beyond its limit: code, message and status.
LIMITS = {
    "route53": {
        "throttle": ("Throttling", "Rate exceeded", 400),
        "unavailable": ("ServiceUnavailable", CAUSE, 503),
        "denied": ("AccessDenied", CAUSE, 403),
    },
    "dynamodb": {
        "throttle": ("ThrottlingException", "Rate exceeded", 400),
        "unavailable": ("InternalServerError", CAUSE, 500),
        "denied": ("AccessDeniedException", CAUSE, 400),
    },
}

current = contextvars.ContextVar("current", default=None)  # execution and state of the running task
environments = contextvars.ContextVar("environments", default=None)  # of the functions that an invocation acquires
shortened = threading.local()
planned: dict[tuple[str, str], "Fault"] = {}
lock = threading.Lock()


class Fault:
    """A planned fault. `times` below zero: every time. `after`: the seconds after which a function is killed or given up."""

    def __init__(self, fault: str, times: int = 1, after: float = 0.1, pauses: float = 1.0):
        if fault not in KINDS:
            raise ValueError(f"fault is {fault}, and has to be one of {', '.join(sorted(KINDS))}")
        self.kind, self.times, self.after, self.pauses, self.hits = fault, times, after, pauses, 0
        self.given_up: list = []  # the runs that nobody waits for

    def take(self) -> bool:
        """Counts this invocation; returns whether it is to fail."""
        with lock:
            if self.hits == self.times or self.kind == SHORT_PAUSES:
                return False
            self.hits += 1
            return True

    def running(self) -> int:
        """The functions that still run, or have yet to begin, though their state has given them up."""
        return sum(not run.done() for run in self.given_up)


class Rate:
    """Calls a second, five of them at once. `times`: how many fail at most."""

    AT_ONCE = 5

    def __init__(self, calls: float, mentions: list[str], fails: str = "throttle", times: float = math.inf):
        self.mentions, self.fails, self.times = [text.encode() for text in mentions], fails, times
        self.calls, self.left, self.at, self.failed = calls, calls, time.monotonic(), 0

    def is_of(self, request: bytes) -> bool:
        """True for a call that it counts."""
        return all(text in request for text in self.mentions)

    def take(self) -> bool:
        """Counts this call; returns whether it is allowed."""
        now = time.monotonic()
        self.left, self.at = min(self.AT_ONCE, self.left + (now - self.at) * self.calls), now
        if self.left < 1 and self.failed < self.times:
            self.failed += 1
            return False
        self.left = max(0, self.left - 1)
        return True


limits: dict[str, dict[tuple, Rate]] = {service: {} for service in LIMITS}  # by the texts: each test has its own


def invoke(call, func_ref, event):
    """Invokes a function, with the fault that is planned for the running state."""
    fault = planned.get(current.get())
    if fault is None or not fault.take():
        return call(func_ref, event)
    if fault.kind in REFUSALS:
        raise failed(REFUSALS[fault.kind])
    return BEHAVIOURS[fault.kind](fault, functools.partial(call, func_ref, event))


def invoke_resource(call, resource, given):
    """Calls a service without a function, with the fault that is planned for the running state: of those before and after its work."""
    fault = planned.get(current.get())
    # Functions come to `invoke`, which counts them.
    if ":::lambda:" in resource or fault is None or not fault.take():
        return call(resource, given)
    if fault.kind == "lost":
        call(resource, given)
    raise failed("DynamoDB.InternalServerError" if ":::dynamodb:" in resource else "Sfn.InternalErrorException")


def failed(error: str):
    return refused(error, json.dumps({"errorType": error, "errorMessage": CAUSE}))


def lost(_, call):
    """Runs the function to its end, whatever that is; nobody hears of it."""
    try:
        call()
    except refused:
        pass
    raise failed("Lambda.Unknown")


def times_out(fault: Fault, call):
    """Gives the function up while it still runs: it goes on beside the retry."""
    fault.given_up.append(beside(call))
    time.sleep(fault.after)
    raise failed("States.Timeout")


def outlives(fault: Fault, call):
    """Gives the function up before it has begun: it does all of its work afterwards, whatever the machine does meanwhile."""

    def late():
        time.sleep(OUTLIVES + fault.after)
        return call()

    fault.given_up.append(beside(late))
    raise failed("Lambda.Unknown")


def killed(fault: Fault, call):
    """Kills the function's process in the middle of its work."""
    found: list = []
    bound = environments.set(found)
    running = beside(call)
    environments.reset(bound)
    time.sleep(fault.after)
    # One that has answered may be at work for another execution by now.
    for environment in [] if running.done() else found:
        if environment._proc is not None:
            environment._proc.kill()
    try:
        running.result()
    except refused:
        pass
    raise failed("Runtime.ExitError")


def twice(_, call):
    """Runs the function again after it has answered, as after an answer that was lost; returns the second answer."""
    try:
        call()
    except refused:
        pass
    return call()


def at_once(_, call):
    """Runs the function twice side by side; returns the second answer."""
    first, second = beside(call), beside(call)
    first.exception()
    return second.result()


BEHAVIOURS = {"lost": lost, "outlives": outlives, "times out": times_out, "killed": killed, "twice": twice, "at once": at_once}


def beside(call):
    """Begins a call in a thread of its own, in this context."""
    pool = ThreadPoolExecutor(max_workers=1)
    running = pool.submit(contextvars.copy_context().run, call)
    pool.shutdown(wait=False)
    return running


def acquire_worker(acquire, *given, **named):
    """Notes which process an invocation runs in."""
    worker, reason = acquire(*given, **named)
    if worker is not None and environments.get() is not None:
        environments.get().append(worker)
    return worker, reason


def execute_task(execute, state_def, raw_input, execution, ctx):
    """Notes of which execution and state the invocations that follow are."""
    bound = current.set((execution["name"], ctx.get("State", {}).get("Name")))
    try:
        return execute(state_def, raw_input, execution, ctx)
    finally:
        current.reset(bound)


def find_retrier(find, retriers, error, counts):
    """Notes whether the pause that follows comes of a planned fault."""
    fault = planned.get(current.get())
    of_faults = {*REFUSALS.values(), "Lambda.Unknown", "States.Timeout", "Runtime.ExitError", "DynamoDB.InternalServerError"}
    is_planned = fault is not None and (fault.kind == SHORT_PAUSES or error in of_faults)
    retrier, index = find(retriers, error, counts)
    # After the last attempt no pause follows, and what the machine waits for then is no pause: a function may be at work so long.
    shortened.factor = fault.pauses if is_planned and retrier is not None else 1.0
    return retrier, index


def scaled_sleep(sleep, seconds):
    """Shortens the pause after a planned fault."""
    factor, shortened.factor = getattr(shortened, "factor", 1.0), 1.0
    return sleep(seconds * factor)


def answer(method: str, query: str, body: bytes) -> tuple[int, dict]:
    """Plans a fault, or tells how often those of an execution happened."""
    if method == "GET":
        wanted = parse_qs(query)
        fault = planned.get((wanted.get("execution", [""])[0], wanted.get("state", [""])[0]))
        return 200, {"hits": fault.hits if fault else 0, "running": fault.running() if fault else 0}
    try:
        given = json.loads(body)
        if "limit" in given:
            of, texts = limits[given.pop("limit")], tuple(given["mentions"])
            before = of.pop(texts, None)
            if given["calls"] is not None:
                of[texts] = Rate(**given)
            return 200, {"failed": before.failed if before else 0}
        key = (given.pop("execution"), given.pop("state"))
        planned[key] = Fault(**given)
    except (KeyError, TypeError, ValueError) as error:
        return 400, {"error": str(error)}
    return 200, {"hits": 0}


def limited(scope) -> str | None:
    """The service that a function calls, where its calls are limited. The credentials of a function are a session's, and those begin so."""
    headers = dict(scope["headers"]) if scope["type"] == "http" else {}
    if b"Credential=ASIA" not in headers.get(b"authorization", b""):
        return None
    is_route53 = scope["path"].startswith(f"/{route53.API_VERSION}/")
    is_dynamodb = headers.get(b"x-amz-target", b"").startswith(b"DynamoDB_")
    service = "route53" if is_route53 else "dynamodb" if is_dynamodb else None
    return service if service and limits[service] else None


def refusal(service: str, kind: str):
    """The answer of a service beyond its limit."""
    code, message, status = LIMITS[service][kind]
    answered = route53._error_response if service == "route53" else error_response_json
    return answered(code, message, status)


async def send_half(send, message):
    """Sends half of a body, and ends the connection: fewer bytes come than the headers promise."""
    if message["type"] == "http.response.body":
        body = message.get("body", b"")
        message = message | {"body": body[: len(body) // 2], "more_body": False}
    await send(message)


async def body_of(receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def with_faults(app):
    """Wraps the gateway: faults are planned there too."""

    async def gateway_with_faults(scope, receive, send):
        if service := limited(scope):
            body = await body_of(receive)
            messages = iter([{"type": "http.request", "body": body, "more_body": False}])

            async def again():
                return next(messages, None) or await receive()

            rates = [rate for rate in list(limits[service].values()) if rate.is_of(scope["query_string"] + body)]
            refusing = next((rate for rate in rates if not rate.take()), None)
            if refusing is None:
                return await app(scope, again, send)
            if refusing.fails == CUT:
                return await app(scope, again, functools.partial(send_half, send))
            status, headers, content = refusal(service, refusing.fails)
            headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            return await send({"type": "http.response.body", "body": content})

        if scope["type"] != "http" or scope["path"] != PATH:
            return await app(scope, receive, send)
        body = await body_of(receive)
        status, content = answer(scope["method"], scope.get("query_string", b"").decode(), body)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return gateway_with_faults


def put_before(module, name: str, function) -> None:
    setattr(module, name, functools.wraps(getattr(module, name))(functools.partial(function, getattr(module, name))))


def install() -> None:
    """Puts the faults next to ministack's own functions: what is stricter comes before them, and meets their errors as any other."""
    put_before(stepfunctions, "_call_lambda", invoke)
    put_before(stepfunctions, "_invoke_resource", invoke_resource)
    put_before(stepfunctions, "_execute_task", execute_task)
    put_before(stepfunctions, "_find_matching_retrier", find_retrier)
    put_before(stepfunctions, "_scaled_sleep", scaled_sleep)
    put_before(lambda_svc, "acquire_worker", acquire_worker)
    gateway.app = with_faults(gateway.app)
