//! The waits before anybody is asked by name: INSYNC first, then the old TTL, and never less. Who answers by name is
//! held end to end, on real databases.

use super::*;
use rewind_aws::Answer;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds, recovery, restored, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::Login;
use rewind_core::MovedRecord;
use rewind_db::{Network, Settings};
use std::sync::atomic::{AtomicU32, Ordering};

struct NoSecrets;

impl Logins for NoSecrets {
    async fn logins(&self, _: &str, _: Timestamp) -> Answer<Vec<Login>> {
        Err(StepError::bug("nobody was to log in"))
    }
}

/// Answers PENDING so many times.
struct Pending(AtomicU32);

impl FollowChange for Pending {
    async fn in_sync(&self, _: &str) -> Answer<bool> {
        Ok(self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err())
    }
}

fn step(pending: u32) -> ConfirmCutover<FakeRds, NoSecrets, Pending, ManualClock> {
    let network = Network::new(Settings::default()).unwrap();
    ConfirmCutover {
        access: Access { clusters: rds(), secrets: NoSecrets, network },
        changes: Pending(AtomicU32::new(pending)),
        clock: ManualClock::at(STARTED),
        polling: Polling::default(),
    }
}

fn input(change_id: Option<&str>, in_sync_at: Option<&str>) -> Input {
    let record = |ttl| MovedRecord { name: "db".to_owned(), from: "a".to_owned(), to: "b".to_owned(), ttl };
    Input {
        recovery: recovery(),
        plan: plan(),
        restored: restored(),
        swap: Swap {
            change_id: change_id.map(ToOwned::to_owned),
            hosted_zone_id: Some("Z1".to_owned()),
            swapped_at: time(STARTED),
            records: vec![record(5), record(60)],
        },
        in_sync_at: in_sync_at.map(time),
    }
}

#[tokio::test]
async fn the_longest_old_ttl_is_waited_for_after_route_53_is_in_sync() {
    let output = step(3).run(input(Some("C1"), None)).await.unwrap();
    assert_eq!((output.confirmed, output.wait_seconds), (false, 60));
    assert!(output.in_sync_at.unwrap() > time(STARTED));
}

#[tokio::test]
async fn a_change_that_stays_pending_is_handed_back_without_a_time() {
    let output = step(u32::MAX).run(input(Some("C1"), None)).await.unwrap();
    assert_eq!((output.confirmed, output.in_sync_at), (false, None));
}

#[tokio::test]
async fn nobody_is_asked_before_the_old_ttl_has_passed() {
    let output = step(0).run(input(Some("C1"), Some("2026-11-23T10:34:30Z"))).await.unwrap();
    assert_eq!((output.confirmed, output.wait_seconds), (false, 31));
}

#[tokio::test]
async fn a_change_whose_id_was_lost_is_given_a_minute_to_spread() {
    let output = step(0).run(input(None, None)).await.unwrap();
    assert_eq!(output.in_sync_at, Some(time("2026-11-23T10:36:00Z")));
    assert_eq!(output.wait_seconds, 120);
}

#[tokio::test]
async fn without_records_there_is_nothing_to_confirm() {
    let mut input = input(None, None);
    input.swap.records.clear();
    assert!(step(0).run(input).await.unwrap().confirmed);
}

#[test]
fn only_a_name_that_leads_elsewhere_is_in_the_error() {
    let reached = |name: &str, matches| Reached { name: name.to_owned(), server: "the old one".to_owned(), matches };
    let error = elsewhere(&[reached("good", true), reached("bad", false)]);
    assert_eq!(error.name, ErrorName::RecordChanged);
    assert!(error.to_string().contains("bad leads to the old one") && !error.to_string().contains("good"), "{error}");
}
