"""A cluster rewound in place, its safety clone, and the ways in which that ends without a recovery: forward again, or not begun."""

import datetime
import time

import pytest

from backtracks import CHECK, UNTIL_BACK, WRONG, backtracks, create_shop_with_backtrack, rewind_in_place
from baseline import Baseline
from checks import contains, wait_until
from cluster import iso
from recovery import (
    BACK, CONCLUDE, CONCLUDE_WITHOUT_LEASE, IN_PLACE, IN_PLACE_APPROVED, NEEDS_OPERATOR, NO_FORWARD, REFUSE,
    UNDO_CLONE, moment, seconds, up_to,
)  # fmt: skip
from stages import ASK, FENCE, FORWARD, PUT_BACK, START
from shop import difference, everything
from subscriber import Subscriber
from writers import Writers


def without_writes(content):
    """What people wrote, without what the hammering applications did."""
    return content | {"rows": {table: rows for table, rows in content["rows"].items() if table != "shop.writes"}}


def test_delete_under_fire_is_undone_in_place_and_every_acknowledged_write_is_kept(stack):
    cluster = create_shop_with_backtrack(stack, "place", instances=({}, {"PromotionTier": 15}))
    password, name = cluster.password, cluster.name
    applications = Writers(cluster)
    before = without_writes(everything(cluster))
    with applications.at_work() as writers:
        cluster.settle()
        target = cluster.mistake("DELETE FROM orders")
        after, was = without_writes(everything(cluster)), Baseline(cluster)
        told = Subscriber(stack)
        run = rewind_in_place(cluster, iso(target), approval="required", dns=cluster.dns())
        pending = run.approval()
        said = wait_until(lambda: told.messages(run.id), "a message to people")
        contains(said[0], f"{name} itself is rewound to", f"stays on {name}-r, the safety clone", pending["hash"])
        contains(said[0], "every connection to", "nothing is changed")
        assert (cluster.groups, stack.describe(f"{name}-r")) == (was.logins["groups"], None), (
            "what is there while people are asked"
        )
        run.decide("approved", comment="go ahead")
        output = run.recovered(IN_PLACE_APPROVED)
        time.sleep(1)

    assert (output["strategy"], output["cluster"], output["newCluster"], output["dns"]) == ("backtrack", name, None, []), (
        "the output"
    )
    assert output["writerEndpoint"] == cluster.endpoint, "the endpoint"
    (check,) = run.result("Verify")["checks"]
    assert (check["passed"], check["found"], check["source"]) == (True, "4000", "0"), (
        "the check, and the safety clone's answer"
    )
    (told,) = output["checks"]
    assert (told["passed"], told.get("found"), told.get("source")) == (True, None, None), "the check in the output, without values"
    # Where it landed is what AWS says, near what was asked for.
    (backtrack,) = backtracks(cluster)
    assert moment(output["rewoundTo"]) == backtrack["BacktrackTo"], "the moment that AWS says it landed on"
    drift = moment(output["rewoundTo"]) - target
    assert abs(drift) < datetime.timedelta(seconds=2), f"it landed {drift} from the target"
    fenced_at, rewound_to = seconds(output["fence"]["fencedAt"]), seconds(output["rewoundTo"])
    lost, kept = output["lost"], output["safetyClone"]
    assert (lost["from"], lost["to"]) == (output["rewoundTo"], output["fence"]["fencedAt"]), "the writes that are lost"
    contains(lost["where"], f"{name}-r", "the safety clone")

    safety_clone = cluster.derived(f"{name}-r")
    assert (kept["cluster"], kept["writerEndpoint"]) == (safety_clone.name, safety_clone.endpoint), "the safety clone in the output"
    assert fenced_at <= seconds(kept["takenAt"]), f"the safety clone was taken at {kept['takenAt']}, before the fence"
    contains(kept["delete"], f"delete-db-cluster --db-cluster-identifier {safety_clone.name}", "--no-deletion-protection")
    assert (safety_clone.groups, safety_clone.describe()["DeletionProtection"]) == (was.logins["groups"], True), "the safety clone"
    assert len(stack.instances(safety_clone.name)) == 1, "its instances"
    # The source: rewound, open as it was, with the same records.
    assert difference(without_writes(everything(cluster, cluster.record)), before) == "", "the rewound data, by name"
    assert difference(without_writes(everything(safety_clone)), after) == "", "the data on the safety clone"
    assert cluster.logins() == was.logins, "logins and security groups of the rewound cluster"
    assert stack.records()[cluster.record] == was.record, "the record"

    lifted = min(
        e["timestamp"].timestamp()
        for e in run.events()
        if e.get("stateEnteredEventDetails", {}).get("name") == "LiftFence"
    )
    inside = [write for write in writers.acknowledged if fenced_at < write[2] < lifted]
    assert inside == [], "writes acknowledged inside the fence"
    on_safety_clone, on_rewound = writers.written(safety_clone), writers.written(cluster, password=password)
    accounted = writers.account(on_safety_clone, on_rewound, rewound_to, lambda write: write[2] <= fenced_at)
    last = max((write for write in writers.acknowledged if write[2] <= fenced_at), key=lambda write: write[2])
    assert last[0] in on_safety_clone, "the last write before the fence is not on the safety clone"
    print(f"{accounted}; landed {drift.total_seconds():+.3f} s from the target")


