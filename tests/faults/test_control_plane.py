"""Faults of RDS, of the databases and of other people in the middle of a recovery, each with its documented end. The faults are
those of the local control plane (docs/local-stack.md)."""

import itertools
import json
import os
import threading

import pytest

from cases import limit, plan, plan_fault, plan_kind, recover, told_of_fault
from checks import contains, refused, wait_until
from ground import fill_disk
from policies import machine_with
from recovery import Recovery

NUMBERS = itertools.count(1)
# Clusters with a writer alone: engine, in place, and a reader.
POSTGRES, MYSQL, IN_PLACE = ("postgresql", False, False), ("mysql", False, False), ("mysql", True, False)
everywhere = pytest.mark.parametrize("ground", [POSTGRES, MYSQL, IN_PLACE], ids=["postgresql", "mysql", "in place"], indirect=True)


class Attempt:
    """A recovery of a ground, and how it ended."""

    def __init__(self, ground, decision=None, **more):
        self.ground, self.stack = ground, ground.stack
        self.name = f"{ground.name}-c{next(NUMBERS)}"
        self.new = f"{ground.name}-r"
        run, self.ended = recover(ground, self.name, decision, **(ground.request | more))
        self.path = run.path()  # read now: a machine that a test deletes takes its executions along
        self.end = self.path[-1]

    @property
    def told(self):
        return json.dumps([self.ended.get("output"), self.ended.get("cause")])

    def ends_in(self, end, *said, left=()):
        """It has this end, says all of `said`, left exactly `left` beside the source, and lost no acknowledged row."""
        assert self.end == end, f"by {' '.join(self.path)}\nwith {self.ended.get('error')}: {self.ended.get('cause')}"
        contains(self.told, *said)
        others = self.ground.other_clusters()
        assert others == sorted(left), "what is left beside the source"
        assert all(name in self.told for name in others), f"{others} are not told of"
        if end == "NothingChanged":
            assert self.ground.differences() == [], "the source afterwards"
        self.ground.open_source()
        assert self.ground.unexplained(others) == "", "acknowledged rows"


@pytest.fixture(params=[POSTGRES], ids=["postgresql"])
def ground(grounds, request):
    """A cluster that is put in order afterwards, and replaced when the test failed."""
    one = grounds(request.param)
    try:
        yield one
        one.put_in_order()
        one.settled |= one.acknowledged()  # those of a test that failed are no other test's
    except BaseException:
        grounds(request.param, fresh=True)
        raise


@everywhere
@pytest.mark.parametrize("kind", ["throttle", "unavailable", "internal"])
def test_calls_that_fail_for_a_while_are_made_again(ground, kind):
    for action in ["Describe", "ListTags", "Restore", "CreateDBInstance", "ModifyDBCluster", "AddTags", "Backtrack"]:
        # A change that a 5xx answers may have been made all the same. Before the restore it is tried once more, and no oftener; and a
        # fence waits for a minute for groups that it may have set.
        times = 1 if kind != "throttle" and action in ("Restore", "ModifyDBCluster", "Backtrack") else 3
        plan(ground.stack, action=action, fails=kind, mentions=ground.name, times=times)
    Attempt(ground).ends_in("Recovered", left=[f"{ground.name}-r"])


@everywhere
def test_recovery_under_the_rate_of_an_account_takes_its_time_and_ends_well(ground):
    plan(ground.stack, rate="10")
    try:
        attempt = Attempt(ground)
    finally:
        plan(ground.stack, rate="off")
    attempt.ends_in("Recovered", left=[attempt.new])


def test_recovery_of_many_records_under_the_rate_of_route_53_ends_well(ground):
    stack = ground.stack
    names = [f"{number}.{ground.record}" for number in range(30)]
    for name in names:
        stack.change_record("UPSERT", name, ground.endpoint)
    records = [{"hostedZoneId": stack.zone, "name": name, "endpoint": "writer"} for name in [ground.record, *names]]
    limit(stack, "route53", 5, ground.name)  # the rate of an account; not for the tests beside
    try:
        attempt = Attempt(ground, dns=records)
    finally:
        throttled = limit(stack, "route53", None, ground.name)
        found = stack.records()
        for name in names:
            stack.change_record("DELETE", name, *found[name])
    assert throttled > 0, "nothing was throttled"
    attempt.ends_in("Recovered", left=[attempt.new])


