//! Refuses plans that nobody could answer for: data for clients that nobody has seen, and more than a recovery can carry.

use crate::refusal::invalid;
use rewind_core::{Approval, PLAN_MAX, Plan, StepError, Strategy, Unverified};

/// Refuses to give clients data that neither a person nor a check has seen, unless the request accepts that.
pub(crate) fn refuse_unverified(plan: &Plan, unverified: Unverified) -> Result<(), StepError> {
    let in_place = plan.strategy == Strategy::Backtrack;
    let reaches_clients = in_place || !plan.dns.is_empty();
    if !reaches_clients
        || plan.approval == Approval::Required
        || !plan.checks.is_empty()
        || unverified == Unverified::Accepted
    {
        return Ok(());
    }
    let what = if in_place { format!("{} is rewound", plan.cluster) } else { "traffic is moved".to_owned() };
    Err(invalid(format!(
        "`unverified`: {what} with `approval` none and without a check, so neither a person nor a query sees the data before \
         clients do"
    ))
    .advice(
        "give a check (`checks`), or leave `approval` out so that a person is asked; or write `\"unverified\": \"accepted\"` \
         if that is meant",
    ))
}

/// Refuses a plan that is too large to be passed from step to step.
// The names of records and what they point at count too, which the request does not show.
pub(crate) fn refuse_too_large(plan: &Plan) -> Result<(), StepError> {
    let size = serde_json::to_vec(plan).map_or(0, |json| json.len());
    if size <= PLAN_MAX {
        return Ok(());
    }
    Err(invalid(format!(
        "the plan has {size} bytes, and {PLAN_MAX} are the most: it holds {} checks and {} records",
        plan.checks.len(),
        plan.dns.len()
    ))
    .advice("shorten the SQL of the checks, such as by putting it into a view, or move fewer records at once"))
}