def test_dropped_tables_and_databases_are_back_in_place(stack):
    cluster = create_shop_with_backtrack(stack, "place-drop")
    password, before = cluster.password, everything(cluster)
    cluster.settle()
    target = cluster.mistake(
        ["DROP TABLE shop.orders", "DROP DATABASE audit", "DROP DATABASE shop"], "information_schema"
    )
    run = rewind_in_place(cluster, iso(target))
    output = run.recovered(IN_PLACE)
    assert difference(everything(cluster), before) == "", "the rewound data"
    # And a second time, to before the first: what was rewound can be rewound.
    time.sleep(2.2)
    cluster.sql("TRUNCATE orders")
    again = rewind_in_place(cluster, iso(moment(output["rewoundTo"])), newCluster=f"{cluster.name}-r2")
    again.recovered(IN_PLACE)
    assert difference(everything(cluster, password=password), before) == "", "the data rewound once more"


def test_failed_checks_go_forward_again_and_change_nothing(stack):
    cluster = create_shop_with_backtrack(stack, "place-checks")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders WHERE id > 3000")
    before = Baseline(cluster)
    run = rewind_in_place(cluster, iso(target), checks=[CHECK, WRONG])
    path = UNTIL_BACK + up_to("IsVerified", BACK) + PUT_BACK + FORWARD + UNDO_CLONE + CONCLUDE
    cause = run.failed(path, "VerificationFailed", "too many", f"rewind status {run.id}", "undone:", "backtracked forward to")
    assert "28000" not in cause, "a value in the cause"
    assert run.result("Verify")["checks"][1]["found"] == "28000", "the value in the history"
    contains(cause, f"{cluster.name} was compared with the safety clone: it holds what it held before", f"{cluster.name}-r")
    before.is_restored()
    back, forward = backtracks(cluster)
    assert forward["BacktrackTo"] > back["BacktrackTo"], "the second backtrack did not go forward"
    # What was written since is still there to be gone back to.
    again = rewind_in_place(cluster, iso(target), newCluster=f"{cluster.name}-r2")
    again.recovered(IN_PLACE)
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the rows, rewound after all"


def test_forward_backtrack_that_cannot_be_verified_stays_fenced(stack):
    cluster = create_shop_with_backtrack(stack, "place-unproven")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders WHERE id > 3000")
    safety_clone = cluster.derived(f"{cluster.name}-r")
    run = rewind_in_place(cluster, iso(target), checks=[WRONG])
    run.reaches("StartBacktrack")
    # The safety clone takes clients, and one of them is careless.
    safety_clone.sql("DELETE FROM orders WHERE id = 1")
    path = UNTIL_BACK + up_to("IsVerified", BACK) + PUT_BACK + FORWARD + NEEDS_OPERATOR
    said = ["then undoing failed", 'check "too many" in shop failed', "that it holds what it held before is not verified", "it is still fenced"]
    run.failed(path, "VerificationFailed", *said, f"the safety clone {safety_clone.name} is kept: compare them", lease=run.id)
    assert cluster.groups == sorted(stack.fence_groups), "the security groups: nobody gets in"
    cluster.unfence_by_hand()
    assert cluster.value("SELECT count(*) FROM orders") == 3000, "the rows, which are as they were"
    run.release_lease()


def test_failed_backtrack_lifts_the_fence_and_changes_nothing(stack):
    cluster = create_shop_with_backtrack(stack, "place-fails")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    before = Baseline(cluster)
    next_one_fails(cluster)
    run = rewind_in_place(cluster, iso(target))
    path = UNTIL_BACK + up_to("AwaitRewind", BACK) + PUT_BACK + NO_FORWARD + UNDO_CLONE + CONCLUDE
    run.failed(path, "RewindFailed", "failed", "undone:", f"{cluster.name} was compared with the safety clone")
    before.is_restored()
    assert [backtrack["Status"].lower() for backtrack in backtracks(cluster)] == ["failed"], "the backtracks"