@everywhere
@pytest.mark.parametrize("action", ["Restore", "CreateDBInstance", "ModifyDBCluster", "AddTags", "Backtrack"])
def test_answer_that_is_cut_half_way_leads_to_nothing_twice(ground, action):
    plan(ground.stack, action=action, fails="cut", mentions=ground.name)
    attempt = Attempt(ground)
    attempt.ends_in("Recovered", left=[attempt.new])


def cut(ground, service, *texts, times):
    """Cuts so many answers to a recovery's calls that mention these texts, and to its undo's; every change was made all the same."""
    stack, name = ground.stack, f"{ground.name}-c{next(NUMBERS)}"
    texts, undo = [text.format(name=name, record=ground.record) for text in texts], stack.outputs["UndoStateMachineArn"]
    for execution, states in [(name, ["FenceSource", "SwapDns"]), (f"{name}-undo", ["FenceRestored", "UndoSwapDns", "UndoFenceSource"])]:
        for state in states:
            plan_kind(stack, execution, state, "short pauses")
    limit(stack, service, 0, *texts, fails="cut", times=times)
    try:
        run, ended = recover(ground, name, None)
        assert run.path()[-1] == "Recovered", f"by {' '.join(run.path())}\nwith {ended.get('error')}: {ended.get('cause')}"
        forward = limit(stack, service, 0, *texts, fails="cut", times=times)
        undone = Recovery(stack, {"recovery": name, "by": "e2e"}, f"{name}-undo", undo)
        # Where no answer of Route 53 came, its servers get a minute before the names are followed.
        assert undone.wait(240)["status"] == "SUCCEEDED", undone.describe().get("cause")
    finally:
        back = limit(stack, service, None, *texts)
    assert ground.differences() == [], "the source afterwards"
    assert ground.unexplained([f"{ground.name}-r"]) == "", "acknowledged rows"
    return forward, back


@pytest.mark.parametrize("ground", [POSTGRES, MYSQL], ids=["postgresql", "mysql"], indirect=True)
@pytest.mark.parametrize("text", ["aurora-rewind {name}: ", "{record}"], ids=["change", "every call"])
def test_answers_of_route_53_that_are_cut_move_records_once(ground, text):
    assert min(cut(ground, "route53", text, times=4)) > 0, "no answer was cut"


def test_change_of_records_of_which_no_answer_arrives_is_found_in_the_zone(ground):
    assert min(cut(ground, "route53", "aurora-rewind {name}: ", times=1000)) > 0, "no answer was cut"


@pytest.mark.parametrize("ground", [POSTGRES, MYSQL], ids=["postgresql", "mysql"], indirect=True)
@pytest.mark.parametrize("texts", [["{name}"], ["fence#{name}"], ["recordsSentAt", "{name}"]], ids=["every call", "fence", "note of records sent"])
def test_answers_of_the_table_that_are_cut_change_no_end(ground, texts):
    forward, _ = cut(ground, "dynamodb", *texts, times=6)
    assert forward > 0, "no answer was cut"


def test_restore_that_fails_half_way_leaves_nothing(ground):
    plan(ground.stack, restore=f"{ground.name}-r", seconds=5)
    Attempt(ground).ends_in("NothingChanged", "failed", left=[])


def test_records_moved_by_others_while_people_are_asked_stop_the_recovery(ground):
    stack = ground.stack
    change = lambda _: stack.change_record("UPSERT", ground.record, "somebody.else.example.org", 1)
    attempt = Attempt(ground, "approved", during=change)
    assert attempt.end == "NothingChanged", attempt.ended.get("cause")
    contains(attempt.told, ground.record, "somebody.else.example.org")
    assert stack.records()[ground.record][0] == "somebody.else.example.org", "the record that somebody changed"


def test_secret_that_is_rotated_while_people_are_asked_is_read_again(ground):
    attempt = Attempt(ground, "approved", during=lambda _: ground.rotate_secret())
    attempt.ends_in("Recovered", left=[attempt.new])


