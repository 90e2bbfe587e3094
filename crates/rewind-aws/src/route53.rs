//! The ports of Route 53: reads record sets, and moves records in one batch, all or none.

pub use crate::route53_role::Route53;

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::route53_role::ReachZones;
use aws_sdk_route53::operation::list_resource_record_sets::builders::ListResourceRecordSetsFluentBuilder as ListRecordSets;
use aws_sdk_route53::types::{
    Change as SdkChange, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
};
use rewind_core::{ErrorName, StepError};

/// The parts of a record set that a recovery needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The name, in lower case and without the dot at its end.
    pub name: String,
    /// The type, such as `CNAME`.
    pub kind: String,
    /// The time to live in seconds; an alias has none.
    pub ttl: Option<i64>,
    /// The values, exactly as Route 53 holds them; of an alias its target.
    pub values: Vec<String>,
    /// True if it has a routing policy (weighted, latency, failover and so on), so that its name has several sets.
    pub routed: bool,
}

/// The move of one CNAME: it is deleted with exactly the value `from`, and created with the value `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The record's name.
    pub name: String,
    /// The time to live in seconds, which stays.
    pub ttl: i64,
    /// The value it must have now.
    pub from: String,
    /// The value it gets.
    pub to: String,
}

/// The result of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// Accepted, under this change id.
    Accepted(String),
    /// Refused as a whole, because a record has another value. The message is Route 53's.
    Mismatch(String),
}

/// Reads the record sets of a name.
pub trait Zones: Send + Sync {
    /// Reads the record sets of that name.
    fn record_sets(&self, zone: &str, name: &str) -> impl Future<Output = AwsResult<Vec<RecordSet>>> + Send;
}

/// Reads all record sets of a zone.
pub trait ListRecords: Send + Sync {
    /// Reads every record set of the zone; none if there is no such zone.
    fn all_records(&self, zone: &str) -> impl Future<Output = AwsResult<Option<Vec<RecordSet>>>> + Send;
}

/// Moves records.
pub trait MoveRecords: Send + Sync {
    /// `ChangeResourceRecordSets`: DELETE of each old value and CREATE of each new one, in one batch.
    fn move_records(&self, zone: &str, moves: &[Move], comment: &str) -> impl Future<Output = AwsResult<Moved>> + Send;
}

/// Reads the state of a change.
pub trait FollowChange: Send + Sync {
    /// True if all servers of Route 53 have the change.
    fn in_sync(&self, change_id: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

impl Zones for Route53 {
    /// IAM: `route53:ListResourceRecordSets`, `sts:AssumeRole`.
    async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        let client = self.client().await?;
        // Route 53 has no call that reads one name: a listing that starts at the name is the way to get it.
        let call = client.list_resource_record_sets().hosted_zone_id(zone).start_record_name(name);
        match call.send().await {
            // The listing begins at the name, so a page holds all of its sets (and then those of later names).
            Ok(page) => {
                Ok(page.resource_record_sets.into_iter().map(read_set).filter(|set| set.name == name).collect())
            }
            Err(e) if is_gone(code(&e)) => {
                Err(StepError::new(ErrorName::InvalidRequest, format!("`dns`: there is no hosted zone {zone}"))
                    .changed("this step changed nothing")
                    .advice("give the id of the zone that holds the record"))
            }
            Err(e) => Err(classify(&e, Call::Read, &format!("route53:ListResourceRecordSets of {zone}"))),
        }
    }
}

impl ListRecords for Route53 {
    /// IAM: `route53:ListResourceRecordSets`, `sts:AssumeRole`.
    async fn all_records(&self, zone: &str) -> AwsResult<Option<Vec<RecordSet>>> {
        let client = self.client().await?;
        let sets = every_set(client.list_resource_record_sets(), zone, is_gone).await?;
        Ok(sets.map(|sets| sets.into_iter().map(read_set).collect()))
    }
}

impl MoveRecords for Route53 {
    /// IAM: `route53:ChangeResourceRecordSets`, `sts:AssumeRole`.
    async fn move_records(&self, zone: &str, moves: &[Move], comment: &str) -> AwsResult<Moved> {
        let client = self.client().await?;
        let mut changes = Vec::with_capacity(moves.len() * 2);
        for change in moves {
            // Not UPSERT, which would overwrite a value that somebody else has set since the plan.
            changes.push(cname(ChangeAction::Delete, change, &change.from)?);
            changes.push(cname(ChangeAction::Create, change, &change.to)?);
        }
        let batch = ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build().map_err(unbuilt)?;
        match client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await {
            Ok(answer) => answer
                .change_info
                .map(|info| Moved::Accepted(info.id))
                // The records may have moved: the step reads them again before it decides.
                .ok_or_else(|| StepError::new(ErrorName::OutcomeUnknown, "Route 53 answered no change id")),
            // DELETE of a value that a record no longer has is the compare of this compare-and-swap.
            Err(e) if code(&e) == Some("InvalidChangeBatch") => {
                let service = e.as_service_error();
                let message = service.and_then(aws_smithy_types::error::metadata::ProvideErrorMetadata::message);
                Ok(Moved::Mismatch(message.unwrap_or("InvalidChangeBatch").to_owned()))
            }
            Err(e) => Err(classify(&e, Call::Change, &format!("route53:ChangeResourceRecordSets of {zone}"))),
        }
    }
}

impl FollowChange for Route53 {
    /// IAM: `route53:GetChange`, `sts:AssumeRole`.
    async fn in_sync(&self, change_id: &str) -> AwsResult<bool> {
        let client = self.client().await?;
        let answer = client
            .get_change()
            .id(change_id)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("route53:GetChange of {change_id}")))?;
        // INSYNC speaks for the servers of Route 53 only: resolvers keep the old value for its TTL after that.
        Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Insync))
    }
}