def test_safety_clone_that_comes_to_nothing_leaves_nothing(stack):
    cluster = create_shop_with_backtrack(stack, "place-no-clone")
    cluster.settle()
    target, new = cluster.mistake("DELETE FROM orders"), f"{cluster.name}-r"
    before = Baseline(cluster)
    status, _ = stack.own(f"/_local/faults?restore={new}&seconds=2")
    assert status == 204, "the answer to a fault that was asked for"
    run = rewind_in_place(cluster, iso(target))
    path = START + ["IsApprovalNeeded"] + FENCE + ["CloneSource", "AwaitRewind"] + PUT_BACK + UNDO_CLONE + CONCLUDE
    run.failed(path, "RewindFailed", new, "undone:")
    before.is_restored()
    assert (backtracks(cluster), stack.describe(new)) == ([], None), "backtracks, and the safety clone"
    # The failure was one of that clone.
    rewind_in_place(cluster, iso(target)).recovered(IN_PLACE)


def next_one_fails(cluster):
    """The local AWS's own way to make the next backtrack fail: AWS offers none."""
    status, _ = cluster.stack.own(f"/_local/faults?backtrack={cluster.name}")
    assert status == 204, "the answer to a fault that was asked for"


def test_rejection_in_place_changes_nothing_and_releases_the_lease(stack):
    cluster = create_shop_with_backtrack(stack, "place-lease")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    before = Baseline(cluster)
    first = rewind_in_place(cluster, iso(target), approval="required")
    first.approval()
    second = rewind_in_place(cluster, iso(target), newCluster=f"{cluster.name}-second")
    held = up_to("AcquireLease", START) + ["ReadLease", "ReadHolder"] + CONCLUDE_WITHOUT_LEASE
    second.failed(held, "LeaseHeld", first.id, first.arn, "nothing was changed", lease=first.id)
    first.decide("rejected", comment="not on a Friday")
    no = START + REFUSE + PUT_BACK + CONCLUDE
    first.failed(no, "NotApproved", "e2e rejected it: not on a Friday", "nothing was changed")
    before.is_restored()
    assert backtracks(cluster) == [], "backtracks"
    third = rewind_in_place(cluster, iso(target))
    third.recovered(IN_PLACE)
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the rows"


@pytest.mark.slow
def test_expired_approval_in_place_changes_nothing(stack):
    cluster = create_shop_with_backtrack(stack, "place-nobody")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    before = Baseline(cluster)
    run = rewind_in_place(cluster, iso(target), approval="required", approvalTimeout="1s")
    path = START + ASK + ["IsApprovalExpired"] + PUT_BACK + CONCLUDE
    run.failed(path, "NotApproved", "nobody answered within 1 seconds", "nothing was changed")
    before.is_restored()
    assert backtracks(cluster) == [], "backtracks"


def test_cluster_with_binary_logging_is_backtracked_by_force_with_a_warning(stack):
    group, rds = "e2e-my-binlog", stack.rds
    try:
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-mysql8.0", Description="e2e"
        )
    except rds.exceptions.DBParameterGroupAlreadyExistsFault:
        pass  # groups outlive the test that made them
    parameter = {"ParameterName": "binlog_format", "ParameterValue": "ROW", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[parameter])
    # Its clone takes a grant on the key.
    key = f"arn:aws:kms:{stack.env['AWS_REGION']}:000000000000:key/e2e0e2e0-0000-0000-0000-000000000e2e"
    encrypted = {"StorageEncrypted": True, "KmsKeyId": key}
    cluster = create_shop_with_backtrack(stack, "place-binlog", DBClusterParameterGroupName=group, **encrypted)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    try:
        rds.backtrack_db_cluster(DBClusterIdentifier=cluster.name, BacktrackTo=target)
        raise AssertionError("AWS refuses that without Force, and the local one did not")
    except rds.exceptions.ClientError as error:
        contains(str(error), "Force")
    run = rewind_in_place(cluster, iso(target))
    run.recovered(IN_PLACE)
    plan = run.result("ValidateWindow")
    contains(" ".join(plan["reasons"]), "backtrack is forced: binary logging is on (ROW)")
    contains(" ".join(plan["warnings"]), "what reads it downstream")
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the rows"
