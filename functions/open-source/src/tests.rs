//! Refused is whatever the recovery did not leave behind as it is; nothing is changed by that, and a close finds nothing to do.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, in_place_plan, plan, recovery, recovery_record, source, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::Login;
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, SAFETY_CLONE_OF_TAG};
use rewind_core::{ErrorName, FencesSeen, LeaseSeen, RecoveryRecord};
use rewind_db::{Network, Settings};
use serde_json::Value;
use std::sync::Mutex;

const NOW: &str = "2026-11-23T12:00:00Z";
const UNTIL: &str = "2026-11-23T13:00:00Z";

/// Secrets in memory: none logs in anywhere, so whatever passes the refusals ends there. The second field is the error of a deletion.
#[derive(Debug, Default)]
struct FakeSecrets(Mutex<Vec<String>>, Mutex<Option<ErrorName>>);

impl Logins for FakeSecrets {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(Vec::new())
    }
}

impl OpeningSecrets for FakeSecrets {
    async fn keep_opening_login(&self, name: &str, _: &str, _: &Value) -> AwsResult<String> {
        self.0.lock().unwrap().push(name.to_owned());
        Ok(name.to_owned())
    }
    async fn delete_opening_login(&self, name: &str) -> AwsResult<bool> {
        if let Some(name) = *self.1.lock().unwrap() {
            return Err(StepError::new(name, "secretsmanager:DeleteSecret was refused"));
        }
        let mut secrets = self.0.lock().unwrap();
        let before = secrets.len();
        secrets.retain(|secret| secret != name);
        Ok(secrets.len() < before)
    }
}

/// The record of the source's fence, and the openings that the item of the recovery records: what is open, and what was open last.
struct Table {
    fenced: bool,
    open: Option<Opening>,
    last: Option<Opening>,
}

impl ReadNotes for Table {
    async fn fences(&self, _: &str) -> AwsResult<FencesSeen> {
        Ok(FencesSeen { source: self.fenced, restored: false, source_lifted_at: None })
    }
    async fn lease(&self, _: &str) -> AwsResult<Option<LeaseSeen>> {
        Ok(None)
    }
}

impl Recoveries for Table {
    async fn recovery(&self, id: &str) -> AwsResult<Option<RecoveryRecord>> {
        let (opening, last_opening) = (self.open.clone(), self.last.clone());
        Ok((id == recovery().id).then(|| RecoveryRecord { opening, last_opening, ..recovery_record(&plan()) }))
    }
    async fn recoveries(&self) -> AwsResult<Vec<RecoveryRecord>> {
        Ok(Vec::new())
    }
}

type Fake = OpenSource<FakeRds, FakeSecrets, Table, ManualClock>;

fn step(clusters: &FakeRds, fenced: bool) -> Fake {
    let network = Network::new(Settings::default()).unwrap();
    OpenSource {
        access: Access { clusters: clusters.clone(), secrets: FakeSecrets::default(), network },
        notes: Table { fenced, open: Some(recorded(&input().opening)), last: None },
        clock: ManualClock::at(NOW),
        fence_groups: vec!["sg-fence".to_owned()],
        open_group: Some("sg-open".to_owned()),
    }
}

fn input() -> Input {
    let asked = Asked {
        id: format!("{}-open", recovery().id),
        from: "203.0.113.7".to_owned(),
        until: time(UNTIL),
        database: Some("shop".to_owned()),
    };
    Input { recovery: recovery(), plan: plan(), opening: asked }
}

/// The record of an opening.
fn recorded(asked: &Asked) -> Opening {
    let Asked { id, from, until, database } = asked.clone();
    Opening { id, by: "ann".to_owned(), from, until, database, at: None }
}

/// The source as its recovery left it.
fn fenced(edit: impl FnOnce(&mut Cluster)) -> FakeRds {
    let mut cluster = Cluster { security_groups: vec!["sg-fence".to_owned()], ..source() };
    cluster.tags.push((FENCED_BY_TAG.to_owned(), recovery().id));
    cluster.tags.push((KEEP_UNTIL_TAG.to_owned(), "2026-11-30T10:40:00Z".to_owned()));
    edit(&mut cluster);
    FakeRds::with(vec![cluster], Vec::new())
}

async fn refused(step: &Fake, clusters: &FakeRds, input: Input, why: &str) {
    let before = clusters.everything();
    let error = step.run(input).await.unwrap_err();
    let text = error.to_string();
    assert!(error.name == ErrorName::InvalidRequest && text.contains(why), "{why}: {text}");
    assert!(text.contains("nobody was let in") && text.contains("next step: ") || text.contains("give "), "{text}");
    assert_eq!(clusters.everything(), before, "{why}");
    assert_eq!(*step.access.secrets.0.lock().unwrap(), [""; 0], "{why}");
}

