//! The parameter group of the recovery's own as a cluster shows it, and the commands that people restart its instances with.

use rewind_aws::rds::Cluster;
use rewind_core::names::held_jobs_group;

/// True if the cluster has the group of the recovery's own.
pub(crate) fn has_own_group(cluster: &Cluster) -> bool {
    cluster.parameter_group.as_deref() == Some(held_jobs_group(&cluster.name).as_str())
}

/// The commands that restart all instances of a cluster.
pub(crate) fn restart_commands(cluster: &Cluster) -> String {
    cluster.members.iter().map(|member| reboot_command(&member.instance)).collect::<Vec<_>>().join("; ")
}

/// The command that restarts one instance.
pub(crate) fn reboot_command(instance: &str) -> String {
    format!("aws rds reboot-db-instance --db-instance-identifier {instance}")
}
