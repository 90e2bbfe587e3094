"""The fenced source, opened for one person who reads what was written since: from a terminal to a session, and closed again."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from checks import contains, refused, wait_until
from cluster import Cluster, iso
from leak_watch import TOKEN
from recovery import WITHOUT_APPROVAL, Recovery, undo
from test_cli import Screen, Terminal
from writers import APP_PASSWORD

HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def one_at_a_time(stack, engine):
    """One rule of a security group admits an address to a port, so another test that comes from here would be refused."""
    with stack.exclusive(f"open-{engine.name}"):
        yield


def left_behind(stack, engine, name):
    """A recovery whose source has a row that was written since the target."""
    cluster = Cluster.create(stack, f"{engine.prefix}-{name}", engine=engine)
    cluster.sql(["CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)", *engine.grant_app("app", APP_PASSWORD, "t")])
    cluster.settle()
    target = cluster.mistake("INSERT INTO t VALUES (2)")
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), approval="none")
    run.recovered(WITHOUT_APPROVAL)
    assert cluster.groups == sorted(stack.fence_groups), "the groups of a fenced source"
    return cluster, run


def opened(stack, terminal, cluster, run, length="5m"):
    """Opens it at a terminal; answers how to connect, and the password."""
    found = terminal.json("open", run.id, "--from", HERE, "--for", length, "--confirm", cluster.name)["open"]
    secret = json.loads(stack.secrets.get_secret_value(SecretId=found["at"]["secret"])["SecretString"])
    stack.leak_watch.remember(TOKEN, secret["password"])
    return found, secret["password"]


def reader(stack, engine, found, password, within=0):
    """A session of the login. A rule of a security group is in force some moments after it was made: `within` seconds."""
    at, ends = found["at"], time.monotonic() + within
    while True:
        try:
            return engine.connect(stack, at["host"], at["user"], password, at["database"], at["port"])
        except engine.error:
            if time.monotonic() >= ends:
                raise
            time.sleep(0.2)


def rows(session):
    answer = session.execute("SELECT n FROM t ORDER BY n")
    return [n for (n,) in answer.fetchall()]


def test_one_person_reads_the_fenced_source_until_it_is_closed(stack, engine):
    terminal = Terminal(stack)
    cluster, run = left_behind(stack, engine, "open")
    refusal = terminal.json("open", run.id, "--from", HERE, code=5)
    contains(refusal["message"], "nothing was changed", f"--confirm {cluster.name}")
    terminal.json("open", run.id, "--from", "127.0.0.0/8", "--confirm", cluster.name, code=2)
    # What is refused is refused before anybody is asked.
    screen = Screen(terminal, "open", run.id, "--from", HERE, "--for", "9h")
    screen.ends(5)
    assert "for 1m to 8h" in screen.seen and "type the cluster's name" not in screen.seen, f"what it shows: {screen.seen}"
    # The secret's name is known beforehand: whoever may make secrets can wait there with a password of theirs.
    planted = json.dumps({"password": "x', 'admin'@'%' IDENTIFIED BY 'mine"})
    stack.secrets.create_secret(Name=f"aurora-rewind/open/{run.id}-open", SecretString=planted, Tags=[{"Key": "aurora-rewind:recovery", "Value": run.id}])
    found, password = opened(stack, terminal, cluster, run)
    assert password.startswith("Rw-") and len(password) == 67, "a password that is ours"

    with reader(stack, engine, found, password, within=20) as session:
        assert rows(session) == [1, 2], "what was written since is there"
        with refused(engine.error):
            session.execute("INSERT INTO t VALUES (3)")
        with refused(engine.error):
            reader(stack, engine, found, password)
        with refused(engine.error):
            cluster.connect(user="app", password=APP_PASSWORD)
        out, _ = terminal.run("status", run.id)
        contains(out, f"{cluster.name} is open to ann", f"from {HERE}", f"rewind open {run.id} --close")
        refusal = terminal.json("open", run.id, "--from", HERE, "--confirm", cluster.name, code=5)
        contains(refusal["message"], "is open already", "--close")
        assert stack.fence_groups[0] in cluster.groups and len(cluster.groups) == len(stack.fence_groups) + 1, "the fence, and one group more"
        # Clients are where they were.
        assert cluster.value("SELECT count(*) FROM t", host=cluster.record) == 1, "the rows of the restored cluster"

        _, err = terminal.run("open", run.id, "--close")
        contains(err, f"{run.id}-close closes it", "Ctrl-C stops nothing")
        with refused(engine.error):
            rows(session)
    is_closed(stack, engine, cluster, run, found, password)
    last = json.loads(stack.item(f"recovery#{run.id}")["lastOpening"])
    assert (last["from"], last["by"][:3], last["closedBy"][:3]) == (HERE, "ann", "ann"), "who read there"
    terminal.run("open", run.id, "--close")


def test_it_closes_when_its_time_is_over_and_before_an_undo(stack, engine):
    terminal = Terminal(stack)
    cluster, run = left_behind(stack, engine, "open-time")
    found, password = opened(stack, terminal, cluster, run, "1m")
    with reader(stack, engine, found, password, within=20) as session:
        assert rows(session) == [1, 2], "what was written since is there"
        wait_until(lambda: "opening" not in stack.item(f"recovery#{run.id}"), "the end of its time", 100)
        with refused(engine.error):
            rows(session)
    is_closed(stack, engine, cluster, run, found, password)

    found, password = opened(stack, terminal, cluster, run, "1m")
    ended = undo(stack, run.id)
    assert ended["status"] == "SUCCEEDED", f"the undo: {ended.get('cause')}"
    assert cluster.groups == sorted(stack.app_groups), "the source has its own groups again"
    with refused(engine.error):
        reader(stack, engine, found, password)
    with cluster.connect(user="app", password=APP_PASSWORD, host=cluster.record) as session:
        session.execute("INSERT INTO t VALUES (4)")
    assert "opening" not in stack.item(f"recovery#{run.id}"), "what the record tells"
    assert rules(stack, run) == [], "whom the security group admits"


def rules(stack, run):
    """The rules of security groups that openings of this recovery have made."""
    found = stack.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    return [rule for rule in found if rule.get("Description", "").startswith(f"{run.id}-open")]


def is_closed(stack, engine, cluster, run, found, password):
    assert rules(stack, run) == [], "whom the security group admits"
    assert "opening" not in stack.item(f"recovery#{run.id}"), "what the record tells"
    assert cluster.groups == sorted(stack.fence_groups), "the groups of a fenced source"
    with refused(engine.error):
        reader(stack, engine, found, password)
    try:
        stack.secrets.get_secret_value(SecretId=found["at"]["secret"])
        raise AssertionError("the secret is there still")
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"), error
