//! Makes the plan of a recovery, before anything is changed: it reads the request, the cluster, the records and the secret. It
//! changes nothing, so it has no undo. Where the request resumes an earlier recovery, it decides if that one's restored cluster can
//! be adopted.

mod adopt;
mod allowed;
mod limits;
mod plan_text;
pub mod policy;
mod record_findings;
mod records;
mod refusal;
mod secret;
pub mod sign;
pub mod wake;

use adopt::{Adoption, Resumed, adoption};
pub use allowed::Allowed;
use policy::Policy;
use refusal::{Refusals, invalid};
use rewind_aws::rds::tags::is_value;
use rewind_aws::rds::{Cluster, Instance, ReadClusters, ReadParameters, is_foreign};
use rewind_aws::route53::Zones;
use rewind_aws::secrets::FindSecrets;
use rewind_aws::zone_facts::ReadZones;
use rewind_core::names::{CLEAN_UP_HOLDER, default_new_cluster, default_safety_clone, new_instance};
use rewind_core::{
    Approval, Clock, ClusterFacts, ErrorName, FenceGroups, InPlacePlan, Plan, PlannedInstance, Recovery, Request,
    StepError, Strategy, StrategyChoice, Window, choose_strategy,
};
use rewind_lambda::Step;
use serde::Deserialize;
use serde_json::Value;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBClusterParameters",
    "route53:ListHostedZones",
    "route53:ListResourceRecordSets",
    "secretsmanager:DescribeSecret",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
    "lambda:InvokeFunction",
    "states:DescribeExecution",
    "dynamodb:GetItem",
    "kms:GenerateMac",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct ValidateWindow<C, Z, S, K> {
    /// Clusters and instances.
    pub clusters: C,
    /// Hosted zones.
    pub zones: Z,
    /// Secrets.
    pub secrets: S,
    /// The time.
    pub clock: K,
    /// The security groups of the fence; empty where the deployment has none.
    pub fence_groups: Vec<String>,
    /// The names and sources that the deployment allows.
    pub allowed: Allowed,
    /// The deployment's rules about what may be asked for.
    pub policy: Policy,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The request, as the caller wrote it. Where it resumes a recovery, that one's fields are in it.
    pub request: Value,
    /// The record of the recovery to resume; absent where there is none.
    #[serde(default)]
    pub resumed: Option<Resumed>,
}

