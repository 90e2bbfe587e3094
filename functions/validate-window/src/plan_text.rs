//! Writes the sentences of a plan for people: the changes in their order, and the warnings.

use jiff::SignedDuration;
use rewind_aws::rds::tags::{MARKS_OF_CLUSTER, MOST_TAGS, Tag, inherit, left_out, too_many};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG};
use rewind_core::{Approval, Moment, Plan, PlannedRecord, Strategy, format_duration, format_moment, format_reach};

/// Lists the changes in their order, one sentence each.
pub(crate) fn will_do(plan: &Plan, fence_groups: &[String]) -> Vec<String> {
    match plan.strategy {
        Strategy::Backtrack => in_place(plan, fence_groups),
        _ => side_by_side(plan),
    }
}

fn in_place(plan: &Plan, fence_groups: &[String]) -> Vec<String> {
    let (cluster, safety_clone) = (&plan.cluster, &plan.new_cluster);
    let instances = plan.instances.iter().map(|i| format!("{} ({})", i.name, i.class)).collect::<Vec<_>>().join(", ");
    let mut steps = Vec::new();
    // The question comes before the fence: while people think, clients can still work.
    steps.extend(ask(plan));
    steps.push(format!(
        "fence {cluster}: only {} admitted, every connection is cut, and it takes none until the last of these steps",
        fence_groups.join(", ")
    ));
    steps.push(format!(
        "keep its present state, with every write up to the fence, as the clone {safety_clone}: the safety clone"
    ));
    steps.push(format!("add the safety clone's instance: {instances}"));
    steps.push(format!(
        "backtrack {cluster} itself to {}: all its databases, on the same endpoints",
        format_moment(plan.target)
    ));
    steps.push(format!(
        "run {} check(s) on {cluster}, read-only{}, and compare with {safety_clone}",
        plan.checks.len(),
        check_login(plan)
    ));
    steps.push(format!("lift the fence: {cluster} takes connections again, as it was then"));
    steps.push(format!(
        "keep {safety_clone} for {}, with what was written since; then delete it, if nobody uses it, into a final snapshot",
        format_duration(plan.keep_source())
    ));
    steps.push(format!(
        "should a step or a check fail: backtrack {cluster} forward to where it was, verify that against {safety_clone}, and \
         lift the fence"
    ));
    steps
}

/// Names the login of the checks, where they have one of their own.
fn check_login(plan: &Plan) -> String {
    plan.check_secret_arn.as_ref().map_or_else(String::new, |arn| format!(", with the login of {arn}"))
}

/// Describes the question to a person, if one is asked.
fn ask(plan: &Plan) -> Option<String> {
    (plan.approval == Approval::Required).then(|| {
        format!("ask a person, for up to {}", format_duration(SignedDuration::from_secs(plan.approval_timeout_seconds)))
    })
}

fn side_by_side(plan: &Plan) -> Vec<String> {
    let moment = if plan.use_latest { "the latest restorable time".to_owned() } else { plan.target.to_string() };
    let mut steps = vec![
        match &plan.adopted {
            Some(adopted) => format!(
                "adopt {}, which {} restored as of {moment}: nothing is restored again",
                plan.new_cluster, adopted.recovery
            ),
            None => {
                format!("restore {} as it was at {moment} into the restored cluster {}", plan.cluster, plan.new_cluster)
            }
        },
        format!(
            "{} {} instance(s): {}",
            if plan.adopted.is_some() { "have" } else { "add" },
            plan.instances.len(),
            plan.instances.iter().map(|i| format!("{} ({})", i.name, i.class)).collect::<Vec<_>>().join(", ")
        ),
        format!(
            "run {} check(s) on the restored cluster, read-only{}, and compare with the source",
            plan.checks.len(),
            check_login(plan)
        ),
    ];
    if plan.dns.is_empty() {
        steps.push(format!("leave traffic on {}: no record was named", plan.cluster));
        steps.push(if_it_fails(plan));
        return steps;
    }
    if plan.compare_seconds > 0 {
        let time = format_duration(SignedDuration::from_secs(plan.compare_seconds.cast_signed()));
        steps.push(format!("compare all tables with the source, for up to {time}: what is not carried over"));
    }
    steps.extend(ask(plan));
    steps.push(format!("fence {}: no write is acknowledged by it after that, and its sessions end", plan.cluster));
    for record in plan.dns.iter().take(NAMED_RECORDS) {
        steps.push(format!("move {} from {} to the restored cluster", record.name, record.from));
    }
    steps.extend(unnamed(plan.dns.len()).map(|more| format!("move {more} more records in the same batch")));
    steps.push(format!(
        "keep {}, fenced, for {} to roll back to; then delete it, if nobody uses it, into a final snapshot",
        plan.cluster,
        format_duration(plan.keep_source())
    ));
    steps.push(if_it_fails(plan));
    steps
}

/// The most records that sentences name: all of them are in the plan, and each sentence travels from step to step.
const NAMED_RECORDS: usize = 10;

/// The number of records beyond those that are named; none if all are.
fn unnamed(records: usize) -> Option<usize> {
    records.checked_sub(NAMED_RECORDS).filter(|more| *more > 0)
}

