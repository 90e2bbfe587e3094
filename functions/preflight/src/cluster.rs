//! The findings about the source's settings and the account: what RDS would refuse later, and what the fence cannot close.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::facts::{Authority, Quota, SourceFacts};
use rewind_aws::rds::{Cluster, Instance};
use rewind_core::{Engine, Finding, FindingCode, Plan, Strategy};

/// The time before its end in which a certificate authority is warned of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The findings about settings of the source.
pub(crate) fn settings(plan: &Plan, cluster: &Cluster, facts: &SourceFacts) -> Vec<Finding> {
    let name = &cluster.name;
    let in_place = plan.strategy == Strategy::Backtrack;
    let is_fenced = in_place || !plan.dns.is_empty();
    let mut findings = Vec::new();
    if cluster.data_api && is_fenced {
        // On MySQL the master user's account stays open, whoever is logged in as it now.
        findings.push(passes_the_fence(
            in_place || cluster.engine == Engine::AuroraMysql,
            FindingCode::DataApi,
            format!("the Data API of {name} is on, and reaches it whatever its security groups are"),
            format!("switch it off for the recovery: aws rds disable-http-endpoint --resource-arn {}", cluster.arn),
        ));
    }
    if let Some(status) = facts.write_forwarding.as_ref().filter(|_| is_fenced) {
        findings.push(passes_the_fence(
            in_place,
            FindingCode::WriteForwarding,
            format!("write forwarding of {name} is {status}: sessions on readers write"),
            format!(
                "switch it off for the recovery: aws rds modify-db-cluster --db-cluster-identifier {name} \
                 --no-enable-local-write-forwarding --apply-immediately"
            ),
        ));
    }
    // In place it is no strategy. Where no traffic moves, the restored cluster stands outside of it, which is a difference.
    if let Some(global) = cluster.global_cluster.as_ref().filter(|_| !plan.dns.is_empty()) {
        findings.push(Finding::blocking(
            FindingCode::GlobalDatabase,
            format!(
                "{name} belongs to the Global Database {global}, and the restored cluster does not: its other Regions would go on \
                 with the data of {name}, clients there too, while traffic moves away from it"
            ),
            format!(
                "leave `dns` out, and copy what is missing from the restored cluster; or detach the secondary clusters of {global} \
                 and then {name} (aws rds remove-from-global-cluster --global-cluster-identifier {global} \
                 --db-cluster-identifier {}), recover, and make a new Global Database from the restored cluster",
                cluster.arn
            ),
        ));
    }
    if let Some(status) = &facts.activity_stream {
        findings.push(Finding::warning(
            FindingCode::ActivityStream,
            format!("the activity stream of {name} is {status}: the restored cluster has none"),
            "start one on the restored cluster, if audits need it: aws rds start-activity-stream",
        ));
    }
    if !facts.domains.is_empty() {
        findings.push(Finding::warning(
            FindingCode::DirectoryDomain,
            format!(
                "{name} is a member of {}: users of the directory cannot log in to the restored cluster",
                facts.domains.join(", ")
            ),
            "join the restored cluster to it: aws rds modify-db-cluster --domain …",
        ));
    }
    if !facts.pending.is_empty() {
        findings.push(Finding::warning(
            FindingCode::PendingModification,
            format!("changes of instances wait for their maintenance window: {}", facts.pending.join(", ")),
            "the restored cluster does not get them: make them there too, if they are wanted",
        ));
    }
    if !cluster.pending_reboot.is_empty() {
        findings.push(Finding::warning(
            FindingCode::PendingReboot,
            format!("parameters of {name} wait for a reboot: the restored cluster starts with the new values"),
            "compare the parameter group with what runs, or reboot the source beforehand",
        ));
    }
    if cluster.lifecycle.as_deref() == Some("open-source-rds-extended-support") && is_old(&cluster.engine_version) {
        findings.push(Finding::warning(
            FindingCode::ExtendedSupport,
            format!(
                "{name} runs {}, which is in or near Extended Support: the restored cluster is billed for it too",
                cluster.engine_version
            ),
            "plan an upgrade after the recovery",
        ));
    }
    findings
}

