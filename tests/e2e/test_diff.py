"""What was written on the source since the target: in the proposal that people approve and in the output, and as `rewind diff` tells it while
people decide and after the cutover."""

from checks import contains
from cluster import iso
from recovery import APPROVED, Recovery
from shop import settled_shop
from test_cli import Terminal

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}


def changes(compared):
    """Rows inserted, updated and deleted, by table."""
    assert compared["notes"] == [], "what was not compared as a whole"
    found = {}
    for table in compared["tables"]:
        assert "notCompared" not in table, f"{table['table']} was not compared: {table.get('notCompared')}"
        found[table["table"]] = tuple(table["rows"][what] for what in ("inserted", "updated", "deleted"))
    return found


def in_proposal(run, shell, cluster, engine, shown):
    """The proposal has the rows of each table, in the terminal and in the payload that its hash stands for."""
    # On MySQL the schema is a database of its own.
    shop, log = ("shop.public", "shop.audit.log") if engine.name == "postgresql" else ("shop", "audit.log")
    summary = run.result("CompareTables")
    found = {one["table"]: (one["inserted"], one["updated"], one["deleted"]) for one in summary["differing"]}
    assert found == {f"{shop}.orders": (1, 0, 5), f"{shop}.customers": (0, 2, 0), log: (1, 0, 0)}, "the tables that differ"
    assert summary["changes"] == {"inserted": 2, "updated": 2, "deleted": 5}, "all rows"
    assert "after" not in summary and summary["notCompared"] == [], "what is left"
    out, _ = shell.run("status", run.id)
    contains(
        out, f"Not carried over, of {summary['tables']} tables as of ", f"{shop}.orders: 1 inserted, 0 updated, 5 deleted",
        f"{shop}.customers: 0 inserted, 2 updated, 0 deleted", f"{log}: 1 inserted, 0 updated, 0 deleted (no key", shown,
    )  # fmt: skip


def test_diff_counts_what_was_written_since_the_target_and_changes_nothing(stack, engine):
    cluster = settled_shop(stack, f"{engine.prefix}-diff", engine=engine)
    target = cluster.mistake("DELETE FROM orders WHERE id <= 5")
    new = "INSERT INTO orders (id, customer, placed, net) VALUES ({}, 7, '2026-02-01', 1.5)"
    cluster.sql(["UPDATE customers SET name = 'x' WHERE id IN (10, 11)", "UPDATE customers SET name = name WHERE id = 12"])
    cluster.sql(new.format(9001))
    # A trigger notes each order in a table without a key.
    written = {"customers": (0, 2, 0), "log": (1, 0, 0), "orders": (1, 0, 5)}

    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[CHECK], approval="required")
    pending = run.approval()
    shell = Terminal(stack)
    in_proposal(run, shell, cluster, engine, pending["hash"])
    compared = shell.json("diff", run.id)
    assert (compared["source"], compared["restored"]) == (cluster.name, f"{cluster.name}-r"), "the clusters"
    assert changes(compared) == written, "while people decide"
    methods = {table["table"]: table["rows"]["method"] for table in compared["tables"]}
    by_key = "history" if engine.name == "postgresql" else "values"
    assert methods == {"customers": by_key, "orders": by_key, "log": "wholeRows"}, "how they were compared"
    frontier = run.result("Verify").get("frontier")
    assert (frontier is not None) == (engine.name == "postgresql"), "the frontier in the report"
    out, _ = shell.run("diff", run.id, "orders")
    contains(out, "orders: 1 inserted, 0 updated, 5 deleted; 4000 rows then, 3996 at")
    assert "customers" not in out, "a table that was not asked for"
    _, said = shell.run("diff", run.id, "no_such_table", code=2)
    contains(said, "neither cluster has a table no_such_table")

    # It is not in what was approved, which stays valid: the output says up to when it counted.
    cluster.sql(new.format(9003))
    run.decide("approved")
    output = run.recovered(APPROVED)
    assert output["comparison"] == run.result("CompareTables"), "what was approved, in the output"
    assert output["comparison"]["to"] < output["fence"]["fencedAt"], "the moment of the numbers"
    ended, _ = shell.run("status", run.id)
    contains(ended, f"2 inserted, 2 updated, 5 deleted in 3 of {output['comparison']['tables']} tables as of")
    written |= {"orders": (2, 0, 5), "log": (2, 0, 0)}
    # The source is fenced by now, and clients write to the restored cluster.
    cluster.derived(f"{cluster.name}-r").sql(new.format(9002))
    compared = shell.json("diff", run.id)
    if engine.name == "postgresql":
        # The fence lets nobody into a database of the source, and that is told.
        closed = [note for note in compared["notes"] if note.startswith("the database shop was not compared: on the source")]
        assert len(closed) == 1 and compared["tables"] == [], "what is compared behind the fence"
        contains(closed[0], "a fence closes it like that")
    else:
        assert changes(compared) == written | {"orders": (2, 0, 6), "log": (2, 0, 1)}, "after the cutover"

    shown = shell.json("diff", "no-such-recovery", code=5)
    contains(shown["message"], "no-such-recovery")
