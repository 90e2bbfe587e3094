//! The wait before anybody is asked by name: the old TTL from INSYNC on, and never less. Who answers by name is held end
//! to end, on real databases.

use super::connect_by_name::behind;
use super::led::{Servers, led};
use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds, recovery, restored, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::Login;
use rewind_core::{Endpoint, MovedRecord};
use rewind_db::{Network, ServerIdentity, Settings};

struct NoSecrets;

impl Logins for NoSecrets {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Err(StepError::bug("nobody was to log in"))
    }
}

fn step() -> ConfirmCutover<FakeRds, NoSecrets, ManualClock> {
    let network = Network::new(Settings::default()).unwrap();
    ConfirmCutover {
        access: Access { clusters: rds(), secrets: NoSecrets, network },
        clock: ManualClock::at(STARTED),
        polling: Polling::default(),
        fence_groups: Vec::new(),
    }
}

fn input(swapped_at: &str, in_sync_at: Option<&str>) -> Input {
    let record = |ttl| MovedRecord { name: "db".to_owned(), from: "a".to_owned(), to: "b".to_owned(), ttl };
    Input {
        recovery: recovery(),
        plan: plan(),
        restored: restored(),
        swap: Swap {
            change_id: Some("C1".to_owned()),
            hosted_zone_id: Some("Z1".to_owned()),
            swapped_at: time(swapped_at),
            // Two TTLs: the longer one decides, for a client may use both names.
            records: vec![record(5), record(60)],
            edited: Vec::new(),
        },
        in_sync_at: in_sync_at.map(time),
        toward: Toward::Restored,
    }
}

#[tokio::test]
async fn nobody_is_asked_before_the_longest_old_ttl_has_passed_since_insync() {
    let output = step().run(input("2026-11-23T10:34:00Z", Some("2026-11-23T10:34:30Z"))).await.unwrap();
    // 60 s from 10:34:30 are 30 s from now, and one second for the fraction that was cut off.
    assert_eq!((output.confirmed, output.wait_seconds), (false, 31));
    assert_eq!(output.in_sync_at, Some(time("2026-11-23T10:34:30Z")));
}

#[tokio::test]
async fn a_change_that_nobody_could_ask_about_is_given_a_minute_to_spread() {
    let output = step().run(input(STARTED, None)).await.unwrap();
    assert_eq!(output.in_sync_at, Some(time("2026-11-23T10:36:00Z")));
    assert_eq!((output.confirmed, output.wait_seconds), (false, 121));
}

#[tokio::test]
async fn a_name_is_asked_for_once_the_old_ttl_has_passed() {
    for (swapped_at, in_sync_at) in
        [("2026-11-23T10:33:00Z", Some("2026-11-23T10:34:00Z")), ("2026-11-23T10:33:00Z", None)]
    {
        let error = step().run(input(swapped_at, in_sync_at)).await.unwrap_err();
        // The fake RDS has no restored cluster: this error shows that the wait is over and somebody is asked.
        assert!(error.to_string().contains("orders-r"), "{error}");
    }
}

#[tokio::test]
async fn without_records_there_is_nothing_to_confirm() {
    let mut input = input(STARTED, None);
    input.swap.records.clear();
    assert!(step().run(input).await.unwrap().confirmed);
}

fn reached(name: &str, led: Led) -> ReachedServer {
    ReachedServer { name: name.to_owned(), server: "the server".to_owned(), matches: led == Led::There, led }
}

#[test]
fn only_a_name_that_leads_elsewhere_is_an_error_and_what_cannot_be_seen_is_told() {
    let there = reached("good", Led::There);
    let unseen = reached("dark", Led::Unseen("connection refused".to_owned()));
    let wrong = reached("bad", Led::Elsewhere("the old one".to_owned()));
    let at = time(STARTED);
    let output = judge(vec![there.clone()], at, Toward::Restored).unwrap();
    assert_eq!((output.confirmed, output.wait_seconds, output.unseen.len()), (true, 0, 0));
    let output = judge(vec![there.clone(), unseen.clone()], at, Toward::Restored).unwrap();
    assert_eq!((output.confirmed, output.unseen), (false, vec!["dark: connection refused".to_owned()]));
    // Asked for again soon, and not after no time at all.
    assert!(output.wait_seconds > 0);
    let error = judge(vec![there, unseen, wrong], at, Toward::Restored).unwrap_err();
    assert_eq!(error.name, ErrorName::RecordChanged);
    let error = error.to_string();
    assert!(
        error.contains("bad leads to the old one") && !error.contains("good") && !error.contains("dark"),
        "{error}"
    );
}

