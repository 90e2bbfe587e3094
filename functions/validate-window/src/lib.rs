//! Settles what a recovery will do, before anything is changed: reads the request, the cluster, the records and the
//! secret, and answers the plan. It never changes anything, so there is nothing to undo.

mod records;

use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::route53::Zones;
use rewind_aws::secrets::FindSecrets;
use rewind_core::names::{default_new_cluster, new_instance};
use rewind_core::{
    Approval, Clock, ErrorName, Moment, Plan, PlannedInstance, PlannedRecord, Recovery, Request, StepError, Strategy,
    Window, say_duration,
};
use rewind_lambda::Step;
use serde::Deserialize;
use serde_json::Value;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "route53:ListResourceRecordSets",
    "secretsmanager:DescribeSecret",
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
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// The request, as it came.
    pub request: Value,
}

impl<C: ReadClusters, Z: Zones, S: FindSecrets, K: Clock> Step for ValidateWindow<C, Z, S, K> {
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        let request = Request::parse(&input.request)?;
        let cluster = self.read_cluster(&request).await?;
        let reasons = choose_restore(&request, &cluster)?;
        let window = restorable_window(&cluster)?;
        // "5m ago" means before the recovery was started: a retry must not move the moment.
        let started = input.recovery.started_at.min(self.clock.now());
        let moment = window.settle(request.to, started)?;

        let new_cluster = match &request.new_cluster {
            Some(name) => name.clone(),
            None => default_new_cluster(&cluster.name, moment.at),
        };
        if self.clusters.cluster(&new_cluster).await?.is_some() {
            return Err(invalid(format!("`newCluster`: there is a cluster {new_cluster} already"))
                .advice("choose another `newCluster`, or delete that one if it is left over"));
        }
        let source_instances = self.clusters.instances(&cluster.name).await?;
        let instances = plan_instances(&cluster, source_instances.clone(), &new_cluster)?;
        let dns = records::plan(&self.zones, &request.dns, &cluster, &source_instances).await?;
        let secret_arn = self.find_secret(&request, &cluster).await?;

        let approval = if dns.records.is_empty() { Approval::None } else { request.approval };
        let mut plan = Plan {
            recovery_id: input.recovery.id,
            cluster: cluster.name,
            cluster_arn: cluster.arn,
            engine: cluster.engine,
            engine_version: cluster.engine_version,
            strategy: Strategy::Restore,
            reasons,
            target: moment.at,
            use_latest: moment.use_latest,
            window,
            new_cluster,
            instances,
            dns: dns.records,
            checks: request.checks,
            secret_arn,
            approval,
            approval_timeout_seconds: request.approval_timeout.as_secs(),
            keep_source_seconds: request.keep_source.as_secs(),
            dry_run: request.dry_run,
            will_do: Vec::new(),
            warnings: dns.warnings,
        };
        plan.will_do = will_do(&plan);
        plan.warnings.extend(warnings(&plan, &moment));
        Ok(plan)
    }
}

