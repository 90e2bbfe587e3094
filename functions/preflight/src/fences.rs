//! The finding about a target at which a fence had the logins closed: they are closed on what is restored from there.

use rewind_aws::fence_periods::FencePeriod;
use rewind_aws::rds::Cluster;
use rewind_core::names::FENCED_BY_TAG;
use rewind_core::{Finding, FindingCode, Plan};

/// The finding about the target; none where no fence was up then.
pub(crate) fn finding(plan: &Plan, cluster: &Cluster, periods: &[FencePeriod]) -> Option<Finding> {
    let target = plan.target;
    let period =
        periods.iter().find(|period| period.from <= target && period.until.is_none_or(|until| target < until))?;
    let FencePeriod { recovery, from, until } = period;
    let name = &plan.cluster;
    let (when, after) = match until {
        Some(until) => (format!("from {from} to {until}"), format!(", or {until} or later")),
        None => (format!("since {from}"), String::new()),
    };
    let what = format!(
        "at {target} the fence of {recovery} had the logins of {name} closed ({when}): they would be closed on the restored \
         cluster, to checks and to clients"
    );
    let fix = format!("rewind to a moment before {from}{after}: clients wrote nothing in between");
    // Without an end nobody knows if it stands, unless the cluster bears its mark. What is adopted was restored from there
    // already.
    let is_certain = until.is_some() || cluster.tags.iter().any(|(tag, _)| tag == FENCED_BY_TAG);
    let severity = if is_certain && plan.adopted.is_none() { Finding::blocking } else { Finding::warning };
    Some(severity(FindingCode::TargetFenced, what, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use rewind_aws::fixtures::{plan, source, time};

    fn found(target: &str, until: Option<&str>, tags: &[(&str, &str)]) -> Option<Finding> {
        let period = FencePeriod {
            recovery: "r-1".to_owned(),
            from: time("2026-11-23T10:00:00Z"),
            until: until.map(|until| until.parse::<Timestamp>().unwrap()),
        };
        let mut cluster = source();
        cluster.tags.extend(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        finding(&Plan { target: time(target), ..plan() }, &cluster, &[period])
    }

    #[test]
    fn a_target_within_a_fence_blocks_with_the_moments_that_would_do() {
        let until = Some("2026-11-23T10:05:00Z");
        for target in ["2026-11-23T10:00:00Z", "2026-11-23T10:04:59.9Z"] {
            let finding = found(target, until, &[]).unwrap();
            assert!(finding.is_blocking() && finding.code == "target-fenced", "{finding}");
            assert!(finding.what.contains("the fence of r-1") && finding.what.contains("orders closed"), "{finding}");
            let moments = "a moment before 2026-11-23T10:00:00Z, or 2026-11-23T10:05:00Z or later";
            assert!(finding.fix.contains(moments), "{finding}");
        }
        for target in ["2026-11-23T09:59:59.9Z", "2026-11-23T10:05:00Z"] {
            assert_eq!(found(target, until, &[]), None, "{target}");
        }
    }

    #[test]
    fn a_fence_whose_end_nobody_noted_blocks_only_where_the_cluster_bears_its_mark() {
        let target = "2026-11-23T10:30:00Z";
        assert!(!found(target, None, &[]).unwrap().is_blocking());
        assert!(found(target, None, &[(FENCED_BY_TAG, "r-1")]).unwrap().is_blocking());
    }
}
