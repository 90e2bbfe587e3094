//! People are notified once of the same proposal, and the token that is kept is always the latest.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{in_place_plan, plan, recovery, restored, time};
use rewind_core::{Check, CheckResult, Expectation, Login, Report, Tls};
use std::sync::Mutex;

/// The table: the approval that is kept, and the hash that people were told.
#[derive(Default)]
struct Table(Mutex<Option<PendingApproval>>, Mutex<Option<String>>);

impl Approvals for &Table {
    async fn keep(&self, _: &str, approval: &PendingApproval) -> AwsResult<Option<String>> {
        *self.0.lock().unwrap() = Some(approval.clone());
        Ok(self.1.lock().unwrap().clone())
    }

    async fn mark_notified(&self, _: &str, hash: &str) -> AwsResult<()> {
        *self.1.lock().unwrap() = Some(hash.to_owned());
        Ok(())
    }
}

/// The topic: the mails that were sent, true to fail the next one, and its subscribers.
#[derive(Default)]
struct FakeTopic(Mutex<Vec<(String, String)>>, Mutex<bool>, Subscribed);

/// True where somebody is subscribed.
struct Subscribed(AwsResult<bool>);

impl Default for Subscribed {
    fn default() -> Self {
        Self(Ok(true))
    }
}

impl Notify for &FakeTopic {
    async fn notify(&self, subject: &str, message: &str) -> AwsResult<()> {
        if std::mem::take(&mut *self.1.lock().unwrap()) {
            return Err(StepError::new(rewind_core::ErrorName::Throttled, "not now"));
        }
        self.0.lock().unwrap().push((subject.to_owned(), message.to_owned()));
        Ok(())
    }

    async fn is_heard(&self) -> AwsResult<bool> {
        self.2.0.clone()
    }
}

