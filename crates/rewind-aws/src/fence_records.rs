//! The record of a fence: how a cluster was before it was fenced. It is there from before the first change until the fence is lifted
//! completely, so that a record means a fence that may be up. A mark is left of one that was lifted.
//!
//! It is in an item of its own, `fence#<recovery id>`. The item of a recovery is read whole by state machines, whose data is limited, and
//! the record of a fence grows with the number of accounts. One in the item of the recovery, as earlier versions wrote it, is found as
//! well.

#[cfg(feature = "fakes")]
pub mod fake;
mod note;

pub use note::FencedNotes;

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::records::{Records, lease_key, read};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, TransactWriteItem, Update};
use jiff::Timestamp;
use rewind_core::{ErrorName, StepError};
use serde_json::Value;
use std::collections::HashMap;

/// The lease under which a cluster may be fenced.
#[derive(Debug, Clone, Copy)]
pub struct HeldLease<'a> {
    /// The cluster of the lease.
    pub cluster: &'a str,
    /// The execution that holds it.
    pub holder: &'a str,
    /// True if nobody need hold it: a person fences by hand what has ended.
    pub or_nobody: bool,
}

/// Keeps the records of fences, by the recovery and a name.
pub trait FenceRecords: Send + Sync {
    /// Reads the record; none where no fence can be up.
    fn fence_record(&self, recovery_id: &str, name: &str) -> impl Future<Output = AwsResult<Option<Value>>> + Send;
    /// Writes the first record, if the lease is still held; returns the record that is there then.
    ///
    /// # Errors
    ///
    /// `LeaseHeld` where the lease is another's, or nobody's, by now.
    fn record_fence(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
        lease: HeldLease<'_>,
    ) -> impl Future<Output = AwsResult<Value>> + Send;
    /// Writes the record in place of the one that is there.
    fn replace_fence_record(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
    ) -> impl Future<Output = AwsResult<()>> + Send;
    /// Replaces the record by a mark that the fence was lifted at `at`: `<name>LiftedAt`.
    fn mark_fence_lifted(
        &self,
        recovery_id: &str,
        name: &str,
        at: Timestamp,
    ) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Knows of fences, whoever lifted them.
pub trait ReadFences: Send + Sync {
    /// True if the recovery began the fence `name`, be it up or lifted.
    fn was_fenced(&self, recovery_id: &str, name: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// The first parts of the keys of items with records, the present one first.
const KINDS: [&str; 2] = ["fence", "recovery"];

fn key(kind: &str, recovery_id: &str) -> AttributeValue {
    AttributeValue::S(format!("{kind}#{recovery_id}"))
}

impl FenceRecords for Records {
    /// IAM: `dynamodb:GetItem`.
    async fn fence_record(&self, recovery_id: &str, name: &str) -> AwsResult<Option<Value>> {
        for kind in KINDS {
            let answer = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("id", key(kind, recovery_id))
                // An eventually consistent read may miss the record of the attempt before, and the fence would record the
                // fenced state as the one to return to.
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of the fence"))?;
            if let Some(value) = answer.item.and_then(|item| item.get(name).cloned()) {
                return read(&value).map(Some);
            }
        }
        Ok(None)
    }

    /// IAM: `dynamodb:UpdateItem`, `dynamodb:ConditionCheckItem`, `dynamodb:GetItem`.
    async fn record_fence(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
        lease: HeldLease<'_>,
    ) -> AwsResult<Value> {
        // In one transaction with the lease: a function outlives the execution that was stopped, and a recovery that has taken
        // over the lease relies on there being no fence but its own.
        let held = ConditionCheck::builder()
            .table_name(&self.table)
            .key("id", lease_key(lease.cluster))
            .condition_expression(match lease.or_nobody {
                true => "attribute_not_exists(recoveryId) OR recoveryId = :holder",
                false => "recoveryId = :holder",
            })
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.to_owned()))
            .build();
        let first = Update::builder()
            .table_name(&self.table)
            .key("id", key(KINDS[0], recovery_id))
            .update_expression("SET #name = :value")
            // The first record counts: only the attempt before any change saw the state to return to. And the source of a recovery
            // is fenced once: a function that outlived its state would fence it again, behind the undo.
            .condition_expression(match is_raised_once(name) {
                true => "attribute_not_exists(#name) AND attribute_not_exists(#lifted)",
                false => "attribute_not_exists(#name)",
            })
            .set_expression_attribute_names(Some(names_of(name)))
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .build();
        let (Ok(held), Ok(first)) = (held, first) else {
            return Err(StepError::bug("the transaction that records a fence lacks a field"));
        };
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(held).build())
            .transact_items(TransactWriteItem::builder().update(first).build())
            .send()
            .await;
        let Err(error) = sent else { return Ok(value.clone()) };
        match Refused::of(cancellation_reasons(&error)) {
            Some(Refused::NotHeld) => Err(not_held(lease)),
            Some(Refused::Recorded) => {
                self.fence_record(recovery_id, name).await?.ok_or_else(|| lifted_already(recovery_id))
            }
            Some(Refused::Busy) => Err(StepError::new(
                ErrorName::Throttled,
                "the table was busy with the lease or the record of the fence",
            )),
            None => Err(classify(&error, Call::Change, "dynamodb:TransactWriteItems of the fence")),
        }
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn replace_fence_record(&self, recovery_id: &str, name: &str, value: &Value) -> AwsResult<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", key(KINDS[0], recovery_id))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the fence"))?;
        Ok(())
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn mark_fence_lifted(&self, recovery_id: &str, name: &str, at: Timestamp) -> AwsResult<()> {
        // In both: the record that is left would be found the next time.
        for kind in KINDS {
            let marked = self
                .client
                .update_item()
                .table_name(&self.table)
                .key("id", key(kind, recovery_id))
                // What it was lifted to stays to be found, in case somebody closes it once more.
                .update_expression("SET #lifted = :at, #was = #name REMOVE #name")
                // An update would create an item that is not there.
                .condition_expression("attribute_exists(#name)")
                .expression_attribute_names("#name", name)
                .expression_attribute_names("#lifted", lifted(name))
                .expression_attribute_names("#was", format!("{name}Was"))
                .expression_attribute_values(":at", AttributeValue::S(at.to_string()))
                .send()
                .await;
            match marked {
                Ok(_) => {}
                Err(e) if code(&e) == Some("ConditionalCheckFailedException") => {}
                Err(e) => return Err(classify(&e, Call::Change, "dynamodb:UpdateItem of the fence")),
            }
        }
        Ok(())
    }
}

