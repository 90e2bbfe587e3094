//! Reads the records of recoveries from the table. Functions and native states write them; nothing here does.

use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rewind_core::names::{FENCE_RECORD, RESTORED_FENCE_RECORD};
use rewind_core::{FencesSeen, LeaseSeen, LiftNote, PendingApproval, PossiblyMoved, RecoveryRecord, StepError};
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// Reads records of recoveries.
pub trait Recoveries: Send + Sync {
    /// The record of a recovery, strongly consistent; none where the table has none.
    fn recovery(&self, id: &str) -> impl Future<Output = AwsResult<Option<RecoveryRecord>>> + Send;
    /// The records of all recoveries, the latest first, without their plans and outcomes.
    fn recoveries(&self) -> impl Future<Output = AwsResult<Vec<RecoveryRecord>>> + Send;
}

/// Reads the notes that executions make beside the records.
pub trait ReadNotes: Send + Sync {
    /// The fences of a recovery that may be up.
    fn fences(&self, id: &str) -> impl Future<Output = AwsResult<FencesSeen>> + Send;
    /// The lease of a cluster; none where there is none. It may be over.
    fn lease(&self, cluster: &str) -> impl Future<Output = AwsResult<Option<LeaseSeen>>> + Send;
}

/// The DynamoDB client for the table of recoveries.
#[derive(Debug, Clone)]
pub struct RecoveryTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl RecoveryTable {
    /// Creates the client at the environment's endpoint, for the table that `REWIND_TABLE` names.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        Ok(Self::new(aws, crate::environment::required("REWIND_TABLE")?))
    }

    /// Creates the client at the environment's endpoint, for the table `name`.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(&aws.config("DYNAMODB")), name: name.into() }
    }
}

impl Recoveries for RecoveryTable {
    /// IAM: `dynamodb:GetItem`.
    async fn recovery(&self, id: &str) -> AwsResult<Option<RecoveryRecord>> {
        let read = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", AttributeValue::S(format!("recovery#{id}")))
            // A decision is bound to the task token in the record, and the token before this one ends no wait.
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("dynamodb:GetItem of {id} in {}", self.name)))?;
        read.item.as_ref().map(record).transpose()
    }

    /// IAM: `dynamodb:Scan`.
    async fn recoveries(&self) -> AwsResult<Vec<RecoveryRecord>> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                // A list is read by people, some times a day; an index would cost a write for every change of every
                // record.
                .scan()
                .table_name(&self.name)
                .filter_expression("begins_with(id, :recovery)")
                .expression_attribute_values(":recovery", AttributeValue::S("recovery#".to_owned()))
                // Plans and outcomes are large, and a list does not show them.
                .projection_expression(
                    "recoveryId, executionArn, #state, #cluster, newCluster, startedAt, endedAt, approval, decision, \
                     #undo, cleanUp, opening, #error, cause",
                )
                // DynamoDB reserves these words, and refuses an expression that holds them as they are.
                .expression_attribute_names("#state", "state")
                .expression_attribute_names("#cluster", "cluster")
                .expression_attribute_names("#error", "error")
                .expression_attribute_names("#undo", "undo")
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|e| classify(&e, Call::Read, &format!("dynamodb:Scan of {}", self.name)))?;
            for item in page.items.unwrap_or_default() {
                found.push(record(&item)?);
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                break;
            }
        }
        // A scan returns the items in no order that means anything to people.
        found.sort_by_key(|record| std::cmp::Reverse(record.started_at));
        Ok(found)
    }
}

impl RecoveryTable {
    async fn note(&self, key: String) -> AwsResult<Option<Item>> {
        let get = self.client.get_item().table_name(&self.name).consistent_read(true);
        let read = get.key("id", AttributeValue::S(key.clone())).send().await;
        Ok(read.map_err(|e| classify(&e, Call::Read, &format!("dynamodb:GetItem of {key} in {}", self.name)))?.item)
    }
}

impl ReadNotes for RecoveryTable {
    /// IAM: `dynamodb:GetItem`.
    async fn fences(&self, id: &str) -> AwsResult<FencesSeen> {
        let item = self.note(format!("fence#{id}")).await?.unwrap_or_default();
        Ok(FencesSeen {
            source: item.contains_key(FENCE_RECORD),
            restored: item.contains_key(RESTORED_FENCE_RECORD),
            source_lifted_at: text(&item, "fenceLiftedAt").map(|at| time(&at)).transpose()?,
        })
    }

    /// IAM: `dynamodb:GetItem`.
    async fn lease(&self, cluster: &str) -> AwsResult<Option<LeaseSeen>> {
        // In lower case, as the lease is taken.
        let Some(item) = self.note(format!("lease#{}", cluster.to_lowercase())).await? else { return Ok(None) };
        let until = item.get("expiresAt").and_then(|value| value.as_n().ok()).and_then(|n| n.parse().ok());
        let until = until.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let until = until.ok_or_else(|| StepError::bug(format!("the lease of {cluster} has no end")))?;
        Ok(Some(LeaseSeen { holder: required(&item, "recoveryId")?, until }))
    }
}

type Item = HashMap<String, AttributeValue>;