/// Describes a way past a fence of the network: `open` where nothing else closes it, as in place.
fn passes_the_fence(open: bool, code: FindingCode, what: String, fix: String) -> Finding {
    if open { Finding::blocking(code, what, fix) } else { Finding::warning(code, what, fix) }
}

/// True for a major version that has left standard support, or will soon.
fn is_old(version: &str) -> bool {
    // Aurora PostgreSQL 11 to 13 and Aurora MySQL 2 (5.7).
    ["11.", "12.", "13.", "5.7."].iter().any(|major| version.starts_with(major))
}

/// The action that makes room.
const MAKE_ROOM: &str = "delete what is not needed, or ask for a larger quota in Service Quotas";

/// Reads how many more the account may have of `name`, where RDS tells it.
fn left<'a>(quotas: &'a [Quota], name: &str) -> Option<(i64, &'a Quota)> {
    quotas.iter().find(|quota| quota.name == name).map(|quota| (quota.most - quota.used, quota))
}

/// The findings about what the account has room for.
pub(crate) fn quotas(plan: &Plan, quotas: &[Quota]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A person's no, and the clean-up, delete into a snapshot what people may have written to.
    if let Some((left, quota)) = left(quotas, "ManualClusterSnapshots").filter(|(left, _)| *left < 1) {
        findings.push(Finding::warning(
            FindingCode::Quota,
            format!(
                "{} of {} manual snapshots of clusters are in use: {left} are left, and a rejected restored cluster, or what is \
                 kept until its time is over, can be deleted only into one",
                quota.used, quota.most
            ),
            MAKE_ROOM,
        ));
    }
    // A recovery that resumes another finds its cluster and its instances there.
    if plan.adopted.is_some() {
        return findings;
    }
    if let Some((left, quota)) = left(quotas, "DBClusters").filter(|(left, _)| *left < 1) {
        findings.push(Finding::blocking(
            FindingCode::Quota,
            format!(
                "{} of {} clusters are in use: {left} are left, and the recovery creates one",
                quota.used, quota.most
            ),
            MAKE_ROOM,
        ));
    }
    let wanted = i64::try_from(plan.instances.len()).unwrap_or(i64::MAX);
    if let Some((left, quota)) = left(quotas, "DBInstances").filter(|(left, _)| *left < wanted) {
        let what = format!(
            "{} of {} instances are in use: {left} are left, and the recovery creates {wanted}",
            quota.used, quota.most
        );
        // A reader that cannot be made is a difference; without a writer there is nothing to verify.
        let finding = if left < 1 { Finding::blocking } else { Finding::warning };
        findings.push(finding(FindingCode::Quota, what, MAKE_ROOM.to_owned()));
    }
    findings
}

/// The finding that the account may have no more parameter groups, for a recovery that creates one after the restore.
pub(crate) fn no_group_left(quotas: &[Quota]) -> Option<Finding> {
    let (left, quota) = left(quotas, "DBClusterParameterGroups").filter(|(left, _)| *left < 1)?;
    Some(Finding::blocking(
        FindingCode::Quota,
        format!(
            "{} of {} cluster parameter groups are in use: {left} are left, and the recovery creates one, with which the restored \
             cluster runs no jobs",
            quota.used, quota.most
        ),
        MAKE_ROOM,
    ))
}