impl<C: ReadClusters, Z: Zones, S: FindSecrets, K: Clock> ValidateWindow<C, Z, S, K> {
    async fn read_cluster(&self, request: &Request) -> Result<Cluster, StepError> {
        let name = &request.cluster;
        let cluster = self.clusters.cluster(name).await?.ok_or_else(|| {
            invalid(format!("`cluster` is \"{name}\": there is no such cluster in this account and Region"))
                .advice("give the cluster's identifier, as `aws rds describe-db-clusters` shows it")
        })?;
        match cluster.status.as_str() {
            "available" | "backing-up" => Ok(cluster),
            // These do not pass by themselves.
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

    async fn find_secret(&self, request: &Request, cluster: &Cluster) -> Result<String, StepError> {
        let Some(arn) = request.secret_arn.clone().or_else(|| cluster.master_secret.clone()) else {
            return Err(invalid(format!("`secretArn` is missing, and {} has no managed master secret", cluster.name))
                .advice("give the ARN of a secret with `username` and `password` of a user who may check and fence"));
        };
        if self.secrets.exists(&arn).await? {
            Ok(arn)
        } else {
            Err(invalid(format!("`secretArn`: there is no secret {arn}"))
                .advice("give the ARN of a secret that is there"))
        }
    }
}

fn invalid(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was changed")
}

/// Chooses the strategy, and says why.
fn choose_restore(request: &Request, cluster: &Cluster) -> Result<Vec<String>, StepError> {
    if cluster.engine != "aurora-postgresql" {
        return Err(invalid(format!("`cluster`: {} is {}", cluster.name, cluster.engine))
            .advice("this version rewinds Aurora PostgreSQL (aurora-postgresql) clusters"));
    }
    if let Some(mode) = cluster.engine_mode.as_deref().filter(|mode| *mode != "provisioned") {
        return Err(invalid(format!("`cluster`: {} has the engine mode {mode}", cluster.name))
            .advice("only provisioned clusters (Serverless v2 among them) can be rewound"));
    }
    match request.strategy {
        Strategy::Restore => Ok(vec!["restore: asked for".to_owned()]),
        Strategy::Auto => Ok(vec![
            "restore: side by side, the original stays untouched until the switch".to_owned(),
            format!(
                "not backtrack: Backtrack exists for Aurora MySQL only, and {} is {}",
                cluster.name, cluster.engine
            ),
        ]),
        Strategy::Backtrack => Err(invalid(format!(
            "`strategy` is \"backtrack\": Backtrack exists for Aurora MySQL only, and {} is {}",
            cluster.name, cluster.engine
        ))
        .advice("write \"restore\", or leave `strategy` out")),
    }
}

fn restorable_window(cluster: &Cluster) -> Result<Window, StepError> {
    match (cluster.earliest_restorable, cluster.latest_restorable) {
        (Some(earliest), Some(latest)) => Ok(Window { earliest, latest }),
        _ => Err(StepError::new(ErrorName::OutsideWindow, format!("{} has no restorable time yet", cluster.name))
            .changed("nothing was changed")
            .advice("wait until its first backup is done: EarliestRestorableTime appears in describe-db-clusters")),
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
            .advice("add an instance to it first: a recovery compares with the original, and fences it"));
    }
    // Application Auto Scaling makes and removes these by load: a new cluster gets its own when it is registered there.
    source.retain(|instance| !instance.name.starts_with("application-autoscaling-"));
    source.sort_by_key(|i| (Some(i.name.as_str()) != writer, i.promotion_tier, i.name.clone()));
    let names = |named: &dyn Fn(usize, &Instance) -> String| -> Vec<String> {
        source.iter().enumerate().map(|(i, instance)| named(i + 1, instance)).collect()
    };
    let mut chosen = names(&|ordinal, i| new_instance(&i.name, &cluster.name, new_cluster, ordinal));
    let mut distinct = chosen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < chosen.len() {
        // A kept part collides with a number: number them all.
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

fn will_do(plan: &Plan) -> Vec<String> {
    let moment = if plan.use_latest { "the latest restorable time".to_owned() } else { plan.target.to_string() };
    let mut steps = vec![
        format!("restore {} as it was at {moment} into the new cluster {}", plan.cluster, plan.new_cluster),
        format!(
            "add {} instance(s): {}",
            plan.instances.len(),
            plan.instances.iter().map(|i| format!("{} ({})", i.name, i.class)).collect::<Vec<_>>().join(", ")
        ),
        format!("run {} check(s) on the new cluster, read-only, and compare with the original", plan.checks.len()),
    ];
    if plan.dns.is_empty() {
        steps.push(format!("leave traffic on {}: no record was named", plan.cluster));
        return steps;
    }
    if plan.approval == Approval::Required {
        steps.push(format!(
            "ask a person, for up to {}",
            say_duration(jiff::SignedDuration::from_secs(plan.approval_timeout_seconds))
        ));
    }
    steps.push(format!("fence {}: no write is acknowledged by it after that, and its sessions end", plan.cluster));
    for record in &plan.dns {
        steps.push(format!("move {} from {} to the new cluster", record.name, record.from));
    }
    steps.push(format!("keep {}, fenced, for {} as the way back", plan.cluster, say_duration(plan.keep_source())));
    steps
}

fn warnings(plan: &Plan, moment: &Moment) -> Vec<String> {
    let mut warnings = Vec::new();
    if moment.use_latest {
        warnings.push("`to` is latest: it contains the mistake, if that was committed".to_owned());
    }
    if let Some(ahead) = moment.ahead_of_window {
        warnings.push(format!(
            "AWS can restore up to {} yet: the restore begins when that has moved on by {}",
            plan.window.latest,
            say_duration(ahead)
        ));
    }
    if plan.checks.is_empty() {
        warnings.push("no check was given: nothing proves that the data is back".to_owned());
    }
    if !plan.dns.is_empty() {
        warnings.push(format!(
            "writes to {} after {} are not on the new cluster: they stay on the fenced original",
            plan.cluster, plan.target
        ));
        if plan.approval == Approval::None {
            warnings.push("nobody is asked before traffic moves".to_owned());
        }
    }
    warnings.extend(plan.dns.iter().filter(|record| record.ttl > 60).map(slow_record));
    warnings
}

fn slow_record(record: &PlannedRecord) -> String {
    format!("{} has a TTL of {} s: clients may look for the fenced original that long", record.name, record.ttl)
}

#[cfg(test)]
mod tests;