def change_retention(ground):
    days = ground.cluster.describe()["BackupRetentionPeriod"] + 1
    ground.stack.rds.modify_db_cluster(DBClusterIdentifier=ground.name, BackupRetentionPeriod=days, ApplyImmediately=True)


@everywhere
def test_source_that_others_changed_while_people_were_asked_is_fenced_all_the_same(ground):
    def change(_):
        change_retention(ground)
        ground.cluster.wait_available()

    attempt = Attempt(ground, "approved", during=change)
    attempt.ends_in("Recovered", left=[attempt.new])


@everywhere
def test_source_that_others_are_changing_when_people_approve_is_waited_for(ground):
    attempt = Attempt(ground, "approved", during=lambda _: change_retention(ground))
    attempt.ends_in("Recovered", left=[attempt.new])


def keeps_what_was_restored(ground, service, mentions, fails):
    """SwapDns cannot do its work: nothing has moved, nobody has to look, and a resume goes on as soon as it can."""
    stack, name = ground.stack, f"{ground.name}-c{next(NUMBERS)}"
    plan_kind(stack, name, "SwapDns", "short pauses")
    texts = [text.format(name=name) for text in mentions]
    try:
        # Not before: validation and approval read the records too. A throttled call is repeated by the SDK in each of ten attempts.
        fail = lambda _: limit(stack, service, 0, *texts, fails=fails)
        run, ended = recover(ground, name, None, at=("AddInstances", fail), timeout=600)
    finally:
        failed = limit(stack, service, None, *texts)
    assert failed > 0, "no call failed"
    assert run.path()[-1] == "NothingChanged", f"by {' '.join(run.path())}\nwith {ended.get('error')}: {ended.get('cause')}"
    contains(ended["cause"], f"rewind resume {name}", f"{ground.name}-r")
    assert not {"ReadRecords", "FenceRestored"} & set(run.path()), "what was read or fenced though no record was sent"
    assert ground.differences() == [], "the source afterwards"
    resumed = Recovery(stack, {"cluster": ground.name, "resume": name, "approval": "none"}, f"{name}-resumed").wait(120)
    assert resumed["status"] == "SUCCEEDED", f"{resumed.get('error')}: {resumed.get('cause')}"
    ground.open_source()
    assert ground.unexplained([f"{ground.name}-r"]) == "", "acknowledged rows"


@pytest.mark.parametrize("fails", ["throttle", "unavailable", "denied"])
def test_route_53_that_answers_no_read_before_records_move_costs_no_restored_cluster(ground, fails):
    keeps_what_was_restored(ground, "route53", [ground.record], fails)


@pytest.mark.parametrize("fails", ["throttle", "unavailable", "denied"])
def test_table_that_takes_no_note_before_records_move_costs_no_restored_cluster(ground, fails):
    keeps_what_was_restored(ground, "dynamodb", ["recordsSentAt", "recovery#{name}"], fails)


def test_route_53_that_allows_no_change_costs_no_restored_cluster(ground):
    keeps_what_was_restored(ground, "route53", ["aurora-rewind {name}: to"], "denied")


# The states of a recovery that call the table, in the order in which it passes them.
TABLE = ["AcquireLease", "RecordPlan", "ExtendLease", "RecordDecision", "EndFenceWatch", "RecordRecovered", "ReleaseLease"]


@pytest.mark.parametrize("kind", ["refused", "lost"])
def test_table_that_is_away_for_a_while_or_loses_answers_at_each_write_changes_no_end(ground, kind):
    stack, name = ground.stack, f"{ground.name}-c{next(NUMBERS)}"
    # Five refusals in a row are half a minute of pauses, which are shortened here.
    times = {"refused": 5, "lost": 2}[kind]
    for state in TABLE:
        plan_kind(stack, name, state, kind, times=times)
    run, ended = recover(ground, name, "approved")
    assert run.path()[-1] == "Recovered", f"by {' '.join(run.path())}\nwith {ended.get('error')}: {ended.get('cause')}"
    assert {state: told_of_fault(stack, name, state)["hits"] for state in TABLE} == dict.fromkeys(TABLE, times)
    item = run.item()
    assert (item["state"], "decision" in item, "fenceWatchEndedAt" in item, "approval" in item) == ("Recovered", True, True, False)
    assert ground.leases() == [], "leases that are left"
    ground.open_source()
    assert ground.unexplained([f"{ground.name}-r"]) == "", "acknowledged rows"