/// The findings about the certificate authorities of the source's instances.
pub(crate) fn authorities(instances: &[Instance], offered: &[Authority], now: Timestamp) -> Vec<Finding> {
    let mut names: Vec<&String> = instances.iter().filter_map(|instance| instance.ca_certificate.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let soon = now.checked_add(SOON).unwrap_or(now);
    names
        .into_iter()
        .filter_map(|name| match offered.iter().find(|authority| authority.name == *name) {
            None => Some(Finding::warning(
                FindingCode::CertificateAuthority,
                format!(
                    "RDS no longer offers the source's certificate authority {name}: the restored cluster gets another"
                ),
                "let clients that verify trust the Region's bundle (global-bundle.pem) before traffic moves",
            )),
            Some(Authority { valid_till: Some(till), .. }) if *till < soon => Some(Finding::warning(
                FindingCode::CertificateAuthority,
                format!("the source's certificate authority {name} ends at {till}"),
                "rotate it: aws rds modify-db-instance --ca-certificate-identifier …",
            )),
            Some(_) => None,
        })
        .collect()
}

/// The finding about a name that is taken.
pub(crate) fn taken(instance: &str) -> Finding {
    Finding::blocking(
        FindingCode::InstanceName,
        format!("there is an instance {instance} already"),
        "choose another `newCluster`, from which the names of instances derive, or delete that one if it is left over",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, mysql_source, plan, source};

    #[test]
    fn traffic_does_not_move_away_from_a_cluster_that_other_regions_follow() {
        let found = |plan: &Plan, global: Option<&str>| {
            let cluster = Cluster { global_cluster: global.map(str::to_owned), ..source() };
            settings(plan, &cluster, &SourceFacts::default()).into_iter().find(|found| found.code == "global-database")
        };
        let finding = found(&plan(), Some("world")).unwrap();
        assert!(finding.is_blocking(), "{finding}");
        for part in ["leave `dns` out", "--global-cluster-identifier world", &source().arn] {
            assert!(finding.fix.contains(part), "{finding}");
        }
        assert_eq!(found(&plan(), None), None);
        // The report has the difference.
        assert_eq!(found(&Plan { dns: Vec::new(), ..plan() }, Some("world")), None);
    }

    fn quota(name: &str, used: i64, most: i64) -> Quota {
        Quota { name: name.to_owned(), used, most }
    }

    #[test]
    fn a_full_account_is_told_before_a_restore_and_blocks_what_cannot_be_done_without() {
        let found = |plan: &Plan, full: Quota| -> Vec<(bool, String)> {
            let others = [quota("ManualSnapshots", 100, 100), quota("DBParameterGroups", 50, 50)];
            let all: Vec<Quota> = others.into_iter().chain([full]).collect();
            quotas(plan, &all).into_iter().map(|found| (found.is_blocking(), found.what)).collect()
        };
        let adopted = Some(rewind_core::Adopted {
            recovery: "earlier".to_owned(),
            owners: Vec::new(),
            keep_until: None,
            checks_of_event: false,
        });
        let resumed = Plan { adopted, ..plan() };
        for (full, blocks, blocks_resumed) in [
            (quota("DBClusters", 40, 40), Some(true), None),
            (quota("DBInstances", 40, 40), Some(true), None),
            (quota("DBInstances", 39, 40), Some(false), None),
            (quota("DBInstances", 38, 40), None, None),
            // A no of the people deletes an adopted cluster as well.
            (quota("ManualClusterSnapshots", 100, 100), Some(false), Some(false)),
            (quota("ManualClusterSnapshots", 99, 100), None, None),
        ] {
            let blocking = |plan: &Plan| found(plan, full.clone()).first().map(|(blocking, _)| *blocking);
            assert_eq!((blocking(&plan()), blocking(&resumed)), (blocks, blocks_resumed), "{full:?}");
        }
    }

    #[test]
    fn no_parameter_group_is_left_where_as_many_as_the_account_may_have_are_there() {
        let finding = no_group_left(&[quota("DBClusterParameterGroups", 51, 50)]).unwrap();
        assert!(finding.is_blocking() && finding.what.starts_with("51 of 50 cluster parameter groups"), "{finding}");
        assert_eq!(no_group_left(&[quota("DBClusterParameterGroups", 49, 50)]), None);
        // A partition that does not tell it.
        assert_eq!(no_group_left(&[]), None);
    }

    fn data_api(plan: &Plan, cluster: Cluster) -> Option<bool> {
        let cluster = Cluster { data_api: true, ..cluster };
        let found = settings(plan, &cluster, &SourceFacts::default());
        found.iter().find(|finding| finding.code == "data-api").map(Finding::is_blocking)
    }

    #[test]
    fn the_data_api_blocks_where_a_login_stays_open_behind_the_network() {
        assert_eq!(data_api(&plan(), source()), Some(false));
        // The master user of MySQL is never locked.
        assert_eq!(data_api(&plan(), mysql_source()), Some(true));
        assert_eq!(data_api(&in_place_plan(), mysql_source()), Some(true));
        // Where no traffic moves, nothing is fenced.
        assert_eq!(data_api(&Plan { dns: Vec::new(), ..plan() }, mysql_source()), None);
    }
}