#[tokio::test]
async fn what_the_recovery_did_not_leave_behind_is_not_opened() {
    type Edit = fn(&mut Cluster);
    let cases: [(Edit, &str); 5] = [
        (|cluster| cluster.tags.retain(|(key, _)| key != FENCED_BY_TAG), "has no tag aurora-rewind:fenced-by"),
        (|cluster| cluster.tags[0].1 = "another".to_owned(), "is tagged another by"),
        (|cluster| cluster.security_groups = vec!["sg-app".to_owned()], "somebody has opened it already"),
        (|cluster| cluster.security_groups.push("sg-app".to_owned()), "somebody has opened it already"),
        (|cluster| cluster.tags[1].1 = "2026-11-23T12:30:00Z".to_owned(), "is kept until 2026-11-23T12:30:00Z"),
    ];
    for (edit, why) in cases {
        let clusters = fenced(|cluster| {
            cluster.tags.retain(|(key, _)| key.starts_with("aurora-rewind:fenced") || key == KEEP_UNTIL_TAG);
            edit(cluster);
        });
        refused(&step(&clusters, true), &clusters, input(), why).await;
    }
}

/// An opening that differs from `input`'s in one field, for each field.
fn others() -> Vec<Input> {
    let edits: [fn(&mut Asked); 5] = [
        |asked| asked.id = "r-2-open".to_owned(),
        |asked| asked.from = "203.0.113.8".to_owned(),
        |asked| asked.until = time("2026-11-23T14:00:00Z"),
        |asked| asked.database = Some("payments".to_owned()),
        |asked| asked.database = None,
    ];
    let mut others = Vec::new();
    for edit in edits {
        let mut other = input();
        edit(&mut other.opening);
        others.push(other);
    }
    others
}

#[tokio::test]
async fn nothing_is_opened_that_the_item_of_the_recovery_does_not_record() {
    let clusters = fenced(|_| {});
    let mut step = step(&clusters, true);
    for other in others() {
        refused(&step, &clusters, other, "is not recorded as what is open").await;
    }
    // What was closed is not opened again, and nothing of a recovery that is not there.
    step.notes.last = step.notes.open.take();
    refused(&step, &clusters, input(), "is not recorded as what is open").await;
    let mut unknown = input();
    unknown.recovery.id = "unknown".to_owned();
    refused(&step, &clusters, unknown, "is not recorded as what is open").await;
}

#[tokio::test]
async fn nothing_is_closed_and_no_secret_deleted_that_the_item_does_not_record() {
    let none = FakeRds::with(Vec::new(), Vec::new());
    let mut step = step(&none, true);
    let secret = opened_secret(&input().opening.id);
    let kept = |step: &Fake| step.access.secrets.0.lock().unwrap().clone();
    step.access.secrets.0.lock().unwrap().push(secret.clone());
    for other in others() {
        let error = step.undo(other).await.unwrap_err();
        let text = error.to_string();
        assert!(error.name == ErrorName::InvalidRequest && text.contains("nothing was changed"), "{text}");
    }
    // With another one open, that is not ended by a close of this one.
    let ours = step.notes.open.replace(recorded(&others().remove(0).opening));
    step.notes.last = ours;
    assert!(step.undo(input()).await.is_err());
    assert_eq!(kept(&step), [secret]);
    // The last one may be closed again, whatever an earlier close left.
    step.notes.open = None;
    assert!(step.undo(input()).await.unwrap().changed);
    assert_eq!(kept(&step), [""; 0]);
}

#[tokio::test]
async fn a_secret_that_may_not_be_deleted_is_told_and_holds_up_no_close() {
    let clusters = FakeRds::with(Vec::new(), Vec::new());
    let step = step(&clusters, true);
    *step.access.secrets.1.lock().unwrap() = Some(ErrorName::RewindFailed);
    let undone = step.undo(input()).await.unwrap();
    assert!(undone.what.len() == 1 && undone.what[0].contains("is there still"), "{undone:?}");
    // What passes is waited out.
    *step.access.secrets.1.lock().unwrap() = Some(ErrorName::Throttled);
    assert_eq!(step.undo(input()).await.unwrap_err().name, ErrorName::Throttled);
}

#[tokio::test]
async fn a_source_without_a_fence_is_not_opened() {
    let clusters = fenced(|_| {});
    refused(&step(&clusters, false), &clusters, input(), "is not fenced by").await;
    let mut without_records = input();
    without_records.plan.dns.clear();
    refused(&step(&clusters, true), &clusters, without_records, "is not fenced by").await;
}

