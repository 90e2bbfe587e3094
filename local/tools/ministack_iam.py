"""Enforces ministack's IAM, with four additions: every decision is logged, a line of JSON each; policies can ask which records a change
of Route 53 names, of which ministack tells them nothing; the policy of an event bus counts, which ministack keeps and asks nobody; and the
RDS control plane, which is not ministack's, can ask for a decision before it runs a function's request.

ministack_strict.py turns it on where AUTH=true. The decisions of the account's root user are not among the lines: it may do
everything.
"""

import functools
import json
import os
import time
import xml.etree.ElementTree
from urllib.parse import parse_qs

import ministack_callers
from ministack import app as gateway
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import set_request_account_id, set_request_region
from ministack.core.router import extract_access_key_id, extract_region
from ministack.services import eventbridge

DECISIONS = open(os.environ["REWIND_IAM_DECISIONS"], "a", buffering=1)  # for as long as the process lives
AUTHORIZE_PATH = "/_rewind/authorize"


def principal(access_key: str) -> str:
    """Finds the principal of an access key."""
    found = iam_evaluator.resolve_credential(access_key)
    return getattr(found, "principal_arn", "") or f"unknown key {access_key}"


def changed_records(body: bytes) -> dict[str, list[str]]:
    """The condition keys of a change batch: names without the dot at the end and in lower case, types and actions."""
    found: dict[str, list[str]] = {"NormalizedRecordNames": [], "RecordTypes": [], "Actions": []}
    if body:
        for change in xml.etree.ElementTree.fromstring(body).findall(".//{*}Change"):
            found["NormalizedRecordNames"].append(change.findtext("{*}ResourceRecordSet/{*}Name", "").rstrip(".").lower())
            found["RecordTypes"].append(change.findtext("{*}ResourceRecordSet/{*}Type", ""))
            found["Actions"].append(change.findtext("{*}Action", ""))
    return {f"route53:ChangeResourceRecordSets{key}": values for key, values in found.items() if values}


def has_tags(body: bytes) -> bool:
    """True if a request in JSON sets tags."""
    try:
        return bool(json.loads(body).get("Tags"))
    except (ValueError, AttributeError):
        return False


def logged(enforce):
    """Wraps ministack's decision with a line in the log."""

    @functools.wraps(enforce)
    def decide(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        signed = iam_evaluator._signed_request.get()
        body = signed.body if signed else b""
        if iam_action == "route53:ChangeResourceRecordSets":
            service_context = (service_context or {}) | changed_records(body)
        denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        if not iam_evaluator.is_root_access_key(access_key_id):
            line = {
                "at": time.time(),
                "principal": principal(access_key_id),
                "action": iam_action,
                "resource": resource_arn,
                "allowed": denied is None,
            }
            DECISIONS.write(json.dumps(line) + "\n")
        # AWS asks for both where a secret is made with tags; ministack for the first alone.
        if denied is None and iam_action == "secretsmanager:CreateSecret" and has_tags(body):
            return decide(access_key_id, "secretsmanager:TagResource", service, region, resource_arn, service_context)
        return denied

    return decide


def bus_policy_for_arn(arn: str) -> tuple | None:
    """The policy of an event bus and the account that it is in; None if the ARN is another thing's, or there is no policy."""
    account, resource = arn.split(":", 5)[4:]
    policy = eventbridge._event_bus_policies.get(resource.removeprefix("event-bus/")) if resource.startswith("event-bus/") else None
    return policy and (policy, account)


def authorize(request: dict) -> dict | None:
    """Authorizes a request to another service: the refusal, or None."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]]
    headers = {name.lower(): value for name, value in request["headers"]}
    query = parse_qs(request["query"], keep_blank_values=True)
    failure = None if ministack_callers.is_known(query, headers) else ministack_callers.UNKNOWN
    if ministack_callers.is_root(headers):
        failure = ministack_callers.root_failure(request["method"], request["path"], query, headers, request["body"].encode())
    if failure or ministack_callers.is_root(headers):
        return failure and {"code": failure[0], "message": failure[1]}
    key, region = extract_access_key_id(headers, query), extract_region(headers, query)
    set_request_account_id(gateway._request_account_scope(key))
    set_request_region(region)
    iam_evaluator.pin_signed_request(request["method"], request["path"], query, raw)
    iam_evaluator.pin_signed_body(request["body"].encode())
    for check in request["checks"]:
        action, resource = check["action"], check["resource"]
        denied = iam_evaluator.enforce(key, action, action.split(":")[0], region, resource, check["context"])
        if isinstance(denied, iam_evaluator.AuthError):
            code, _, message = iam_actions._auth_failure("rds", denied.code, denied.message, headers)
            return {"code": code, "message": message}
        if denied is not None:
            explicit = denied.decision == "Deny"
            message = iam_actions.identity_denial_message(action, denied.principal_arn, resource, explicit)
            return {"code": "AccessDenied", "message": message}
    return None


def with_authorization(app):
    """Wraps the gateway: it answers requests for authorization too."""

    async def answer(scope, receive, send):
        if scope["type"] != "http" or scope["path"] != AUTHORIZE_PATH:
            return await app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = json.dumps(authorize(json.loads(body))).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})

    return answer


def enforce() -> None:
    # ministack refuses in the XML of S3, which clients of Route 53 find no code in: Route 53's is that of the Query services.
    iam_actions._SERVICE_PROTOCOL["route53"] = "query-xml"
    iam_actions._QUERY_XML_NS["route53"] = "https://route53.amazonaws.com/doc/2013-04-01/"
    eventbridge.bus_policy_for_arn = bus_policy_for_arn
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")
    iam_evaluator.enforce = logged(iam_evaluator.enforce)
    gateway.app = with_authorization(gateway.app)
