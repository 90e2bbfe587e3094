//! Every combination of what can be seen and what cannot.

use super::*;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::record::{CancelNote, CleanUpRecord, LiftNote, PossiblyMoved};
use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;
use serde_json::json;

fn plan(strategy: &str) -> Plan {
    serde_json::from_value(json!({
        "recoveryId": "r-1", "cluster": "orders", "clusterArn": "arn", "engine": "aurora-postgresql",
        "engineVersion": "16.4", "strategy": strategy, "reasons": [], "target": "2026-11-23T10:30:00Z",
        "useLatest": false, "window": { "earliest": "2026-11-22T10:30:00Z", "latest": "2026-11-23T10:35:00Z" },
        "newCluster": "orders-r", "instances": [], "checks": [], "secretArn": "arn", "approval": "required",
        "dns": [{
            "hostedZoneId": "Z1", "name": "db.example.com", "ttl": 5, "from": "orders.example.com", "endpoint": "writer",
        }],
        "approvalTimeoutSeconds": 3600, "keepSourceSeconds": 3600, "dryRun": false, "willDo": [], "warnings": [],
    }))
    .unwrap()
}

fn outcome(strategy: &str, dns: &serde_json::Value) -> Outcome {
    Outcome::read(&json!({
        "outcome": "Recovered", "recoveryId": "r-1", "strategy": strategy, "rewoundTo": "2026-11-23T10:30:00Z",
        "cluster": "orders", "newCluster": "orders-r", "writerEndpoint": "w", "readerEndpoint": "r", "dns": dns,
        "source": { "cluster": "orders" },
    }))
    .unwrap()
}

fn moved() -> serde_json::Value {
    json!([{ "name": "db.example.com", "from": "orders.example.com", "to": "w", "ttl": 5 }])
}

fn record(state: &str) -> RecoveryRecord {
    RecoveryRecord {
        id: "r-1".into(),
        execution_arn: "arn".into(),
        state: state.into(),
        cluster: "orders".into(),
        new_cluster: Some("orders-r".into()),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        approval: None,
        decision: None,
        undo: None,
        undoes: None,
        fence_begun_at: None,
        lift: None,
        cancel: None,
        clean_up: None,
        opening: None,
        last_opening: None,
        resumed_by: None,
        error: None,
        cause: None,
        outcome: (state == "Recovered").then(|| outcome("restore", &moved())),
        moved: None,
        plan: Some(plan("restore")),
        request: None,
        unreadable: Vec::new(),
    }
}

fn cluster(keep_until: Option<&str>) -> Seen<Option<ClusterSeen>> {
    let keep_until = keep_until.map(ToOwned::to_owned);
    Seen::Found(Some(ClusterSeen {
        status: "available".into(),
        keep_until,
        marked_fenced: false,
        security_groups: vec!["sg-1".into()],
    }))
}

