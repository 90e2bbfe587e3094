"""How far back one can go: asked for and set by set-window, as people call it."""

import json
import os
import subprocess

from checks import contains, wait_until
from cluster import BACKTRACK, Cluster, remove
from engines import MYSQL
from stack import ROOT


def set_window(stack, error=None, **request):
    """What the function answers, or the message of its error."""
    name = stack.function("SetWindow")["FunctionName"]
    answer = stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(request))
    said = json.loads(answer["Payload"].read())
    assert ("FunctionError" in answer) == (error is not None), f"whether {request} is an error: {said}"
    if error:
        assert said["errorType"] == error, f"the error of {request}"
        return said["errorMessage"]
    return said


def test_backtrack_window_is_told_set_and_switched_off_only_with_a_confirmation(stack):
    cluster = Cluster.create(stack, "e2e-my-window", engine=MYSQL, record=False, **BACKTRACK)
    name, window = cluster.name, lambda: cluster.describe().get("BacktrackWindow", 0)
    told = set_window(stack, cluster=name)
    asked = (told["kind"], told["targetWindow"], told["targetWindowSeconds"], told["changed"])
    assert asked == ("backtrack", "1d", 86_400, False), "the window as it is"
    assert told["earliest"] < told["latest"] and told["reach"], f"how far back one can go: {told}"
    contains(" ".join(told["notes"]), "the rest comes as time passes")
    for asked, seconds in [("3d", 259_200), ("24h", 86_400), ("90m", 5_400)]:
        told = set_window(stack, cluster=name, window=asked)
        assert (told["changed"], told["targetWindowSeconds"], window()) == (True, seconds, seconds), f"a window of {asked}"
        cluster.wait_available()
        assert set_window(stack, cluster=name, window=asked)["changed"] is False, f"whether {asked} once more changed something"
    for asked, said in [
        ("1440", "1440 seconds is 24 minutes; 24 hours is 86400 seconds: write 24h"),
        (1440, "1440 seconds is 24 minutes"),
        ("4d", "72h (259200 seconds) at most"),
        ("soon", "write a length such as 24h or 3d, or off"),
    ]:
        contains(set_window(stack, "InvalidRequest", cluster=name, window=asked), said, "nothing was changed")
    contains(set_window(stack, "InvalidRequest", cluster=name, windows="1d"), "`windows` is no field")
    contains(set_window(stack, "InvalidRequest", cluster="no-such-cluster"), "there is no such cluster")

    off = f"switch off {name} for ever"
    contains(set_window(stack, "InvalidRequest", cluster=name, window="off"), "cannot be switched on again", off)
    contains(
        set_window(stack, "InvalidRequest", cluster=name, window="off", confirm="yes"), 'is "yes", which is not what', off
    )
    assert window() == 5_400, "the window after two refusals"
    told = set_window(stack, cluster=name, window="off", confirm=off)
    assert (told["changed"], told["targetWindow"], told["reach"], window()) == (True, "off", None, 0), (
        "a window switched off"
    )
    contains(" ".join(told["notes"]), "for ever")


def test_window_is_shrunk_only_with_a_confirmation(stack):
    cluster = Cluster.create(stack, "e2e-my-shrinks", engine=MYSQL, record=False, **BACKTRACK)
    cluster.settle(4)
    confirm = f"shrink {cluster.name}"
    contains(set_window(stack, "InvalidRequest", cluster=cluster.name, window="2s"), "out of reach for ever", confirm)
    told = set_window(stack, cluster=cluster.name, window="2s", confirm=confirm)
    assert (told["changed"], told["targetWindowSeconds"]) == (True, 2), "the window"
    wait_until(
        lambda: set_window(stack, cluster=cluster.name)["reach"] in ["1s", "2s", "3s"], "a reach of the window's length", 30
    )


def test_offered_commands_make_a_cluster_with_backtrack(stack):
    cluster = Cluster.create(stack, "e2e-my-without", engine=MYSQL)
    cluster.sql(["CREATE TABLE t (n int)", "INSERT INTO t VALUES (1), (2)"])
    cluster.settle()
    told = set_window(stack, cluster=cluster.name)
    assert (told["kind"], told["targetWindow"], told["changed"]) == ("backupRetention", "1d", False), "the window as it is"
    contains(" ".join(told["notes"]), "made without Backtrack", "by a restore beside it")
    said = set_window(stack, "InvalidRequest", cluster=cluster.name, window="24h")
    contains(said, "only when a cluster is made, never afterwards", "nothing was changed")
    commands = said[said.index("aws rds restore-db-cluster-to-point-in-time") :]
    commands = commands[: commands.index("--db-instance-class db.r6g.large") + len("--db-instance-class db.r6g.large")]
    new = cluster.derived(f"{cluster.name}-backtrack")
    stack.on_success(lambda: remove(stack, new.name))
    path = f"{ROOT / '.local/tools/aws/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", commands], env=os.environ | stack.env | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"what the offered commands said: {done.stderr}"
    new.wait_available()
    assert new.describe()["BacktrackWindow"] == 86_400, "the window of the cluster that they made"
    assert new.value("SELECT count(*) FROM t") == 2, "its rows"
    assert new.groups == cluster.groups, "its security groups"
    wait_until(lambda: set_window(stack, cluster=new.name)["kind"] == "backtrack", "a backtrack window")


def test_window_of_postgresql_is_the_backup_retention(stack):
    cluster = Cluster.create(stack, "e2e-window", record=False)
    kept = lambda: cluster.describe()["BackupRetentionPeriod"]
    told = set_window(stack, cluster=cluster.name)
    assert (told["kind"], told["targetWindow"], told["engine"]) == ("backupRetention", "1d", "aurora-postgresql"), (
        "as it is"
    )
    assert told["earliest"] <= told["latest"] and told["reach"], f"how far back one can go: {told}"
    for asked, days in [("7d", 7), ("48h", 2), ("35d", 35), ("1d", 1)]:
        told = set_window(stack, cluster=cluster.name, window=asked)
        assert (told["changed"], told["targetWindowSeconds"], kept()) == (True, days * 86_400, days), (
            f"a retention of {asked}"
        )
        cluster.wait_available()
    for asked, said in [
        ("36h", "whole days: write 2d"),
        ("36d", "35d at most"),
        ("off", "Aurora always keeps backups"),
        ("1440", "1440 seconds is 24 minutes"),
    ]:
        contains(set_window(stack, "InvalidRequest", cluster=cluster.name, window=asked), said, "nothing was changed")
    assert kept() == 1, "the retention after the refusals"
