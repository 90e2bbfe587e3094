//! The fence's network layer and its record. What happens inside the database is held in rewind-db on real PostgreSQL, and
//! the whole step end to end.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fence_periods::FencePeriod;
use rewind_aws::fixtures::{
    ManualClock, STARTED, mysql_source, plan, rds, rds_with_restored, recovery, restored, source,
};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::rds::{Instance, Member};
use rewind_aws::secrets::Login;
use rewind_db::fence::Verification;
use rewind_db::{Network, Settings};
use serde_json::Value;

struct NoSecrets;

impl Logins for NoSecrets {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Err(StepError::bug("nobody was to log in"))
    }
}

struct NothingRecorded;

impl Notes for NothingRecorded {
    async fn note(&self, _: &str, _: &str) -> AwsResult<Option<Value>> {
        Ok(None)
    }
    async fn note_once(&self, _: &str, _: &str, value: &Value) -> AwsResult<Value> {
        Ok(value.clone())
    }
    async fn note_again(&self, _: &str, _: &str, _: &Value) -> AwsResult<()> {
        Ok(())
    }
    async fn forget(&self, _: &str, _: &str) -> AwsResult<()> {
        Ok(())
    }
}

impl FencePeriods for NothingRecorded {
    async fn begin(&self, _: &str, _: &str, _: Timestamp) -> AwsResult<()> {
        Ok(())
    }
    async fn end(&self, _: &str, _: &str, _: Timestamp) -> AwsResult<()> {
        Ok(())
    }
    async fn periods(&self, _: &str) -> AwsResult<Vec<FencePeriod>> {
        Ok(Vec::new())
    }
}

fn step(clusters: &FakeRds, groups: &[&str]) -> FenceSource<FakeRds, NoSecrets, NothingRecorded, ManualClock> {
    let network = Network::new(Settings::default()).unwrap();
    FenceSource {
        access: Access { clusters: clusters.clone(), secrets: NoSecrets, network },
        notes: NothingRecorded,
        clock: ManualClock::at(STARTED),
        fence_groups: groups.iter().map(|&group| group.to_owned()).collect(),
    }
}

fn groups(rds: &FakeRds) -> Vec<String> {
    rds.find("orders").unwrap().security_groups
}

#[tokio::test]
async fn a_source_that_was_deleted_and_made_anew_is_not_fenced_and_gets_no_traffic_back() {
    for (fence, restored) in [(FencedSide::Source, None), (FencedSide::Restored, Some(restored()))] {
        let rds = rds_with_restored();
        rds.edit("orders", |source| source.resource_id = "cluster-ANEW".to_owned());
        let input = Input { recovery: recovery(), plan: plan(), restored, fence, writes: None };
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

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_groups_that_the_cluster_has() {
    let rds = rds();
    rds.lose(0, Lose::Answer);
    assert!(step(&rds, &["sg-fence"]).close_network(&source()).await.unwrap().is_some());
    let lost = rewind_aws::fixtures::rds();
    lost.lose(0, Lose::Call);
    let error = step(&lost, &["sg-fence"]).close_network(&source()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
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
    let input = Input { recovery: recovery(), plan: plan(), fence: FencedSide::Source, restored: None, writes: None };
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
    let input = Input { recovery: recovery(), plan, fence: FencedSide::Source, restored: None, writes: None };
    let error = step(&rds, &[]).run(input).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert!(rds.changes().is_empty());
}

/// The record that a fence in place leaves.
struct NetworkRecorded;

impl Notes for NetworkRecorded {
    async fn note(&self, _: &str, _: &str) -> AwsResult<Option<Value>> {
        Ok(Some(serde_json::json!({ "securityGroups": source().security_groups, "logins": {} })))
    }
    async fn note_once(&self, _: &str, _: &str, value: &Value) -> AwsResult<Value> {
        Ok(value.clone())
    }
    async fn note_again(&self, _: &str, _: &str, _: &Value) -> AwsResult<()> {
        Ok(())
    }
    async fn forget(&self, _: &str, _: &str) -> AwsResult<()> {
        Ok(())
    }
}

impl FencePeriods for NetworkRecorded {
    async fn begin(&self, _: &str, _: &str, _: Timestamp) -> AwsResult<()> {
        Ok(())
    }
    async fn end(&self, _: &str, _: &str, _: Timestamp) -> AwsResult<()> {
        Ok(())
    }
    async fn periods(&self, _: &str) -> AwsResult<Vec<FencePeriod>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn an_undo_with_no_login_to_put_back_opens_the_network_and_logs_in_nowhere() {
    let rds = rds();
    step(&rds, &["sg-fence"]).close_network(&source()).await.unwrap();
    let FenceSource { access, clock, fence_groups, .. } = step(&rds, &["sg-fence"]);
    let step = FenceSource { access, notes: NetworkRecorded, clock, fence_groups };
    let input = Input { recovery: recovery(), plan: plan(), fence: FencedSide::Source, restored: None, writes: None };
    assert!(step.undo(input).await.unwrap().changed);
    assert_eq!(groups(&rds), source().security_groups);
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
    let step =
        FenceSource { access, notes: NothingRecorded, clock: ManualClock::at(STARTED), fence_groups: Vec::new() };
    let input = Input { recovery: recovery(), plan: plan(), fence: FencedSide::Source, restored: None, writes: None };
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
