"""Holds policy documents against the grammar and the quotas of IAM, which no API model has.

What a policy allows is parliament's and checkov's to judge; here only whether AWS takes it. Sources: the IAM guide's
grammar of the JSON policy language and its quotas.
"""

import json
import re

from models.shapes import Problem, shown

# Non-whitespace characters: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE, MANAGED, TRUST = 10_240, 6_144, 2_048
# Bytes: https://docs.aws.amazon.com/general/latest/gr/sns.html, and the quotas of the KMS and EventBridge guides.
TOPIC, QUEUE, KEY, BUS = 30_720, 65_536, 32_768, 10_240
STATEMENT = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
OPERATOR = re.compile(
    r"((ForAllValues|ForAnyValue):)?(String(Not)?(Equals(IgnoreCase)?|Like)|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)"
    r"|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?|Null"
)


def size(document: dict) -> int:
    """As IAM counts: without white space."""
    return len(re.sub(r"\s", "", json.dumps(document, ensure_ascii=False)))


def policy(document, kind: str, where: str):
    """Problems of a document of the kind identity, trust or resource."""
    if not isinstance(document, dict) or not document.keys() <= {"Version", "Id", "Statement"}:
        yield Problem(where, "policy", f"{shown(document)} is no policy document")
        return
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        yield Problem(where, "policy", f"there is no version {document['Version']!r} of the policy language")
    statements, sids = many(document.get("Statement")), []
    if not statements:
        yield Problem(where, "policy", "has no statement")
    for index, statement in enumerate(statements):
        sid = statement.get("Sid") if isinstance(statement, dict) else None
        at = f"{where} {sid or f'statement {index}'}"
        if not isinstance(statement, dict):
            yield Problem(at, "policy", f"{shown(statement)} is no statement")
            continue
        sids.append(sid)
        yield from grammar(statement, kind, at)
    for sid in sorted({sid for sid in sids if sid and sids.count(sid) > 1}):
        yield Problem(where, "policy", f"the Sid {sid} is there twice")


def grammar(statement: dict, kind: str, where: str):
    for unknown in sorted(statement.keys() - STATEMENT):
        yield Problem(where, "policy", f"{unknown} is no element of a statement")
    if kind != "resource" and not re.fullmatch("[A-Za-z0-9]*", str(statement.get("Sid", ""))):
        yield Problem(where, "policy", "a Sid has letters and digits only")
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield Problem(where, "policy", f"the effect is {statement.get('Effect')!r}")
    principals = {"Principal", "NotPrincipal"} & statement.keys()
    if bool(principals) != (kind != "identity"):
        yield Problem(where, "policy", "has a principal" if principals else "has no principal")
    if bool({"Resource", "NotResource"} & statement.keys()) != (kind != "trust"):
        yield Problem(where, "policy", "has a resource" if kind == "trust" else "has no resource")
    actions = many(statement.get("Action", statement.get("NotAction")))
    for action in actions:
        if not re.fullmatch(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", str(action)):
            yield Problem(where, "policy", f"{shown(action)} is no action")
    if not actions:
        yield Problem(where, "policy", "has no action")
    for resource in many(statement.get("Resource", statement.get("NotResource", []))):
        # Quotes and white space are in no ARN; IAM refuses what is neither an ARN nor a star.
        if not re.fullmatch(r"\*|arn:[^:\s\"'<>]+:[a-z0-9-]+:[^:\s\"'<>]*:[^:\s\"'<>]*:[^\s\"'<>]+", str(resource)):
            yield Problem(where, "policy", f"{shown(resource)} is neither * nor an ARN")
    for operator, keys in statement.get("Condition", {}).items():
        if not OPERATOR.fullmatch(operator):
            yield Problem(where, "policy", f"{operator} is no condition operator")
        for key, values in keys.items():
            if not re.fullmatch(r"[a-zA-Z0-9-]+:\S+", key) or not all(isinstance(each, str | bool | int) for each in many(values)):
                yield Problem(where, "policy", f"{key}: {shown(values)} is no condition")


def within(measured: int, most: int, what: str, where: str):
    if measured > most:
        yield Problem(where, "policy size", f"{what}: {measured} characters, and at most {most}")


def many(value) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]