fn world(runs: bool, leads: LeadsTo, source: bool, restored: bool) -> World {
    World {
        runs: Seen::Found(runs),
        records: vec![RecordSeen { name: "db.example.com".into(), leads: Seen::Found(leads) }],
        source: cluster(None),
        restored: cluster(Some("2026-11-24T10:50:00Z")),
        fences: Seen::Found(FencesSeen { source, restored, source_lifted_at: None }),
        lease: Seen::Found(None),
        undo: Seen::Unseen("AccessDenied".into()),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn commands_of(state: &str, world: &World) -> Vec<String> {
    Standing::of(&record(state), world).commands.into_iter().map(|command| command.command).collect()
}

#[test]
fn one_that_was_stopped_after_the_switch_has_its_traffic_on_the_restored_cluster_and_is_undone() {
    let stopped = world(false, LeadsTo::Restored, true, false);
    let standing = Standing::of(&record("Running"), &stopped);
    assert_eq!(standing.traffic, ["db.example.com leads to orders-r"]);
    assert_eq!((standing.fenced, standing.outage), (vec!["orders".to_owned()], None));
    for state in ["Running", "Stopped", "NeedsOperator"] {
        assert_eq!(commands_of(state, &stopped), ["rewind undo r-1"], "{state}");
    }
}

#[test]
fn one_that_another_has_resumed_leads_to_that_one_alone() {
    let resumed = RecoveryRecord { resumed_by: Some("r-2".into()), ..record("NeedsOperator") };
    let commands = Standing::of(&resumed, &world(false, LeadsTo::Restored, false, false)).commands;
    assert_eq!(commands.iter().map(|command| command.command.as_str()).collect::<Vec<_>>(), ["rewind status r-2"]);
}

#[test]
fn clients_that_are_led_to_a_fenced_cluster_are_told_first() {
    let stopped = world(false, LeadsTo::Source, true, false);
    let outage = Standing::of(&record("Stopped"), &stopped).outage.unwrap();
    assert!(outage.contains("db.example.com leads to orders, which may be fenced"), "{outage}");
    // After an undo the fence is that of the restored cluster, to which nothing leads.
    let undone = Standing::of(&record("Undone"), &world(false, LeadsTo::Source, false, true));
    assert_eq!((undone.outage, undone.traffic), (None, vec!["db.example.com leads to orders".to_owned()]));
    assert_eq!(undone.fenced, ["orders-r"]);
    assert_eq!(undone.kept, ["orders-r (available) until 2026-11-24T10:50:00Z"]);
}

#[test]
fn each_state_has_a_command_and_none_that_would_be_refused() {
    let source = |runs| world(runs, LeadsTo::Source, false, false);
    assert_eq!(
        commands_of("AwaitingApproval", &source(true)),
        ["rewind approve r-1", "rewind reject r-1", "rewind cancel r-1"]
    );
    assert_eq!(commands_of("Running", &source(true)), ["rewind status r-1 --follow", "rewind cancel r-1"]);
    assert_eq!(commands_of("Stopped", &source(false)), ["rewind resume r-1", "rewind undo r-1"]);
    assert_eq!(commands_of("NothingChanged", &source(false)), ["rewind resume r-1"]);
    // A fenced restored cluster cannot be adopted.
    let left = world(false, LeadsTo::Source, false, true);
    for state in ["RolledBack", "Undone"] {
        assert_eq!(commands_of(state, &left), ["rewind status r-1", "rewind clusters"], "{state}");
    }
    let open = "rewind open r-1 --from <your address>";
    assert_eq!(commands_of("Recovered", &world(false, LeadsTo::Restored, true, false)), ["rewind undo r-1", open]);
    let gone = World { source: Seen::Found(None), ..world(false, LeadsTo::Restored, false, false) };
    assert_eq!(commands_of("Recovered", &gone), ["rewind status r-1"]);
}

#[test]
fn the_way_to_read_what_is_left_behind_is_told_where_there_is_something_to_read() {
    let to_open = |recovery: &RecoveryRecord, world: &World| {
        let commands = Standing::of(recovery, world).commands;
        commands.into_iter().find(|safe| safe.command.starts_with("rewind open r-1 --from ")).map(|safe| safe.effect)
    };
    let ended = record("Recovered");
    let (moved, unmoved) =
        (world(false, LeadsTo::Restored, true, false), world(false, LeadsTo::Restored, false, false));
    assert!(to_open(&ended, &moved).unwrap().starts_with("opens orders to one connection that only reads"));
    // Its fence is lifted: people log in there as ever.
    assert_eq!(to_open(&ended, &unmoved), None);
    for state in ["Undone", "RolledBack", "NeedsOperator"] {
        assert_eq!(to_open(&record(state), &moved), None, "{state}");
    }
    assert_eq!(to_open(&ended, &World { records: Vec::new(), ..moved.clone() }), None);
    let in_place = RecoveryRecord { plan: Some(plan("backtrack")), ..ended };
    let on_itself = World { records: Vec::new(), ..unmoved };
    assert!(to_open(&in_place, &on_itself).unwrap().starts_with("opens orders-r to one"));
    assert_eq!(to_open(&in_place, &World { restored: Seen::Found(None), ..on_itself }), None);
    // No command opens a restored cluster that clients may have written to, and the way by hand is told.
    let to_read =
        |state: &str, restored| Standing::of(&record(state), &world(false, LeadsTo::Source, false, restored)).to_read;
    for state in ["Undone", "RolledBack"] {
        assert!(to_read(state, true).unwrap().starts_with("log in to orders-r as its master user"), "{state}");
        assert_eq!(to_read(state, false), None, "{state}");
    }
    assert_eq!(to_read("NothingChanged", true), None);
}

#[test]
fn one_without_a_plan_names_its_own_records_alone_and_is_cancelled_while_it_runs() {
    let unplanned = |state: &str| RecoveryRecord { plan: None, new_cluster: None, outcome: None, ..record(state) };
    let unmoved =
        |runs| World { records: Vec::new(), restored: Seen::Found(None), ..world(runs, LeadsTo::Source, false, false) };
    let running: &[&str] = &["rewind status r-1 --follow", "rewind cancel r-1"];
    let over: &[&str] = &["rewind status r-1"];
    for (state, runs, traffic, expected) in [
        ("Running", true, "this recovery has moved no record yet", running),
        ("Stopped", false, "this recovery moved no record", over),
        ("NothingChanged", false, "this recovery moved no record", over),
        ("NeedsOperator", false, "this recovery moved no record", over),
        ("Planned", false, "this recovery moved no record", over),
    ] {
        let standing = Standing::of(&unplanned(state), &unmoved(runs));
        assert_eq!(standing.traffic, [traffic], "{state}");
        let commands: Vec<&str> = standing.commands.iter().map(|command| command.command.as_str()).collect();
        assert_eq!(commands, expected, "{state}");
    }
    let unreadable = RecoveryRecord { unreadable: vec!["plan cannot be read".into()], ..unplanned("Stopped") };
    let standing = Standing::of(&unreadable, &unmoved(false));
    assert_eq!((standing.traffic.len(), standing.unseen.len()), (0, 1), "{:?}", standing.unseen);
    // The refused start is told whom to look at.
    let holder = LeaseSeen { holder: "r-0".into(), until: Timestamp::UNIX_EPOCH };
    let refused = World { lease: Seen::Found(Some(holder)), ..unmoved(false) };
    let commands = Standing::of(&unplanned("NothingChanged"), &refused).commands;
    assert_eq!(commands.iter().map(|command| command.command.as_str()).collect::<Vec<_>>(), ["rewind status r-0"]);
}

/// It is no recovery, so nothing shows its status.
#[test]
fn a_lease_of_the_clean_up_leads_to_no_status_of_its_own() {
    let lease = LeaseSeen { holder: "clean-up-hourly".into(), until: Timestamp::UNIX_EPOCH };
    let held = World { lease: Seen::Found(Some(lease)), ..world(false, LeadsTo::Restored, true, false) };
    let commands = Standing::of(&record("Stopped"), &held).commands;
    assert_eq!(commands.iter().map(|command| command.command.as_str()).collect::<Vec<_>>(), ["rewind status r-1"]);
    assert!(
        commands[0].effect.contains("clean-up-hourly is the clean-up, which holds the lease of orders until 1970"),
        "{commands:?}"
    );
}

#[test]
fn a_lease_of_ones_own_or_of_ones_undo_hides_no_command() {
    let held = |holder: &str, leads| {
        let lease = LeaseSeen { holder: holder.into(), until: Timestamp::UNIX_EPOCH };
        World { lease: Seen::Found(Some(lease)), ..world(false, leads, true, false) }
    };
    for (holder, commands) in [
        ("r-1", vec!["rewind undo r-1"]),
        ("r-1-undo-2", vec!["rewind status r-1-undo-2 --follow", "rewind undo r-1"]),
        ("r-1-open", vec!["rewind undo r-1"]),
        ("r-2", vec!["rewind status r-2"]),
        // Neither has a status.
        ("r-2-open", vec!["rewind status r-1"]),
        ("r-2-close-3", vec!["rewind status r-1"]),
    ] {
        assert_eq!(commands_of("Stopped", &held(holder, LeadsTo::Restored)), commands, "{holder}");
    }
    // A resume would be refused the lease, and the undo may leave nothing to go on from.
    let unfenced = |holder| World {
        fences: Seen::Found(FencesSeen { source: false, restored: false, source_lifted_at: None }),
        ..held(holder, LeadsTo::Source)
    };
    assert_eq!(commands_of("Stopped", &unfenced("r-1"))[0], "rewind resume r-1");
    let under_undo = Standing::of(&record("Stopped"), &unfenced("r-1-undo"));
    assert!(under_undo.brief.contains("undo: r-1-undo"), "{}", under_undo.brief);
    let commands: Vec<&str> = under_undo.commands.iter().map(|safe| safe.command.as_str()).collect();
    assert_eq!(commands, ["rewind status r-1-undo --follow", "rewind undo r-1"]);
}

#[test]
fn an_undo_that_waits_for_the_end_of_a_recovery_is_told_before_it_has_the_lease() {
    let cancel = Some(CancelNote { id: "r-1-undo".into() });
    let of = |state: &str| {
        let cancelled = RecoveryRecord { cancel: cancel.clone(), ..record(state) };
        Standing::of(&cancelled, &world(false, LeadsTo::Source, false, false))
    };
    for state in ["Stopped", "Running"] {
        let standing = of(state);
        assert_eq!(standing.commands[0].command, "rewind status r-1-undo --follow", "{state}");
        assert!(standing.brief.contains("undo: r-1-undo"), "{state}: {}", standing.brief);
        assert!(!standing.commands.iter().any(|safe| safe.command.starts_with("rewind resume")), "{standing:?}");
    }
    // It has an end of its own.
    assert!(!of("NeedsOperator").brief.contains("undo:"));
}

#[test]
fn an_undo_is_at_work_as_long_as_its_execution_runs() {
    let lease = LeaseSeen { holder: "r-1-undo".into(), until: Timestamp::UNIX_EPOCH };
    let seen = |undo: Option<&str>| World {
        undo: Seen::Found(undo.map(Into::into)),
        lease: Seen::Found(Some(lease.clone())),
        ..world(false, LeadsTo::Restored, true, true)
    };
    for state in ["Stopped", "NeedsOperator"] {
        // Before it has the lease too, while it waits for the functions of what was stopped.
        let waits = World { lease: Seen::Found(None), ..seen(Some("r-1-undo-2")) };
        assert_eq!(commands_of(state, &waits)[0], "rewind status r-1-undo-2 --follow", "{state}");
        assert!(Standing::of(&record(state), &waits).brief.contains("undo: r-1-undo-2"));
        // Its lease outlives one that was stopped, and the next one waits for that.
        assert_eq!(commands_of(state, &seen(None)), ["rewind undo r-1"], "{state}");
    }
}

#[test]
fn where_a_record_leads_elsewhere_the_recovery_that_moved_it_is_to_be_found_first() {
    let moved = world(false, LeadsTo::Elsewhere("orders-r-2.example.com".into()), true, false);
    // What was left behind can be read, wherever clients are.
    let read = "rewind open r-1 --from <your address>";
    for (state, also) in [("Recovered", Some(read)), ("Stopped", None)] {
        let commands = Standing::of(&record(state), &moved).commands;
        let names: Vec<&str> = commands.iter().map(|safe| safe.command.as_str()).collect();
        let expected: Vec<&str> = ["rewind status r-1", "rewind undo r-1"].into_iter().chain(also).collect();
        assert_eq!(names, expected, "{state}");
        assert!(commands[0].effect.contains("rewind list shows whether a later recovery moved it"), "{commands:?}");
    }
    assert_eq!(commands_of("Undone", &moved), ["rewind status r-1"]);
}

#[test]
fn in_place_clients_use_the_source_in_every_state() {
    let unmoved = |source| World { records: Vec::new(), ..world(false, LeadsTo::Source, source, false) };
    for (state, fenced) in [("AwaitingApproval", false), ("NothingChanged", false), ("Stopped", true)] {
        let in_place = RecoveryRecord { plan: Some(plan("backtrack")), ..record(state) };
        let standing = Standing::of(&in_place, &unmoved(fenced));
        assert_eq!(standing.traffic, ["clients use orders itself"], "{state}");
        assert_eq!(standing.outage.is_some(), fenced, "{state}");
    }
}

#[test]
fn in_place_the_undo_goes_forward_until_clients_were_let_in_and_lets_them_in_after_that() {
    let begun = Some(Timestamp::UNIX_EPOCH);
    let commands = |state: &str, runs, lift| {
        let in_place = RecoveryRecord { plan: Some(plan("backtrack")), fence_begun_at: begun, lift, ..record(state) };
        let world = World { records: Vec::new(), ..world(runs, LeadsTo::Source, true, false) };
        Standing::of(&in_place, &world).commands
    };
    let names = |commands: Vec<SafeCommand>| commands.into_iter().map(|safe| safe.command).collect::<Vec<_>>();
    for state in ["Running", "Stopped", "NeedsOperator"] {
        let safe = commands(state, false, Some(LiftNote::NotBegun));
        assert!(safe[0].effect.contains("takes orders forward to where it was"), "{state}: {safe:?}");
        assert_eq!(names(safe), ["rewind undo r-1"], "{state}");
        assert_eq!(names(commands(state, false, None)), ["rewind status r-1"], "{state} of an earlier version");
    }
    let let_in = Some(LiftNote::Begun(Timestamp::UNIX_EPOCH));
    for state in ["Stopped", "NeedsOperator"] {
        let safe = commands(state, false, let_in);
        assert!(safe[0].effect.contains("lets clients in to orders, if they are not: it stays rewound"), "{safe:?}");
        assert_eq!(names(safe), ["rewind undo r-1"], "{state}");
    }
    // Once it is settled so, nothing goes forward over what clients write.
    assert_eq!(names(commands("Recovered", false, let_in)), ["rewind open r-1 --from <your address>"]);
    let running = ["rewind status r-1 --follow", "rewind cancel r-1"];
    assert_eq!(names(commands("Running", true, Some(LiftNote::NotBegun))), running);
    assert_eq!(names(commands("Running", true, Some(LiftNote::Begun(Timestamp::UNIX_EPOCH)))), running[..1]);
}

#[test]
fn the_effect_of_an_undo_is_told_by_where_the_records_lead() {
    let effect = |leads, fenced| {
        let commands = Standing::of(&record("Stopped"), &world(false, leads, fenced, false)).commands;
        commands.into_iter().find(|command| command.command == "rewind undo r-1").unwrap().effect
    };
    let elsewhere = LeadsTo::Elsewhere("somewhere.example.com".into());
    for (leads, fenced, told) in [
        // Somebody lifted the fence by hand.
        (LeadsTo::Restored, false, "traffic goes back to orders; asks first"),
        (LeadsTo::Restored, true, "traffic goes back to orders, and its fence is lifted; asks first"),
        // Stopped between the fence and the switch.
        (LeadsTo::Source, true, "lifts the fence of orders, which has the traffic; asks first"),
        (LeadsTo::Source, false, "leaves traffic on orders, and releases the lease; asks first"),
        (elsewhere, true, "changes nothing while a record that it moved leads to neither cluster; asks first"),
    ] {
        assert_eq!(effect(leads, fenced), told);
    }
}

#[test]
fn a_note_of_a_fence_is_shown_with_the_groups_that_rds_has_and_not_for_a_cluster_that_is_gone() {
    let fenced = world(false, LeadsTo::Restored, true, false);
    let standing = Standing::of(&record("Recovered"), &fenced);
    assert_eq!(standing.fences, ["orders is noted as fenced, and its security groups are sg-1"]);
    let gone = World { source: Seen::Found(None), ..fenced.clone() };
    let standing = Standing::of(&record("Recovered"), &gone);
    assert_eq!((standing.fenced, standing.fences), (vec![], vec![]));
    let unseen = World { source: Seen::Unseen("AccessDenied".into()), ..fenced };
    assert_eq!(Standing::of(&record("Recovered"), &unseen).fences, ["orders is noted as fenced"]);
}

#[test]
fn a_restored_cluster_that_cannot_be_adopted_is_not_offered() {
    for (status, offered) in [
        ("available", true),
        ("creating", true),
        ("deleting", false),
        ("failed", false),
        ("stopped", false),
        ("restore-error", false),
    ] {
        let mut ended = world(false, LeadsTo::Source, false, false);
        if let Seen::Found(Some(cluster)) = &mut ended.restored {
            cluster.status = status.into();
        }
        let commands = commands_of("NothingChanged", &ended);
        assert_eq!(commands.iter().any(|command| command == "rewind resume r-1"), offered, "{status}");
    }
}

#[test]
fn while_an_undo_runs_it_is_followed() {
    let standing = Standing::of(&record("Recovered"), &world(false, LeadsTo::Restored, true, true));
    let outage = standing.outage.clone();
    let undo = |state: &str| RecoveryRecord { id: "r-1-undo".into(), undoes: Some("r-1".into()), ..record(state) };
    let running = standing.clone().under_undo(&undo("Running"));
    assert_eq!((running.outage, running.commands[0].command.as_str()), (outage, "rewind status r-1-undo --follow"));
    assert_eq!(standing.under_undo(&undo("NeedsOperator")).commands[0].command, "rewind undo r-1");
}

fn any_record() -> impl Generate<Value = RecoveryRecord> {
    let state = prop::sample::select(vec![
        "Running",
        "AwaitingApproval",
        "Stopped",
        "Planned",
        "Recovered",
        "NothingChanged",
        "RolledBack",
        "NeedsOperator",
        "Undone",
    ]);
    let plan_of = prop::option::of(prop::sample::select(vec!["restore", "backtrack"]));
    let (with_outcome, with_records, with_moved, begun) = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let (is_undo, is_resumed, is_unreadable, is_deleted) = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let rare = (is_undo, is_resumed, is_unreadable, is_deleted);
    (state, plan_of, (with_outcome, with_records, with_moved, begun), rare).prop_map(
        |(state, plan_of, (with_outcome, with_records, with_moved, begun), rare)| {
            let dns = if with_records { moved() } else { json!([]) };
            let clean_up = CleanUpRecord {
                cluster: "orders".into(),
                snapshot: "orders-final".into(),
                begun_at: Timestamp::UNIX_EPOCH,
                instances: Vec::new(),
            };
            let (is_undo, is_resumed, is_unreadable, is_deleted) = rare;
            RecoveryRecord {
                plan: plan_of.map(plan),
                new_cluster: plan_of.map(|_| "orders-r".to_owned()),
                outcome: with_outcome.then(|| outcome(plan_of.unwrap_or("restore"), &dns)),
                moved: with_moved.then(PossiblyMoved::default),
                fence_begun_at: begun.then_some(Timestamp::UNIX_EPOCH),
                // None of an earlier version, and a time where clients were let in.
                lift: match (begun, with_moved) {
                    (true, false) => Some(LiftNote::NotBegun),
                    (true, true) => Some(LiftNote::Begun(Timestamp::UNIX_EPOCH)),
                    (false, _) => None,
                },
                undoes: (is_undo && is_resumed).then(|| "r-0".to_owned()),
                resumed_by: (is_resumed && is_unreadable).then(|| "r-2".to_owned()),
                unreadable: if is_unreadable && is_deleted {
                    vec!["plan cannot be read".to_owned()]
                } else {
                    Vec::new()
                },
                clean_up: (is_deleted && is_undo).then_some(clean_up),
                ..record(state)
            }
        },
    )
}

#[test]
fn the_outage_of_one_that_ended_without_an_output_lasted_from_the_fence_until_it_was_lifted() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let begun = RecoveryRecord { fence_begun_at: Some(time("2026-11-23T10:40:00.5Z")), ..record("NothingChanged") };
    let ended = |source: bool, lifted: Option<&str>| World {
        fences: Seen::Found(FencesSeen { source, restored: false, source_lifted_at: lifted.map(time) }),
        ..world(false, LeadsTo::Source, source, false)
    };
    let lifted = ended(false, Some("2026-11-23T10:40:42.75Z"));
    let moved = Some(PossiblyMoved::default());
    let standing = Standing::of(&begun, &lifted);
    assert_eq!(standing.outage_seconds, Some(42.25));
    let known =
        "42.2 s at most: the fence of orders began at 2026-11-23T10:40:00Z, and was lifted at 2026-11-23T10:40:42Z";
    assert_eq!(standing.outage_lasted.as_deref(), Some(known));
    // Traffic was back before the fence was lifted.
    let rolled_back = RecoveryRecord { state: "RolledBack".into(), moved: moved.clone(), ..begun.clone() };
    assert_eq!(Standing::of(&rolled_back, &lifted).outage_seconds, Some(42.25));
    // Clients may have been on the restored cluster for days when a person lifted it.
    let undone = RecoveryRecord { state: "NeedsOperator".into(), moved, ..begun.clone() };
    for (record, world) in
        [(&undone, &lifted), (&begun, &ended(true, None)), (&begun, &ended(false, Some("2026-11-23T10:39:00Z")))]
    {
        let standing = Standing::of(record, world);
        let lasted = standing.outage_lasted.unwrap();
        assert!(
            lasted.starts_with("unknown since 2026-11-23T10:40:00Z: ") && standing.outage_seconds.is_none(),
            "{lasted}"
        );
    }
    let none = |record: &RecoveryRecord, world: &World| assert_eq!(Standing::of(record, world).outage_lasted, None);
    none(&record("NothingChanged"), &lifted);
    none(&begun, &World { runs: Seen::Found(true), ..ended(true, None) });
    // The fence was refused before its record was written, and nothing was closed.
    none(&begun, &ended(false, None));
    none(&begun, &World { fences: Seen::Unseen("AccessDenied".into()), ..lifted });
}

#[test]
fn the_brief_names_the_clusters_and_what_was_not_seen() {
    let brief = |world: &World| Standing::of(&record("Running"), world).brief;
    let stopped = world(false, LeadsTo::Restored, true, false);
    let kept = "kept: orders-r until 2026-11-24T10:50:00Z";
    assert_eq!(brief(&stopped), format!("traffic: orders-r; fenced: orders; {kept}"));
    let both = vec![
        RecordSeen { name: "db.example.com".into(), leads: Seen::Found(LeadsTo::Source) },
        RecordSeen { name: "ro.example.com".into(), leads: Seen::Unseen("AccessDenied".into()) },
    ];
    let half = World { records: both, source: Seen::Unseen("AccessDenied".into()), ..stopped.clone() };
    assert_eq!(brief(&half), format!("traffic: orders and not seen; fenced: orders; {kept}; orders: not seen"));
    let blind = World { runs: Seen::Unseen("no".into()), fences: Seen::Unseen("no".into()), ..stopped };
    assert_eq!(brief(&blind), format!("traffic: orders-r; fences: not seen; {kept}; execution: not seen"));
}

#[test]
fn records_of_a_plan_that_cannot_be_read_are_not_taken_for_none() {
    let unreadable = RecoveryRecord { plan: None, unreadable: vec!["plan cannot be read".into()], ..record("Running") };
    let standing =
        Standing::of(&unreadable, &World { records: Vec::new(), ..world(true, LeadsTo::Source, false, false) });
    assert_eq!(standing.traffic, [""; 0]);
    assert!(standing.brief.starts_with("traffic: not seen;"), "{}", standing.brief);
    assert_eq!(standing.unseen, ["where the traffic is: the record has no plan that can be read"]);
}

fn seen<T: Clone + std::fmt::Debug + 'static>(
    of: impl Generate<Value = T> + 'static,
) -> impl Generate<Value = Seen<T>> {
    prop_oneof![3 => of.prop_map(Seen::Found), 1 => Just(Seen::Unseen("AccessDenied".to_owned()))]
}