impl<C: ReadClusters + ReadParameters, Z: Zones + ReadZones, S: FindSecrets, K: Clock> Step
    for ValidateWindow<C, Z, S, K>
{
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        if let Some(resumed) = &input.resumed {
            // Before the request is read: without a record the fields that it would bring are missing.
            resumed.refuse_record()?;
        }
        let request = Request::parse(&input.request)?;
        let id = &input.recovery.id;
        // RDS would refuse the tag at the restore, after the lease and the approval.
        if !is_value(id) {
            return Err(invalid(format!(
                "the execution's name \"{id}\" marks what is made, and RDS does not take it as a tag"
            ))
            .advice("give it a name of letters, digits and - _ . alone"));
        }
        // Every message takes the holder of a lease whose name begins so for the clean-up.
        if id.starts_with(CLEAN_UP_HOLDER) {
            return Err(invalid(format!(
                "the execution's name \"{id}\" begins with {CLEAN_UP_HOLDER}, by which the leases of the clean-up are known"
            ))
            .advice("give it another name"));
        }
        self.allowed.refuse_source(&request.cluster)?;
        let cluster = self.read_cluster(&request).await?;
        // "5m ago" counts from the start of the recovery, so that a retry does not move the target.
        let started = input.recovery.started_at.min(self.clock.now());
        let facts = self.facts(&cluster, started).await?;
        let adoption = match &input.resumed {
            Some(resumed) => {
                let reading = (&self.clusters, &self.zones, self.fence_groups.as_slice());
                Some(adoption(reading, resumed, &cluster).await?)
            }
            None => None,
        };
        // The window has moved on since an adopted cluster was restored, and its data is there already.
        // From here on each refusal is kept until all of them are known.
        let mut refusals = Refusals::default();
        let chosen = refusals.keep(match &adoption {
            Some(adoption) => Ok(adoption.strategy(&facts)),
            None => choose_strategy(&facts, &request),
        })?;
        let in_place = chosen.as_ref().map_or(request.strategy, |chosen| chosen.strategy) == Strategy::Backtrack;

        let by_default = chosen.as_ref().map(|chosen| match in_place {
            true => default_safety_clone(&cluster.name, input.recovery.started_at),
            false => default_new_cluster(&cluster.name, chosen.moment.at),
        });
        let new_cluster = request.new_cluster.clone().or(by_default);
        if let Some(name) = &new_cluster {
            let allowed = refusals.keep(self.allowed.refuse_new_cluster(name))?;
            // RDS refuses the name too, but in place only after the approval, with the source fenced.
            if allowed.is_some() && adoption.is_none() && self.is_taken(name).await? {
                refusals.keep::<()>(Err(invalid(format!("`newCluster`: there is a cluster {name} already"))
                    .advice("choose another `newCluster`, or delete that one if it is left over")))?;
            }
        }
        let source_instances = self.clusters.instances(&cluster.name).await?;
        let resource_ids = cluster.resource_ids(&source_instances);
        refusals.keep(self.allowed.refuse_monitoring(&cluster, &source_instances))?;
        let dns = if in_place {
            records::ignored(&request.dns)
        } else {
            refusals.keep(self.allowed.refuse_records(&request.dns))?;
            records::plan(&self.zones, &request.dns, &cluster, &source_instances, &mut refusals).await?
        };
        let secret = refusals.keep(secret::find(&self.secrets, &request, &cluster).await)?;
        let check_secret = refusals.keep(self.policy.check_secret_of(request.check_secret_arn.as_deref(), id))?;
        let check_secret_arn = match check_secret {
            Some(check_secret) => refusals.keep(secret::of_checks(&self.secrets, check_secret).await)?,
            None => None,
        };
        refusals.refuse()?;
        let (Some(chosen), Some(new_cluster), Some(secret), Some(check_secret_arn)) =
            (chosen, new_cluster, secret, check_secret_arn)
        else {
            return Err(StepError::bug("a part of the plan is missing, and nothing was refused"));
        };
        let mut instances = plan_instances(&cluster, source_instances.clone(), &new_cluster)?;
        if let Some(adoption) = &adoption {
            adoption.keep_writer(&mut instances);
        }
        if in_place {
            instances.retain(|instance| instance.writer);
            // The safety clone has no other instance, and tier 0 makes this one the writer without a failover.
            instances.iter_mut().for_each(|instance| instance.promotion_tier = 0);
        }
        let mut findings = dns.findings;
        if !dns.records.is_empty() {
            let read = record_findings::find(&self.zones, &request.dns, &dns.records, &cluster, &source_instances);
            findings.extend(Box::pin(read).await?);
        }
        let is_fenced = !in_place && !dns.records.is_empty();
        let crowded = plan_text::crowded(&cluster.name, &cluster.tags, is_fenced);
        // fence-source would refuse it as well, after hours of restoring.
        if is_fenced && facts.fence == FenceGroups::InForce {
            return Err(invalid(format!("`cluster`: {} is fenced already: it has the fence's security groups", cluster.name))
                .advice(format!(
                    "find the recovery of {} that stopped, lift its fence by docs/runbook.md#an-execution-was-stopped, and start again",
                    cluster.name
                )));
        }
        // Without a fence group the fence changes nothing that RDS keeps. In place there is one.
        if (is_fenced || in_place) && facts.fence != FenceGroups::Missing {
            self.allowed.refuse_password(&cluster)?;
        }
        let pending = plan_text::pending(&cluster.name, &cluster.pending);
        // People only read the safety clone, which gets no roles.
        let without_roles = self.allowed.roles_left_out(&cluster).filter(|_| !in_place);

        let is_anything_to_approve = in_place || !dns.records.is_empty();
        // For whoever decides: where nobody is asked there is nobody to wait for it, and in place nothing is rewound yet by then.
        let is_compared = !in_place && !dns.records.is_empty() && request.approval == Approval::Required;
        let compare = request.compare.filter(|_| is_compared);
        let StrategyChoice { strategy, moment, window, reasons } = chosen;
        let mut plan = Plan {
            recovery_id: input.recovery.id,
            cluster: cluster.name,
            cluster_arn: cluster.arn,
            resource_ids,
            engine: cluster.engine,
            engine_version: cluster.engine_version,
            strategy,
            reasons,
            target: moment.at,
            use_latest: moment.use_latest,
            window,
            new_cluster,
            instances,
            dns: dns.records,
            checks: request.checks,
            check_timeout_seconds: request.check_timeout.unsigned_abs().as_secs(),
            compare_seconds: compare.map_or(0, |time| time.unsigned_abs().as_secs()),
            secret_arn: secret.arn,
            secret_moment: secret.moment,
            check_secret_arn,
            // A restored cluster beside the source changes nothing for clients, so nobody is asked about it.
            approval: if is_anything_to_approve { request.approval } else { Approval::None },
            approval_timeout_seconds: request.approval_timeout.as_secs(),
            fence_timeout_seconds: request.fence_timeout.as_secs(),
            keep_source_seconds: request.keep_source.as_secs(),
            keep_restored_seconds: request.keep_restored.as_secs(),
            dry_run: request.dry_run,
            backtrack: in_place.then(|| InPlacePlan {
                window_seconds: facts.backtrack_window,
                force: facts.binlog.is_some(),
                security_groups: cluster.security_groups,
            }),
            adopted: adoption.as_ref().map(Adoption::adopted),
            will_do: Vec::new(),
            warnings: dns.warnings,
            findings,
            started_by: Vec::new(),
            signature: None,
        };
        plan.will_do = plan_text::will_do(&plan, &self.fence_groups);
        plan.warnings.extend(plan_text::warnings(&plan, &moment, facts.binlog.as_deref()));
        plan.warnings.extend(crowded);
        plan.warnings.extend(pending);
        plan.warnings.extend(without_roles);
        plan.warnings.extend(secret.note);
        plan.warnings.extend(adoption.iter().flat_map(Adoption::warnings));
        self.policy.refuse(&plan)?;
        limits::refuse_unverified(&plan, request.unverified)?;
        limits::refuse_too_large(&plan)?;
        Ok(plan)
    }
}