fn input(token: &str) -> Input {
    let login = Login { user: "postgres".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
    let check = Check {
        name: "rows are back".to_owned(),
        database: "shop".to_owned(),
        sql: "SELECT count(*) FROM orders".to_owned(),
        expectation: Expectation::Expect("2".to_owned()),
    };
    let answer = |value: &str| rewind_core::QueryResult { value: Ok(Some(value.to_owned())), seconds: 0.1 };
    let result = CheckResult::judge(&check, answer("2"), Some(answer("0")));
    Input {
        last_refused: None,
        rejectable_until: None,
        recovery: recovery(),
        proposal: Proposal {
            plan: plan(),
            restored: Some(restored()),
            report: Some(Report::new(login, vec![result], Vec::new(), Vec::new())),
            differences: Vec::new(),
            comparison: None,
        },
        task_token: token.to_owned(),
        requested_at: time("2026-11-23T10:40:00Z"),
    }
}

#[tokio::test]
async fn a_fresh_token_is_kept_and_nobody_is_notified_twice() {
    let (table, topic) = (Table::default(), FakeTopic::default());
    let step = RequestApproval { approvals: &table, topic: &topic };
    assert!(step.run(input("first")).await.unwrap().notified);
    assert!(!step.run(input("second")).await.unwrap().notified);
    // Each slice has a token of its own, and a decision sent with an older one reaches nobody.
    let kept = table.0.lock().unwrap().clone().unwrap();
    assert_eq!((kept.task_token.as_str(), kept.expires_at), ("second", time("2026-11-23T11:40:00Z")));
    assert_eq!(topic.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_that_waits_to_be_confirmed_can_be_rejected_past_the_time_to_decide_and_never_for_less_of_it() {
    for (until, expires) in
        [("2026-11-23T12:39:00Z", "2026-11-23T12:39:00Z"), ("2026-11-23T11:00:00Z", "2026-11-23T11:40:00Z")]
    {
        let (table, topic) = (Table::default(), FakeTopic::default());
        let step = RequestApproval { approvals: &table, topic: &topic };
        step.run(Input { rejectable_until: Some(time(until)), ..input("a") }).await.unwrap();
        assert_eq!(table.0.lock().unwrap().clone().unwrap().expires_at, time(expires));
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_sent_is_sent_by_the_next_run() {
    let (table, topic) = (Table::default(), FakeTopic::default());
    // The token is kept by then, but not the hash: so the next slice knows that nobody was notified.
    *topic.1.lock().unwrap() = true;
    let step = RequestApproval { approvals: &table, topic: &topic };
    assert!(step.run(input("a")).await.is_err());
    assert!(step.run(input("b")).await.unwrap().notified);
    assert_eq!(topic.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn approvers_are_notified_again_when_the_proposal_has_changed() {
    let (table, topic) = (Table::default(), FakeTopic::default());
    let step = RequestApproval { approvals: &table, topic: &topic };
    let first = step.run(input("a")).await.unwrap();
    let mut changed = input("b");
    changed.proposal.report.as_mut().unwrap().notes.push("something new".to_owned());
    let second = step.run(changed).await.unwrap();
    assert_ne!(first.hash, second.hash);
    assert_eq!(topic.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_message_holds_what_one_needs_to_decide_and_never_the_token() {
    let (table, topic) = (Table::default(), FakeTopic::default());
    let step = RequestApproval { approvals: &table, topic: &topic };
    let hash = step.run(input("secret-token")).await.unwrap().hash;
    let sent = topic.0.lock().unwrap().clone();
    let (subject, text) = &sent[0];
    assert!(subject.contains("operation-001") && subject.contains("orders"));
    for part in [
        hash.as_str(),
        "  + check \"rows are back\" in shop passed\n",
        "  all of it        rewind status operation-001\n",
        "traffic is still on the source",
        "orders is fenced, and db.example.com and 1 more move to orders-r",
        "what was written to orders after 2026-11-23T10:30:00Z is not on orders-r",
        "Decide until 2026-11-23T11:40:00Z",
        &format!("\n  - rewind approve operation-001 --hash {hash}\n  - rewind reject operation-001\n"),
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // A mail is forwarded, and whoever has the token can approve without any permission.
    assert!(!text.contains("secret-token"));
}

#[tokio::test]
async fn in_place_the_message_names_cut_connections_and_removed_writes_before_anything_is_changed() {
    let (table, topic) = (Table::default(), FakeTopic::default());
    let step = RequestApproval { approvals: &table, topic: &topic };
    let proposal =
        Proposal { plan: in_place_plan(), restored: None, report: None, differences: Vec::new(), comparison: None };
    let mut in_place = Input { proposal, ..input("secret-token") };
    in_place.proposal.plan.warnings = vec!["binary logging is on".to_owned()];
    let hash = step.run(in_place).await.unwrap().hash;
    let sent = topic.0.lock().unwrap().clone();
    let (subject, text) = &sent[0];
    assert_eq!(subject, "Approve operation-001? orders back to 2026-11-23T10:30:00Z, in place");
    for part in [
        hash.as_str(),
        "orders itself is rewound to 2026-11-23T10:30:00Z",
        "Nothing has been changed yet.",
        "every connection to orders is cut",
        "what was written to orders after 2026-11-23T10:30:00Z is no longer on it: it stays on orders-e",
        "! to read before: 1 warning\n",
        "if you reject    nothing is changed\n",
        "Decide until 2026-11-23T11:40:00Z",
        &format!("\n  - rewind approve operation-001 --hash {hash}\n  - rewind reject operation-001\n"),
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("secret-token"));
}

#[tokio::test]
async fn a_topic_without_subscribers_is_reported_and_not_knowing_stops_nothing() {
    // The permission to read the topic may be missing too, and people were notified all the same.
    let blind = StepError::new(rewind_core::ErrorName::Unavailable, "no answer");
    for (subscribed, heard) in [(Ok(true), Some(true)), (Ok(false), Some(false)), (Err(blind), None)] {
        let (table, topic) = (Table::default(), FakeTopic(Mutex::default(), Mutex::default(), Subscribed(subscribed)));
        let step = RequestApproval { approvals: &table, topic: &topic };
        let output = step.run(input("one")).await.unwrap();
        assert_eq!((output.notified, output.heard), (true, heard));
        // The next slice tells nobody again, and asks nobody.
        assert_eq!(step.run(input("two")).await.unwrap().heard, None);
    }
}
