//! A note that is written only while the fence of a source stands: whoever acts on it acts behind a fence that nobody has lifted.

use super::{BUSY, HeldLease, KINDS, cancellation_reasons, key};
use crate::AwsResult;
use crate::classify::{Call, classify};
use crate::records::{Records, lease_key};
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, TransactWriteItem, Update};
use jiff::Timestamp;
use rewind_core::names::FENCE_RECORD;
use rewind_core::{ErrorName, StepError};
use serde_json::Value;

/// Writes notes of a recovery whose source is fenced.
pub trait FencedNotes: Send + Sync {
    /// Writes the note `name` in place of the one that is there, if the recovery's fence of the source is recorded and was not
    /// lifted, and the lease is held at `now`.
    ///
    /// # Errors
    ///
    /// `RewindFailed` where the fence was lifted, or the lease is another's or over; nothing is written then.
    fn note_behind_fence(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
        lease: HeldLease<'_>,
        now: Timestamp,
    ) -> impl Future<Output = AwsResult<()>> + Send;
}

impl FencedNotes for Records {
    /// IAM: `dynamodb:UpdateItem`, `dynamodb:ConditionCheckItem`.
    async fn note_behind_fence(
        &self,
        recovery_id: &str,
        name: &str,
        value: &Value,
        lease: HeldLease<'_>,
        now: Timestamp,
    ) -> AwsResult<()> {
        let held = ConditionCheck::builder()
            .table_name(&self.table)
            .key("id", lease_key(lease.cluster))
            .condition_expression("recoveryId = :holder AND expiresAt > :now")
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .build();
        // The record is replaced by a mark when the fence is lifted, whoever lifts it.
        let fenced = ConditionCheck::builder()
            .table_name(&self.table)
            .key("id", key(KINDS[0], recovery_id))
            .condition_expression("attribute_exists(#fence)")
            .expression_attribute_names("#fence", FENCE_RECORD)
            .build();
        let note = Update::builder()
            .table_name(&self.table)
            .key("id", key("recovery", recovery_id))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
            .build();
        let (Ok(held), Ok(fenced), Ok(note)) = (held, fenced, note) else {
            return Err(StepError::bug("the transaction that writes a note behind a fence lacks a field"));
        };
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(held).build())
            .transact_items(TransactWriteItem::builder().condition_check(fenced).build())
            .transact_items(TransactWriteItem::builder().update(note).build())
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        Err(refused(cancellation_reasons(&error), recovery_id, lease)
            .unwrap_or_else(|| classify(&error, Call::Change, "dynamodb:TransactWriteItems of the recovery")))
    }
}

/// Reads the reasons of a cancelled transaction, one for each of its items in their order.
fn refused(reasons: &[CancellationReason], recovery_id: &str, lease: HeldLease<'_>) -> Option<StepError> {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    match codes.as_slice() {
        ["ConditionalCheckFailed", ..] => Some(not_held(lease)),
        [_, "ConditionalCheckFailed", ..] => Some(fence_lifted(recovery_id, lease.cluster)),
        codes if codes.iter().any(|code| BUSY.contains(code)) => Some(StepError::new(
            ErrorName::Throttled,
            "the table was busy with the lease, the record of the fence or that of the recovery",
        )),
        _ => None,
    }
}

pub(super) fn fence_lifted(recovery_id: &str, cluster: &str) -> StepError {
    broken(format!("the fence of {cluster} does not stand any more: it was lifted, and clients may have written since"))
        .advice(format!("see in fence#{recovery_id} when it was lifted; rewind resume {recovery_id} fences it again"))
}

pub(super) fn not_held(HeldLease { cluster, holder, .. }: HeldLease<'_>) -> StepError {
    broken(format!("{holder} does not hold the lease of {cluster} any more"))
        .advice(format!("see which recovery holds lease#{cluster}: it works on the cluster now"))
}

fn broken(happened: String) -> StepError {
    StepError::new(ErrorName::RewindFailed, happened).changed("this step moved no record")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(codes: &[&str]) -> Option<(ErrorName, String)> {
        let reasons: Vec<_> = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let lease = HeldLease { cluster: "orders", holder: "operation-001", or_nobody: false };
        refused(&reasons, "operation-001", lease).map(|error| (error.name, error.to_string()))
    }

    #[test]
    fn a_lost_lease_and_a_lifted_fence_are_told_apart_and_a_busy_table_is_asked_again() {
        for (codes, name, text) in [
            (["ConditionalCheckFailed", "ConditionalCheckFailed", "None"], ErrorName::RewindFailed, "hold the lease"),
            (["None", "ConditionalCheckFailed", "None"], ErrorName::RewindFailed, "it was lifted"),
            (["None", "None", "TransactionConflict"], ErrorName::Throttled, "busy"),
        ] {
            let (found, cause) = told(&codes).unwrap();
            assert_eq!(found, name, "{codes:?}");
            assert!(cause.contains(text), "{cause}");
        }
        assert_eq!(told(&["None", "None", "ValidationError"]), None);
        assert_eq!(told(&[]), None);
    }
}
