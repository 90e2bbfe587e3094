//! Finds the secret with the login: the one that the request names, the cluster's own, or the one that an earlier recovery left
//! word of in a tag.

use crate::policy::CheckSecret;
use crate::refusal::invalid;
use jiff::Timestamp;
use rewind_aws::rds::Cluster;
use rewind_aws::secrets::FindSecrets;
use rewind_core::names::{RECOVERY_TAG, SECRET_TAG, secret_of_tag};
use rewind_core::{Request, StepError};

/// The secret of a plan.
#[derive(Debug)]
pub(crate) struct PlannedSecret {
    pub(crate) arn: String,
    /// The moment whose version has the login, where the tag has one.
    pub(crate) moment: Option<Timestamp>,
    /// The sentence for people, where neither they nor the cluster named it.
    pub(crate) note: Option<String>,
}

/// The place that names a secret.
enum Named {
    Request,
    Cluster,
    Tag,
}

pub(crate) async fn find<S: FindSecrets>(
    secrets: &S,
    request: &Request,
    cluster: &Cluster,
) -> Result<PlannedSecret, StepError> {
    let (arn, named) = named(request, cluster)?;
    // Also where people named the secret of the tag themselves: it is rotated on just as well.
    let of_tag = cluster.tag(SECRET_TAG).and_then(secret_of_tag).filter(|(tagged, _)| *tagged == arn);
    // Without a login nothing can be verified or fenced, which would show only after hours of restoring.
    if !secrets.exists(&arn).await? {
        return Err(missing(&arn, &named, cluster));
    }
    let note = match named {
        Named::Request | Named::Cluster => None,
        Named::Tag => Some(format!(
            "logs in with {arn}, found by the tag {SECRET_TAG} of {}, which the recovery {} left there",
            cluster.name,
            cluster.tag(RECOVERY_TAG).unwrap_or("before")
        )),
    };
    Ok(PlannedSecret { arn, moment: of_tag.and_then(|(_, moment)| moment), note })
}

/// Verifies that the secret with the login of the checks is there.
pub(crate) async fn of_checks<S: FindSecrets>(
    secrets: &S,
    settled: Option<CheckSecret<'_>>,
) -> Result<Option<String>, StepError> {
    let Some(CheckSecret { arn, from }) = settled else { return Ok(None) };
    if !secrets.exists(arn).await? {
        return Err(
            invalid(format!("{from}: there is no secret {arn}")).advice("give the ARN of a secret that is there")
        );
    }
    Ok(Some(arn.to_owned()))
}

fn named(request: &Request, cluster: &Cluster) -> Result<(String, Named), StepError> {
    if let Some(arn) = &request.secret_arn {
        return Ok((arn.clone(), Named::Request));
    }
    // Before the tag: whoever turned the managed password on after a recovery has changed the password with it.
    if let Some(arn) = &cluster.master_secret {
        return Ok((arn.clone(), Named::Cluster));
    }
    let tagged = cluster.tag(SECRET_TAG).map(|value| secret_of_tag(value).ok_or(value));
    match tagged {
        Some(Ok((arn, _))) => Ok((arn, Named::Tag)),
        Some(Err(value)) => Err(invalid(format!(
            "`secretArn` is missing, {} has no managed master secret, and its tag {SECRET_TAG} is no ARN: {value}",
            cluster.name
        ))
        .advice(NAME_ONE)),
        None => Err(invalid(format!("`secretArn` is missing, and {} has no managed master secret", cluster.name))
            .advice(NAME_ONE)),
    }
}

const NAME_ONE: &str = "give the ARN of a secret with `username` and `password` of a user who may check and fence";

fn missing(arn: &str, named: &Named, cluster: &Cluster) -> StepError {
    match named {
        Named::Request | Named::Cluster => invalid(format!("`secretArn`: there is no secret {arn}"))
            .advice("give the ARN of a secret that is there"),
        // RDS deletes a managed secret with the cluster that it belonged to.
        Named::Tag => invalid(format!(
            "`secretArn` is missing, and the secret that {} names in its tag {SECRET_TAG} is gone: {arn}",
            cluster.name
        ))
        .advice(format!(
            "give the ARN of another one with the login as `secretArn`, or have RDS make one when no client logs in as the \
             master user: aws rds modify-db-cluster --db-cluster-identifier {} --manage-master-user-password \
             --apply-immediately",
            cluster.name
        )),
    }
}