impl<C: ReadClusters + ReadParameters, Z: Zones, S: FindSecrets, K: Clock> ValidateWindow<C, Z, S, K> {
    /// True if there is a cluster of that name already. Neptune and DocumentDB share the names of RDS, and so one of theirs
    /// takes it too, although it cannot be read as one of ours.
    async fn is_taken(&self, name: &str) -> Result<bool, StepError> {
        match self.clusters.cluster(name).await {
            Ok(found) => Ok(found.is_some()),
            Err(error) if is_foreign(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn read_cluster(&self, request: &Request) -> Result<Cluster, StepError> {
        let name = &request.cluster;
        let cluster = self.clusters.cluster(name).await?.ok_or_else(|| {
            invalid(format!("`cluster` is \"{name}\": there is no such cluster in this account and Region"))
                .advice("give the cluster's identifier, as `aws rds describe-db-clusters` shows it")
        })?;
        match cluster.status.as_str() {
            "available" | "backing-up" => Ok(cluster),
            // These states don't end by themselves, so a retry would only delay the answer.
            "stopped"
            | "stopping"
            | "deleting"
            | "failed"
            | "cloning-failed"
            | "migration-failed"
            | "inaccessible-encryption-credentials" => {
                Err(invalid(format!("`cluster`: {name} is {}, and a recovery needs it available", cluster.status))
                    .advice("bring it to available first"))
            }
            passing => Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is {passing}"))
                .changed("nothing was changed")
                .advice("it is tried again until the cluster is available")),
        }
    }

    /// Reads the facts that the choice of the strategy rests on.
    async fn facts(&self, cluster: &Cluster, started: jiff::Timestamp) -> Result<ClusterFacts, StepError> {
        let backtrack_window = cluster.backtrack_window.unwrap_or(0);
        let restorable = cluster.earliest_restorable.zip(cluster.latest_restorable);
        Ok(ClusterFacts {
            cluster: cluster.name.clone(),
            engine: cluster.engine,
            engine_mode: cluster.engine_mode.clone(),
            restorable: restorable.map(|(earliest, latest)| Window { earliest, latest }),
            backtrack_window,
            earliest_backtrack: cluster.earliest_backtrack,
            created: cluster.created,
            in_clone_group: cluster.clone_group.is_some(),
            global_cluster: cluster.global_cluster.clone(),
            replicates: cluster.replication_source.clone(),
            // Without Backtrack nothing is forced, and the call can be spared.
            binlog: if backtrack_window > 0 { self.binlog(cluster).await? } else { None },
            fence: self.fence_of(cluster),
            data_api: cluster.data_api.then(|| cluster.arn.clone()),
            write_forwarding: cluster.write_forwarding.clone(),
            started,
        })
    }

    /// Reads the state of binary logging, if it is or may be on. A backtrack that is forced without need has the same effect; one that
    /// is not forced where it is needed fails.
    async fn binlog(&self, cluster: &Cluster) -> Result<Option<String>, StepError> {
        let Some(group) = &cluster.parameter_group else { return Ok(None) };
        let format = self.clusters.cluster_parameter(group, "binlog_format").await?;
        Ok(match format.filter(|format| !format.eq_ignore_ascii_case("off")) {
            Some(format) => Some(format!("on ({format})")),
            None => (!cluster.pending_reboot.is_empty())
                .then(|| format!("perhaps on: a change of {group} waits for a reboot")),
        })
    }

    fn fence_of(&self, cluster: &Cluster) -> FenceGroups {
        if self.fence_groups.is_empty() {
            FenceGroups::Missing
        } else if cluster.includes_groups(&self.fence_groups) {
            FenceGroups::InForce
        } else {
            FenceGroups::Ready
        }
    }
}

fn plan_instances(
    cluster: &Cluster,
    mut source: Vec<Instance>,
    new_cluster: &str,
) -> Result<Vec<PlannedInstance>, StepError> {
    let writer = cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str());
    if !source.iter().any(|instance| Some(instance.name.as_str()) == writer) {
        return Err(invalid(format!("`cluster`: {} has no writer instance", cluster.name))
            .advice("add an instance to it first: a recovery compares with the source, and fences it"));
    }
    // Application Auto Scaling creates and deletes these by load, and would not manage copies of them. A failover can make
    // one of them the writer: then the instance that would take over next is planned in its place, if there is one.
    let is_autoscaled = |instance: &Instance| instance.name.starts_with("application-autoscaling-");
    let own = source.iter().filter(|instance| !is_autoscaled(instance));
    let next = own.min_by_key(|instance| (instance.promotion_tier, instance.name.clone())).map(|i| i.name.clone());
    let writer = match source.iter().find(|instance| Some(instance.name.as_str()) == writer) {
        Some(found) if is_autoscaled(found) => next.or(Some(found.name.clone())),
        _ => writer.map(ToOwned::to_owned),
    };
    let writer = writer.as_deref();
    source.retain(|instance| !is_autoscaled(instance) || Some(instance.name.as_str()) == writer);
    // In a fixed order, so that a retry gives every instance the same name again.
    source.sort_by_key(|i| (Some(i.name.as_str()) != writer, i.promotion_tier, i.name.clone()));
    let names = |named: &dyn Fn(usize, &Instance) -> String| -> Vec<String> {
        source.iter().enumerate().map(|(i, instance)| named(i + 1, instance)).collect()
    };
    let mut chosen = names(&|ordinal, i| new_instance(&i.name, &cluster.name, new_cluster, ordinal));
    let mut distinct = chosen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < chosen.len() {
        // A name that was kept is the same as a numbered one, so all get numbers.
        chosen = names(&|ordinal, _| new_instance("", &cluster.name, new_cluster, ordinal));
    }
    Ok(source
        .into_iter()
        .zip(chosen)
        .map(|(i, name)| PlannedInstance {
            writer: Some(i.name.as_str()) == writer,
            source: i.name,
            name,
            class: i.class,
            promotion_tier: i.promotion_tier,
        })
        .collect())
}

#[cfg(test)]
mod tests;
