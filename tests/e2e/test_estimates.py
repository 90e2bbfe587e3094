"""A decision without checks: what estimates and missing tables show of it, in chat, by mail and in the output."""

from checks import contains
from cluster import iso
from recovery import APPROVED, Recovery
from stages import COMPARE
from shop import create_shop
from slack import ANN, Slack, words


def test_without_checks_the_request_shows_dropped_tables_and_deleted_rows(stack):
    slack = Slack(stack)
    cluster = create_shop(stack, "e2e-estimates")
    cluster.sql("CREATE TABLE orders_archive AS SELECT generate_series(1, 20000) AS n")
    # As a table that has lived for a while.
    cluster.sql("ANALYZE")
    cluster.settle()
    target = cluster.mistake(["DELETE FROM orders", "DROP TABLE orders_archive"])
    # Where tables are compared the request has counts in their place.
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), compare="none")
    run.approval()

    dropped = f"missing on {cluster.name}: public.orders_archive (about 20 k rows)"
    deleted = f"public.orders about 4000 rows, on {cluster.name} about 0"
    question = words(slack.channel(f"{run.id} waits for a decision"))
    contains(question, "none were given: there are estimates alone", "tables are there", dropped, deleted)
    contains(question, "it stays on the source, fenced", "hash: ", f"all of it: /rewind status {run.id}")
    assert len(question.splitlines()) <= 16, f"too long for a phone: {question}"
    # All that the message has in short.
    status = slack.says(ANN, f"status {run.id}").text
    contains(status, f"The plan: {cluster.name} back to", "If you approve:", dropped, deleted, "estimates, not counts")

    run.decide("approved")
    path = [state for state in APPROVED if state not in COMPARE]
    (shop,) = [one for one in run.recovered(path)["estimates"]["differing"] if one["database"] == "shop"]
    assert shop["missingOnSource"]["named"] == [{"table": "public.orders_archive", "rows": 20000}], "the dropped table"
    assert {"table": "public.orders", "restored": 4000, "source": 0} in shop["rows"]["named"], "the deleted rows"
