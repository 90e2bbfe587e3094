//! Lists everything that neither the restore nor this step carries over, each with an action for a person.

use rewind_aws::rds::tags::{MOST_TAGS, left_out, of_aws};
use rewind_aws::rds::{Cluster, Instance, Refusal, RefusedFor};
use rewind_core::names::held_jobs_group;
use rewind_core::{Difference, ErrorName, Plan, PlannedInstance, StepError};

/// Characters of a message of AWS in a difference: a cluster has fifteen readers, and the state of an execution 256 KiB.
pub(crate) const LONGEST_MESSAGE: usize = 400;

/// Reports a refused setting as a difference: it is no reason to throw away a restore that took hours. Errors that may pass are
/// returned, so that the step is retried.
pub(crate) fn unless_done(what: &str, sent: Result<(), StepError>) -> Result<Option<Difference>, StepError> {
    match sent {
        Ok(()) => Ok(None),
        // RewindFailed is AWS's final no: a retry would get the same, and the undo would delete a cluster that works.
        Err(error) if error.name == ErrorName::RewindFailed => Ok(Some(Difference::new(
            what,
            "set",
            format!("refused: {error}"),
            "set it by hand once the reason is mended",
        ))),
        // Throttled or unavailable may pass. The retry of the step sets only what is still missing.
        Err(error) => Err(error),
    }
}

/// Reports the settings that were left as they are, for the call that sets them would start what waits for a maintenance window.
pub(crate) fn left_out_for(restored: &str, pending: &[&str]) -> Difference {
    Difference::new(
        "windows, backups and monitoring",
        "as the source has them",
        format!(
            "left as they are: {restored} has changes that wait for its maintenance window ({})",
            pending.join(", ")
        ),
        format!(
            "decide about what waits (aws rds describe-db-clusters --db-cluster-identifier {restored}), and set these by hand: setting \
             monitoring starts what waits"
        ),
    )
}

/// Reports a reader of the source that was deleted after the plan was made.
pub(crate) fn reader_is_gone(planned: &PlannedInstance) -> Difference {
    Difference::new(
        format!("reader {}", planned.source),
        format!("{}, gone since the plan was made", planned.class),
        "not made",
        "add a reader if the load needs it",
    )
}

/// Reports an instance that AWS refused.
pub(crate) fn not_made(plan: &Plan, planned: &PlannedInstance, refusal: &Refusal) -> Difference {
    let command = planned.create_command(plan);
    let first = match refusal.why {
        RefusedFor::Quota => {
            "raise the quota of DB instances (`aws service-quotas request-service-quota-increase --service-code rds \
             --quota-code L-7B6409FD --desired-value` and the number), or delete an instance that nobody needs"
        }
        RefusedFor::Capacity | RefusedFor::Zone => "try again later, or with another class",
        RefusedFor::Class => "choose a class that is offered",
        RefusedFor::Other => "mend what AWS's message names",
    };
    let message: String = refusal.message.chars().take(LONGEST_MESSAGE).collect();
    let what = if planned.writer { "writer" } else { "reader" };
    Difference::new(
        format!("{what} {}", planned.source),
        planned.class.clone(),
        format!("{} is not made, for AWS refuses it: {message}", planned.name),
        format!("if the load needs it, {first}; then run `{command}`"),
    )
}

/// Reports the tags that the restored cluster does not have.
pub(crate) fn tags(source: &Cluster, restored: &Cluster) -> Vec<Difference> {
    let mut found = Vec::new();
    found.extend(did_not_fit(&left_out(&source.tags, &restored.tags), &restored.name, &restored.arn));
    // Keys with the prefix `aws:` are reserved for AWS: no call of ours can set them.
    let of_aws = of_aws(&source.tags);
    if !of_aws.is_empty() {
        found.push(Difference::new(
            format!("tags of AWS's own on {}", restored.name),
            of_aws.join(", "),
            "not passed on: nobody but AWS sets them",
            format!(
                "what manages {} by them, such as a CloudFormation stack, does not know {}: import it there if it stays",
                source.name, restored.name
            ),
        ));
    }
    found
}

fn did_not_fit(keys: &[String], name: &str, arn: &str) -> Option<Difference> {
    (!keys.is_empty()).then(|| {
        Difference::new(
            format!("tags of {name}"),
            keys.join(", "),
            format!("not set: RDS takes {MOST_TAGS} tags a resource, and some of these are the recovery's own"),
            format!(
                "see whether access, billing or backups go by one of them; set it in place of another with \
                 `aws rds remove-tags-from-resource` and `aws rds add-tags-to-resource --resource-name {arn}`"
            ),
        )
    })
}