fn any_world() -> impl Generate<Value = World> {
    let leads = prop_oneof![
        Just(LeadsTo::Source),
        Just(LeadsTo::Restored),
        Just(LeadsTo::Elsewhere("somewhere.example.com".to_owned()))
    ];
    let names = prop::collection::vec(seen(leads), 0..3).prop_map(|all| {
        let named = |(n, leads)| RecordSeen { name: format!("db-{n}.example.com"), leads };
        all.into_iter().enumerate().map(named).collect::<Vec<_>>()
    });
    let cluster = || {
        seen(prop::option::of(prop::option::of(Just("2026-11-24T10:50:00Z".to_owned())).prop_map(|keep_until| {
            ClusterSeen { status: "available".into(), keep_until, marked_fenced: false, security_groups: Vec::new() }
        })))
    };
    let fences = seen((any::<bool>(), any::<bool>()).prop_map(|(source, restored)| FencesSeen {
        source,
        restored,
        source_lifted_at: None,
    }));
    let lease = seen(prop::option::of(Just(LeaseSeen { holder: "r-2".into(), until: Timestamp::UNIX_EPOCH })));
    let undo = seen(prop::option::of(Just("r-1-undo".to_owned())));
    (seen(any::<bool>()), names, cluster(), cluster(), fences, lease, undo).prop_map(
        |(runs, records, source, restored, fences, lease, undo)| World {
            runs,
            records,
            source,
            restored,
            fences,
            lease,
            undo,
            at: Timestamp::UNIX_EPOCH,
        },
    )
}

