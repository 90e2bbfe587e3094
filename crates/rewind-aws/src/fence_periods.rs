//! The times in which a fence had the logins of a cluster closed. A restore to such a moment restores closed logins, so the
//! preflight asks for them. The fence itself never reads them: it goes by its own record.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::records::Records;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// One time in which the logins of a cluster were closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencePeriod {
    /// The recovery that closed them.
    pub recovery: String,
    /// The moment before the first of them was closed.
    pub from: Timestamp,
    /// The moment after the last of them was opened; none where that is not known.
    pub until: Option<Timestamp>,
}

/// Keeps the periods of a cluster, by its `DbClusterResourceId`: one that was made anew under its name had none of them.
pub trait FencePeriods: Send + Sync {
    /// Notes that a recovery is about to close logins. A second run of it leaves the moment of the first; after an end another
    /// period begins.
    fn begin(&self, cluster: &str, recovery_id: &str, at: Timestamp) -> impl Future<Output = AwsResult<()>> + Send;
    /// Notes that the logins are as they were.
    fn end(&self, cluster: &str, recovery_id: &str, at: Timestamp) -> impl Future<Output = AwsResult<()>> + Send;
    /// Reads the periods of a cluster, the earliest first.
    fn periods(&self, cluster: &str) -> impl Future<Output = AwsResult<Vec<FencePeriod>>> + Send;
}

/// The first part of the key, before the resource id.
const ITEM: &str = "fences";
/// The first part of the attributes, before the id of the recovery.
const FROM: &str = "from#";
const UNTIL: &str = "until#";
/// The time after its end for which a period is of interest: no backup reaches back for longer than 35 days.
const KEPT: SignedDuration = SignedDuration::from_hours(36 * 24);

impl FencePeriods for Records {
    /// IAM: `dynamodb:UpdateItem`.
    async fn begin(&self, cluster: &str, recovery_id: &str, at: Timestamp) -> AwsResult<()> {
        let update = |expression: &str| {
            self.client
                .update_item()
                .table_name(&self.table)
                .key("id", key(cluster))
                .update_expression(expression)
                .expression_attribute_names("#from", format!("{FROM}{recovery_id}"))
                .expression_attribute_names("#until", format!("{UNTIL}{recovery_id}"))
                .expression_attribute_values(":at", AttributeValue::S(at.to_string()))
        };
        // Not to expire while the fence stands, which may be for months.
        let first = update("SET #from = if_not_exists(#from, :at) REMOVE expiresAt")
            .condition_expression("attribute_not_exists(#until)")
            .send()
            .await;
        match first {
            Ok(_) => return Ok(()),
            Err(e) if code(&e) == Some("ConditionalCheckFailedException") => {}
            Err(e) => return Err(classify(&e, Call::Change, "dynamodb:UpdateItem of the fences")),
        }
        // It closed them once before, and had opened them: the time in between was open.
        update("SET #earlier = #from, #ended = #until, #from = :at REMOVE #until, expiresAt")
            .condition_expression("attribute_exists(#until)")
            .expression_attribute_names("#earlier", format!("{FROM}{recovery_id} {at}"))
            .expression_attribute_names("#ended", format!("{UNTIL}{recovery_id} {at}"))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the fences"))?;
        Ok(())
    }

    /// IAM: `dynamodb:UpdateItem`.
    async fn end(&self, cluster: &str, recovery_id: &str, at: Timestamp) -> AwsResult<()> {
        let update = |expression: &str| {
            self.client.update_item().table_name(&self.table).key("id", key(cluster)).update_expression(expression)
        };
        let ended = update("SET #until = :at")
            .expression_attribute_names("#until", format!("{UNTIL}{recovery_id}"))
            .expression_attribute_values(":at", AttributeValue::S(at.to_string()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the fences"))?;
        let periods = ended.attributes.map(|item| read_periods(&item)).unwrap_or_default();
        // One that nobody lifted stands on, whatever other recoveries did since.
        if periods.iter().any(|period| period.until.is_none()) {
            return Ok(());
        }
        let expires = at.as_second().saturating_add(KEPT.as_secs());
        update("SET expiresAt = :expires")
            .expression_attribute_values(":expires", AttributeValue::N(expires.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of the fences"))?;
        Ok(())
    }

    /// IAM: `dynamodb:GetItem`.
    async fn periods(&self, cluster: &str) -> AwsResult<Vec<FencePeriod>> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", key(cluster))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of the fences"))?;
        Ok(read.item.map(|item| read_periods(&item)).unwrap_or_default())
    }
}

fn key(cluster: &str) -> AttributeValue {
    AttributeValue::S(format!("{ITEM}#{cluster}"))
}

fn read_periods(item: &HashMap<String, AttributeValue>) -> Vec<FencePeriod> {
    let time = |name: &str| item.get(name)?.as_s().ok()?.parse::<Timestamp>().ok();
    let mut found: Vec<FencePeriod> = item
        .keys()
        .filter_map(|name| {
            let period = name.strip_prefix(FROM)?;
            let until = time(&format!("{UNTIL}{period}"));
            // An earlier period of a recovery has the moment after its id at which the next one began.
            let recovery = period.split(' ').next().unwrap_or(period).to_owned();
            Some(FencePeriod { recovery, from: time(name)?, until })
        })
        .collect();
    found.sort_by_key(|period| period.from);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recovery_has_its_own_period_and_one_without_a_beginning_is_none() {
        let item: HashMap<String, AttributeValue> = [
            ("id", "fences#cluster-ORDERS"),
            ("from#r-2", "2026-11-23T12:00:00Z"),
            ("from#r-1", "2026-11-23T10:00:00Z"),
            ("until#r-1", "2026-11-23T10:05:00Z"),
            ("until#r-0", "2026-11-23T09:00:00Z"),
            ("from#r-2 2026-11-23T12:00:00Z", "2026-11-23T11:00:00Z"),
            ("until#r-2 2026-11-23T12:00:00Z", "2026-11-23T11:10:00Z"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .collect();
        let period = |recovery: &str, from: &str, until: Option<&str>| FencePeriod {
            recovery: recovery.to_owned(),
            from: from.parse().unwrap(),
            until: until.map(|until| until.parse().unwrap()),
        };
        assert_eq!(
            read_periods(&item),
            [
                period("r-1", "2026-11-23T10:00:00Z", Some("2026-11-23T10:05:00Z")),
                period("r-2", "2026-11-23T11:00:00Z", Some("2026-11-23T11:10:00Z")),
                period("r-2", "2026-11-23T12:00:00Z", None)
            ]
        );
    }
}
