"""A cluster with very many tenants, each with a database and a login of its own: how long its clients are away, and how large what
a recovery passes on becomes. `REWIND_TENANTS` is their number."""

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


@pytest.mark.alone
def test_thousands_of_tenants_are_away_for_seconds_and_pass_nothing_on_that_is_too_large(stack, engine):
    tenants = int(os.environ.get("REWIND_TENANTS", TENANTS[engine.api]))
    cluster = Cluster.create(stack, f"{engine.prefix}-tenants", engine=engine)
    cluster.sql(["CREATE TABLE precious (id int PRIMARY KEY)", "INSERT INTO precious VALUES (1), (2)"])
    cluster.sql([statement for number in range(tenants) for statement in engine.tenant(name_of(number))])
    with Writers(cluster).at_work() as writers:
        logins = cluster.logins()
        cluster.settle()
        target = cluster.mistake("DELETE FROM precious")
        run = Recovery.of(cluster, iso(target), dns=cluster.dns(), approval="none")
        output = run.recovered(WITHOUT_APPROVAL, timeout=600)
        time.sleep(1)
    away = writers.longest_without_a_write()
    fence = output["timings"]["FenceSource"]
    passed = max(len(json.dumps(event, default=str)) for event in run.events())
    items = {key: len(json.dumps(stack.item(f"{key}#{run.id}"))) for key in ("recovery", "fence")}
    print(
        f"{tenants} tenants: no write for {away:.2f} s, the fence {fence:.2f} s; {passed} bytes from state to state; "
        f"items of {items} bytes"
    )
    assert away < AWAY, f"clients were away for {away:.2f} s"
    assert passed < STATE_MAX / 2 and max(items.values()) < ITEM_MAX, f"{passed} bytes, items of {items} bytes"
    ended = undo(stack, run.id)
    assert ended["status"] == "SUCCEEDED", f"the undo: {ended.get('cause')}"
    assert cluster.logins() == logins, "the logins of the source"
