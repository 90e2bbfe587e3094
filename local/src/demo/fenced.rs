//! A look into the fenced source, as an operator would take it: with the master user's rights and from the one address
//! that the fence admits. One connection is let in, the door is closed behind it, and it reads read-only.

use super::database::{Databases, Login, Session};
use super::scene::clusters;
use super::stop::{Because, Stop};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

/// The one database that a fence leaves open.
const OPEN: &str = "template1";
/// The session reads, whatever it is told.
const READ_ONLY: &str = "-c default_transaction_read_only=on";

/// The address that the cluster's security groups admit alone; none where they admit everybody here.
///
/// # Errors
///
/// When the groups can't be read.
pub async fn admitted(stack: &StackEnv, layout: &Layout, cluster: &str) -> Result<Option<Ipv4Addr>, Stop> {
    let all = clusters(stack).await?;
    let cluster = all.iter().find(|known| known.db_cluster_identifier() == Some(cluster));
    let groups = cluster.map(|cluster| cluster.vpc_security_groups()).unwrap_or_default();
    let groups: Vec<&str> = groups.iter().filter_map(|group| group.vpc_security_group_id()).collect();
    let file = layout.run().join("security-groups.json");
    let text = fs::read_to_string(&file).because(file.display())?;
    let rules: BTreeMap<String, Vec<String>> = serde_json::from_str(&text).because(file.display())?;
    Ok(single(&rules, &groups))
}

fn single(rules: &BTreeMap<String, Vec<String>>, groups: &[&str]) -> Option<Ipv4Addr> {
    let blocks: Vec<&String> = groups.iter().filter_map(|group| rules.get(*group)).flatten().collect();
    let addresses = blocks.iter().map(|block| block.strip_suffix("/32")?.parse().ok());
    addresses.collect::<Option<Vec<Ipv4Addr>>>()?.first().copied()
}

/// The numbers in a table of a fenced cluster.
///
/// # Errors
///
/// What the server says. The database is closed again in any case, unless that fails too.
pub async fn numbers(
    databases: &Databases,
    from: Option<Ipv4Addr>,
    endpoint: &str,
    master: &Login,
    database: &str,
    table: &str,
) -> Result<BTreeSet<i64>, Stop> {
    let doing = "the fenced source could not be read";
    let mut gate = databases.connect_from(from, endpoint, master, OPEN, "").await.because(doing)?;
    let limit = |connections: u8| format!("ALTER DATABASE {database} CONNECTION LIMIT {connections}");
    gate.run(&limit(1)).await.because(doing)?;
    let inside = databases.connect_from(from, endpoint, master, database, READ_ONLY).await;
    gate.run(&limit(0)).await.because(doing)?;
    read(&mut inside.because(doing)?, table).await
}

/// The numbers in a table.
///
/// # Errors
///
/// What the server says.
pub async fn read(session: &mut Session, table: &str) -> Result<BTreeSet<i64>, Stop> {
    let doing = format!("{table} could not be read");
    let rows = session.rows(&format!("SELECT number FROM {table}")).await.because(&doing)?;
    rows.iter().flatten().map(|number| number.parse().because(&doing)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_address_has_to_be_connected_from() {
        let rules = [("sg-all", "127.0.0.0/8"), ("sg-fence", "127.33.7.9/32")];
        let rules = rules.map(|(group, block)| (group.to_owned(), vec![block.to_owned()])).into();
        assert_eq!(single(&rules, &["sg-fence"]), Some(Ipv4Addr::new(127, 33, 7, 9)));
        assert_eq!(single(&rules, &["sg-all"]), None);
        assert_eq!(single(&rules, &["sg-fence", "sg-all"]), None);
        assert_eq!(single(&rules, &[]), None);
    }
}
