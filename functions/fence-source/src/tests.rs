//! The fence's network layer and its record. What happens inside the database is held in rewind-db on real PostgreSQL, and
//! the whole step end to end.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fence_records::fake::FakeFenceRecords;
use rewind_aws::fixtures::{
    ManualClock, STARTED, mysql_source, plan, rds, rds_with_restored, recovery, restored, source,
};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::rds::{Instance, Member};
use rewind_aws::secrets::Login;
use rewind_core::timeouts;
use rewind_db::fence::Verification;
use rewind_db::{Network, Settings};
use std::sync::{Arc, Mutex};

struct NoSecrets;

impl Logins for NoSecrets {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Err(StepError::bug("nobody was to log in"))
    }
}

fn step(clusters: &FakeRds, groups: &[&str]) -> FenceSource<FakeRds, NoSecrets, FakeFenceRecords, ManualClock> {
    let network = Network::new(Settings::default()).unwrap();
    FenceSource {
        access: Access { clusters: clusters.clone(), secrets: NoSecrets, network },
        records: FakeFenceRecords::default(),
        clock: ManualClock::at(STARTED),
        fence_groups: groups.iter().map(|&group| group.to_owned()).collect(),
    }
}

/// The payload for one side of a recovery beside the source.
fn of_side(fence: FencedSide, restored: Option<Restored>) -> Input {
    Input { recovery: recovery(), plan: plan(), fence, restored, writes: None, holder: None, approval: None }
}

#[test]
fn people_have_to_approve_a_fence_of_the_source_and_no_other() {
    let plan = plan();
    for (fence, expected) in
        [(FencedSide::Source, Some((&plan, Some("signed")))), (FencedSide::Restored, None), (FencedSide::Inspect, None)]
    {
        let input = Input { approval: Some("signed".to_owned()), ..of_side(fence, None) };
        assert_eq!(input.to_approve(), expected, "{fence:?}");
    }
}

#[tokio::test]
async fn no_fence_goes_up_by_a_name_or_a_plan_that_nobody_is_asked_about() {
    let source_as_restored = Restored { cluster: "orders".to_owned(), ..restored() };
    let beside = |fence| Input { plan: Plan { dns: Vec::new(), ..plan() }, ..of_side(fence, Some(restored())) };
    for (input, why) in [
        (of_side(FencedSide::Restored, Some(source_as_restored)), "orders is not the restored cluster of the plan"),
        (beside(FencedSide::Source), "a plan that moves no traffic"),
        (beside(FencedSide::Restored), "a plan that moves no traffic"),
    ] {
        let rds = rds_with_restored();
        let error = step(&rds, &["sg-fence"]).run(input).await.unwrap_err();
        assert!(error.name == ErrorName::Bug && error.to_string().contains(why), "{error}");
        assert!(rds.changes().is_empty(), "{error}");
    }
}

/// It may have clients since, whatever the record of the recovery says that it was made for.
#[tokio::test]
async fn a_restored_cluster_that_another_recovery_has_adopted_is_not_fenced() {
    let rds = rds_with_restored();
    rds.edit("orders-r", |restored| {
        restored.tags.retain(|(key, _)| key != RECOVERY_TAG);
        restored.tags.push((RECOVERY_TAG.to_owned(), "operation-002".to_owned()));
    });
    let error = step(&rds, &["sg-fence"]).run(of_side(FencedSide::Restored, Some(restored()))).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RecordChanged, "{error}");
    assert!(error.to_string().contains("operation-002") && rds.changes().is_empty(), "{error}");
}

