"""Checks with a login of their own: it runs them on both sides, with the password of the moment on the restored cluster and on a reader
of the source; what it lacks is told; and no event has checks run as anybody but the deployment's login."""

import json
import time

from bus import Bus, Requested
from checks import contains
from cluster import Cluster, iso
from engines import POSTGRES
from recovery import CONCLUDE, CONCLUDE_WITHOUT_LEASE, START, WITHOUT_APPROVAL, Recovery, up_to
from shop import fill
from stages import KEPT, REWIND
from test_preflight import dry_run, find

OLD, NEW = "password-before-the-rotation", "password-after-the-rotation"
# Who runs the check, and whether the server that it runs on can only read: what the restored cluster and the source answer.
WHO = {"postgresql": ("SELECT current_user", "reader"), "mysql": ("SELECT current_user()", "reader@%")}
READS = {"postgresql": ("SELECT pg_is_in_recovery()", "f", "t"), "mysql": ("SELECT @@read_only", "0", "1")}


def reader_of(cluster, password=OLD, rights="SELECT"):
    """Makes the login `reader` of a cluster with the shop in it; answers its secret."""
    if cluster.engine is POSTGRES:
        cluster.sql([f"CREATE ROLE reader LOGIN PASSWORD '{password}'", f"GRANT {rights} ON orders TO reader"])
    else:
        cluster.sql([f"CREATE USER reader IDENTIFIED BY '{password}'", f"GRANT {rights}, SHOW VIEW ON shop.* TO reader"])
    return secret_of(cluster, "reader", password)


def secret_of(cluster, user, password):
    stack = cluster.stack
    stack.leak_watch.remember("the password of a check login", password)
    text = json.dumps({"username": user, "password": password})
    arn = stack.secrets.create_secret(Name=f"{cluster.name}-{user}-{time.time_ns()}", SecretString=text)["ARN"]
    stack.on_success(lambda: stack.secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True))
    return arn


def rotate(cluster, arn):
    stack = cluster.stack
    stack.leak_watch.remember("the password of a check login", NEW)
    who = "ROLE reader PASSWORD" if cluster.engine is POSTGRES else "USER reader IDENTIFIED BY"
    cluster.sql(f"ALTER {who} '{NEW}'")
    stack.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({"username": "reader", "password": NEW}))


def check(name, sql, expected):
    return {"name": name, "database": "shop", "sql": sql, "expect": expected}


def test_checks_run_as_their_own_login_on_both_sides(stack, engine):
    cluster = Cluster.create(stack, f"{engine.prefix}-check-login", instances=({}, {}), engine=engine)
    fill(cluster)
    arn = reader_of(cluster)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    rotate(cluster, arn)
    (who, reader), (reads, restored, source) = WHO[engine.name], READS[engine.name]
    checks = [check("who", who, reader), check("where", reads, restored), check("rows", "SELECT count(*) FROM orders", "4000")]
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=checks, approval="none", checkSecretArn=arn)
    run.recovered(WITHOUT_APPROVAL)
    report = run.result("Verify")
    assert {c["name"]: c["source"] for c in report["checks"]} == {"who": reader, "where": source, "rows": "0"}, "the source"
    assert (report["login"]["user"], report["login"]["secretVersion"]) == ("reader", "AWSPREVIOUS"), "who ran the checks"
    plan = run.result("ValidateWindow")
    contains(" ".join(plan["willDo"]), f"with the login of {arn}")
    assert "checks run with the login of the fence" not in " ".join(plan["warnings"]), "the warning about the master"
    # It may read, and no more.
    assert "check-login" not in [finding["code"] for finding in run.result("Preflight")["findings"]]


def test_a_login_that_the_target_does_not_know_is_told_and_the_cluster_is_kept(stack):
    cluster = Cluster.create(stack, "e2e-check-login-late")
    fill(cluster)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    arn = reader_of(cluster, rights="SELECT, INSERT")
    checks = [check("rows", "SELECT count(*) FROM orders", "4000")]
    found = dry_run(stack, cluster, checks=checks, checkSecretArn=arn)
    find(found, "check-login", "warning", "reader may do more than read in shop", "may write public.orders")
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=checks, checkSecretArn=arn)
    path = START + up_to("Verify", REWIND) + KEPT + CONCLUDE
    said = [f"the check login of {arn} does not get into {cluster.name}-r", f"rewind resume {run.id} --check-secret"]
    run.failed(path, "VerificationFailed", *said, "the source was not touched")


def test_an_event_runs_no_check_as_the_master(stack):
    bus = Bus(stack)
    cluster = Cluster.create(stack, "e2e-check-login-event", record=False)
    fill(cluster)
    arn = reader_of(cluster)
    cluster.settle()
    checks = [check("who", *WHO["postgresql"])]
    request = {"cluster": cluster.name, "to": "1s ago", "dryRun": True, "checks": checks}
    # Nor as anybody whom it names: neither the master by another secret, nor somebody else's login.
    master = secret_of(cluster, cluster.user, cluster.password)
    for more in [{}, *({"checkSecretArn": secret} for secret in (cluster.secret, master, arn))]:
        run = Requested(stack, bus.ask(request | more)["id"])
        run.failed(["Begin", "IsLeaseNeeded", "ValidateWindow", *CONCLUDE_WITHOUT_LEASE], "InvalidRequest", "CheckSecretArn", "nothing was changed")