proptest! {
    #[test]
    fn what_was_not_seen_is_named_and_never_guessed(
        world in any_world(),
        state in prop::sample::select(vec![
            "Running", "AwaitingApproval", "Stopped", "Recovered", "NothingChanged", "RolledBack", "NeedsOperator", "Undone",
        ]),
    ) {
        let standing = Standing::of(&record(state), &world);
        for record in &world.records {
            let told = standing.traffic.iter().any(|line| line.starts_with(&record.name));
            let named = standing.unseen.iter().any(|line| line.contains(&record.name));
            prop_assert_eq!((told, named), (record.leads.found().is_some(), record.leads.found().is_none()));
        }
        let unseen = [world.runs.found().is_none(), world.fences.found().is_none(), world.lease.found().is_none(),
            world.source.found().is_none(), world.restored.found().is_none()];
        let records = world.records.iter().filter(|record| record.leads.found().is_none()).count();
        prop_assert_eq!(standing.unseen.len(), unseen.iter().filter(|is| **is).count() + records);
        // Blindly nobody is told to change anything.
        prop_assert!(!standing.commands.is_empty());
        let changing = standing.commands.iter().any(|command| !command.command.starts_with("rewind status"));
        prop_assert!(!changing || world.runs.found().is_some() && world.fences.found().is_some(), "{standing:?}");
        // Clients behind a fence are an outage, and so are those of a cluster that is gone, or of neither while the source is fenced.
        let gone = Seen::Found(None);
        let closed = world.fences.found().is_some_and(|fences| world.records.iter().any(|record| match record.leads.found() {
            Some(LeadsTo::Source) => fences.source || world.source == gone,
            Some(LeadsTo::Restored) => fences.restored || world.restored == gone,
            Some(LeadsTo::Elsewhere(_)) => fences.source,
            None => false,
        }));
        prop_assert_eq!(standing.outage.is_some(), closed);
    }

    #[test]
    fn no_command_is_offered_that_is_refused(world in any_world(), record in any_record()) {
        for SafeCommand { command, .. } in Standing::of(&record, &world).commands {
            let refused = match command.as_str() {
                "rewind undo r-1" => record.why_not_undoable(Undoing::Undo),
                "rewind cancel r-1" => record.why_not_undoable(Undoing::Cancel),
                "rewind resume r-1" => record.why_not_resumable(),
                _ => None,
            };
            prop_assert_eq!(refused, None, "{} of {:?}", command, record);
        }
    }
}

