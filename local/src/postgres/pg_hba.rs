//! The text of `pg_hba.conf`: security groups as the server's own rules. It decides nothing about permissions inside.

use ipnet::IpNet;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Renders `pg_hba.conf`: the control plane from its own address, replication by its own account, and everybody
/// else from the admitted blocks, with or without TLS.
#[must_use]
pub fn render(control: Ipv4Addr, admitted: &[IpNet]) -> String {
    // The first matching line counts: the control plane's accounts and database are closed before anybody is admitted. Rejected by
    // pg_hba.conf a client gets an error where on AWS nothing would answer; it learns the same sooner.
    let mut text = format!(
        "# Written by the local control plane from the cluster's security groups.\n\
         hostssl all rdsadmin {control}/32 scram-sha-256\n\
         host all rdsadmin 0.0.0.0/0 reject\n\
         hostssl replication rdsrepladmin 127.0.0.0/8 scram-sha-256\n\
         host replication all 0.0.0.0/0 reject\n\
         host all rdsrepladmin 0.0.0.0/0 reject\n\
         host rdsadmin all 0.0.0.0/0 reject\n"
    );
    for block in admitted {
        // Writing to a string can't fail.
        let _ = writeln!(text, "host all all {block} scram-sha-256");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_cluster_admits_only_its_group_and_the_control_plane() {
        let text = render(Ipv4Addr::new(127, 33, 7, 2), &["127.33.7.9/32".parse().unwrap()]);
        let admitting: Vec<&str> =
            text.lines().filter(|line| line.starts_with("host") && !line.ends_with("reject")).collect();
        assert_eq!(
            admitting,
            [
                "hostssl all rdsadmin 127.33.7.2/32 scram-sha-256",
                "hostssl replication rdsrepladmin 127.0.0.0/8 scram-sha-256",
                "host all all 127.33.7.9/32 scram-sha-256",
            ]
        );
    }

    #[test]
    fn the_control_planes_database_is_refused_before_anybody_is_admitted() {
        let text = render(Ipv4Addr::new(127, 33, 7, 2), &["0.0.0.0/0".parse().unwrap()]);
        let reject = text.find("host rdsadmin all 0.0.0.0/0 reject").unwrap();
        assert!(reject < text.find("host all all").unwrap());
    }
}