impl ReadFences for Records {
    /// IAM: `dynamodb:GetItem`.
    async fn was_fenced(&self, recovery_id: &str, name: &str) -> AwsResult<bool> {
        for kind in KINDS {
            let answer = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("id", key(kind, recovery_id))
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of the fence"))?;
            if answer.item.is_some_and(|item| item.contains_key(name) || item.contains_key(&lifted(name))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The attribute that marks a fence as lifted.
fn lifted(name: &str) -> String {
    format!("{name}LiftedAt")
}

/// The reason for which the transaction that records a fence was not carried out.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// The lease is not the holder's.
    NotHeld,
    /// There is a record already.
    Recorded,
    /// Somebody else was writing one of the items.
    Busy,
}

impl Refused {
    /// Reads the reasons of a cancelled transaction, one for each of its items in their order.
    fn of(reasons: &[CancellationReason]) -> Option<Self> {
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
        match codes.as_slice() {
            // Of the lease first: a record without the lease is nothing to go on with.
            ["ConditionalCheckFailed", _] => Some(Self::NotHeld),
            [_, "ConditionalCheckFailed"] => Some(Self::Recorded),
            // Nothing was written, so the step may be repeated.
            codes if codes.iter().any(|code| BUSY.contains(code)) => Some(Self::Busy),
            _ => None,
        }
    }
}

const BUSY: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

fn cancellation_reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    }
}

/// True for the fence of the source. That of the restored cluster may be raised again by a second undo.
fn is_raised_once(name: &str) -> bool {
    name == "fence"
}

fn names_of(name: &str) -> HashMap<String, String> {
    let mut names = HashMap::from([("#name".to_owned(), name.to_owned())]);
    // DynamoDB refuses a name that no expression uses.
    if is_raised_once(name) {
        names.insert("#lifted".to_owned(), lifted(name));
    }
    names
}

fn lifted_already(recovery_id: &str) -> StepError {
    StepError::new(ErrorName::LeaseHeld, format!("the fence of {recovery_id} was lifted already"))
        .changed("nothing was fenced")
        .advice("start another recovery, or resume this one: each has a fence of its own")
}

fn not_held(HeldLease { cluster, holder, .. }: HeldLease<'_>) -> StepError {
    StepError::new(ErrorName::LeaseHeld, format!("{holder} does not hold the lease of {cluster} any more"))
        .changed("nothing was fenced")
        .advice(format!("see which recovery holds lease#{cluster}: it works on the cluster now"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(codes: &[&str]) -> Option<Refused> {
        let reasons: Vec<_> = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        Refused::of(&reasons)
    }

    #[test]
    fn a_lost_lease_counts_whatever_is_recorded_and_a_busy_table_is_asked_again() {
        assert_eq!(refused(&["ConditionalCheckFailed", "None"]), Some(Refused::NotHeld));
        assert_eq!(refused(&["ConditionalCheckFailed", "ConditionalCheckFailed"]), Some(Refused::NotHeld));
        assert_eq!(refused(&["None", "ConditionalCheckFailed"]), Some(Refused::Recorded));
        assert_eq!(refused(&["TransactionConflict", "None"]), Some(Refused::Busy));
        assert_eq!(refused(&["None", "ThrottlingError"]), Some(Refused::Busy));
        assert_eq!(refused(&["None", "ValidationError"]), None);
        assert_eq!(refused(&[]), None);
    }
}
