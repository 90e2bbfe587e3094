//! Reads a fenced source as an operator would: with the master user's rights and from the one address that the fence admits. One
//! connection is let in, the database is closed behind it, and it reads read-only.

use super::database::{Databases, Login, Session};
use super::demo_cluster::clusters;
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use anyhow::{Context, Result};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

/// The one database that a fence leaves open: someone has to be able to lift it.
const OPEN_DATABASE: &str = "template1";
/// Session options as libpq has them: counting on kept data must not be able to change it.
const READ_ONLY: &str = "-c default_transaction_read_only=on";

/// Finds the address that the cluster's security groups admit alone; none where they admit a whole network.
///
/// # Errors
///
/// When the cluster or the rules of its groups can't be read.
pub async fn admitted_address(stack: &StackEnv, layout: &Layout, cluster: &str) -> Result<Option<Ipv4Addr>> {
    let all = clusters(stack).await?;
    let cluster = all.iter().find(|known| known.db_cluster_identifier() == Some(cluster));
    let groups = cluster.map(|cluster| cluster.vpc_security_groups()).unwrap_or_default();
    let groups: Vec<&str> = groups.iter().filter_map(|group| group.vpc_security_group_id()).collect();
    let file = layout.run().join("security-groups.json");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    // The stack has no EC2 to ask for the rules of a group: this file is what the control plane reads, too.
    let rules: BTreeMap<String, Vec<IpNet>> =
        serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    Ok(single(&rules, &groups))
}

fn single(rules: &BTreeMap<String, Vec<IpNet>>, groups: &[&str]) -> Option<Ipv4Addr> {
    let blocks: Vec<&IpNet> = groups.iter().filter_map(|group| rules.get(*group)).flatten().collect();
    let addresses = blocks.iter().map(|block| match block.addr() {
        IpAddr::V4(address) if block.prefix_len() == block.max_prefix_len() => Some(address),
        _ => None,
    });
    addresses.collect::<Option<Vec<Ipv4Addr>>>()?.first().copied()
}

/// Reads the numbers in a table of a fenced cluster.
///
/// # Errors
///
/// When the server refuses a statement. The database is closed again in any case, unless that fails too.
pub async fn numbers(
    databases: &Databases,
    from: Option<Ipv4Addr>,
    endpoint: &str,
    master: &Login,
    database: &str,
    table: &str,
) -> Result<BTreeSet<i64>> {
    let failed = "the fenced source could not be read";
    let mut operator = databases.connect_from(from, endpoint, master, OPEN_DATABASE, "").await.context(failed)?;
    let limit = |connections: u8| format!("ALTER DATABASE {database} CONNECTION LIMIT {connections}");
    // A limit of 0 is how the fence closes a database. It binds ordinary users only at the moment of login, so a session that is in
    // stays in when the limit goes back to 0, and no other can follow.
    operator.run(&limit(1)).await.context(failed)?;
    let inside = databases.connect_from(from, endpoint, master, database, READ_ONLY).await;
    // Before the connection's own error is looked at: the database must not stay open.
    operator.run(&limit(0)).await.context(failed)?;
    read_numbers(&mut inside.context(failed)?, table).await
}

/// Reads the numbers in a table.
///
/// # Errors
///
/// When the server refuses, or something else than numbers is in there.
pub async fn read_numbers(session: &mut Session, table: &str) -> Result<BTreeSet<i64>> {
    let failed = || format!("{table} could not be read");
    let rows = session.rows(&format!("SELECT number FROM {table}")).await.with_context(failed)?;
    rows.iter().flatten().map(|number| number.parse().with_context(failed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_address_has_to_be_connected_from() {
        let rules = [("sg-all", "127.0.0.0/8"), ("sg-fence", "127.33.7.9/32")];
        let rules = rules.map(|(group, block)| (group.to_owned(), vec![block.parse().unwrap()])).into();
        assert_eq!(single(&rules, &["sg-fence"]), Some(Ipv4Addr::new(127, 33, 7, 9)));
        assert_eq!(single(&rules, &["sg-all"]), None);
        assert_eq!(single(&rules, &["sg-fence", "sg-all"]), None);
        assert_eq!(single(&rules, &[]), None);
    }
}
