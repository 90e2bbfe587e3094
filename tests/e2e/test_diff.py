"""What was written on the source since the target, as `rewind diff` tells it: while people decide, and after the cutover."""

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


def test_diff_counts_what_was_written_since_the_target_and_changes_nothing(stack, engine):
    cluster = settled_shop(stack, f"{engine.prefix}-diff", engine=engine)
    target = cluster.mistake("DELETE FROM orders WHERE id <= 5")
    new = "INSERT INTO orders (id, customer, placed, net) VALUES ({}, 7, '2026-02-01', 1.5)"
    cluster.sql(["UPDATE customers SET name = 'x' WHERE id IN (10, 11)", "UPDATE customers SET name = name WHERE id = 12"])
    cluster.sql(new.format(9001))
    # A trigger notes each order in a table without a key.
    written = {"customers": (0, 2, 0), "log": (1, 0, 0), "orders": (1, 0, 5)}

    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[CHECK], approval="required")
    run.approval()
    shell = Terminal(stack)
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

    run.decide("approved")
    run.recovered(APPROVED)
    # The source is fenced by now, and clients write to the restored cluster.
    cluster.derived(f"{cluster.name}-r").sql(new.format(9002))
    compared = shell.json("diff", run.id)
    if engine.name == "postgresql":
        # The fence lets nobody into a database of the source, and that is told.
        closed = [note for note in compared["notes"] if note.startswith("the database shop was not compared: on the source")]
        assert len(closed) == 1 and compared["tables"] == [], "what is compared behind the fence"
        contains(closed[0], "a fence closes it like that")
    else:
        assert changes(compared) == written | {"orders": (1, 0, 6), "log": (1, 0, 1)}, "after the cutover"

    shown = shell.json("diff", "no-such-recovery", code=5)
    contains(shown["message"], "no-such-recovery")
