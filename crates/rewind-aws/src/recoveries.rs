//! The table's items of recoveries, as people read them. Functions and native states write them; nothing here does.

use crate::classify::{Call, classify};
use crate::{Answer, Aws};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rewind_core::StepError;
use serde_json::Value;
use std::collections::HashMap;

/// What the table says of a recovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its execution.
    pub execution_arn: String,
    /// `Running`, `AwaitingApproval`, or the state in which it ended.
    pub state: String,
    /// The cluster.
    pub cluster: String,
    /// The restored cluster; none where it failed before there was a plan.
    pub new_cluster: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it does; null where it failed before there was a plan, and in a list.
    pub plan: Value,
    /// The approval that is waited for.
    pub approval: Option<Approval>,
    /// Who decided what; null before that.
    pub decision: Value,
    /// Who took it back, and what that did; null where nobody did.
    pub undo: Value,
    /// That what it kept is being deleted, since when, and into which snapshot; null where it is not.
    pub clean_up: Value,
    /// What it answered; null where it did not end well, and in a list.
    pub outcome: Value,
    /// The name of the error with which it ended.
    pub error: Option<String>,
    /// Why.
    pub cause: Option<String>,
}

/// An approval that is waited for.
#[derive(Clone, PartialEq, Eq)]
pub struct Approval {
    /// The task token that ends the wait. Whoever has it decides: it is never shown.
    pub task_token: String,
    /// The hash of what was shown.
    pub hash: String,
    /// When people were first asked.
    pub requested_at: Timestamp,
    /// When the wait ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approval").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Reads recoveries.
pub trait Recoveries: Send + Sync {
    /// What the table says of a recovery, as of now.
    fn recovery(&self, id: &str) -> impl Future<Output = Answer<Option<Record>>> + Send;
    /// All recoveries, the latest first.
    fn recoveries(&self) -> impl Future<Output = Answer<Vec<Record>>> + Send;
}

/// The client of the table.
#[derive(Debug, Clone)]
pub struct Table {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl Table {
    /// The client at the environment's endpoint, for the table `REWIND_TABLE`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> Answer<Self> {
        Ok(Self::new(aws, crate::environment::required("REWIND_TABLE")?))
    }

    /// The client at the environment's endpoint, for the table of that name.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(&aws.config("DYNAMODB")), name: name.into() }
    }
}

impl Recoveries for Table {
    /// IAM: `dynamodb:GetItem`.
    async fn recovery(&self, id: &str) -> Answer<Option<Record>> {
        let read = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", AttributeValue::S(format!("recovery#{id}")))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("dynamodb:GetItem of {id} in {}", self.name)))?;
        read.item.as_ref().map(record).transpose()
    }

    /// IAM: `dynamodb:Scan`.
    async fn recoveries(&self) -> Answer<Vec<Record>> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.name)
                .filter_expression("begins_with(id, :recovery)")
                .expression_attribute_values(":recovery", AttributeValue::S("recovery#".to_owned()))
                // Plans and outcomes are large, and a list does not show them.
                .projection_expression(
                    "recoveryId, executionArn, #state, #cluster, newCluster, startedAt, endedAt, approval, decision, \
                     #undo, cleanUp, #error, cause",
                )
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
        found.sort_by_key(|record| std::cmp::Reverse(record.started_at));
        Ok(found)
    }
}

type Item = HashMap<String, AttributeValue>;

fn record(item: &Item) -> Answer<Record> {
    let approval = match item.get("approval") {
        Some(AttributeValue::M(approval)) => Some(Approval {
            task_token: required(approval, "taskToken")?,
            hash: required(approval, "hash")?,
            requested_at: time(&required(approval, "requestedAt")?)?,
            expires_at: time(&required(approval, "expiresAt")?)?,
        }),
        _ => None,
    };
    Ok(Record {
        id: required(item, "recoveryId")?,
        execution_arn: required(item, "executionArn")?,
        state: required(item, "state")?,
        cluster: required(item, "cluster")?,
        new_cluster: text(item, "newCluster"),
        started_at: time(&required(item, "startedAt")?)?,
        ended_at: text(item, "endedAt").map(|at| time(&at)).transpose()?,
        plan: json(item, "plan")?,
        approval,
        decision: json(item, "decision")?,
        undo: json(item, "undo")?,
        clean_up: json(item, "cleanUp")?,
        outcome: json(item, "outcome")?,
        error: text(item, "error"),
        cause: text(item, "cause"),
    })
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

fn required(item: &Item, name: &str) -> Answer<String> {
    text(item, name).ok_or_else(|| StepError::bug(format!("the table's item of a recovery has no {name}")))
}

fn json(item: &Item, name: &str) -> Answer<Value> {
    let Some(text) = text(item, name) else { return Ok(Value::Null) };
    serde_json::from_str(&text)
        .map_err(|e| StepError::bug(format!("{name} in the table's item of a recovery is not JSON: {e}")))
}

fn time(text: &str) -> Answer<Timestamp> {
    text.parse().map_err(|e| StepError::bug(format!("\"{text}\" in the table's item of a recovery is no time: {e}")))
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
    fn an_item_of_a_recovery_that_failed_before_its_plan_is_read() {
        let record = record(&item(&WHOLE)).unwrap();
        assert_eq!((record.plan, record.new_cluster, record.approval), (Value::Null, None, None));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, _) in WHOLE {
            let mut broken = item(&WHOLE);
            broken.remove(name);
            assert!(record(&broken).unwrap_err().to_string().contains(name), "{name}");
        }
        for (name, value) in [("plan", "{"), ("startedAt", "soon")] {
            let mut broken = item(&WHOLE);
            broken.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            assert!(record(&broken).is_err(), "{name}");
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
        let said = format!("{:?}", record(&awaiting).unwrap());
        assert!(said.contains("abc") && !said.contains("secret"), "{said}");
    }
}