/// Whoever goes back to the source must not be kept from it by a cluster that takes no writes.
#[tokio::test]
async fn a_restored_cluster_that_is_gone_needs_no_fence_and_has_none_to_lift() {
    let input = || of_side(FencedSide::Restored, Some(restored()));
    let rds = rds_with_restored();
    let step = step(&rds, &["sg-fence"]);
    let fenced_cluster = step.cluster_to_fence(&input()).unwrap();
    let cluster = rds.find("orders-r").unwrap();
    step.record(&input(), &fenced_cluster, &cluster, &LoginState::default()).await.unwrap();
    rds.delete_elsewhere("orders-r");
    let fenced = step.run(input()).await.unwrap();
    assert_eq!((fenced.untouched, fenced.why.as_deref()), (Some(false), Some("orders-r is gone")));
    assert_eq!(step.undo(input()).await.unwrap().what, ["orders-r is gone, and its fence with it"]);
    assert_eq!(step.records.get("fenceRestored"), None);
    assert!(rds.changes().is_empty());
}

fn groups(rds: &FakeRds) -> Vec<String> {
    rds.find("orders").unwrap().security_groups
}

#[tokio::test]
async fn a_source_that_was_deleted_and_made_anew_is_not_fenced_and_gets_no_traffic_back() {
    for (fence, restored) in [(FencedSide::Source, None), (FencedSide::Restored, Some(restored()))] {
        let rds = rds_with_restored();
        rds.edit("orders", |source| source.resource_id = "cluster-ANEW".to_owned());
        let input = of_side(fence, restored);
        let error = step(&rds, &["sg-fence"]).run(input).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed);
        assert!(error.to_string().contains("deleted and made anew") && rds.changes().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn the_network_is_closed_once_and_opened_to_exactly_what_it_was() {
    let rds = rds();
    let step = step(&rds, &["sg-fence"]);
    let recorded = source().security_groups;
    assert!(step.close_network(&source()).await.unwrap().is_some());
    assert_eq!(groups(&rds), ["sg-fence"]);
    let now = rds.find("orders").unwrap();
    step.close_network(&now).await.unwrap();
    assert_eq!(rds.changes().len(), 1);
    assert_eq!(step.open_network(&now, &recorded).await.unwrap().len(), 1);
    assert_eq!(groups(&rds), recorded);
    let now = rds.find("orders").unwrap();
    assert!(step.open_network(&now, &recorded).await.unwrap().is_empty());
}

/// A backup lasts for hours at times, and keeps no group from being in force: judged by it, a fence would be given up, and its undo leave
/// clients out until it ends.
#[tokio::test]
async fn what_else_rds_does_with_the_cluster_keeps_no_group_from_being_in_force() {
    for status in ["backing-up", "storage-optimization", "configuring-iam-database-auth"] {
        let rds = rds();
        rds.edit("orders", |cluster| cluster.status = status.to_owned());
        let busy = rds.find("orders").unwrap();
        let step = step(&rds, &["sg-fence"]);
        assert!(step.close_network(&busy).await.unwrap().is_some(), "{status}");
        let now = rds.find("orders").unwrap();
        assert_eq!(step.open_network(&now, &busy.security_groups).await.unwrap().len(), 1, "{status}");
        assert_eq!(groups(&rds), busy.security_groups, "{status}");
    }
    // The change itself may be what RDS is at work on.
    let rds = rds();
    rds.edit("orders", |cluster| cluster.status = "modifying".to_owned());
    let error = step(&rds, &["sg-fence"]).close_network(&source()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_groups_that_the_cluster_has() {
    let rds = rds();
    rds.lose(0, Lose::Answer);
    assert!(step(&rds, &["sg-fence"]).close_network(&source()).await.unwrap().is_some());
    let lost = rewind_aws::fixtures::rds();
    lost.lose(0, Lose::Call);
    let step = step(&lost, &["sg-fence"]);
    let began = step.clock.now();
    let error = step.close_network(&source()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    // Clients wait inside the outage: not as long as for groups that are being changed.
    let waited = Duration::try_from(step.clock.now().duration_since(began)).unwrap();
    assert!(waited <= timeouts::CHANGE_IS_NAMED + timeouts::POLL_SHORTEST, "{waited:?}");
}

#[tokio::test]
async fn a_group_that_is_not_in_force_yet_is_waited_for_by_a_second_run_too() {
    let rds = rds();
    rds.edit("orders", |cluster| {
        cluster.security_groups = vec!["sg-fence".to_owned()];
        cluster.security_groups_changing = true;
    });
    let adding = rds.find("orders").unwrap();
    let error = step(&rds, &["sg-fence"]).close_network(&adding).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn without_groups_of_its_own_the_network_is_left_alone() {
    let rds = rds();
    assert_eq!(step(&rds, &[]).close_network(&source()).await.unwrap(), None);
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn an_undo_without_a_record_touches_nothing_and_logs_in_nowhere() {
    let rds = rds();
    let input = of_side(FencedSide::Source, None);
    assert_eq!(step(&rds, &["sg-fence"]).undo(input).await.unwrap(), Undone::nothing());
    assert!(rds.changes().is_empty());
}

#[test]
fn an_incomplete_fence_names_the_open_login_and_how_to_close_it() {
    let verification = Verification {
        closed: vec!["shop".to_owned()],
        open: vec![rewind_db::fence::OpenLogin { name: "legacy".to_owned(), why: "app may log in".to_owned() }],
        ..Verification::default()
    };
    let error = errors::incomplete(&source(), false, &verification).to_string();
    assert!(error.contains("legacy (app may log in)") && error.contains("FenceSecurityGroupIds"), "{error}");
    let error = errors::incomplete(&mysql_source(), false, &verification).to_string();
    assert!(error.contains("legacy (app may log in)") && !error.contains("database"), "{error}");
}

#[test]
fn an_open_login_is_closed_by_the_network_unless_the_data_api_passes_it() {
    let open = vec![rewind_db::fence::OpenLogin { name: "legacy".to_owned(), why: "app may log in".to_owned() }];
    let inner = |open: &[rewind_db::fence::OpenLogin]| DatabaseLayers {
        logins: Some(Verification { open: open.to_vec(), ..Verification::default() }),
        fenced: rewind_db::fence::Fenced::default(),
    };
    for cluster in [source(), mysql_source()] {
        let without = Cluster { data_api: false, ..cluster.clone() };
        assert!(refuse_open_fence(&without, Some("only sg-fence admitted"), &inner(&open)).is_ok());
        assert!(refuse_open_fence(&without, None, &inner(&open)).is_err());
        let with = Cluster { data_api: true, ..cluster };
        assert!(refuse_open_fence(&with, Some("only sg-fence admitted"), &inner(&[])).is_ok());
        let error = refuse_open_fence(&with, Some("only sg-fence admitted"), &inner(&open)).unwrap_err().to_string();
        for message in ["legacy (app may log in)", "through the Data API", "disable-http-endpoint --resource-arn arn:"]
        {
            assert!(error.contains(message), "{error}\nlacks {message}");
        }
    }
}

#[tokio::test]
async fn in_place_without_a_network_layer_is_refused_before_anybody_logs_in() {
    let rds = rds();
    let mut plan = plan();
    plan.strategy = Strategy::Backtrack;
    let input = Input {
        recovery: recovery(),
        plan,
        fence: FencedSide::Source,
        restored: None,
        writes: None,
        holder: None,
        approval: None,
    };
    let error = step(&rds, &[]).run(input).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn an_undo_with_no_login_to_put_back_opens_the_network_and_logs_in_nowhere() {
    let rds = rds();
    let step = step(&rds, &["sg-fence"]);
    let input = of_side(FencedSide::Source, None);
    let fenced_cluster = step.cluster_to_fence(&input).unwrap();
    step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.unwrap();
    step.close_network(&source()).await.unwrap();
    assert!(step.undo(input).await.unwrap().changed);
    assert_eq!(groups(&rds), source().security_groups);
}

#[tokio::test]
async fn a_fence_that_was_lifted_leaves_no_record_for_the_next_one_to_return_to() {
    let rds = rds_with_restored();
    let step = step(&rds, &["sg-fence"]);
    let input = || of_side(FencedSide::Restored, Some(restored()));
    let fenced_cluster = step.cluster_to_fence(&input()).unwrap();
    for groups in [&["sg-orders"][..], &["sg-new", "sg-other"][..]] {
        // Between two undos people give the cluster, which has the traffic, other groups.
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        rds.edit("orders-r", |cluster| cluster.security_groups.clone_from(&groups));
        let now = || rds.find("orders-r").unwrap();
        step.record(&input(), &fenced_cluster, &now(), &LoginState::default()).await.unwrap();
        step.close_network(&now()).await.unwrap();
        step.undo(input()).await.unwrap();
        assert_eq!(now().security_groups, groups);
        assert_eq!(step.records.get("fenceRestored"), None);
    }
}

#[tokio::test]
async fn a_run_that_outlived_its_state_does_not_fence_again_behind_the_undo() {
    let rds = rds();
    let step = step(&rds, &["sg-fence"]);
    let input = || Input {
        recovery: recovery(),
        plan: plan(),
        fence: FencedSide::Source,
        restored: None,
        writes: None,
        holder: None,
        approval: None,
    };
    let fenced_cluster = step.cluster_to_fence(&input()).unwrap();
    step.record(&input(), &fenced_cluster, &source(), &LoginState::default()).await.unwrap();
    step.undo(input()).await.unwrap();
    // The lease is held until the recovery has ended, so that alone would let it in.
    let error = step.record(&input(), &fenced_cluster, &source(), &LoginState::default()).await.unwrap_err();
    assert!(error.to_string().contains("was lifted already") && rds.changes().is_empty(), "{error}");
}

#[tokio::test]
async fn without_the_lease_nothing_is_recorded_and_so_nothing_fenced() {
    let rds = rds();
    let step = step(&rds, &["sg-fence"]);
    let mut input = of_side(FencedSide::Source, None);
    let fenced_cluster = step.cluster_to_fence(&input).unwrap();
    step.records.lease_to("a-later-one");
    let error = step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.unwrap_err();
    assert_eq!((error.name, step.records.get("fence")), (ErrorName::LeaseHeld, None));
    // Of the source that is its recovery, whoever the payload names.
    input.holder = Some("a-later-one".to_owned());
    let error = step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.unwrap_err();
    assert_eq!((error.name, step.records.get("fence")), (ErrorName::LeaseHeld, None));
    // An undo fences the restored cluster for the recovery that it undoes, and holds the lease itself.
    let input = Input { holder: input.holder, ..of_side(FencedSide::Restored, Some(restored())) };
    let fenced_cluster = step.cluster_to_fence(&input).unwrap();
    step.records.lease_to("a-later-one");
    assert!(step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.is_ok());
    // What is recorded belongs to a fence of its own, whoever has the lease.
    step.records.lease_to("one-more");
    assert!(step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.is_ok());
}

#[tokio::test]
async fn the_fence_of_somebody_else_is_no_state_to_return_to() {
    let rds = rds();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    let step = step(&rds, &["sg-fence"]);
    let input = of_side(FencedSide::Source, None);
    let fenced_cluster = step.cluster_to_fence(&input).unwrap();
    let fenced = rds.find("orders").unwrap();
    let error = step.record(&input, &fenced_cluster, &fenced, &LoginState::default()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("this recovery did not fence it; nothing was fenced; next step: "), "{error}");
    assert_eq!(step.records.get("fence"), None);
    // An own record makes it a fence of its own: a repetition of the step.
    step.record(&input, &fenced_cluster, &source(), &LoginState::default()).await.unwrap();
    assert!(step.record(&input, &fenced_cluster, &fenced, &LoginState::default()).await.is_ok());
}

/// One login for every cluster.
struct OneLogin;

impl Logins for OneLogin {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(vec![Login { user: Some("u".to_owned()), password: "p".to_owned(), version: "v".to_owned() }])
    }
}

#[test]
fn all_readers_are_asked_at_the_same_time_and_those_that_hang_hold_nobody_up() {
    use rewind_clock::invocation;
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};
    // Servers that take a connection, and never say a word.
    let first = TcpListener::bind("127.0.0.31:0").unwrap();
    let port = first.local_addr().unwrap().port();
    let others = (32..46).map(|n| TcpListener::bind(format!("127.0.0.{n}:{port}")).unwrap());
    let listeners: Vec<TcpListener> = [first].into_iter().chain(others).collect();
    let (_, mut instances) = rds().everything();
    instances.retain(|(cluster, _)| cluster == "orders");
    let like = instances[0].1.clone();
    instances.extend(listeners.iter().enumerate().map(|(n, listener)| {
        let endpoint = Some(listener.local_addr().unwrap().ip().to_string());
        ("orders".to_owned(), Instance { name: format!("hangs-{n}"), endpoint, ..like.clone() })
    }));
    let mut cluster = source();
    cluster.port = Some(i32::from(port));
    let readers = instances.iter().map(|(_, instance)| Member { instance: instance.name.clone(), writer: false });
    cluster.members = readers.collect();
    instances.retain(|(_, instance)| instance.name.starts_with("hangs-"));
    let rds = FakeRds::with(vec![cluster.clone()], instances);
    let network = Network::new(Settings::default()).unwrap();
    let access = Access { clusters: rds, secrets: OneLogin, network };
    let step = FenceSource {
        access,
        records: FakeFenceRecords::default(),
        clock: ManualClock::at(STARTED),
        fence_groups: Vec::new(),
    };
    let input = of_side(FencedSide::Source, None);
    let fenced_cluster = step.cluster_to_fence(&input).unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    for (n, listener) in listeners.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; 8]).unwrap();
            sender.send((Instant::now(), n)).unwrap();
            // Held open until the other side is tired of it.
            drop(connection.read(&mut [0; 1]));
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let readers = invocation(Duration::from_secs(6), step.terminate_reader_sessions(&input, &fenced_cluster, &cluster));
    let did = runtime.block_on(readers).expect("it ends within the invocation").did.unwrap();
    let mut asked: Vec<(Instant, usize)> = asked.try_iter().collect();
    asked.sort_unstable();
    assert_eq!(asked.len(), 15, "{did}");
    // One after another, each would have begun when the one before it was given up.
    let apart = asked[14].0.duration_since(asked[0].0);
    assert!(apart < Duration::from_secs(3), "they were asked within {apart:?}");
    assert_eq!(did.matches("may still have some").count(), 15, "{did}");
}

/// A secret that tells which moment's versions were asked for.
#[derive(Clone, Default)]
struct Moments(Arc<Mutex<Vec<Timestamp>>>);

impl Logins for Moments {
    async fn logins(&self, _: &str, moment: Timestamp) -> AwsResult<Vec<Login>> {
        self.0.lock().unwrap().push(moment);
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_secret_that_is_rotated_on_with_another_cluster_is_read_as_of_its_own_moment() {
    let (moments, network) = (Moments::default(), Network::new(Settings::default()).unwrap());
    let access = Access { clusters: rds(), secrets: moments.clone(), network };
    let (now, of_the_first) = (Timestamp::MAX, "2026-11-20T10:00:00Z".parse().unwrap());
    let mut plan = plan();
    let source = Cluster { master_secret: None, ..source() };
    access.credentials(&source, &plan, now).await.unwrap();
    plan.secret_moment = Some(of_the_first);
    access.credentials(&source, &plan, now).await.unwrap();
    assert_eq!(*moments.0.lock().unwrap(), [now, of_the_first]);
}
