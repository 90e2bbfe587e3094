//! Finds what goes on as if the source still had the traffic: the host in the secret, and counters that issue ids again. It changes
//! neither, and fails nothing: people are told, with the commands.

use rewind_aws::rds::Cluster;
use rewind_aws::secret_target::SecretTarget;
use rewind_core::{Difference, Engine, Plan, Restored, Strategy};
use rewind_db::{ComparedCounters, MovedCounter};

/// The most counters that are named.
const NAMED_MAX: usize = 5;
/// The least number of values that counters are moved on by: clients go on writing between verification and fence.
const MARGIN_MIN: i128 = 1_000;

/// True if traffic ends up on the rewound data, so that any of this matters.
pub(crate) fn moves_traffic(plan: &Plan) -> bool {
    plan.strategy == Strategy::Backtrack || !plan.dns.is_empty()
}

/// Reports a secret that names the source: whoever connects by it meets the fence.
pub(crate) fn secret(plan: &Plan, target: &SecretTarget, source: &Cluster, restored: &Restored) -> Option<Difference> {
    // In place the endpoints stay the same, and so does what the secret names.
    if plan.strategy == Strategy::Backtrack {
        return None;
    }
    let host = target.host.as_deref().filter(|host| is_of(host, source));
    let cluster = target.cluster.as_deref().filter(|cluster| cluster.eq_ignore_ascii_case(&plan.cluster));
    let mut named = Vec::new();
    let mut changes = Vec::new();
    if let Some(host) = host {
        let reads = source.reader_endpoint.as_deref().is_some_and(|reader| reader.eq_ignore_ascii_case(host));
        let endpoint = if reads { &restored.reader_endpoint } else { &restored.writer_endpoint };
        named.push(format!("host {host}"));
        changes.push(format!(".host=\"{endpoint}\""));
    }
    if let Some(cluster) = cluster {
        named.push(format!("dbClusterIdentifier {cluster}"));
        changes.push(format!(".dbClusterIdentifier=\"{}\"", restored.cluster));
    }
    if named.is_empty() {
        return None;
    }
    let arn = &plan.secret_arn;
    Some(Difference::new(
        "secret",
        format!("{arn} names {}", named.join(" and ")),
        "the secret still names the source, which is fenced after the cutover",
        // By a pipe: an argument with the password in it would be in the shell's history and in the list of processes.
        format!(
            "applications and rotation that connect by it reach the fenced source: after the cutover run aws secretsmanager \
             get-secret-value --secret-id {arn} --query SecretString --output text | jq -c '{}' | aws secretsmanager \
             put-secret-value --secret-id {arn} --secret-string file:///dev/stdin",
            changes.join(" | ")
        ),
    ))
}

/// True if `host` leads to an endpoint of the cluster by its own name.
fn is_of(host: &str, cluster: &Cluster) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let endpoints =
        [&cluster.endpoint, &cluster.reader_endpoint].into_iter().flatten().chain(&cluster.custom_endpoints);
    endpoints.map(|endpoint| endpoint.to_ascii_lowercase()).any(|endpoint| endpoint == host)
        // An instance's endpoint is `<instance>.<id>.<region>.rds.…`.
        || cluster.members.iter().any(|member| host.starts_with(&format!("{}.", member.instance.to_ascii_lowercase())))
}

/// Writes the note about counters that issue again what the source has issued; none where none has gone on.
pub(crate) fn counters(engine: Engine, cluster: &str, compared: &ComparedCounters) -> Option<String> {
    let ComparedCounters { total, moved, partial } = compared;
    let furthest = moved.first()?;
    // Twice what was issued by now, because the source issues more until it is fenced.
    let margin = furthest.issued.saturating_mul(2).max(MARGIN_MIN);
    let named: Vec<String> = moved.iter().take(NAMED_MAX).map(name).collect();
    let more = moved.len().checked_sub(NAMED_MAX).filter(|more| *more > 0);
    let what = if engine == Engine::AuroraPostgresql { "sequences" } else { "AUTO_INCREMENT counters" };
    Some(format!(
        "ids will be issued again: {} of {total} {what}{} have gone on since the target: {}{}; where ids outside the cluster must \
         not repeat, {}",
        moved.len(),
        if *partial { " (not all were compared)" } else { "" },
        named.join(", "),
        more.map_or_else(String::new, |more| format!(" and {more} more")),
        command(engine, cluster, moved, margin)
    ))
}

fn name(counter: &MovedCounter) -> String {
    let database = counter.database.as_ref().map_or_else(String::new, |database| format!(" in {database}"));
    let restored = counter.restored.map_or_else(|| "unused".to_owned(), |value| value.to_string());
    format!("{}{database} at {restored}, on the source {}", counter.name, counter.source)
}

