//! The messages of set-window for people: refusals, losses that need a confirmation, and notes on how far the window reaches.

use crate::setting::Setting;
use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::{Cluster, Instance, ServerlessV2};
use rewind_aws::records::Lease;
use rewind_core::{ErrorName, StepError, format_duration, format_reach};

pub(crate) fn invalid(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was changed")
}

/// Makes the error for a cluster that a recovery works on.
pub(crate) fn in_use(cluster: &str, lease: &Lease) -> StepError {
    StepError::new(
        ErrorName::LeaseHeld,
        format!(
            "{} works on {cluster} since {}, until {} at the latest, and may need what a shorter window would take away",
            lease.holder, lease.taken_at, lease.expires_at
        ),
    )
    .changed("nothing was changed")
    .advice(format!("ask again when it has ended: {}", lease.execution_arn))
}

/// Makes the error for a change that RDS could make only together with others that wait for the maintenance window.
pub(crate) fn others_wait(cluster: &str, others: &[&str]) -> StepError {
    invalid(format!(
        "`window`: {cluster} has changes that wait for its maintenance window ({}), and RDS would start them together with \
         this one",
        others.join(", ")
    ))
    .advice("ask again when they are made; one is cancelled by `aws rds modify-db-cluster` with the present value")
}

/// Makes the error for a cluster that the deployment's policies allow nobody to change.
pub(crate) fn unmanaged(cluster: &str) -> StepError {
    invalid(format!(
        "`cluster`: Secrets Manager does not manage the master password of {cluster}, and this deployment changes no such cluster"
    ))
    .advice("deploy with the parameter MasterPasswords as \"any\", or let Secrets Manager manage the password")
}

/// A change that makes moments unreachable for good.
pub(crate) struct Loss {
    /// The confirmation that the caller has to send.
    pub(crate) confirm: String,
    /// The loss, as it is reported after the change.
    pub(crate) note: String,
    /// The loss, as the refusal describes it before the change.
    would: String,
}

impl Loss {
    pub(crate) fn refusal(&self, confirmed: Option<&str>) -> StepError {
        let happened = match confirmed {
            None => self.would.clone(),
            Some(other) => format!("`confirm` is \"{other}\", which is not what was to be written; {}", self.would),
        };
        invalid(happened).advice(format!("if that is meant, send it again with `\"confirm\": \"{}\"`", self.confirm))
    }
}

/// Finds the loss that the change would cause, if any.
pub(crate) fn loss(cluster: &Cluster, wanted: Setting, now: Timestamp) -> Option<Loss> {
    let name = &cluster.name;
    // By what can be reached, and not by the setting: Aurora may hold less or more than the window.
    let reach = |earliest: Option<Timestamp>| earliest.map(|earliest| now.duration_since(earliest));
    match wanted {
        // Another confirmation than for a shorter window: that one fills again as time passes, this one never comes
        // back.
        Setting::Backtrack(0) => Some(Loss {
            confirm: format!("switch off {name} for ever"),
            note: format!("Backtrack is off for {name}, for ever: only a restore makes a cluster that has it again"),
            would: format!(
                "`window` is off: Backtrack of {name} would be off for ever, with the {} that it reaches back now; it \
                 cannot be switched on again for this cluster",
                reach(cluster.earliest_backtrack).map_or_else(|| "time".to_owned(), format_reach)
            ),
        }),
        Setting::Backtrack(_) | Setting::Retention(_) => {
            let earliest = match wanted {
                Setting::Backtrack(_) => cluster.earliest_backtrack,
                Setting::Retention(_) => cluster.earliest_restorable,
            };
            let (reach, wanted) = (reach(earliest)?, wanted.length());
            // RDS makes one backup a day, so the oldest is often some hours older than the window: that alone is no loss.
            let shrinks = wanted < Setting::of(cluster).length();
            (shrinks && reach > wanted).then(|| Loss {
                confirm: format!("shrink {name}"),
                note: format!(
                    "what was between {} and {} ago can no longer be reached",
                    format_reach(wanted),
                    format_reach(reach)
                ),
                would: format!(
                    "`window` is {}: {name} reaches back {} now, and what is older than the new window would be out of \
                     reach for ever",
                    format_duration(wanted),
                    format_reach(reach)
                ),
            })
        }
    }
}

