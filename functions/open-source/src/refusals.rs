//! The refusals to open a cluster, each with what would be right.

use jiff::Timestamp;
use rewind_aws::rds::Cluster;
use rewind_core::names::KEEP_UNTIL_TAG;
use rewind_core::{ErrorName, OPEN_FOR_MOST, StepError};
use rewind_db::fence::some_of;

fn refused(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nobody was let in")
}

pub(crate) fn not_one_address(why: String) -> StepError {
    refused(why)
}

pub(crate) fn not_recorded(id: &str, opening: &str) -> StepError {
    refused(format!("{opening} is not recorded as what is open of {id}"))
        .advice(format!("rewind open {id} --from <address> records and opens it"))
}

pub(crate) fn not_recorded_to_close(id: &str, opening: &str) -> StepError {
    StepError::new(
        ErrorName::InvalidRequest,
        format!("{opening} is neither what is open of {id} nor what was open last"),
    )
    .changed("nothing was changed")
    .advice(format!("rewind open {id} --close closes what is recorded as open"))
}

pub(crate) fn not_fenced(cluster: &str, id: &str) -> StepError {
    refused(format!("{cluster} is not fenced by {id}"))
        .advice(format!("log in to {cluster} as ever; rewind status {id} shows how the clusters stand"))
}

pub(crate) fn not_left_behind(cluster: &str, id: &str, tag: &str, of: Option<&str>) -> StepError {
    let of = of.map_or_else(|| "has no tag".to_owned(), |of| format!("is tagged {of} by"));
    refused(format!("{cluster} {of} {tag}, and was not left behind by {id}"))
        .advice(format!("rewind status {id} shows how the clusters stand"))
}

/// Refuses a time that is over, too long, or longer than the cluster is kept.
pub(crate) fn refuse_time(cluster: &Cluster, until: Timestamp, now: Timestamp) -> Result<(), StepError> {
    if until <= now || until > now + OPEN_FOR_MOST {
        return Err(refused(format!("{until} is no time until which {} can be opened", cluster.name))
            .advice("open it for 1m to 8h from now on"));
    }
    let kept = cluster.tag(KEEP_UNTIL_TAG).and_then(|kept| kept.parse::<Timestamp>().ok());
    match kept {
        Some(kept) if until > kept => {
            Err(refused(format!("{} is kept until {kept}, and was to be opened until {until}", cluster.name)).advice(
                format!(
                    "open it for less, or keep it longer first: aws rds add-tags-to-resource --resource-name {} --tags \
             Key={KEEP_UNTIL_TAG},Value=<a later time>",
                    cluster.arn
                ),
            ))
        }
        _ => Ok(()),
    }
}

pub(crate) fn no_open_group(cluster: &str) -> StepError {
    refused(format!("{cluster} is fenced by security groups, and the deployment has none that admits one address"))
        .advice("deploy with OpenSecurityGroupId, or with VpcId, and open it again (docs/install.md)")
}

pub(crate) fn other_groups(cluster: &Cluster, left: &[String]) -> StepError {
    refused(format!(
        "{} has the security groups {}, and the recovery left it with {}: somebody has opened it already",
        cluster.name,
        cluster.security_groups.join(", "),
        left.join(", ")
    ))
    .advice("use what they opened, or give it back the groups that the recovery left it with, and open it again")
}

pub(crate) fn no_such_database(cluster: &str, asked: &str, databases: &[String]) -> StepError {
    refused(format!("{cluster} has no database {asked} that can be opened"))
        .advice(format!("ask for one of these: {}", some_of(databases, "there is none")))
}

pub(crate) fn which_database(cluster: &str, databases: &[String]) -> StepError {
    refused(format!("{cluster} has {} databases, and one is opened at a time", databases.len()))
        .advice(format!("name it with --database: {}", some_of(databases, "there is none")))
}