/// The SQL that moves all counters on, whatever their number.
fn command(engine: Engine, cluster: &str, moved: &[MovedCounter], margin: i128) -> String {
    match engine {
        Engine::AuroraPostgresql => {
            let mut databases: Vec<&str> = moved.iter().filter_map(|counter| counter.database.as_deref()).collect();
            databases.sort_unstable();
            databases.dedup();
            format!(
                "run on {cluster}, in {}: SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, \
                 least(greatest(coalesce(last_value, start_value) + {margin} * increment_by, min_value), max_value)) FROM \
                 pg_sequences",
                databases.join(", ")
            )
        }
        // MySQL sets no counter by a query: this one writes the statements.
        Engine::AuroraMysql => format!(
            "run on {cluster} what this query answers: SELECT CONCAT('ALTER TABLE `', table_schema, '`.`', table_name, '` \
             AUTO_INCREMENT = ', auto_increment + {margin}, ';') FROM information_schema.tables WHERE auto_increment IS NOT \
             NULL AND table_type = 'BASE TABLE' AND table_schema NOT IN ('mysql', 'sys')"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan, restored, source};

    fn names(host: Option<&str>, cluster: Option<&str>) -> SecretTarget {
        SecretTarget { host: host.map(ToOwned::to_owned), cluster: cluster.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_secret_that_names_the_source_comes_with_the_command_that_changes_it() {
        let target = names(Some("Orders.cluster-x.us-east-1.rds.amazonaws.com"), Some("orders"));
        let found = secret(&plan(), &target, &source(), &restored()).unwrap();
        assert!(found.source.contains("names host Orders.cluster-x"), "{found:?}");
        let command = "| jq -c '.host=\"orders-r.cluster-x.us-east-1.rds.amazonaws.com\" | .dbClusterIdentifier=\"orders-r\"' | \
                       aws secretsmanager put-secret-value";
        assert!(found.todo.contains(command), "{}", found.todo);
        for (host, endpoint) in [
            ("orders.cluster-ro-x.us-east-1.rds.amazonaws.com", "orders-r.cluster-ro-x"),
            ("orders-2.x.us-east-1.rds.amazonaws.com", "orders-r.cluster-x"),
            ("orders-analytics.cluster-custom-x.us-east-1.rds.amazonaws.com", "orders-r.cluster-x"),
        ] {
            let found = secret(&plan(), &names(Some(host), None), &source(), &restored()).unwrap();
            assert!(found.todo.contains(&format!("jq -c '.host=\"{endpoint}")), "{}", found.todo);
        }
    }

    #[test]
    fn a_secret_that_names_nothing_or_something_else_is_no_difference() {
        for target in [
            names(None, None),
            // The record that is moved: whoever connects by it follows.
            names(Some("db.example.com"), None),
            names(Some("orders-20.x.us-east-1.rds.amazonaws.com"), Some("billing")),
        ] {
            assert_eq!(secret(&plan(), &target, &source(), &restored()), None, "{target:?}");
        }
        // In place the source keeps its traffic and its name.
        let target = names(None, Some("orders"));
        assert_eq!(secret(&in_place_plan(), &target, &source(), &restored()), None);
    }

    fn moved(n: i128) -> MovedCounter {
        let (database, name) = (Some("shop".to_owned()), format!("public.s{n}"));
        MovedCounter { database, name, restored: (n != 2).then_some(10), source: 10 + n, issued: n }
    }

    #[test]
    fn counters_that_have_gone_on_are_counted_and_come_with_the_sql_that_moves_them() {
        let compared = ComparedCounters { total: 40, moved: (1..=7).rev().map(moved).collect(), partial: false };
        let note = counters(Engine::AuroraPostgresql, "orders-r", &compared).unwrap();
        for text in [
            "7 of 40 sequences have gone on since the target",
            "public.s7 in shop at 10, on the source 17",
            "and 2 more",
            "run on orders-r, in shop: SELECT setval(",
            "+ 1000 * increment_by",
        ] {
            assert!(note.contains(text), "{note}\nlacks {text}");
        }
        let far = ComparedCounters { moved: vec![moved(900)], partial: true, ..compared };
        let note = counters(Engine::AuroraMysql, "orders-r", &far).unwrap();
        for text in ["AUTO_INCREMENT counters (not all were compared)", "auto_increment + 1800"] {
            assert!(note.contains(text), "{note}\nlacks {text}");
        }
        assert_eq!(counters(Engine::AuroraMysql, "orders-r", &ComparedCounters::default()), None);
    }
}