/// Reads every record set of a zone by `list`, page after page; none where `is_hidden` holds for the code of the refusal.
pub(crate) async fn every_set(
    list: ListRecordSets,
    zone: &str,
    is_hidden: fn(Option<&str>) -> bool,
) -> AwsResult<Option<Vec<ResourceRecordSet>>> {
    let list = list.hosted_zone_id(zone);
    let (mut found, mut call) = (Vec::new(), list.clone());
    loop {
        let page = match call.send().await {
            Ok(page) => page,
            Err(e) if is_hidden(code(&e)) => return Ok(None),
            Err(e) => return Err(classify(&e, Call::Read, &format!("route53:ListResourceRecordSets of {zone}"))),
        };
        found.extend(page.resource_record_sets);
        if !page.is_truncated {
            return Ok(Some(found));
        }
        call = list
            .clone()
            .set_start_record_name(page.next_record_name)
            .set_start_record_type(page.next_record_type)
            // All three, because a page can end between two sets of one name.
            .set_start_record_identifier(page.next_record_identifier);
    }
}

fn is_gone(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.contains("NoSuchHostedZone"))
}

fn unbuilt(error: aws_sdk_route53::error::BuildError) -> StepError {
    StepError::bug(format!("a change of records could not be built: {error}"))
}

fn cname(action: ChangeAction, change: &Move, value: &str) -> AwsResult<SdkChange> {
    let set = ResourceRecordSet::builder()
        .name(&change.name)
        .r#type(RrType::Cname)
        .ttl(change.ttl)
        .resource_records(ResourceRecord::builder().value(value).build().map_err(unbuilt)?)
        .build()
        .map_err(unbuilt)?;
    SdkChange::builder().action(action).resource_record_set(set).build().map_err(unbuilt)
}

fn read_set(set: ResourceRecordSet) -> RecordSet {
    RecordSet {
        // Names are compared with those of requests, which people write without the dot.
        name: set.name.trim_end_matches('.').to_ascii_lowercase(),
        kind: set.r#type.as_str().to_owned(),
        ttl: set.ttl,
        values: match set.alias_target {
            Some(alias) => vec![alias.dns_name],
            None => set.resource_records.unwrap_or_default().into_iter().map(|record| record.value).collect(),
        },
        routed: set.set_identifier.is_some(),
    }
}
