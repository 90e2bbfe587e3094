//! The attributes of a recovery's item in the table that functions write: notes and pending approvals; and leases. The record of a
//! fence is in `fence_records`.
//!
//! The item itself, its state and most leases are written by states of the state machine that call DynamoDB without a function.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rewind_core::{ErrorName, PendingApproval, StepError};
use serde_json::Value;
use std::collections::HashMap;

/// Keeps notes for a step that runs twice or is undone.
pub trait Notes: Send + Sync {
    /// Reads the note `name` of a recovery.
    fn note(&self, recovery_id: &str, name: &str) -> impl Future<Output = AwsResult<Option<Value>>> + Send;
    /// Writes the note `name` unless it is there already; returns the note that is there then.
    fn note_once(&self, recovery_id: &str, name: &str, value: &Value) -> impl Future<Output = AwsResult<Value>> + Send;
    /// Writes the note `name` in place of the one that is there.
    fn note_again(&self, recovery_id: &str, name: &str, value: &Value) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Removes notes.
// Apart from `Notes`: what a fence recorded must stay for as long as anybody may undo it.
pub trait RemoveNotes: Send + Sync {
    /// Removes the note `name` of a recovery; one that is not there counts as removed.
    fn remove_note(&self, recovery_id: &str, name: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Notes that the deletion of what a recovery kept begins.
pub trait NoteDeletions: Send + Sync {
    /// Writes the note `name` unless it is there already; false, and nothing is written, if what the recovery left behind is open to
    /// somebody for reading.
    fn note_deletion(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
    ) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// Keeps approvals.
pub trait Approvals: Send + Sync {
    /// Keeps the approval in place of the one before; returns the hash that people were notified of, if they were.
    fn keep(
        &self,
        recovery_id: &str,
        approval: &PendingApproval,
    ) -> impl Future<Output = AwsResult<Option<String>>> + Send;
    /// Notes that people were notified of the proposal with this hash.
    fn mark_notified(&self, recovery_id: &str, hash: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// The exclusive right to work on a cluster, until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The holder: a recovery's id, or another name that no recovery has.
    pub holder: String,
    /// The execution that works for the holder.
    pub execution_arn: String,
    /// The time at which it was taken.
    pub taken_at: Timestamp,
    /// The time at which it ends by itself.
    pub expires_at: Timestamp,
}

/// Takes leases as the state machines do, for functions that are called by something else.
pub trait Leases: Send + Sync {
    /// Takes the lease of `cluster`, or renews it; false if somebody else holds it.
    fn take_lease(&self, cluster: &str, lease: &Lease) -> impl Future<Output = AwsResult<bool>> + Send;
    /// Releases the lease if this holder still has it.
    fn release_lease(&self, cluster: &str, holder: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Reads leases.
pub trait ReadLeases: Send + Sync {
    /// Reads the lease of `cluster`, which may have ended.
    fn lease_of(&self, cluster: &str) -> impl Future<Output = AwsResult<Option<Lease>>> + Send;
}

/// The client of the table.
#[derive(Debug, Clone)]
pub struct Records {
    pub(crate) client: aws_sdk_dynamodb::Client,
    pub(crate) table: String,
}

impl Records {
    /// The client at the environment's endpoint, for the table `REWIND_TABLE`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        let table = crate::environment::required("REWIND_TABLE")?;
        Ok(Self { client: aws_sdk_dynamodb::Client::new(&aws.config("DYNAMODB")), table })
    }
}

fn key(recovery_id: &str) -> AttributeValue {
    AttributeValue::S(format!("recovery#{recovery_id}"))
}

impl Notes for Records {
    /// IAM: `dynamodb:GetItem`.
    async fn note(&self, recovery_id: &str, name: &str) -> AwsResult<Option<Value>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            // An eventually consistent read may miss a note of the attempt before.
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of the recovery"))?;
        answer.item.and_then(|item| item.get(name).map(read)).transpose()
    }

    /// IAM: `dynamodb:UpdateItem`, `dynamodb:GetItem`.
    async fn note_once(&self, recovery_id: &str, name: &str, value: &Value) -> AwsResult<Value> {
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            .update_expression("SET #name = :value")
            // The first note counts: only the attempt before any change saw how it was.
            .condition_expression("attribute_not_exists(#name)")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .send()
            .await;
        match written {
            Ok(_) => Ok(value.clone()),
            Err(e) if code(&e) == Some("ConditionalCheckFailedException") => self
                .note(recovery_id, name)
                .await?
                .ok_or_else(|| StepError::bug(format!("the note {name} is there and is not there"))),
            Err(e) => Err(classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery")),
        }
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn note_again(&self, recovery_id: &str, name: &str, value: &Value) -> AwsResult<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery"))?;
        Ok(())
    }
}

impl NoteDeletions for Records {
    /// IAM: `dynamodb:UpdateItem`, `dynamodb:GetItem`.
    async fn note_deletion(&self, recovery_id: &str, name: &str, value: &Value) -> AwsResult<bool> {
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            .update_expression("SET #name = :value")
            // An opening is recorded only while there is no note, and takes the lease of the source alone: so of the two that come
            // at once to a safety clone, one finds the other.
            .condition_expression("attribute_not_exists(#name) AND attribute_not_exists(#opening)")
            .expression_attribute_names("#name", name)
            .expression_attribute_names("#opening", "opening")
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .send()
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(e) if code(&e) == Some("ConditionalCheckFailedException") => {
                Ok(self.note(recovery_id, name).await?.is_some())
            }
            Err(e) => Err(classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery")),
        }
    }
}

impl RemoveNotes for Records {
    /// IAM: `dynamodb:UpdateItem`.
    async fn remove_note(&self, recovery_id: &str, name: &str) -> AwsResult<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            .update_expression("REMOVE #name")
            .expression_attribute_names("#name", name)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery"))?;
        Ok(())
    }
}

impl Approvals for Records {
    /// IAM: `dynamodb:UpdateItem`.
    async fn keep(&self, recovery_id: &str, approval: &PendingApproval) -> AwsResult<Option<String>> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut map = HashMap::from([
            ("taskToken".to_owned(), text(&approval.task_token)),
            ("hash".to_owned(), text(&approval.hash)),
            ("requestedAt".to_owned(), text(&approval.requested_at.to_string())),
            ("expiresAt".to_owned(), text(&approval.expires_at.to_string())),
        ]);
        map.extend(approval.last_refused.as_deref().map(|why| ("lastRefused".to_owned(), text(why))));
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            .update_expression("SET approval = :approval, #state = :state")
            // The last slice may end while its function runs: what has ended must not ask again.
            .condition_expression("attribute_not_exists(endedAt)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":approval", AttributeValue::M(map))
            .expression_attribute_values(":state", text("AwaitingApproval"))
            // The hash that people were notified of comes back with the write: a second call might see another state.
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .send()
            .await
            .map_err(|e| {
                if e.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
                    return StepError::new(ErrorName::NotApproved, format!("{recovery_id} has ended"))
                        .changed("nobody was asked")
                        .advice("start again, with a longer approvalTimeout");
                }
                classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery")
            })?;
        Ok(answer.attributes.and_then(|item| item.get("toldHash")?.as_s().ok().cloned()))
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn mark_notified(&self, recovery_id: &str, hash: &str) -> AwsResult<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", key(recovery_id))
            // Called after the message was sent: if that failed, the next slice of the wait sends it again.
            .update_expression("SET toldHash = :hash")
            .expression_attribute_values(":hash", AttributeValue::S(hash.to_owned()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the recovery"))?;
        Ok(())
    }
}

impl Leases for Records {
    /// IAM: `dynamodb:PutItem`.
    async fn take_lease(&self, cluster: &str, lease: &Lease) -> AwsResult<bool> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |at: Timestamp| AttributeValue::N(at.as_second().to_string());
        let taken = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", lease_key(cluster))
            .item("recoveryId", text(&lease.holder))
            .item("executionArn", text(&lease.execution_arn))
            .item("takenAt", text(&lease.taken_at.to_string()))
            .item("expiresAt", number(lease.expires_at))
            // The holder may take it again: a step that runs twice must not lock itself out.
            .condition_expression("attribute_not_exists(id) OR expiresAt < :now OR recoveryId = :me")
            .expression_attribute_values(":now", number(lease.taken_at))
            .expression_attribute_values(":me", text(&lease.holder))
            .send()
            .await;
        match taken {
            Ok(_) => Ok(true),
            Err(e) if code(&e) == Some("ConditionalCheckFailedException") => Ok(false),
            Err(e) => Err(classify(&e, Call::Change, &format!("dynamodb:PutItem of the lease of {cluster}"))),
        }
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn release_lease(&self, cluster: &str, holder: &str) -> AwsResult<()> {
        let released = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", lease_key(cluster))
            // An ended lease counts as none, so no function needs permission to delete items.
            .update_expression("SET expiresAt = :over")
            .condition_expression("recoveryId = :me")
            .expression_attribute_values(":over", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":me", AttributeValue::S(holder.to_owned()))
            .send()
            .await;
        match released {
            Ok(_) => Ok(()),
            // It is not this holder's any more: there is nothing to release.
            Err(e) if code(&e) == Some("ConditionalCheckFailedException") => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("dynamodb:UpdateItem of the lease of {cluster}"))),
        }
    }
}

impl ReadLeases for Records {
    /// IAM: `dynamodb:GetItem`.
    async fn lease_of(&self, cluster: &str) -> AwsResult<Option<Lease>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", lease_key(cluster))
            // A lease that was taken a moment ago must be seen: whoever misses it works on a cluster in use.
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("dynamodb:GetItem of the lease of {cluster}")))?;
        answer.item.map(|item| read_lease(&item)).transpose()
    }
}

pub(crate) fn lease_key(cluster: &str) -> AttributeValue {
    // The state machines write the key in lower case too, and two spellings would be two leases.
    AttributeValue::S(format!("lease#{}", cluster.to_ascii_lowercase()))
}

pub(crate) fn read(value: &AttributeValue) -> AwsResult<Value> {
    let text = value.as_s().map_err(|_| StepError::bug("a note of the recovery is no text"))?;
    serde_json::from_str(text).map_err(|e| StepError::bug(format!("a note of the recovery is not JSON: {e}")))
}

fn read_lease(item: &HashMap<String, AttributeValue>) -> AwsResult<Lease> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let lease = || {
        Some(Lease {
            holder: text("recoveryId")?.clone(),
            execution_arn: text("executionArn")?.clone(),
            taken_at: text("takenAt")?.parse().ok()?,
            expires_at: Timestamp::from_second(item.get("expiresAt")?.as_n().ok()?.parse().ok()?).ok()?,
        })
    };
    lease().ok_or_else(|| StepError::bug("a lease in the table is none: it lacks who, since when, or until when"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_the_state_machines_write_it_and_what_is_none_is_not_taken_for_no_lease() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut item = HashMap::from([
            ("id".to_owned(), text("lease#orders")),
            ("recoveryId".to_owned(), text("operation-001")),
            ("executionArn".to_owned(), text("arn:aws:states:eu-west-1:1:execution:rewind:operation-001")),
            ("takenAt".to_owned(), text("2026-11-23T10:35:00.123Z")),
            ("expiresAt".to_owned(), AttributeValue::N("1795433700".to_owned())),
        ]);
        let lease = read_lease(&item).unwrap();
        assert_eq!((lease.holder.as_str(), lease.expires_at.as_second()), ("operation-001", 1_795_433_700));
        item.remove("expiresAt");
        assert!(read_lease(&item).is_err());
    }
}
