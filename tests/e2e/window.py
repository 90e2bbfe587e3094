"""How far back one can go: asked for and set by set-window, as people call it."""

import json
import os
import subprocess

from cluster import BACKTRACK, Cluster, remove
from engines import MYSQL
from harness import contains, equal, holds, on_success, test, wait_until
from stack import ROOT


def call(stack, error=None, **request):
    """What the function answers, or the message of its error."""
    name = stack.function("SetWindow")["FunctionName"]
    answer = stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(request))
    said = json.loads(answer["Payload"].read())
    equal("FunctionError" in answer, error is not None, f"whether {request} is an error: {said}")
    if error:
        equal(said["errorType"], error, f"the error of {request}")
        return said["errorMessage"]
    return said


@test("set-window tells and sets the backtrack window in words, and switches Backtrack off only when asked twice")
def backtrack(stack):
    cluster = Cluster.create(stack, "e2e-my-window", engine=MYSQL, record=False, **BACKTRACK)
    name, window = cluster.name, lambda: cluster.describe().get("BacktrackWindow", 0)
    told = call(stack, cluster=name)
    asked = (told["kind"], told["targetWindow"], told["targetWindowSeconds"], told["changed"])
    equal(asked, ("backtrack", "1d", 86_400, False), "the window as it is")
    holds(told["earliest"] < told["latest"] and told["reach"], f"how far back one can go: {told}")
    contains(" ".join(told["notes"]), "the rest comes as time passes")
    for asked, seconds in [("3d", 259_200), ("24h", 86_400), ("90m", 5_400)]:
        told = call(stack, cluster=name, window=asked)
        equal(
            (told["changed"], told["targetWindowSeconds"], window()), (True, seconds, seconds), f"a window of {asked}"
        )
        cluster.wait_available()
        equal(call(stack, cluster=name, window=asked)["changed"], False, f"whether {asked} once more changed something")
    for asked, said in [
        ("1440", "1440 seconds is 24 minutes; 24 hours is 86400 seconds: write 24h"),
        (1440, "1440 seconds is 24 minutes"),
        ("4d", "72h (259200 seconds) at most"),
        ("soon", "write a length such as 24h or 3d, or off"),
    ]:
        contains(call(stack, "InvalidRequest", cluster=name, window=asked), said, "nothing was changed")
    contains(call(stack, "InvalidRequest", cluster=name, windows="1d"), "`windows` is no field")
    contains(call(stack, "InvalidRequest", cluster="no-such-cluster"), "there is no such cluster")

    off = f"switch off {name} for ever"
    contains(call(stack, "InvalidRequest", cluster=name, window="off"), "cannot be switched on again", off)
    contains(
        call(stack, "InvalidRequest", cluster=name, window="off", confirm="yes"), 'is "yes", which is not what', off
    )
    equal(window(), 5_400, "the window after two refusals")
    told = call(stack, cluster=name, window="off", confirm=off)
    equal(
        (told["changed"], told["targetWindow"], told["reach"], window()),
        (True, "off", None, 0),
        "a window switched off",
    )
    contains(" ".join(told["notes"]), "for ever")


@test("a window that would take away what can be reached now is shrunk only when asked twice")
def shrinks(stack):
    cluster = Cluster.create(stack, "e2e-my-shrinks", engine=MYSQL, record=False, **BACKTRACK)
    cluster.settle(4)
    confirm = f"shrink {cluster.name}"
    contains(call(stack, "InvalidRequest", cluster=cluster.name, window="2s"), "out of reach for ever", confirm)
    told = call(stack, cluster=cluster.name, window="2s", confirm=confirm)
    equal((told["changed"], told["targetWindowSeconds"]), (True, 2), "the window")
    wait_until(
        lambda: call(stack, cluster=cluster.name)["reach"] in ["1s", "2s", "3s"], "a reach of the window's length", 30
    )


@test("Backtrack cannot be switched on afterwards, and the commands that are offered make a cluster that has it")
def switched_on(stack):
    cluster = Cluster.create(stack, "e2e-my-without", engine=MYSQL)
    cluster.sql(["CREATE TABLE t (n int)", "INSERT INTO t VALUES (1), (2)"])
    cluster.settle()
    told = call(stack, cluster=cluster.name)
    equal(
        (told["kind"], told["targetWindow"], told["changed"]), ("backupRetention", "1d", False), "the window as it is"
    )
    contains(" ".join(told["notes"]), "made without Backtrack", "by a restore beside it")
    said = call(stack, "InvalidRequest", cluster=cluster.name, window="24h")
    contains(said, "only when a cluster is made, never afterwards", "nothing was changed")
    commands = said[said.index("aws rds restore-db-cluster-to-point-in-time") :]
    commands = commands[: commands.index("--db-instance-class db.r6g.large") + len("--db-instance-class db.r6g.large")]
    new = cluster.beside(f"{cluster.name}-backtrack")
    on_success(lambda: remove(stack, new.name))
    path = f"{ROOT / '.local/tools/aws/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", commands], env=os.environ | stack.env | {"PATH": path}, capture_output=True, text=True
    )
    equal(done.returncode, 0, f"what the offered commands said: {done.stderr}")
    new.wait_available()
    equal(new.describe()["BacktrackWindow"], 86_400, "the window of the cluster that they made")
    equal(new.value("SELECT count(*) FROM t"), 2, "its rows")
    equal(new.groups, cluster.groups, "its security groups")
    wait_until(lambda: call(stack, cluster=new.name)["kind"] == "backtrack", "a backtrack window")


@test("on PostgreSQL set-window is the backup retention, in whole days")
def retention(stack):
    cluster = Cluster.create(stack, "e2e-window", record=False)
    kept = lambda: cluster.describe()["BackupRetentionPeriod"]
    told = call(stack, cluster=cluster.name)
    equal(
        (told["kind"], told["targetWindow"], told["engine"]), ("backupRetention", "1d", "aurora-postgresql"), "as it is"
    )
    holds(told["earliest"] <= told["latest"] and told["reach"], f"how far back one can go: {told}")
    for asked, days in [("7d", 7), ("48h", 2), ("35d", 35), ("1d", 1)]:
        told = call(stack, cluster=cluster.name, window=asked)
        equal(
            (told["changed"], told["targetWindowSeconds"], kept()),
            (True, days * 86_400, days),
            f"a retention of {asked}",
        )
        cluster.wait_available()
    for asked, said in [
        ("36h", "whole days: write 2d"),
        ("36d", "35d at most"),
        ("off", "Aurora always keeps backups"),
        ("1440", "1440 seconds is 24 minutes"),
    ]:
        contains(call(stack, "InvalidRequest", cluster=cluster.name, window=asked), said, "nothing was changed")
    equal(kept(), 1, "the retention after the refusals")