#[test]
fn after_an_undo_a_name_that_leads_elsewhere_is_told_and_asked_for_again() {
    let there = reached("good", Led::There);
    let wrong = reached("bad", Led::Elsewhere("the restored one".to_owned()));
    let output = judge(vec![there.clone(), wrong], time(STARTED), Toward::Source).unwrap();
    assert_eq!((output.confirmed, output.elsewhere), (false, vec!["bad leads to the restored one".to_owned()]));
    assert!(output.wait_seconds > 0);
    assert!(judge(vec![there], time(STARTED), Toward::Source).unwrap().confirmed);
}

#[tokio::test]
async fn after_an_undo_the_source_is_asked_for_and_by_the_hosts_that_its_records_had() {
    let mut input = input("2026-11-23T10:33:00Z", None);
    input.toward = Toward::Source;
    input.plan.dns[0].from = "Orders.cluster-x.example.com.".to_owned();
    assert_eq!(input.host(&input.plan.dns[0]), "Orders.cluster-x.example.com");
    let (meant, fenced) = input.sides(time(STARTED));
    assert_eq!((meant.cluster, meant.moment), ("orders", time(STARTED)));
    assert_eq!((fenced.cluster, fenced.moment), (input.restored.cluster.as_str(), input.restored.rewound_to));
    // The fake RDS has the source, and nobody has its login.
    let error = step().run(input).await.unwrap_err();
    assert!(error.to_string().contains("nobody was to log in"), "{error}");
}

fn server(address: &str, in_recovery: bool) -> ServerIdentity {
    ServerIdentity { server: address.to_owned(), started_at: "10:00:00Z".to_owned(), in_recovery }
}

fn seen(servers: &[ServerIdentity]) -> Servers {
    Servers { seen: servers.to_vec(), unseen: Vec::new() }
}

#[test]
fn a_name_leads_elsewhere_only_if_every_server_of_the_restored_cluster_is_known_and_it_is_none() {
    let (writer, reader, old) = (server("w", false), server("r", true), server("old", false));
    let none = Servers::default();
    assert_eq!(led(Endpoint::Writer, &writer, &seen(std::slice::from_ref(&writer)), &none), Led::There);
    let meant = seen(std::slice::from_ref(&writer));
    let others = seen(std::slice::from_ref(&reader));
    assert!(matches!(led(Endpoint::Writer, &old, &meant, &others), Led::Elsewhere(_)));
    // The instance that did not answer may be the very one that the name leads to.
    let dark = Servers { seen: vec![writer.clone()], unseen: vec!["orders-r-2: refused".to_owned()] };
    assert!(matches!(led(Endpoint::Writer, &old, &dark, &none), Led::Unseen(why) if why.contains("orders-r-2")));
    assert!(matches!(led(Endpoint::Writer, &old, &meant, &dark), Led::Unseen(_)));
    // Nobody answered at all: nothing is known.
    assert!(matches!(led(Endpoint::Writer, &old, &none, &none), Led::Unseen(_)));
}

#[test]
fn a_server_of_the_restored_cluster_is_never_elsewhere() {
    let (writer, reader) = (server("w", false), server("r", true));
    let (writers, readers) = (seen(std::slice::from_ref(&writer)), seen(std::slice::from_ref(&reader)));
    // While its readers restart, Aurora's reader endpoint leads to the writer.
    assert_eq!(led(Endpoint::Reader, &writer, &readers, &writers), Led::There);
    // During a failover the writer's name leads to a server that takes no writes yet.
    assert!(matches!(led(Endpoint::Writer, &reader, &writers, &readers), Led::Unseen(_)));
    assert!(matches!(led(Endpoint::Writer, &reader, &readers, &writers), Led::Unseen(_)));
}

#[test]
fn only_instances_that_a_record_of_its_kind_leads_to_are_meant() {
    let mut cluster = rewind_aws::fixtures::source();
    let instances: Vec<_> = rewind_aws::fixtures::instances().into_iter().map(|(_, instance)| instance).collect();
    let names = |found: &[&rewind_aws::rds::Instance]| found.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    let (meant, others) = behind(Endpoint::Writer, &cluster, &instances);
    assert_eq!((names(&meant), names(&others)), (vec!["orders-1".to_owned()], vec!["orders-2".to_owned()]));
    let (meant, _) = behind(Endpoint::Reader, &cluster, &instances);
    assert_eq!(names(&meant), ["orders-2"]);
    cluster.members.retain(|member| member.writer);
    let (meant, others) = behind(Endpoint::Reader, &cluster, &instances[1..]);
    assert_eq!((names(&meant), names(&others)), (vec!["orders-1".to_owned()], Vec::new()));
}
