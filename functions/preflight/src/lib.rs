//! Tries, before anything is changed, what would fail hours later: from inside the network of the databases, with the login
//! of the fence and the checks. It answers findings, each with its fix, and changes nothing.

mod check_login;
mod cluster;
mod databases;
mod fences;
mod parameter_group;
mod restored;
mod secret;

use rewind_access::Access;
use rewind_aws::fence_periods::FencePeriods;
use rewind_aws::rds::facts::ReadFacts;
use rewind_aws::rds::{Cluster, Instance, ReadClusters, ReadParameters};
use rewind_aws::secret_form::ReadSecretForm;
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Finding, Plan, Recovery, StepError, arrange, blocking_cause};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBClusterParameters",
    "rds:DescribeAccountAttributes",
    "rds:DescribeCertificates",
    "secretsmanager:DescribeSecret",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "dynamodb:GetItem",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct Preflight<C, S, F, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The times in which earlier fences had the logins closed.
    pub fences: F,
    /// The time.
    pub clock: K,
    /// True if the fence has security groups, behind which a login that stays open lets nobody in.
    pub has_network_fence: bool,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan, with the findings that were made while it was.
    pub plan: Plan,
    /// The part of the work.
    #[serde(default)]
    pub part: Part,
}

/// The parts of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Before anything is changed: the source, and what is adopted.
    #[default]
    Source,
    /// Before the restored cluster is deleted, because a person rejected it: does somebody use it?
    Restored,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// All findings of the plan, blocking ones first.
    pub findings: Vec<Finding>,
    /// The blocking findings in one sentence; none if nothing blocks.
    pub blocking: Option<String>,
}

impl<C: ReadClusters + ReadFacts + ReadParameters, S: Logins + ReadSecretForm, F: FencePeriods, K: Clock> Step
    for Preflight<C, S, F, K>
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, Input { recovery, plan, part }: Input) -> Result<Output, StepError> {
        let findings = match part {
            Part::Source => {
                let found = self.inspect(&recovery, &plan).await.map_err(before_any_change)?;
                plan.findings.iter().cloned().chain(found).collect()
            }
            Part::Restored => self.inspect_rejected(&recovery, &plan).await?,
        };
        let findings = arrange(findings);
        let blocking = blocking_cause(&findings);
        Ok(Output { findings, blocking })
    }
}

impl<C: ReadClusters + ReadFacts + ReadParameters, S: Logins + ReadSecretForm, F: FencePeriods, K: Clock>
    Preflight<C, S, F, K>
{
    async fn inspect(&self, recovery: &Recovery, plan: &Plan) -> Result<Vec<Finding>, StepError> {
        let cluster = self.access.cluster(&plan.cluster).await?;
        let instances = self.access.clusters.instances(&plan.cluster).await?;
        let quotas = self.access.clusters.quotas().await?;
        let mut findings = self.inspect_account(plan, &cluster, &instances).await?;
        findings.extend(cluster::quotas(plan, &quotas));
        findings.extend(fences::finding(plan, &cluster, &self.fences.periods(&cluster.resource_id).await?));
        let unreadable = match &plan.check_secret_arn {
            Some(arn) => secret::finding("checkSecretArn", arn, self.access.secrets.form(arn).await?),
            None => None,
        };
        let form = self.access.secrets.form(&plan.secret_arn).await?;
        match secret::finding("secretArn", &plan.secret_arn, form) {
            // Without a login there is nothing in the databases to try.
            Some(finding) => findings.push(finding),
            None => {
                findings.extend(self.inspect_databases(recovery, plan, &cluster).await?);
                if unreadable.is_none() {
                    findings.extend(self.try_checks(recovery, plan, &cluster, &instances).await?);
                }
                if plan.adopted.is_some() {
                    findings.extend(self.inspect_adopted(recovery, plan).await?);
                }
            }
        }
        findings.extend(unreadable);
        // After the databases: their jobs decide if a group is needed.
        if let Some(finding) = cluster::no_group_left(&quotas)
            && parameter_group::is_created(&self.access.clusters, plan, &cluster, &findings).await?
        {
            findings.push(finding);
        }
        Ok(findings)
    }

    /// Reads what RDS knows of the source and of the account.
    async fn inspect_account(
        &self,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Vec<Finding>, StepError> {
        let rds = &self.access.clusters;
        let facts = rds.source_facts(&plan.cluster).await?;
        let mut findings = cluster::settings(plan, cluster, &facts);
        findings.extend(cluster::authorities(instances, &rds.authorities().await?, self.clock.now()));
        // A recovery that resumes another finds its cluster and its instances there.
        if plan.adopted.is_some() {
            return Ok(findings);
        }
        for instance in &plan.instances {
            if rds.is_instance_taken(&instance.name).await? {
                findings.push(cluster::taken(&instance.name));
            }
        }
        Ok(findings)
    }
}

/// Names the state of things in an error: the preflight comes before every change.
fn before_any_change(error: StepError) -> StepError {
    match error.name {
        // A cluster that is gone between plan and preflight: nothing was begun, so no rewind has failed.
        ErrorName::RewindFailed | ErrorName::VerificationFailed => {
            StepError::new(ErrorName::InvalidRequest, format!("preflight: {error}")).changed("nothing was changed")
        }
        _ => error.changed("nothing was changed"),
    }
}
