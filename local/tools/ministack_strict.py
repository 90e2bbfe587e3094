"""ministack with the refusals of AWS: a limit that is only met on AWS is met during a recovery.

Runs in the venv of ministack.txt in place of `python -m ministack`, for every local stack and for the path tests. With
AUTH=true it enforces IAM as well (ministack_iam.py). It allows nothing that ministack refuses, but alarms on expressions, and
never changes what is within AWS's limits. The numbers are those of the services' quota pages and API models.
"""

import contextvars
import functools
import json
import os
import pathlib
import re
import threading
import types

import ministack_metering
from jsonata import Jsonata
from jsonata import functions as jsonata_functions
from ministack import app as gateway
from ministack.core.responses import error_response_json
from ministack.services import cloudwatch, dynamodb, ec2, eventbridge, lambda_svc, sns, stepfunctions
from ministack.services.cloudformation import provisioners

PAYLOAD = 256 * 1024  # a state's input, result or output; a variable, and all that one Assign sets; an event or a message
VARIABLES = 10 * 1024 * 1024  # of one execution
EVENTS = 25_000
SECONDS = 99_999_999  # a Wait, a timeout, a retry's interval
MAX_DELAY = 31_622_400
DEFINITION = 1024 * 1024
EXECUTION_INPUT = 262_144
EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]{1,80}")
VARIABLE_NAME = re.compile(r"[^\W\d]\w{0,79}")
ERROR, CAUSE = 256, 32_768
SUBJECT = re.compile(r"[!-~][ -~]{0,98}")
TAGS = 50

refused = stepfunctions._ExecutionError
# $string writes letters as they are, as the reference does, where the interpreter would escape all but ASCII.
jsonata_functions.json = types.SimpleNamespace(**vars(json) | {"dumps": functools.partial(json.dumps, ensure_ascii=False)})


