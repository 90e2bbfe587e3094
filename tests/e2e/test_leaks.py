"""Nothing secret comes out: what was collected while the run went on is looked for in whatever people can read afterwards.
Before that a canary is put into each of those places, and has to be found there.

A task token is in the history of its execution and in the item of a pending approval by nature: there it is not looked for. A value of a row that a
check read is in the history, and in the log of the database that refused it.
"""

import base64
import contextlib
import json
import time
import urllib.parse
import urllib.request
import uuid

import pytest

from checks import wait_until
from cluster import Cluster, iso
from leak_watch import TOKEN, VALUE
from policies import histories
from recovery import Recovery
from shop import create_shop


def encodings(secret):
    """A secret as it may be written down."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        base64.b64encode(secret.encode()).decode().rstrip("="),
    }


# ------------------------------------------------------------------------------------------------------------ the places


def events_of(logs, group):
    """All events of a log group. ministack answers the first 10,000 and says nothing of more: what comes after the last
    one is asked for until there is nothing, and the events of the last moment are read twice."""
    begin = 0
    while True:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=begin)
        events = [event for page in pages for event in page["events"]]
        yield from events
        if not events or events[-1]["timestamp"] == begin:
            assert len(events) < 10_000, f"more events of {group} in one millisecond than an answer holds"
            return
        begin = events[-1]["timestamp"]


def in_log_groups(stack):
    logs = stack.client("logs")
    for groups in logs.get_paginator("describe_log_groups").paginate():
        for group in groups["logGroups"]:
            for event in events_of(logs, group["logGroupName"]):
                yield f"{group['logGroupName']} {event['logStreamName']}", event["message"]


def in_files(stack):
    files = [*(stack.folder / "logs").rglob("*"), *(stack.folder / "run").glob("*.jsonl"), *stack.folder.glob("*.csv")]
    for file in files:
        if file.is_file():
            yield str(file.relative_to(stack.folder)), file.read_text(errors="replace")


def in_histories(stack):
    for page in stack.states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            for events in histories(stack, machine["stateMachineArn"]):
                yield f"an execution of {machine['name']}", json.dumps(events, default=str, ensure_ascii=False)


def in_items(stack):
    for page in stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.table, ConsistentRead=True):
        for found in page["Items"]:
            yield f"the item {found['id']['S']}", json.dumps(found, ensure_ascii=False)


def in_events_and_messages(stack):
    stack.leak_watch.look()
    yield from (("an event or a message", body) for body in stack.leak_watch.messages())


def in_databases(stack):
    yield from ((name.removeprefix(f"{stack.folder}/"), stack.leak_watch.log_of_database(name)) for name in stack.leak_watch.logs_of_databases())


PLACES = {
    "log groups": in_log_groups,
    "files": in_files,
    "histories": in_histories,
    "items": in_items,
    "events and messages": in_events_and_messages,
    "logs of databases": in_databases,
}
BELONGS = {TOKEN: {"histories", "items"}, VALUE: {"histories", "logs of databases"}}


def find_leaks(stack, secrets):
    """Where which secrets are, by place."""
    forms = [(form, kind) for value, kind in secrets.items() for form in encodings(value)]
    leaks, characters = {place: set() for place in PLACES}, 0
    for place, read in PLACES.items():
        wanted = [(form, kind) for form, kind in forms if place not in BELONGS.get(kind, ())]
        for where, text in read(stack):
            characters += len(text)
            leaks[place] |= {f"{kind} is in {where}" for form, kind in wanted if form in text}
    return leaks, characters


# ----------------------------------------------------------------------------------------------------------- the canary


def plant_canary(stack, canary):
    """Puts the canary into each place, the way that a leak would get there."""
    logs, group = stack.client("logs"), stack.outputs["FunctionsLogGroup"]
    logs.create_log_stream(logGroupName=group, logStreamName=canary)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=canary,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": f"a line with {canary}"}],
    )
    # As chat's answers are, which are a file's lines too.
    body = json.dumps({"text": canary}).encode()
    urllib.request.urlopen(urllib.request.Request(stack.env["CHAT_RESPONSE_PREFIX"] + "canary", body), timeout=10).close()
    Recovery(stack, {"cluster": canary, "to": "never"}).wait()  # refused; in its history and in its events
    stack.client("sns").publish(TopicArn=stack.outputs["TopicArn"], Message=canary)
    stack.client("dynamodb").put_item(TableName=stack.table, Item={"id": {"S": "e2e-canary"}, "said": {"S": canary}})
    with contextlib.suppress(Exception):
        Cluster(stack, "my-aurora-cluster").sql(f"SELECT '{canary}' FROM nowhere", "postgres")


# ------------------------------------------------------------------------------------------------------- values of checks


def check_of(name, sql, **expectation):
    return {"name": name, "database": "shop", "sql": sql} | expectation


def test_values_that_checks_find_are_in_the_histories_alone(stack):
    """A text and a number of a row: found by a check that passes, one that fails, and one that the database refuses for what it read;
    while people are asked, by the preflight, and in a dry run."""
    cluster = create_shop(stack, "e2e-values")
    text, number = f"canary-{uuid.uuid4()}", f"9{uuid.uuid4().int}"[:15]
    for value in (text, number):
        stack.leak_watch.remember(VALUE, value)
    cluster.sql(f"CREATE TABLE notes AS SELECT '{text}'::text AS word, {number}::bigint AS number")
    fails = check_of("word", "SELECT max(word) FROM notes", expect="another")
    passes = check_of("number", "SELECT max(number) FROM notes", atLeast=1)
    refused = check_of("refused", "SELECT max(word)::bigint FROM notes", atLeast=1)
    no_number = check_of("no number", "SELECT max(word) FROM notes", atLeast=1)
    runs = []
    # Before anything is restored, where the source has the row.
    for check in (refused, no_number):
        run = Recovery(stack, {"cluster": cluster.name, "to": "1s ago", "checks": [check], "dryRun": True})
        findings = json.loads(run.wait()["output"])["plan"]["findings"]
        assert any(check["name"] in finding["what"] for finding in findings), f"the findings: {findings}"
        blocked = Recovery(stack, {"cluster": cluster.name, "to": "1s ago", "checks": [check]})
        assert blocked.wait()["error"] == "InvalidRequest", "the end of what the preflight blocks"
        runs.append(blocked)
    # After it, where the restored cluster alone has the row.
    cluster.settle()
    target = cluster.mistake("DELETE FROM notes")
    failed = Recovery.of(cluster, iso(target), checks=[fails, passes, refused], dns=cluster.dns())
    ended = failed.wait()
    assert ended["error"] == "VerificationFailed", f"how it ended: {ended}"
    checks = {check["name"]: check for check in failed.result("Verify")["checks"]}
    assert (checks["word"]["found"], checks["number"]["found"]) == (text, number), "the values in the history"
    assert "22P02" in checks["refused"]["note"], f"the code of the database's error: {checks['refused']}"
    asked = Recovery(stack, {"cluster": cluster.name, "resume": failed.id, "checks": [passes], "approval": "required"})
    asked.approval()
    asked.decide("approved")
    ended = asked.wait()
    assert ended["status"] == "SUCCEEDED", f"how it ended: {ended.get('cause')}"
    assert number not in ended["output"], "the value in the output"
    for run in [*runs, failed, asked]:
        seen = lambda run=run: any(run.id in body and "Rewind " in body for _, body in in_events_and_messages(stack))
        wait_until(seen, f"the events of {run.id}", 30)
    assert any(text in history for _, history in in_histories(stack)), "the histories are read wrongly"
    leaks, _ = find_leaks(stack, {text: VALUE, number: VALUE})
    assert not set().union(*leaks.values()), "\n".join(sorted(set().union(*leaks.values())))


@pytest.mark.last
def test_nothing_secret_is_in_what_people_can_read(stack):
    began = time.monotonic()
    canary = f"canary-{uuid.uuid4()}"
    made = stack.secrets.create_secret(Name="e2e-canary", SecretString=json.dumps({"username": "bird", "password": canary}))
    try:
        stack.leak_watch.look()
        secrets = stack.leak_watch.secrets()
        assert secrets.get(canary) == "the secret e2e-canary", "the canary among the secrets"
        plant_canary(stack, canary)
        seen = lambda: any(canary in body for _, body in in_events_and_messages(stack))
        wait_until(seen, "the canary among events and messages", 10)
        secrets = stack.leak_watch.secrets()
        leaks, characters = find_leaks(stack, secrets)
    finally:
        stack.secrets.delete_secret(SecretId=made["ARN"], ForceDeleteWithoutRecovery=True)
        stack.client("dynamodb").delete_item(TableName=stack.table, Key={"id": {"S": "e2e-canary"}})
    for place, in_it in leaks.items():
        of_canary = {leak for leak in in_it if leak.startswith("the secret e2e-canary")}
        assert of_canary, f"the canary was not found in {place}: they are read wrongly"
        in_it -= of_canary
    told = sorted(set().union(*leaks.values()))
    assert not told, f"{len(told)} leaks:\n" + "\n".join(told[:20])
    kinds = [kind.split(" of ")[0].split(" rds!")[0] for kind in secrets.values()]
    counted = ", ".join(f"{kinds.count(kind)} of {kind}" for kind in sorted(set(kinds)))
    print(f"{len(kinds)} secrets ({counted}) in none of {characters / 1e6:.0f} MB, read in {time.monotonic() - began:.0f} s")
