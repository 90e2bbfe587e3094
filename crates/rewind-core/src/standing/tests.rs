//! Every combination of what can be seen and what cannot.

use super::*;
use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generate;

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
        clean_up: None,
        resumed_by: None,
        error: None,
        cause: None,
        outcome: None,
        moved: None,
        plan: None,
        request: None,
        unreadable: Vec::new(),
    }
}

fn cluster(keep_until: Option<&str>) -> Seen<Option<ClusterSeen>> {
    let keep_until = keep_until.map(ToOwned::to_owned);
    Seen::Found(Some(ClusterSeen { status: "available".into(), keep_until, marked_fenced: false }))
}

fn world(runs: bool, leads: LeadsTo, source: bool, restored: bool) -> World {
    World {
        runs: Seen::Found(runs),
        records: vec![RecordSeen { name: "db.example.com".into(), leads: Seen::Found(leads) }],
        source: cluster(None),
        restored: cluster(Some("2026-11-24T10:50:00Z")),
        fences: Seen::Found(FencesSeen { source, restored }),
        lease: Seen::Found(None),
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
    assert_eq!(commands_of("RolledBack", &world(false, LeadsTo::Source, false, true)), ["rewind status r-1"]);
    assert_eq!(commands_of("Recovered", &world(false, LeadsTo::Restored, true, false)), ["rewind undo r-1"]);
    let gone = World { source: Seen::Found(None), ..world(false, LeadsTo::Restored, false, false) };
    assert_eq!(commands_of("Recovered", &gone), ["rewind status r-1"]);
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
    let unreadable = RecoveryRecord { unreadable: vec!["plan cannot be read".into()], ..record("Running") };
    let standing =
        Standing::of(&unreadable, &World { records: Vec::new(), ..world(true, LeadsTo::Source, false, false) });
    assert_eq!(standing.traffic, [""; 0]);
    assert!(standing.brief.starts_with("traffic: not seen;"), "{}", standing.brief);
    assert_eq!(standing.unseen, ["where the traffic is: the record of the plan cannot be read"]);
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
        seen(prop::option::of(
            prop::option::of(Just("2026-11-24T10:50:00Z".to_owned())).prop_map(|keep_until| ClusterSeen {
                status: "available".into(),
                keep_until,
                marked_fenced: false,
            }),
        ))
    };
    let fences = seen((any::<bool>(), any::<bool>()).prop_map(|(source, restored)| FencesSeen { source, restored }));
    let lease = seen(prop::option::of(Just(LeaseSeen { holder: "r-2".into(), until: Timestamp::UNIX_EPOCH })));
    (seen(any::<bool>()), names, cluster(), cluster(), fences, lease).prop_map(
        |(runs, records, source, restored, fences, lease)| World { runs, records, source, restored, fences, lease },
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
        // Clients behind a fence are an outage, and nothing else is.
        let closed = world.fences.found().is_some_and(|fences| world.records.iter().any(|record| match record.leads.found() {
            Some(LeadsTo::Source) => fences.source,
            Some(LeadsTo::Restored) => fences.restored,
            _ => false,
        }));
        prop_assert_eq!(standing.outage.is_some(), closed);
    }
}