#[tokio::test]
async fn another_cluster_under_the_name_is_not_opened() {
    let clusters = fenced(|cluster| cluster.resource_id = "cluster-ANEW".to_owned());
    let error = step(&clusters, true).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed, "{error}");
    let undone = step(&clusters, true).undo(input()).await.unwrap();
    assert!(!undone.changed, "{undone:?}");
}

#[tokio::test]
async fn ranges_and_other_times_are_refused() {
    let clusters = fenced(|_| {});
    let mut step = step(&clusters, true);
    for from in ["203.0.113.0/24", "0.0.0.0/0", "laptop"] {
        let mut range = input();
        range.opening.from = from.to_owned();
        step.notes.open = Some(recorded(&range.opening));
        refused(&step, &clusters, range, from).await;
    }
    for until in ["2026-11-23T12:00:00Z", "2026-11-23T20:00:01Z"] {
        let mut wrong = input();
        wrong.opening.until = time(until);
        step.notes.open = Some(recorded(&wrong.opening));
        refused(&step, &clusters, wrong, "is no time until which").await;
    }
}

#[tokio::test]
async fn a_fence_of_the_network_is_not_opened_without_a_group_for_the_address() {
    let clusters = fenced(|_| {});
    let without = OpenSource { open_group: None, ..step(&clusters, true) };
    refused(&without, &clusters, input(), "none that admits one address").await;
}

#[test]
fn the_groups_of_the_way_in_are_those_of_the_fence_and_one_more() {
    let kept = KeptCluster::of(&plan(), &["sg-fence".to_owned()]);
    let with = |groups: &[&str]| Cluster {
        security_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..source()
    };
    let both = Some(vec!["sg-fence".to_owned(), "sg-open".to_owned()]);
    for groups in [&["sg-fence"][..], &["sg-open", "sg-fence"]] {
        assert_eq!(kept.groups_to_open(&with(groups), Some("sg-open")).unwrap(), both);
    }
    let close = |groups: &[&str]| kept.groups_to_close(&with(groups), Some("sg-open"));
    assert_eq!(close(&["sg-fence", "sg-open"]), Some(vec!["sg-fence".to_owned()]));
    // The undo has given the source its own groups meanwhile: the fence's must not come back.
    assert_eq!(close(&["sg-app", "sg-open"]), Some(vec!["sg-app".to_owned()]));
    assert_eq!(close(&["sg-app"]), None);
    // Without a fence of the network the cluster's own groups have to do.
    let open = KeptCluster::of(&plan(), &[]);
    assert_eq!(open.groups_to_open(&with(&["sg-app"]), Some("sg-open")).unwrap(), None);
}

#[test]
fn in_place_the_safety_clone_is_opened_with_the_groups_that_it_has() {
    let plan = in_place_plan();
    let kept = KeptCluster::of(&plan, &["sg-fence".to_owned()]);
    assert_eq!(kept.name, plan.new_cluster);
    let mut clone = Cluster { security_groups: plan.backtrack.clone().unwrap().security_groups, ..source() };
    clone.tags = vec![(SAFETY_CLONE_OF_TAG.to_owned(), recovery().id)];
    assert_eq!(kept.refuse_other(&recovery().id, &plan, &clone), Ok(()));
    let groups = kept.groups_to_open(&clone, Some("sg-open")).unwrap().unwrap();
    assert_eq!(groups.last().map(String::as_str), Some("sg-open"));
    assert_eq!(groups.len(), clone.security_groups.len() + 1);
}

#[test]
fn the_only_database_is_chosen_and_of_several_one_is_asked_for() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let chosen = |databases: &[&str], asked: Option<&str>| {
        chosen("orders", names(databases), asked.map(ToOwned::to_owned)).map_err(|error| error.to_string())
    };
    assert_eq!(chosen(&["postgres", "shop"], None), Ok("shop".to_owned()));
    assert_eq!(chosen(&["postgres"], None), Ok("postgres".to_owned()));
    assert_eq!(chosen(&["a", "b"], Some("b")), Ok("b".to_owned()));
    let several = chosen(&["a", "b", "postgres"], None).unwrap_err();
    assert!(several.contains("--database: a, b"), "{several}");
    assert!(chosen(&["a"], Some("c")).unwrap_err().contains("has no database c"));
    assert!(chosen(&[], None).unwrap_err().contains("there is none"));
}

#[test]
fn no_two_passwords_are_the_same_and_none_has_to_be_quoted() {
    let password = password();
    assert!(password.len() > 60 && password != super::password(), "{password}");
    let rest = password.strip_prefix("Rw-").unwrap();
    assert!(rest.len() == 64 && rest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{password}");
}
