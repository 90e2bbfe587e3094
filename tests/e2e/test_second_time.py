"""A cluster is recovered a second time: with nothing looked up for it, under names that do not grow, and undone like a first
recovery. And what has the same name, but is not the same any more, is not taken for it.
"""

import datetime
import json
import re

from checks import contains, wait_until
from cluster import Cluster, iso, remove
from engines import UTC
from recovery import WITHOUT_APPROVAL, WITHOUT_RECORDS, Recovery, moment
from shop import create_shop

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
COUNT = "SELECT count(*) FROM orders"
INSERT = "INSERT INTO orders (customer, placed, net) VALUES (1, '2026-11-29 08:00:00', 5)"


def recover(cluster, to, **more):
    """A recovery of a cluster with nothing but what everybody knows: no name, no secret."""
    run = Recovery(cluster.stack, {"cluster": cluster.name, "to": to, "approval": "none"} | more)
    output = run.recovered(WITHOUT_APPROVAL if more.get("dns") else WITHOUT_RECORDS)
    cluster.stack.on_success(lambda: remove(cluster.stack, output["newCluster"]))
    return run, output


def undo(stack, run):
    started = stack.states.start_execution(
        stateMachineArn=stack.outputs["UndoStateMachineArn"],
        name=f"{run.id}-undo",
        input=json.dumps({"recovery": run.id, "by": "e2e"}),
    )
    look = lambda: stack.states.describe_execution(executionArn=started["executionArn"])
    ended = wait_until(lambda: (ended := look())["status"] != "RUNNING" and ended, "the end of the undo", 120)
    assert ended["status"] == "SUCCEEDED", f"the undo {ended['status']}: {ended.get('cause')}"


def tags(stack, name):
    return {tag["Key"]: tag["Value"] for tag in stack.describe(name)["TagList"]}


def test_recovered_cluster_is_recovered_again_and_that_is_undone(stack, engine):
    first = create_shop(stack, f"{engine.prefix}-twice", engine=engine)
    rows = lambda: first.value(COUNT, host=first.record)
    secret = first.secret
    first.settle()
    target = first.mistake("DELETE FROM orders")
    request = {"dns": first.dns(), "checks": [CHECK]}
    _, output = recover(first, iso(target), **request)
    dated = re.fullmatch(rf"{first.name}-rewind-(\d{{8}}-\d{{6}})", output["newCluster"])
    assert dated, f"the first restored cluster is named {output['newCluster']}"
    assert rows() == 4000, "rows after the first"

    second = first.derived(output["newCluster"])
    # As RDS takes it in a tag, which knows no exclamation mark.
    tagged, as_of = tags(stack, second.name)["aurora-rewind:secret"].replace("@21", "!").split()
    assert tagged == secret, "the secret in the tag"
    second.sql(INSERT, host=first.record)
    wait_until(lambda: second.describe().get("EarliestRestorableTime"), "a restorable window")
    second.settle()
    target = second.mistake("DELETE FROM orders")
    run, output = recover(second, iso(target), **request | {"checks": [CHECK | {"expect": "4001"}]})
    assert rows() == 4001, "rows after the second"
    warnings = json.loads(run.item()["plan"])["warnings"]
    contains(" ".join(warnings), f"logs in with {secret}, found by the tag aurora-rewind:secret of {second.name}")
    dated = re.fullmatch(rf"{first.name}-rewind-(\d{{8}}-\d{{6}})", output["newCluster"])
    assert dated, f"the second restored cluster is named {output['newCluster']}"
    assert dated[1] == f"{moment(output['rewoundTo']):%Y%m%d-%H%M%S}", "the moment in its name"
    of_third = tags(stack, output["newCluster"])
    assert of_third["aurora-rewind:recovery"] == run.id, "the recovery in its tags"
    assert of_third["aurora-rewind:secret"].replace("@21", "!").split() == [secret, as_of], "the secret in the tag of the second"
    assert "aurora-rewind:fenced-by" not in of_third, "a tag of the fenced source on what is new"
    assert tags(stack, second.name)["aurora-rewind:fenced-by"] == run.id, "who fenced the second's source"

    undo(stack, run)
    assert stack.records()[first.record][0].rstrip(".") == second.endpoint, "the record after the undo"
    assert rows() == 0, "rows after the undo: the second mistake again"
    second.sql(INSERT, host=first.record)
    assert rows() == 1, "rows after a write"


