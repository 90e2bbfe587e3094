//! The wait before anybody is asked by name: the old TTL from INSYNC on, and never less. Who answers by name is held end
//! to end, on real databases.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds, recovery, restored, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::Login;
use rewind_core::MovedRecord;
use rewind_db::{Network, Settings};

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
            records: vec![record(5), record(60)],
        },
        in_sync_at: in_sync_at.map(time),
    }
}

#[tokio::test]
async fn nobody_is_asked_before_the_longest_old_ttl_has_passed_since_insync() {
    let output = step().run(input("2026-11-23T10:34:00Z", Some("2026-11-23T10:34:30Z"))).await.unwrap();
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
        assert!(error.to_string().contains("orders-r"), "{error}");
    }
}

#[tokio::test]
async fn without_records_there_is_nothing_to_confirm() {
    let mut input = input(STARTED, None);
    input.swap.records.clear();
    assert!(step().run(input).await.unwrap().confirmed);
}

#[test]
fn only_a_name_that_leads_elsewhere_is_in_the_error() {
    let reached =
        |name: &str, matches| ReachedServer { name: name.to_owned(), server: "the old one".to_owned(), matches };
    let error = wrong_server(&[reached("good", true), reached("bad", false)]);
    assert_eq!(error.name, ErrorName::RecordChanged);
    assert!(error.to_string().contains("bad leads to the old one") && !error.to_string().contains("good"), "{error}");
}