def with_short_bounds(stack):
    """A copy of the state machine whose waits give up after as many seconds as the deployed one's do after hours."""

    def shorten(definition):
        assert " * 3600 * 1000" in definition, "no bound in hours was found"
        return definition.replace(" * 3600 * 1000", " * 1000")

    return machine_with(stack, f"fault-short-bounds-{os.getpid()}", {}, shorten)


def test_writer_that_never_comes_is_given_up_and_the_restored_cluster_is_told_of(ground):
    plan(ground.stack, "instances", instance=f"{ground.name}-r-1", becomes="creating")
    machine = with_short_bounds(ground.stack)
    try:
        attempt = Attempt(ground, machine=machine)
    finally:
        ground.stack.states.delete_state_machine(stateMachineArn=machine)
    attempt.ends_in("NothingChanged", f"{ground.name}-r", left=[attempt.new])


# Sorting it takes a file of many MB.
SORTING = {
    "name": "sorted", "database": "shop", "sql": "SELECT count(DISTINCT md5(n::text)) FROM generate_series(1, 300000) n",
    "expect": "300000",
}  # fmt: skip


def test_disk_of_the_restored_cluster_that_is_full_keeps_it_and_a_resume_goes_on(ground):
    name = f"{ground.name}-full"
    restored = ground.cluster.derived(f"{ground.name}-r")

    def fill():
        is_there = lambda: any(i["DBInstanceStatus"] == "available" for i in ground.stack.instances(restored.name))
        wait_until(is_there, "the restored writer", pause=0.02)
        fill_disk(restored)

    # Verify waits until the disk is full.
    plan_fault(ground.stack, name, "Verify", "not ready", name)
    filling = threading.Thread(target=fill)
    filling.start()
    run, ended = recover(ground, name, None, checks=[SORTING])
    filling.join()
    cause = ended.get("cause", "")
    assert run.path()[-1] == "NothingChanged", f"{ended.get('error')}: {cause}"
    # The server has no words of its own for this one, so only its code is told.
    contains(cause, "(XX000)", f"rewind resume {name}", restored.name)
    assert ground.differences() == [], "the source afterwards"
    # Somebody makes room.
    fill_disk(restored, False)
    resumed = Recovery(ground.stack, {"cluster": ground.name, "resume": name}, f"{name}-resumed").wait(120)
    assert resumed["status"] == "SUCCEEDED", f"{resumed.get('error')}: {resumed.get('cause')}"
    ground.open_source()
    assert ground.unexplained([restored.name]) == "", "acknowledged rows"


def test_source_whose_disk_is_full_is_recovered_from_all_the_same(ground):
    ground.cluster.sql("CREATE TABLE filling AS SELECT n, repeat('x', 200) AS text FROM generate_series(1, 20000) n")
    fill_disk(ground.cluster)
    try:
        with refused(ground.cluster.engine.error, "File too large"):
            ground.cluster.sql("INSERT INTO filling SELECT n, repeat('x', 200) FROM generate_series(1, 20000) n")
        attempt = Attempt(ground)
    finally:
        ground.open_source()
        fill_disk(ground.cluster, False)
    attempt.ends_in("Recovered", left=[attempt.new])
    ground.cluster.sql("DROP TABLE filling")


def fill_account(ground, action):
    """No more of what the action makes, for good: the ground is no other test's afterwards."""
    plan(ground.stack, action=action, fails="quota", mentions=ground.name, times=1000)
    ground.is_gone = True


def test_account_without_room_for_an_instance_keeps_the_restored_cluster(ground):
    fill_account(ground, "CreateDBInstance")
    attempt = Attempt(ground)
    attempt.ends_in("NothingChanged", "allowed number of DB instances", left=[attempt.new])


def test_account_without_room_for_a_cluster_changes_nothing(ground):
    fill_account(ground, "Restore")
    Attempt(ground).ends_in("NothingChanged", "allowed number of DB clusters", left=[])