def test_ids_that_the_source_has_issued_since_are_told_with_what_moves_them_on(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-ids", engine=engine)
    cluster.settle()
    target = cluster.mistake([INSERT] * 40)
    _, output = recover(cluster, iso(target), dns=cluster.dns(), checks=[CHECK])
    (note,) = [note for note in output["notes"] if note.startswith("ids will be issued again")]
    contains(note, "orders", output["newCluster"])
    # The SQL of the note, as a person pastes it.
    new = cluster.derived(output["newCluster"])
    sql = note[note.index("SELECT ") :]
    moved = new.sql(sql)
    if engine.name == "mysql":
        new.sql([statement for (statement,) in moved])
    new.sql(INSERT)
    # 4000 rows, and 40 that were written on the source since.
    assert new.value("SELECT max(id) FROM orders") > 4040, "the next id"


def test_secret_that_names_the_source_is_told_with_the_command(stack):
    cluster = create_shop(stack, "e2e-secret-host")
    login = {"username": cluster.user, "password": cluster.password, "host": cluster.endpoint,
             "dbClusterIdentifier": cluster.name}  # fmt: skip
    arn = stack.secrets.create_secret(Name="e2e-secret-host", SecretString=json.dumps(login))["ARN"]
    stack.on_success(lambda: stack.secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True))
    cluster.settle()
    now = iso(datetime.datetime.now(UTC) - datetime.timedelta(seconds=1))
    _, output = recover(cluster, now, dns=cluster.dns(), checks=[CHECK], secretArn=arn)
    (found,) = [difference for difference in output["differences"] if difference["what"] == "secret"]
    contains(found["source"], arn, f"host {cluster.endpoint}", f"dbClusterIdentifier {cluster.name}")
    contains(found["todo"], f'.host="{output["writerEndpoint"]}"', f'.dbClusterIdentifier="{output["newCluster"]}"')


def test_target_at_the_first_millisecond_of_the_window_is_restored(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-first", engine=engine)
    earliest = cluster.describe()["EarliestRestorableTime"]
    cluster.settle()
    _, output = recover(cluster, iso(earliest))
    assert abs(moment(output["rewoundTo"]) - earliest) < datetime.timedelta(seconds=1), "the moment rewound to"
    assert moment(output["rewoundTo"]) >= earliest, "the moment rewound to, in the window"
    before = Recovery(stack, {"cluster": cluster.name, "to": iso(earliest - datetime.timedelta(milliseconds=1))})
    ended = before.wait()
    assert ended["error"] == "OutsideWindow", "the error one millisecond before"
    contains(ended["cause"], "before the earliest restorable time", "nothing was changed")


def test_null_is_an_answer_that_a_check_can_expect(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-null", engine=engine)
    cluster.settle()
    now = iso(datetime.datetime.now(UTC) - datetime.timedelta(seconds=1))
    null = {"name": "no such customer", "database": "shop", "sql": "SELECT max(id) FROM customers WHERE id < 0"}
    # A text where all orders are there, which is no number; a number on the source, once there is one more.
    text = "SELECT CASE WHEN count(*) = 4000 THEN repeat('x', 307200) ELSE '1' END FROM orders"
    long = {"name": "long", "database": "shop", "sql": text, "atLeast": 0}
    _, output = recover(cluster, now, checks=[null | {"expect": None}])
    (check,) = output["checks"]
    assert (check["passed"], check["expected"], check.get("found")) == (True, "NULL", None), "the check of NULL"
    for field in ["dns", "approval", "checks", "newCluster"]:
        refused = Recovery(stack, {"cluster": cluster.name, "to": now, field: None}).wait()
        assert refused["error"] == "InvalidRequest", f"the error for {field} null"
        contains(refused["cause"], f"`{field}` is null: leave it out, or give it a value")
    request = {"cluster": cluster.name, "to": now, "newCluster": f"{cluster.name}-r", "checks": [long]}
    ended = Recovery(stack, request).wait()
    assert ended["error"] == "InvalidRequest", "the error for a text that is no number on the source already"
    contains(ended["cause"], 'check "long" has a bound', "its answer on the source is no number", "[check-type]")
    assert len(ended["cause"]) < 1_000, "the length of the cause where the source answers it"
    target = cluster.mistake(INSERT)
    run = Recovery.of(cluster, iso(target), checks=[long])
    ended = run.wait()
    assert ended["error"] == "VerificationFailed", f"the error for a text that is no number: {ended.get('cause')}"
    contains(ended["cause"], 'check "long" in shop failed: it is no number')
    assert "xxx" not in ended["cause"], "a value in the cause"
    contains(run.result("Verify")["checks"][0]["found"], "… (307200 characters)")


def test_nobody_s_data_reaches_clients_unseen_without_a_word(stack):
    cluster = create_shop(stack, "e2e-unseen")
    cluster.settle()
    request = {"cluster": cluster.name, "to": "1s ago", "dns": cluster.dns(), "approval": "none", "dryRun": True}
    refused = Recovery(stack, request).wait()
    assert refused["error"] == "InvalidRequest", "the error without a word"
    contains(refused["cause"], "`unverified`", '`"unverified": "accepted"`', "nothing was changed")
    accepted = Recovery(stack, request | {"unverified": "accepted"}).wait()
    assert accepted["status"] == "SUCCEEDED", f"with the word: {accepted.get('cause')}"


def test_approval_is_not_valid_for_a_source_that_was_made_anew(stack):
    cluster = create_shop(stack, "e2e-anew")
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), checks=[CHECK])
    run.approval()
    arn = cluster.describe()["DBClusterArn"]
    remove(stack, cluster.name)
    wait_until(lambda: stack.describe(cluster.name) is None, "the end of the source")
    anew = Cluster.create(stack, cluster.name, record=False)
    assert anew.describe()["DBClusterArn"] == arn, "the ARN of what was made anew"
    run.decide("approved")
    ended = run.wait()
    assert ended["error"] == "NotApproved", f"the error: {ended.get('cause')}"
    contains(ended["cause"], f"the cluster ({cluster.name}) was deleted and made anew", "nothing was fenced")
    assert anew.groups == sorted(stack.app_groups), "the groups of what was made anew"