#[test]
fn for_whom_the_source_is_open_is_told_with_the_command_that_closes_it_and_not_as_a_broken_fence() {
    let at = crate::OpenedAt {
        cluster: "orders".into(),
        engine: "aurora-postgresql".into(),
        host: "orders.example.com".into(),
        port: 5432,
        database: "shop".into(),
        user: "rewind_open_1".into(),
        secret: "arn".into(),
        network: String::new(),
        unread: Vec::new(),
    };
    let opening = Opening {
        id: "r-1-open".into(),
        by: "ann".into(),
        from: "203.0.113.7".into(),
        until: Timestamp::UNIX_EPOCH,
        database: None,
        at: Some(at),
    };
    let recovery = RecoveryRecord { opening: Some(opening.clone()), ..record("Recovered") };
    let world = world(false, LeadsTo::Restored, true, false);
    let standing = Standing::of(&recovery, &world);
    let open = standing.open.unwrap();
    for part in ["orders is open to ann", "reads shop from 203.0.113.7", "rewind open r-1 --close"] {
        assert!(open.contains(part), "{open}");
    }
    assert!(standing.brief.contains("open to ann until"), "{}", standing.brief);
    assert_eq!(standing.fenced, ["orders"]);
    let commands: Vec<&str> = standing.commands.iter().map(|command| command.command.as_str()).collect();
    assert_eq!(commands, ["rewind undo r-1", "rewind open r-1 --close"]);
    // Begun, and nobody knows how far it came.
    let begun = RecoveryRecord { opening: Some(Opening { at: None, ..opening }), ..record("Recovered") };
    assert!(Standing::of(&begun, &world).open.unwrap().contains("being opened to ann"));
    assert_eq!(Standing::of(&record("Recovered"), &world).open, None);
}
