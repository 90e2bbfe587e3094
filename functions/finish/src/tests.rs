//! The output says where everything is, and a second run says the same.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, TARGET, plan, rds, recovery, restored, time};
use rewind_core::{Login, Tls};

fn input() -> Input {
    let login = Login { user: "postgres".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
    let timings = [("ValidateWindow", "2026-11-23T10:35:00.5Z"), ("StartRestore", "2026-11-23T10:35:02Z")];
    Input {
        recovery: recovery(),
        plan: plan(),
        restored: restored(),
        report: Report::new(login, Vec::new(), Vec::new(), Vec::new()),
        differences: vec![Difference::new("w", "s", "r", "t")],
        fence: Some(Fence { fenced_at: time("2026-11-23T10:40:00Z"), sessions_ended: 3 }),
        swap: None,
        timings: timings.into_iter().map(|(state, at)| (state.to_owned(), time(at))).collect(),
    }
}

#[tokio::test]
async fn the_original_is_tagged_with_who_fenced_it_and_until_when_it_is_kept() {
    let rds = rds();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:41:00Z") };
    let first = step.run(input()).await.unwrap();
    let original = rds.look("orders").unwrap();
    assert_eq!(original.tag(FENCED_BY_TAG), Some("operation-001"));
    assert_eq!(original.tag(KEEP_UNTIL_TAG), Some("2026-11-30T10:40:00Z"));
    assert_eq!(original.tag("team"), Some("orders"));
    assert_eq!(step.run(input()).await.unwrap(), first);
    let lost = first.lost.unwrap();
    assert_eq!((lost.from, lost.to), (time(TARGET), time("2026-11-23T10:40:00Z")));
}

#[tokio::test]
async fn an_original_that_keeps_its_traffic_is_not_tagged() {
    let rds = rds();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED) };
    let output = step.run(Input { fence: None, ..input() }).await.unwrap();
    assert!(rds.changes().is_empty());
    assert_eq!((output.lost, output.original.keep_until), (None, None));
}

#[tokio::test]
async fn a_state_s_time_is_from_the_end_of_the_one_before_it() {
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:35:03Z") };
    let timings = step.run(input()).await.unwrap().timings;
    assert_eq!(
        serde_json::to_value(timings).unwrap(),
        serde_json::json!({
            "ValidateWindow": 0.5, "StartRestore": 1.5, "total": 3.0
        })
    );
}