fn record(item: &Item) -> AwsResult<RecoveryRecord> {
    let approval = match item.get("approval") {
        Some(AttributeValue::M(approval)) => Some(PendingApproval {
            task_token: required(approval, "taskToken")?,
            hash: required(approval, "hash")?,
            requested_at: time(&required(approval, "requestedAt")?)?,
            expires_at: time(&required(approval, "expiresAt")?)?,
            last_refused: approval.get("lastRefused").and_then(|why| why.as_s().ok().cloned()),
        }),
        _ => None,
    };
    let mut unreadable = Vec::new();
    Ok(RecoveryRecord {
        id: required(item, "recoveryId")?,
        execution_arn: required(item, "executionArn")?,
        state: required(item, "state")?,
        cluster: required(item, "cluster")?,
        new_cluster: text(item, "newCluster"),
        started_at: time(&required(item, "startedAt")?)?,
        ended_at: text(item, "endedAt").map(|at| time(&at)).transpose()?,
        approval,
        decision: json(item, "decision", &mut unreadable),
        undo: json(item, "undo", &mut unreadable),
        undoes: None,
        fence_begun_at: text(item, "fenceBegunAt").map(|at| time(&at)).transpose()?,
        lift: match text(item, "liftBegunAt").as_deref() {
            None => None,
            // As the fence notes it, in place or not.
            Some("null") => Some(LiftNote::NotBegun),
            Some(at) => Some(LiftNote::Begun(time(at)?)),
        },
        // Whoever reads it wants to know of an undo: one that cannot be read keeps nobody from another.
        cancel: json(item, "cancel", &mut Vec::new()),
        clean_up: json(item, "cleanUp", &mut unreadable),
        opening: json(item, "opening", &mut unreadable),
        last_opening: json(item, "lastOpening", &mut unreadable),
        resumed_by: text(item, "resumedBy"),
        error: text(item, "error"),
        cause: text(item, "cause"),
        outcome: json(item, "outcome", &mut unreadable),
        // Empty where a person has to look for another reason.
        moved: json(item, "moved", &mut unreadable).filter(|moved: &PossiblyMoved| !moved.dns.is_empty()),
        plan: json(item, "plan", &mut unreadable),
        request: json(item, "request", &mut unreadable),
        unreadable,
    })
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

fn required(item: &Item, name: &str) -> AwsResult<String> {
    text(item, name).ok_or_else(|| StepError::bug(format!("the record of a recovery has no {name}")))
}

/// Reads an attribute that holds JSON. One that another version wrote is noted in `unreadable` and counts as absent.
fn json<T: DeserializeOwned>(item: &Item, name: &str, unreadable: &mut Vec<String>) -> Option<T> {
    let text = text(item, name)?;
    match serde_json::from_str(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            unreadable.push(format!("{name} in the record cannot be read: {error}"));
            None
        }
    }
}

fn time(text: &str) -> AwsResult<Timestamp> {
    text.parse().map_err(|e| StepError::bug(format!("\"{text}\" in the record of a recovery is no time: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(fields: &[(&str, &str)]) -> Item {
        fields.iter().map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned()))).collect()
    }

    const WHOLE: [(&str, &str); 5] = [
        ("recoveryId", "r-1"),
        ("executionArn", "arn"),
        ("state", "Running"),
        ("cluster", "orders"),
        ("startedAt", "2026-11-23T10:30:00Z"),
    ];

    #[test]
    fn the_record_of_a_recovery_that_failed_before_its_plan_is_read() {
        let record = record(&item(&WHOLE)).unwrap();
        assert_eq!((record.plan, record.new_cluster, record.approval), (None, None, None));
        assert_eq!(record.fence_begun_at, None);
    }

    #[test]
    fn the_beginning_of_the_fence_is_read() {
        let mut begun = item(&WHOLE);
        begun.insert("fenceBegunAt".to_owned(), AttributeValue::S("2026-11-23T10:40:00Z".to_owned()));
        assert_eq!(record(&begun).unwrap().fence_begun_at, Some(time("2026-11-23T10:40:00Z").unwrap()));
    }

    #[test]
    fn a_note_on_letting_clients_in_is_told_from_none_of_an_earlier_version() {
        let lift = |noted: Option<&str>| {
            let mut item = item(&WHOLE);
            item.extend(noted.map(|at| ("liftBegunAt".to_owned(), AttributeValue::S(at.to_owned()))));
            record(&item).unwrap().lift
        };
        assert_eq!(lift(None), None);
        assert_eq!(lift(Some("null")), Some(LiftNote::NotBegun));
        let at = "2026-11-23T10:44:00Z";
        assert_eq!(lift(Some(at)), Some(LiftNote::Begun(time(at).unwrap())));
    }

    #[test]
    fn a_record_that_lacks_an_attribute_every_record_has_is_refused_by_its_name() {
        for (name, _) in WHOLE {
            let mut broken = item(&WHOLE);
            broken.remove(name);
            assert!(record(&broken).unwrap_err().to_string().contains(name), "{name}");
        }
        let mut broken = item(&WHOLE);
        broken.insert("startedAt".to_owned(), AttributeValue::S("soon".to_owned()));
        assert!(record(&broken).is_err());
    }

    #[test]
    fn an_object_of_another_version_is_named_and_does_not_hide_the_rest() {
        for (name, value) in [("plan", "{"), ("outcome", "{}"), ("undo", "7"), ("cleanUp", "{\"cluster\": \"orders\"}")]
        {
            let mut broken = item(&WHOLE);
            broken.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            let record = record(&broken).unwrap();
            assert_eq!(record.id, "r-1");
            assert_eq!(record.unreadable.len(), 1, "{name}");
            assert!(record.unreadable[0].starts_with(name), "{:?}", record.unreadable);
        }
    }

    #[test]
    fn a_task_token_is_never_printed() {
        let mut awaiting = item(&WHOLE);
        let approval = item(&[
            ("taskToken", "secret"),
            ("hash", "abc"),
            ("requestedAt", "2026-11-23T10:30:00Z"),
            ("expiresAt", "2026-11-23T11:30:00Z"),
        ]);
        awaiting.insert("approval".to_owned(), AttributeValue::M(approval));
        let printed = format!("{:?}", record(&awaiting).unwrap());
        assert!(printed.contains("abc") && !printed.contains("secret"), "{printed}");
    }
}
