"""A cluster with very many tenants, each with a database and a login of its own: how long its clients are away, and how large what
a recovery passes on becomes.

    REWIND_TENANTS=2000     how many tenants
    REWIND_READERS=15       readers beside the writer; the default is none
    REWIND_SESSIONS=500     sessions of the tenants that are open on all of them; the default is few
"""

import contextlib
import json
import os
import time

import pytest

from cluster import Cluster, iso
from recovery import WITHOUT_APPROVAL, Recovery, undo
from writers import Writers

# A database of PostgreSQL takes 7.5 MB of disk, on each of two clusters; a schema of MySQL takes none.
TENANTS = {"aurora-postgresql": 60, "aurora-mysql": 2000}
# Beyond Route 53 and the TTL.
AWAY = 10
# Step Functions passes 256 KiB from state to state, and DynamoDB keeps 400 KB.
STATE_MAX, ITEM_MAX = 256 * 1024, 400 * 1000


def name_of(number):
    """As long as either engine lets a name be that is a login as well as a database."""
    return f"tenant_{number:05}".ljust(32, "x")


def number(what, otherwise):
    return int(os.environ.get(f"REWIND_{what}") or otherwise)


def is_open(session, engine):
    try:
        session.execute("SELECT 1")
    except engine.error:
        return False
    return True


@pytest.mark.alone
def test_thousands_of_tenants_are_away_for_seconds_and_pass_nothing_on_that_is_too_large(stack, engine):
    tenants = number("TENANTS", TENANTS[engine.api])
    instances = ({},) * (1 + number("READERS", 0))
    cluster = Cluster.create(stack, f"{engine.prefix}-tenants", engine=engine, instances=instances)
    cluster.sql(["CREATE TABLE precious (id int PRIMARY KEY)", "INSERT INTO precious VALUES (1), (2)"])
    cluster.sql([statement for number in range(tenants) for statement in engine.tenant(name_of(number))])
    servers = [instance["Endpoint"]["Address"] for instance in stack.instances(cluster.name)]
    with Writers(cluster).at_work() as writers, contextlib.ExitStack() as opened:
        sessions = [
            opened.enter_context(cluster.connect(name, name, "apples-and-pears", servers[at % len(servers)]))
            for at, name in enumerate(map(name_of, range(min(tenants, number("SESSIONS", 20)))))
        ]
        logins = cluster.logins()
        cluster.settle()
        target = cluster.mistake("DELETE FROM precious")
        run = Recovery.of(cluster, iso(target), dns=cluster.dns(), approval="none")
        output = run.recovered(WITHOUT_APPROVAL, timeout=600)
        time.sleep(1)
        still_there = sum(is_open(session, engine) for session in sessions)
    assert still_there == 0, f"{still_there} of {len(sessions)} sessions are still there behind the fence"
    away = writers.longest_without_a_write()
    fence = output["timings"]["FenceSource"]
    passed = max(len(json.dumps(event, default=str)) for event in run.events())
    items = {key: len(json.dumps(stack.item(f"{key}#{run.id}"))) for key in ("recovery", "fence")}
    print(
        f"{tenants} tenants, {len(servers)} instances, {len(sessions)} sessions: no write for {away:.2f} s, the fence {fence:.2f} s; {passed} bytes from state to state; "
        f"items of {items} bytes"
    )
    assert away < AWAY, f"clients were away for {away:.2f} s"
    assert passed < STATE_MAX / 2 and max(items.values()) < ITEM_MAX, f"{passed} bytes, items of {items} bytes"
    ended = undo(stack, run.id)
    assert ended["status"] == "SUCCEEDED", f"the undo: {ended.get('cause')}"
    assert cluster.logins() == logins, "the logins of the source"