/// Lists notes on a window: how much of it Aurora has already, and the limits of its engine.
pub(crate) fn of_the_window(cluster: &Cluster, setting: Setting, reach: Option<SignedDuration>) -> Vec<String> {
    let mut notes = Vec::new();
    let target = setting.length();
    match (setting, reach) {
        (Setting::Backtrack(0), _) => {}
        (Setting::Backtrack(_), Some(reach)) if reach < target => notes.push(format!(
            "Aurora reaches back {} of the {} asked for: the rest comes as time passes, less where very much is changed",
            format_reach(reach),
            format_duration(target)
        )),
        (Setting::Backtrack(_), None) => notes.push(format!("AWS names no earliest time for {} yet", cluster.name)),
        (Setting::Retention(_), None) => notes.push(format!("{} has no restorable time yet", cluster.name)),
        (Setting::Retention(_), Some(reach)) if reach < target => notes.push(format!(
            "there are backups of the last {} out of {}: the rest comes as time passes",
            format_reach(reach),
            format_duration(target)
        )),
        _ => {}
    }
    if cluster.engine.has_backtrack() && matches!(setting, Setting::Retention(_)) {
        notes.push(format!(
            "{} was made without Backtrack, which cannot be switched on afterwards: it goes back by a restore beside it",
            cluster.name
        ));
    }
    notes
}

/// Makes the error for switching on Backtrack on a cluster that was created without it, with the commands that create one.
pub(crate) fn cannot_be_switched_on(cluster: &Cluster, instances: &[Instance], seconds: i64) -> StepError {
    let name = &cluster.name;
    invalid(format!(
        "`window`: Backtrack is off for {name}, and AWS switches it on only when a cluster is made, never afterwards"
    ))
    .advice(format!("a restore can make one that has it, beside {name}: {}", commands(cluster, instances, seconds)))
}

/// The commands of the AWS CLI that restore the cluster into one with Backtrack, with what a restore does not inherit.
fn commands(cluster: &Cluster, instances: &[Instance], seconds: i64) -> String {
    let new = rewind_core::names::with_suffix(&cluster.name, "-backtrack");
    let mut restore = format!(
        "aws rds restore-db-cluster-to-point-in-time --source-db-cluster-identifier {} --db-cluster-identifier {new} \
         --use-latest-restorable-time --backtrack-window {seconds}",
        cluster.name
    );
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            restore.push_str(&format!(" --{name} {value}"));
        }
    };
    // RDS takes its defaults for what is left out: the default group of the VPC, default parameters.
    option("db-subnet-group-name", cluster.subnet_group.clone());
    option("vpc-security-group-ids", Some(cluster.security_groups.join(" ")));
    option("db-cluster-parameter-group-name", cluster.parameter_group.clone());
    option("port", cluster.port.map(|port| port.to_string()));
    // Without its range no instance of the class db.serverless can be made.
    option("serverless-v2-scaling-configuration", cluster.serverless_v2.map(capacity));
    if cluster.iam_authentication {
        restore.push_str(" --enable-iam-database-authentication");
    }
    if cluster.deletion_protection {
        restore.push_str(" --deletion-protection");
    }
    if cluster.copy_tags_to_snapshot {
        restore.push_str(" --copy-tags-to-snapshot");
    }
    let writer = cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str());
    let like = instances.iter().find(|i| Some(i.name.as_str()) == writer).or(instances.first());
    // A person reads the command before they run it, so a common class will do where no instance shows one.
    let class = like.map_or("db.r6g.large", |instance| instance.class.as_str());
    let instance = rewind_core::names::with_suffix(&new, "-1");
    format!(
        "{restore} && aws rds wait db-cluster-available --db-cluster-identifier {new} && aws rds create-db-instance \
         --db-instance-identifier {instance} --db-cluster-identifier {new} --engine {} --db-instance-class {class}",
        cluster.engine
    )
}

/// The capacity range of Serverless v2, as the AWS CLI takes it.
fn capacity(range: ServerlessV2) -> String {
    let part = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
    let parts = [
        part("MinCapacity", range.min.map(|capacity| capacity.to_string())),
        part("MaxCapacity", range.max.map(|capacity| capacity.to_string())),
        part("SecondsUntilAutoPause", range.seconds_until_auto_pause.map(|seconds| seconds.to_string())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(",")
}