/// Reports the settings in which a new instance differs from its model. A setting that AWS does not show yet is skipped.
pub(crate) fn of_instance(planned: &PlannedInstance, like: &Instance, new: &Instance) -> Vec<Difference> {
    let mut found = Vec::new();
    // Compared, and not kept from the creation: a second run of the step has to report it too.
    if new.class != planned.class {
        found.push(Difference::new(
            format!("class of {}", new.name),
            planned.class.clone(),
            format!("{}, for AWS had no {} for it", new.class, planned.class),
            format!(
                "see whether it bears the load before traffic moves; when AWS has capacity, run `aws rds modify-db-instance \
                 --db-instance-identifier {} --db-instance-class {} --apply-immediately`",
                new.name, planned.class
            ),
        ));
    }
    // AWS shows some settings only once the instance is up: one side without a value is nothing to act on.
    let differs =
        |like: &Option<String>, new: &Option<String>| Some((like.clone()?, new.clone()?)).filter(|(a, b)| a != b);
    // Not an error: AWS gives an old authority to no new instance, so a retry would end the same way.
    if let Some((old, given)) = differs(&like.ca_certificate, &new.ca_certificate) {
        found.push(Difference::new(
            format!("certificate authority of {}", new.name),
            old.clone(),
            given.clone(),
            format!(
                "AWS gives {old} to no new instance: clients that verify certificates have to trust {given}, or they are \
                 refused when traffic moves: give them the bundle of all authorities before that"
            ),
        ));
    }
    if let Some((old, given)) = differs(&like.availability_zone, &new.availability_zone) {
        found.push(Difference::new(
            format!("availability zone of {}", new.name),
            old.clone(),
            given,
            format!(
                "AWS took it in no other zone: if it has to be in {old}, add an instance there later with `aws rds \
                 create-db-instance`, and delete this one"
            ),
        ));
    }
    if let Some((old, given)) = differs(&like.maintenance_window, &new.maintenance_window) {
        found.push(Difference::new(
            format!("maintenance window of {}", new.name),
            old.clone(),
            given,
            format!(
                "AWS refused {old} beside the backup window: move one of them, then run `aws rds modify-db-instance \
                 --db-instance-identifier {} --preferred-maintenance-window`",
                new.name
            ),
        ));
    }
    found.extend(did_not_fit(&left_out(&like.tags, &new.tags), &new.name, &new.arn));
    found
}

pub(crate) fn find(source: &Cluster, restored: &Cluster) -> Vec<Difference> {
    let mut found = Vec::new();
    // Switching it on would change the password under running clients, so it is left to a person.
    if let Some(secret) = &source.master_secret
        && restored.master_secret.is_none()
    {
        found.push(Difference::new(
            "managed master password",
            secret.clone(),
            "not managed: the master password is the one of the moment that was restored",
            format!(
                "turning it on changes the master password at once, under every client that logs in with it: when none \
                 does, run `aws rds modify-db-cluster --db-cluster-identifier {} --manage-master-user-password`; RDS goes on \
                 rotating the source's secret, and deletes it with the source",
                restored.name
            ),
        ));
    }
    // Custom endpoints are resources of their own that name instances, so a restore makes none.
    if !source.custom_endpoints.is_empty() {
        found.push(Difference::new(
            "custom endpoints",
            source.custom_endpoints.join(", "),
            "none",
            "make them with `aws rds create-db-cluster-endpoint`, and move what points at them",
        ));
    }
    // No restore call passes the membership of a Global Database on, and joining one replicates to other Regions.
    if let Some(global) = &source.global_cluster {
        found.push(Difference::new(
            "Global Database",
            format!("a member of {global}"),
            "not a member",
            "the secondary Regions still follow the source: make a new Global Database from the restored cluster",
        ));
    }
    // They are in services that this function has no permission to read, so they are listed for every cluster.
    found.push(Difference::new(
        "autoscaling, alarms, proxies, event subscriptions",
        "not looked at: they are resources of their own that name the cluster",
        "none",
        format!("make those that name {} anew for {}", source.name, restored.name),
    ));
    // These are passed in the restore call. They are compared all the same: what RDS does not take becomes its
    // default.
    // Its own group is a copy of the source's in which no events run: that is told with the jobs that it holds.
    let held = held_jobs_group(&restored.name);
    let has_own = restored.parameter_group.as_ref() == Some(&held);
    for (what, of_source, of_restored) in [
        (
            "parameter group",
            &source.parameter_group,
            if has_own { &source.parameter_group } else { &restored.parameter_group },
        ),
        ("subnet group", &source.subnet_group, &restored.subnet_group),
        ("KMS key", &source.kms_key_id, &restored.kms_key_id),
        ("storage type", &source.storage_type, &restored.storage_type),
        ("network type", &source.network_type, &restored.network_type),
        ("Extended Support", &source.lifecycle, &restored.lifecycle),
    ] {
        if of_source != of_restored {
            let render = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            found.push(Difference::new(
                what,
                render(of_source),
                render(of_restored),
                "AWS did not take it over: compare the two",
            ));
        }
    }
    found.extend(tags(source, restored));
    // RDS promises no order of groups and exports, and another order is no difference.
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    for (what, of_source, of_restored) in [
        ("security groups", &source.security_groups, &restored.security_groups),
        ("log exports", &source.log_exports, &restored.log_exports),
    ] {
        if sorted(of_source) != sorted(of_restored) {
            found.push(Difference::new(
                what,
                of_source.join(", "),
                of_restored.join(", "),
                "AWS did not take it over: compare the two",
            ));
        }
    }
    found
}