def length(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def size(value) -> int:
    """Bytes of a value as JSON."""
    return length(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def within(value, limit: int, what: str):
    """Returns the value; raises States.DataLimitExceeded when it is larger than AWS carries."""
    if size(value) > limit:
        raise refused("States.DataLimitExceeded", f"{what} has {size(value)} bytes, more than the {limit} that are allowed")
    return value


def before(module, name: str):
    """Puts a function before one of ministack's, which it is given as its first argument."""

    def put(function):
        setattr(module, name, functools.wraps(getattr(module, name))(functools.partial(function, getattr(module, name))))
        return function

    return put


# ---------------------------------------------------------------------------------------------------------- the execution

recorded: dict[str, int] = {}  # events of each running execution, as AWS counts them
of_task = threading.local()  # .arguments: what the state that this thread executes is about to call
STARTED_BESIDE = {"TaskScheduled": 1}  # TaskStarted, which ministack leaves out


def record_event(add_event, execution, kind, details=None):
    """Limits the input and output of a state, and the number of events of an execution."""
    arn = execution["executionArn"]
    if kind.startswith("Execution"):  # its end is always written
        recorded.pop(arn, None)
        return add_event(execution, kind, details)
    details = details or {}
    resource = details.get("taskScheduledEventDetails", {}).get("resource", "")
    waits = resource.endswith(".waitForTaskToken")  # TaskSubmitted is left out too
    count = recorded.get(arn, 1) + 1 + STARTED_BESIDE.get(kind, 0) + waits
    if count >= EVENTS:  # the one that ends the execution is the last
        raise refused("States.Runtime", f"The execution reached the maximum number of history events ({EVENTS}).")
    recorded[arn] = count
    if kind == "TaskScheduled":  # AWS shows what the task is called with; ministack leaves it out
        more = {"region": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), "parameters": json.dumps(of_task.arguments)}
        details = {"taskScheduledEventDetails": details["taskScheduledEventDetails"] | more}
    for part, field, what in [
        ("stateEnteredEventDetails", "input", "the input"),
        ("taskSucceededEventDetails", "output", "the result"),
        ("stateExitedEventDetails", "output", "the output"),
    ]:
        if field in details.get(part, {}):
            within(json.loads(details[part][field]), PAYLOAD, f"{what} of the state")
    return add_event(execution, kind, details)


def error_matches(matches, error_equals, error):
    """Wildcards do not match the two errors that end an execution, and nothing matches States.Runtime."""
    if error == "States.Runtime":
        return False
    if error == "States.DataLimitExceeded":
        return error in error_equals
    return matches(error_equals, error)


def apply_arguments(apply, *given, **named):
    of_task.arguments = within(apply(*given, **named), PAYLOAD, "what the state passes on")
    return of_task.arguments


def assign(_, state_def, raw_input, ctx, result=None, error_output=None):
    """Evaluates all expressions with the variables as they were, then sets them."""
    given = state_def.get("Assign")
    if ctx is None or not isinstance(given, dict) or stepfunctions._state_query_language(state_def, ctx) != "JSONata":
        return
    values = {
        name: stepfunctions._apply_jsonata_template(template, raw_input, ctx, result=result, error_output=error_output)
        for name, template in given.items()
    }
    for name, value in values.items():
        within(value, PAYLOAD, f"the variable {name}")
    if sum(map(size, values.values())) > PAYLOAD:
        raise refused("States.DataLimitExceeded", f"one Assign sets more than {PAYLOAD} bytes")
    after = ctx.get("variables", {}) | values
    if sum(map(size, after.values())) > VARIABLES:
        raise refused("States.DataLimitExceeded", f"the variables of the execution have more than {VARIABLES} bytes")
    ctx["variables"] = after


def condition(_, rule, raw_input, ctx):
    """A condition is true or false: AWS fails on anything else, where ministack asks whether it is truthy."""
    value = stepfunctions._apply_jsonata_template(rule.get("Condition"), raw_input, ctx)
    if not isinstance(value, bool):
        kind = stepfunctions._json_type(value)
        raise refused("States.QueryEvaluationError", f"Condition is a {kind}, and has to be a boolean: {json.dumps(value)}")
    return value


def wait_seconds(seconds_of, state_def, raw_input, ctx):
    seconds = seconds_of(state_def, raw_input, ctx)
    if seconds > SECONDS:
        raise refused("States.QueryEvaluationError", f"Seconds is {seconds}, more than {SECONDS}")
    return seconds


def fail_state(error_of, state_def, raw_input, ctx=None):
    error, cause = error_of(state_def, raw_input, ctx)
    if len(error) > ERROR or len(cause) > CAUSE:
        raise refused("States.Runtime", f"Error has {len(error)} characters of {ERROR}, Cause {len(cause)} of {CAUSE}")
    return error, cause


def execute_task(execute, state_def, raw_input, execution, ctx):
    """Evaluates the timeout, which ministack takes for a number, and takes the task token away again: only the state that waits
    for it has one."""
    if isinstance(text := state_def.get("TimeoutSeconds"), str):
        state_def = state_def | {"TimeoutSeconds": timeout_seconds(text, raw_input, ctx)}
    try:
        return execute(state_def, raw_input, execution, ctx)
    finally:
        ctx.pop("Task", None)


def timeout_seconds(text: str, raw_input, ctx) -> int:
    value = stepfunctions._apply_jsonata_template(text, raw_input, ctx)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or not 1 <= value <= SECONDS:
        raise refused("States.QueryEvaluationError", f"TimeoutSeconds is {json.dumps(value)}, and has to be a whole number from 1 to {SECONDS}")
    return int(value)


waiting_token = contextvars.ContextVar("waiting_token", default=None)


def invoke_with_callback(invoke, resource, input_data, token, state_def):
    bound = waiting_token.set(token)
    try:
        return invoke(resource, input_data, token, state_def)
    finally:
        waiting_token.reset(bound)


def call_lambda(call, func_ref, event):
    """Fails the state when the function that was to hand on its task token fails; ministack waits for the token."""
    try:
        return call(func_ref, within(event, PAYLOAD, "the payload"))
    except refused as error:
        if waiting := stepfunctions._task_tokens.get(waiting_token.get()):
            waiting["error"] = {"Error": error.error, "Cause": error.cause}
            waiting["event"].set()
        raise


# -------------------------------------------------------------------------------------------------------- the expressions


class Nothing(refused):
    """JSON has no undefined: AWS fails where an expression yields it."""


def no_eval(*_):
    raise ValueError("$eval is not available in Step Functions; $parse reads JSON")


def evaluate(_, expression, raw_input, ctx=None, result=None, error_output=None):
    """Evaluates an expression with the variables that it has on AWS, and none of the interpreter's own."""
    states = states_of(raw_input, ctx or {}, result, error_output)
    bindings = {"states": states, **(ctx or {}).get("variables", {})}
    return evaluate_with(expression, bindings)


def states_of(raw_input, ctx: dict, result, error_output) -> dict:
    """Builds $states. A state has no result before it has one, and no error output outside of a Catch."""
    context = {name: ctx[name] for name in ("Execution", "State", "StateMachine", "Task") if name in ctx}
    found = {"input": raw_input, "result": result, "errorOutput": error_output, "context": context}
    return {name: value for name, value in found.items() if value is not None or name == "input"}


def evaluate_with(expression: str, bindings: dict):
    """Evaluates an expression; raises States.QueryEvaluationError where it has no value."""
    null = stepfunctions.jsonata.utils.Utils.NULL_VALUE
    bound = {name: null if value is None else value for name, value in bindings.items()}
    try:
        parsed = Jsonata(expression, timeout=1000)
        stepfunctions._register_sfn_jsonata_functions(parsed)
        parsed.register_lambda("eval", no_eval)
        parsed.set_output_convert_nulls(False)
        value = parsed.evaluate(None, bound)
    except Exception as error:  # the library raises what its interpreter happens to run into
        code = getattr(error, "error", None)
        raise refused("States.QueryEvaluationError", f"{code}: {error}" if isinstance(code, str) and code else str(error)) from error
    if value is None:
        raise Nothing("States.QueryEvaluationError", f"the expression yields nothing: {expression}")
    value = stepfunctions.jsonata.utils.Utils.convert_nulls(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:  # a function, an infinite number
        raise refused("States.QueryEvaluationError", f"what the expression yields is no JSON: {expression}") from error
    return value


# ------------------------------------------------------------------------------------------------------------ definitions


def definition_problem(text) -> str | None:
    """Finds the first reason for which AWS refuses a definition, or None."""
    if not isinstance(text, str) or length(text) > DEFINITION:
        return f"the definition is larger than {DEFINITION} bytes"
    try:
        machine = json.loads(text)
    except ValueError as error:
        return f"the definition is no JSON: {error}"
    return next(machine_problems(machine, ""), None)


def machine_problems(machine, where: str):
    if not isinstance(machine, dict) or not isinstance(machine.get("States"), dict):
        yield f"{where}/States is missing"
        return
    states = machine["States"]
    yield from number_problems(machine, where, {"TimeoutSeconds": (1, SECONDS)})
    if machine.get("StartAt") not in states:
        yield f"{where}/StartAt leads nowhere"
    for name, state in states.items():
        yield from state_problems(state, f"{where}/States/{name}", states)


def state_problems(state: dict, where: str, states: dict):
    if len(where.rsplit("/", 1)[-1]) > 80:
        yield f"{where}: the name has more than 80 characters"
    yield from number_problems(state, where, {"TimeoutSeconds": (1, SECONDS), "HeartbeatSeconds": (1, SECONDS), "Seconds": (0, SECONDS)})
    timeout, heartbeat = state.get("TimeoutSeconds", 60), state.get("HeartbeatSeconds", 0)
    if not isinstance(timeout, str) and not isinstance(heartbeat, str) and heartbeat >= timeout:
        yield f"{where}/HeartbeatSeconds is not smaller than TimeoutSeconds"
    for retrier in state.get("Retry", []):
        bounds = {"IntervalSeconds": (1, SECONDS), "MaxAttempts": (0, SECONDS), "BackoffRate": (1, None), "MaxDelaySeconds": (1, MAX_DELAY)}
        yield from number_problems(retrier, f"{where}/Retry", bounds)
        if retrier.get("MaxDelaySeconds", SECONDS) <= retrier.get("IntervalSeconds", 1):
            yield f"{where}/Retry: MaxDelaySeconds is not larger than IntervalSeconds"
    targets = [state.get("Next"), state.get("Default"), *(rule.get("Next") for key in ("Catch", "Choices") for rule in state.get(key, []))]
    for target in filter(None, targets):
        if target not in states:
            yield f"{where} leads to {target}, which does not exist"
    if state.get("Type") not in ("Choice", "Succeed", "Fail") and "Next" not in state and state.get("End") is not True:
        yield f"{where} has neither Next nor End"
    for part in [state, *state.get("Catch", []), *state.get("Choices", [])]:
        for name in part.get("Assign", {}):
            if not VARIABLE_NAME.fullmatch(name) or name == "states":
                yield f"{where}/Assign/{name} is no name of a variable"
    yield from expression_problems(state, where)
    for inner in [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]:
        yield from machine_problems(inner, where)


def number_problems(given: dict, where: str, bounds: dict):
    for field, (least, most) in bounds.items():
        value = given.get(field, least)
        if isinstance(value, str):  # an expression
            continue
        if value < least or (most is not None and value > most):
            yield f"{where}/{field} is {value}, and has to be from {least} to {most or 'any'}"


def expression_problems(value, where: str):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from expression_problems(inner, f"{where}/{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from expression_problems(inner, where)
    elif isinstance(value, str) and value.startswith("{%") and re.search(r"\$eval\b|\$\$", value):
        yield f"{where} holds $eval or $$, which Step Functions has not"


def create_state_machine(create, data):
    problem = definition_problem(data.get("definition"))
    return error_response_json("InvalidDefinition", problem, 400) if problem else create(data)


def update_state_machine(update, data):
    problem = definition_problem(data["definition"]) if "definition" in data else None
    return error_response_json("InvalidDefinition", problem, 400) if problem else update(data)


def start_execution(start, data):
    name, given = data.get("name"), data.get("input", "{}")
    if name is not None and not EXECUTION_NAME.fullmatch(name):
        return error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
    try:
        json.loads(given)
    except ValueError as error:
        return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400)
    if length(given) > EXECUTION_INPUT:
        return error_response_json("InvalidExecutionInput", f"the input is larger than {EXECUTION_INPUT} bytes", 400)
    return start(data)


def task_answer(limits: dict, errors: dict):
    """SendTaskSuccess and SendTaskFailure, within the limits of their fields."""

    def answer(send, data):
        for field, limit in limits.items():
            if length(str(data.get(field) or "")) > limit:
                return error_response_json(errors.get(field, "ValidationException"), f"{field} is longer than {limit}", 400)
        try:
            json.loads(data.get("output", "{}"))
        except (TypeError, ValueError) as error:
            return error_response_json("InvalidOutput", f"Invalid Output: '{error}'", 400)
        return send(data)

    return answer


# --------------------------------------------------------------------------------------------------------- other services


def publish(inner, topic_arn, message, subject=None, *rest, **named):
    if subject and not SUBJECT.fullmatch(subject):
        raise sns.SnsPublishError("InvalidParameter", "Invalid parameter: Subject")
    return inner(topic_arn, message, subject, *rest, **named)


def put_events(put, data, allow_aws_source=False):
    entries = [] if allow_aws_source else data.get("Entries", [])  # AWS's own are cut to size
    for entry in entries:
        detail = entry.get("Detail", "{}")
        try:
            well_formed = isinstance(json.loads(detail) if isinstance(detail, str) else detail, dict)
        except ValueError:
            well_formed = False
        if not well_formed:
            return error_response_json("ValidationException", "Detail is malformed.", 400)
        if len(entry.get("DetailType", "")) > 128:
            return error_response_json("ValidationException", "DetailType is longer than 128 characters", 400)
    if sum(map(entry_size, entries)) >= PAYLOAD:
        return error_response_json("ValidationException", f"Total size of the entries in the request is over the limit of {PAYLOAD} bytes.", 400)
    return put(data, allow_aws_source=allow_aws_source)


def bus_policy_created(logical_id: str, properties: dict, stack_name: str):
    """A resource that ministack does not know: a statement of an event bus's policy."""
    bus, statement_id = properties.get("EventBusName", "default"), properties["StatementId"]
    bus_policy_deleted(f"{bus}|{statement_id}", properties)
    policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    policy["Statement"].append(properties["Statement"] | {"Sid": statement_id})
    return f"{bus}|{statement_id}", {}


def bus_policy_updated(physical_id: str, before: dict, properties: dict, stack_name: str):
    bus_policy_deleted(physical_id, before)
    return bus_policy_created("", properties, stack_name)


def bus_policy_deleted(physical_id: str, properties: dict) -> None:
    bus, _, statement_id = physical_id.partition("|")
    policy = eventbridge._event_bus_policies.get(bus)
    if policy:
        policy["Statement"] = [one for one in policy["Statement"] if one.get("Sid") != statement_id]


BUS_POLICY = {"create": bus_policy_created, "update": bus_policy_updated, "delete": bus_policy_deleted}


def entry_size(entry: dict) -> int:
    detail = entry.get("Detail") or ""
    fields = [entry.get("Source") or "", entry.get("DetailType") or "", *entry.get("Resources", [])]
    return (14 if entry.get("Time") else 0) + sum(map(length, fields)) + (length(detail) if isinstance(detail, str) else size(detail))


def tagging(list_tags, added, refuse):
    """A resource has 50 tags at most, those included that it has already."""

    def tag(inner, *given):
        status, _, body = list_tags(*given)
        if status == 200 and len(tag_keys(body) | set(added(*given))) > TAGS:
            return refuse(f"a resource has {TAGS} tags at most")
        return inner(*given)

    return tag


def tag_keys(listing) -> set[str]:
    text = listing if isinstance(listing, str) else listing.decode()
    if text.startswith("<"):
        return set(re.findall(r"<Key>(.*?)</Key>", text))
    answer = json.loads(text)
    tags = answer.get("Tags", answer.get("tags"))
    return set(tags) if isinstance(tags, dict) else {tag.get("Key", tag.get("key")) for tag in tags}


def limit_tags() -> None:
    for module, listing, field, key, code in [
        (dynamodb, dynamodb._list_tags, "Tags", "Key", "ValidationException"),
        (eventbridge, eventbridge._list_tags_for_resource, "Tags", "Key", "LimitExceededException"),
        (stepfunctions, stepfunctions._list_tags_for_resource, "tags", "key", "TooManyTags"),
    ]:
        added = functools.partial(lambda field, key, data: [tag[key] for tag in data.get(field, [])], field, key)
        refuse = functools.partial(lambda code, message: error_response_json(code, message, 400), code)
        before(module, "_tag_resource")(tagging(listing, added, refuse))
    of_function = tagging(
        lambda arn, _: lambda_svc._list_tags(arn),
        lambda _, data: data.get("Tags", {}),
        lambda message: error_response_json("InvalidParameterValueException", message, 400),
    )
    before(lambda_svc, "_tag_resource")(of_function)
    of_topic = tagging(sns._list_tags_for_resource, sns._param_tags, lambda message: sns._error("TagLimitExceeded", message, 400))
    before(sns, "_tag_resource")(of_topic)


def metric_alarm(record, name, props):
    """Creates an alarm on an expression, which ministack refuses: with its first metric, and without actions."""
    metrics = props.get("Metrics")
    if not metrics:
        return record(name, props)
    ids = [metric.get("Id", "") for metric in metrics]
    returned = [metric["Id"] for metric in metrics if str(metric.get("ReturnData", True)).lower() == "true"]
    if len(set(ids)) < len(ids) or not all(re.fullmatch("[a-z][a-zA-Z0-9_]{0,254}", name) for name in ids) or len(returned) != 1:
        raise ValueError(f"Metrics has the ids {ids}, and returns {returned}: each id once, and one metric returned")
    first = next(metric["MetricStat"] for metric in metrics if "MetricStat" in metric)
    plain = {"Statistic": first["Stat"], "Period": first["Period"], "ActionsEnabled": False}
    return record(name, {key: value for key, value in props.items() if key != "Metrics"} | first["Metric"] | plain)


def rules_in_force(change, params):
    """Puts the rules of security groups in force at once, as AWS does: in the file that the control plane of RDS reads."""
    answer = change(params)
    if answer[0] == 200 and (path := os.environ.get("REWIND_SECURITY_GROUPS")):
        with RULES:
            put_rules(pathlib.Path(path))
    return answer


def put_rules(path: pathlib.Path) -> None:
    rules = json.loads(path.read_text())
    for group in ec2._security_groups.values():
        blocks = {block["CidrIp"] for rule in group["IpPermissions"] for block in rule["IpRanges"]}
        blocks |= {block["CidrIpv6"] for rule in group["IpPermissions"] for block in rule["Ipv6Ranges"]}
        rules[group["GroupId"]] = sorted(blocks)
    # Whole or not at all: the control plane may be reading it.
    path.with_suffix(".new").write_text(json.dumps(rules))
    path.with_suffix(".new").replace(path)


RULES = threading.Lock()


def authorize_ingress(authorize, params):
    """Refuses a rule that is there already, which ministack adds to nothing."""
    group = ec2._security_groups.get(params.get("GroupId", [""])[0], {"IpPermissions": []})
    for rule in ec2._parse_ip_permissions(params, "IpPermissions"):
        if any(ec2._rules_match(rule, known) for known in group["IpPermissions"]):
            return ec2._error("InvalidPermission.Duplicate", "the specified rule already exists", 400)
    return authorize(params)


def limit_rules() -> None:
    actions = ec2._ACTION_MAP
    actions["AuthorizeSecurityGroupIngress"] = functools.partial(authorize_ingress, actions["AuthorizeSecurityGroupIngress"])
    for action in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]:
        actions[action] = functools.partial(rules_in_force, actions[action])


def tighten() -> None:
    """Puts the checks before ministack's functions."""
    for name, function in {
        "_add_event": record_event,
        "_error_matches": error_matches,
        "_apply_jsonata_arguments": apply_arguments,
        "_apply_state_assign": assign,
        "_evaluate_jsonata_choice_rule": condition,
        "_jsonata_wait_seconds": wait_seconds,
        "_fail_state_error": fail_state,
        "_execute_task": execute_task,
        "_invoke_with_callback": invoke_with_callback,
        "_call_lambda": call_lambda,
        "_evaluate_jsonata": evaluate,
        "_create_state_machine": create_state_machine,
        "_update_state_machine": update_state_machine,
        "_start_execution": start_execution,
        "_send_task_success": task_answer({"output": EXECUTION_INPUT}, {"output": "InvalidOutput"}),
        "_send_task_failure": task_answer({"error": ERROR, "cause": CAUSE}, {}),
    }.items():
        before(stepfunctions, name)(function)
    before(sns, "publish_internal")(publish)
    before(provisioners, "_cw_metric_alarm_record")(metric_alarm)
    before(eventbridge, "_put_events")(put_events)
    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = BUS_POLICY
    limit_tags()
    limit_rules()
    before(cloudwatch, "_get_metric_data")(ministack_metering.get_metric_data)


def main() -> None:
    if os.environ.get("REWIND_FAULTS", "").lower() == "true":
        import ministack_faults

        ministack_faults.install()
    tighten()
    if os.environ.get("AUTH", "").lower() == "true":
        import ministack_iam

        ministack_iam.enforce()
    import ministack_callers

    ministack_metering.install(ministack_callers.is_root)
    ministack_callers.install()
    gateway.main()


if __name__ == "__main__":
    main()