/// Describes the end of a recovery beside the source that fails.
fn if_it_fails(plan: &Plan) -> String {
    format!(
        "should a step or a check fail: leave {} as it was, and keep {} for {}, so that nobody waits for it again; only a \
         person's rejection deletes it",
        plan.cluster,
        plan.new_cluster,
        format_duration(plan.keep_restored())
    )
}

/// Lists the warnings about a plan.
pub(crate) fn warnings(plan: &Plan, moment: &Moment, binlog: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    if plan.strategy == Strategy::Backtrack {
        warnings.extend(in_place_warnings(plan, binlog));
    }
    if moment.use_latest {
        warnings.push("`to` is latest: it contains the mistake, if that was committed".to_owned());
    }
    // Otherwise people wonder why nothing happens for some minutes.
    if let Some(ahead) = moment.ahead_of_window {
        warnings.push(format!(
            "AWS can restore up to {} yet: the restore begins when that has moved on by {}",
            plan.window.latest,
            format_duration(ahead)
        ));
    }
    // The recovery would be reported as good for the sole reason that nobody looked.
    if !plan.checks.is_empty() && plan.check_secret_arn.is_none() {
        warnings.push(
            "checks run with the login of the fence, mostly the master user: name one that can only read, as `checkSecretArn` or as \
             the stack's parameter CheckSecretArn"
                .to_owned(),
        );
    }
    if plan.checks.is_empty() {
        warnings.push("no check was given: nothing proves that the data is back".to_owned());
    }
    if !plan.dns.is_empty() {
        warnings.push(format!(
            "writes to {} after {} are not on the restored cluster: they stay on the fenced source",
            plan.cluster,
            format_moment(plan.target)
        ));
        if plan.approval == Approval::None {
            warnings.push("nobody is asked before traffic moves".to_owned());
        }
    }
    // Clients keep an address for the old TTL, whatever Route 53 answers by then.
    let slow: Vec<&PlannedRecord> = plan.dns.iter().filter(|record| record.ttl > 60).collect();
    warnings.extend(slow.iter().take(NAMED_RECORDS).map(|record| slow_record(record)));
    warnings.extend(unnamed(slow.len()).map(|more| format!("{more} more records have a TTL of more than 60 s")));
    warnings
}

/// Warns about changes of the source that wait for its maintenance window.
// No step starts them: its calls of ModifyDBCluster go without ApplyImmediately. But AWS may, in the middle of the recovery.
pub(crate) fn pending(cluster: &str, changes: &[String]) -> Option<String> {
    (!changes.is_empty()).then(|| {
        format!(
            "{cluster} has changes that wait for its maintenance window ({}): the recovery does not start them, and they still \
             wait when it is over; move the window if it comes before that",
            changes.join(", ")
        )
    })
}

/// Warns about a source that has about as many tags as RDS allows.
pub(crate) fn crowded(cluster: &str, tags: &[Tag], is_fenced: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    // Some tags allow access or bill a team, so people should know which ones do not fit before they decide.
    let left = left_out(tags, &inherit(tags, MARKS_OF_CLUSTER, Vec::new()));
    if !left.is_empty() {
        warnings.push(format!(
            "RDS takes {MOST_TAGS} tags a resource, and the recovery sets some of its own: of those of {cluster}, the new \
             cluster does not get {}",
            left.join(", ")
        ));
    }
    // Warned about now, because tags can be removed before the recovery and not in its last step.
    let surplus = too_many(tags, &[FENCED_BY_TAG, KEEP_UNTIL_TAG]);
    if is_fenced && surplus > 0 {
        warnings.push(format!(
            "{cluster} has no room for the tags that mark it as kept: nothing deletes it by itself afterwards, unless \
             {surplus} of its tags are taken off before"
        ));
    }
    warnings
}

fn in_place_warnings(plan: &Plan, binlog: Option<&str>) -> Vec<String> {
    let (cluster, safety_clone) = (&plan.cluster, &plan.new_cluster);
    let mut warnings = vec![
        format!(
            "every connection to {cluster} is cut, and it takes none from the fence to the end: as long as the clone, its \
             instance and the backtrack take, which is minutes on AWS"
        ),
        format!(
            "writes to {cluster} after {} are no longer on it: they stay on {safety_clone}",
            format_moment(plan.target)
        ),
        format!("users and passwords in {cluster} go back too: one that was changed since is again what it was"),
    ];
    if let Some(binlog) = binlog {
        warnings.push(format!(
            "binary logging is {binlog}: what reads it downstream (replicas, change data capture, zero-ETL) keeps \
             what it has read since then, and has to be built anew"
        ));
    }
    if plan.approval == Approval::None {
        warnings.push(format!("nobody is asked before {cluster} is rewound"));
    }
    // The window moves on with the clock, and an approval that comes too late finds its target gone.
    let left = plan.target.duration_since(plan.window.earliest);
    if plan.approval == Approval::Required && left < SignedDuration::from_secs(plan.approval_timeout_seconds) {
        warnings.push(format!(
            "Backtrack reaches only {} further back than that, and its reach moves on: decide within that time",
            format_reach(left)
        ));
    }
    warnings
}

fn slow_record(record: &PlannedRecord) -> String {
    format!("{} has a TTL of {} s: clients may look for the fenced source that long", record.name, record.ttl)
}
