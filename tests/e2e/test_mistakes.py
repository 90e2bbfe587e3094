"""The mistakes that people make, and that everything is as it was before."""

import datetime
import time

import pytest

from checks import contains, refused, wait_until
from cluster import Cluster, iso
from recovery import APPROVED, WITHOUT_APPROVAL, Recovery, moment
from shop import difference, everything, fill
from subscriber import Subscriber

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}


def undoes(stack, engine, name, statement, database="shop", approval="none"):
    """Makes one mistake in a fresh cluster, goes back to one second before it, and looks at both sides completely."""
    name = f"{engine.prefix}-{name}"
    cluster = Cluster.create(stack, name, engine=engine)
    fill(cluster)
    look = lambda host: everything(cluster, host)
    before = look(cluster.record)
    cluster.settle()
    target = cluster.mistake(statement, database)
    dropped = statement == engine.drop_database
    after = None if dropped else look(cluster.record)
    assert dropped or difference(after, before), "the mistake changed nothing"
    old_endpoint, old_groups = cluster.endpoint, cluster.groups

    told = Subscriber(stack) if approval == "required" else None
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[CHECK], approval=approval)
    if approval == "required":
        pending = run.approval()
        said = wait_until(lambda: told.messages(run.id), "a message to people")
        contains(
            said[0],
            "traffic is still on the source",
            'check "orders are back" in shop passed',
            f"rewind status {run.id}",
        )
        contains(said[0], f"{cluster.record} moves to {name}-r", pending["hash"], pending["expiresAt"][:19], run.arn)
        assert look(cluster.record) == after, "the source while people are asked"
        run.decide("approved", comment="looks right")
    output = run.recovered(APPROVED if approval == "required" else WITHOUT_APPROVAL)

    assert moment(output["rewoundTo"]) == target.replace(microsecond=0), "the moment rewound to"
    assert (output["strategy"], output["cluster"], output["newCluster"]) == ("restore", name, f"{name}-r"), "the output"
    new = cluster.derived(f"{name}-r")
    assert (output["writerEndpoint"], output["readerEndpoint"]) == (new.endpoint, new.describe()["ReaderEndpoint"]), (
        "endpoints"
    )
    moved = [{"name": cluster.record, "from": old_endpoint, "to": new.endpoint, "ttl": 1}]
    assert [{**d, "from": d["from"].rstrip("."), "to": d["to"].rstrip(".")} for d in output["dns"]] == moved, "the move"
    assert stack.records()[cluster.record] == (new.endpoint, 1), "the record"
    (check,) = run.result("Verify")["checks"]
    assert (check["passed"], check["expected"], check["found"]) == (True, "4000", "4000"), "the check"
    assert difference(look(cluster.record), before) == "", "the rewound database, by name"
    assert output["source"]["cluster"] == name, "the source in the output"
    kept = moment(output["source"]["keepUntil"]) - moment(output["fence"]["fencedAt"])
    assert kept == datetime.timedelta(days=7), "how long the source is kept"
    lost = output["lost"]
    assert (lost["from"], lost["to"]) == (output["rewoundTo"], output["fence"]["fencedAt"]), "the writes that are lost"
    tags = {tag["Key"]: tag["Value"] for tag in cluster.describe()["TagList"]}
    assert tags["aurora-rewind:fenced-by"] == run.id, "who fenced the source"
    if approval == "required":
        contains(run.item()["decision"], "approved", "e2e", "looks right")
        assert len(told.messages(run.id)) == 1, "messages to people"

    # The source: fenced, and otherwise as the mistake left it.
    assert cluster.groups == sorted(stack.fence_groups), "the security groups of the fenced source"
    assert cluster.groups != old_groups, "the fence changed no security group"
    with refused(engine.error, engine.closed):
        cluster.connect(engine.neutral)
    cluster.unfence_by_hand()
    if dropped:
        with refused(engine.error, engine.no_database):
            cluster.connect("shop")
    else:
        assert difference(look(old_endpoint), after) == "", "the source after the recovery"
    print(f"{output['timings']['total']:.1f} s in all; fenced {output['fence']['sessionsEnded']} sessions")


def test_delete_without_where_is_undone_with_an_approval(stack, engine):
    undoes(stack, engine, "delete", "DELETE FROM orders", approval="required")


def test_update_without_where_is_undone(stack, engine):
    undoes(stack, engine, "update", "UPDATE customers SET email = NULL, notes = '{}', name = 'x'")


def test_truncate_is_undone(stack, engine):
    undoes(stack, engine, "truncate", engine.truncate)


def test_drop_table_is_undone(stack, engine):
    undoes(stack, engine, "drop", engine.drop_table)


def test_drop_database_is_undone(stack, engine):
    undoes(stack, engine, "dropdb", engine.drop_database, database=engine.neutral)


@pytest.mark.slow
def test_delete_in_more_than_a_gigabyte_is_undone(stack):
    cluster = Cluster.create(stack, "e2e-gigabyte")
    login = {"host": cluster.record, "user": cluster.user, "password": cluster.password}
    began = time.monotonic()
    cluster.engine.program("pgbench", "-i", "-q", "-s", "80", cluster=cluster, database="shop", **login)
    filled = time.monotonic() - began
    size = cluster.value("SELECT pg_database_size('shop')")
    assert size > 1 << 30, f"the database has {size} bytes only"

    def rows():
        """A checksum that does not depend on the order, for there are 8 million rows."""
        tables = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]
        with cluster.connect(host=cluster.record) as session:
            sums = "count(*), sum(hashtextextended(t::text, 0)::numeric), bit_xor(hashtextextended(t::text, 1))"
            return {table: session.execute(f"SELECT {sums} FROM {table} t").fetchone() for table in tables}

    before = rows()
    assert before["pgbench_accounts"][0] == 8_000_000, "rows at first"
    cluster.settle()
    began = time.monotonic()
    target = cluster.mistake("DELETE FROM pgbench_accounts")
    deleted = time.monotonic() - began
    check = {
        "name": "accounts are back",
        "database": "shop",
        "sql": "SELECT count(*) FROM pgbench_accounts",
        "atLeast": 8e6,
    }
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check], approval="none")
    output = run.recovered(WITHOUT_APPROVAL, timeout=300)
    assert rows() == before, "the rows under the same name"
    cluster.unfence_by_hand()
    assert cluster.value("SELECT count(*) FROM pgbench_accounts") == 0, "rows of the source, untouched"
    took = output["timings"]
    print(f"{size / (1 << 30):.2f} GiB; filled in {filled:.1f} s, deleted in {deleted:.1f} s; recovered in seconds:")
    print(", ".join(f"{state} {spent:.1f}" for state, spent in took.items()))
