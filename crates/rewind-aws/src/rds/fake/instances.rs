//! The instances of the RDS in memory: like RDS it refuses what a quota, the capacity of a zone, or the subnet group forbids, and
//! makes the first instance of a cluster its writer.

use super::{FakeRds, refuse_too_many};
use crate::AwsResult;
use crate::rds::{ChangeInstances, Created, FailOverClusters, Instance, Member, NewInstance, RebootInstances};
use rewind_core::{ErrorName, StepError};

impl FakeRds {
    /// Lets the account have no more than `most` instances.
    pub fn set_quota(&self, most: usize) {
        self.state().limits.quota = Some(most);
    }

    /// Takes the capacity for a class from a zone, or from all.
    pub fn fill_zone(&self, class: &str, zone: Option<&str>) {
        self.state().limits.full.push((class.to_owned(), zone.map(ToOwned::to_owned)));
    }

    /// Offers a zone no more.
    pub fn withdraw_zone(&self, zone: &str) {
        self.state().limits.zones_not_offered.push(zone.to_owned());
    }

    /// Lets failovers be accepted, and another instance remain the writer.
    pub fn keep_writer(&self) {
        self.state().limits.failover_does_nothing = true;
    }
}

impl ChangeInstances for FakeRds {
    async fn create_instance(&self, new: &NewInstance<'_>) -> AwsResult<Created> {
        refuse_too_many(new.tags)?;
        let (class, zone) = (&new.like.class, new.like.availability_zone.as_deref());
        let instances = self.state().instances.len();
        if let Some(refusal) = self.state().limits.refusal(instances, class, zone) {
            return Ok(Created::Refused(refusal));
        }
        self.change(format!("create_instance {}", new.name), |state| {
            if state.instances.iter().any(|(_, instance)| instance.name == new.name) {
                return Created::NameTaken;
            }
            let mut instance = Instance {
                name: new.name.to_owned(),
                arn: format!("arn:aws:rds:us-east-1:000000000000:db:{}", new.name),
                tags: new.tags.to_vec(),
                ..new.like.clone()
            };
            // For an authority that it has retired, AWS gives a new instance its default.
            if instance.ca_certificate.as_ref().is_some_and(|authority| state.withdrawn.contains(authority)) {
                instance.ca_certificate = Some("rds-ca-rsa2048-g1".to_owned());
            }
            state.instances.push((new.cluster.name.clone(), instance));
            if let Some(cluster) = state.clusters.iter_mut().find(|c| c.name == new.cluster.name) {
                // The first instance of a cluster becomes its writer, whatever its promotion tier.
                let writer = cluster.members.is_empty();
                cluster.members.push(Member { instance: new.name.to_owned(), writer });
            }
            Created::Yes
        })
    }

    async fn delete_instance(&self, name: &str) -> AwsResult<()> {
        self.change(format!("delete_instance {name}"), |state| {
            state.instances.retain(|(_, instance)| instance.name != name);
            state.clusters.iter_mut().for_each(|cluster| cluster.members.retain(|member| member.instance != name));
        })
    }
}

impl RebootInstances for FakeRds {
    async fn reboot_instance(&self, name: &str) -> AwsResult<()> {
        let status = self.state().instances.iter().find(|(_, i)| i.name == name).map(|(_, i)| i.status.clone());
        if status.is_none_or(|status| status != "available") {
            let why = format!("AWS answered InvalidDBInstanceState: {name}");
            return Err(StepError::new(ErrorName::ClusterNotReady, why));
        }
        self.change(format!("reboot_instance {name}"), |state| {
            state.clusters.iter_mut().for_each(|cluster| cluster.pending_reboot.retain(|pending| pending != name));
        })
    }
}

impl FailOverClusters for FakeRds {
    async fn fail_over(&self, cluster: &str, to: &str) -> AwsResult<()> {
        // As strict as RDS: only a reader of the cluster that is available can take over.
        let state_of = |name: &str| {
            let state = self.state();
            state.instances.iter().find(|(of, i)| of == cluster && i.name == name).map(|(_, i)| i.status.clone())
        };
        let is_reader = self
            .find(cluster)
            .is_some_and(|found| found.members.iter().any(|member| member.instance == to && !member.writer));
        if !is_reader {
            let why = format!("AWS answered InvalidDBClusterStateFault: {to} is no reader of {cluster}");
            return Err(StepError::new(ErrorName::ClusterNotReady, why));
        }
        if state_of(to).is_none_or(|status| status != "available") {
            let why = format!("AWS answered InvalidDBInstanceState: {to}");
            return Err(StepError::new(ErrorName::ClusterNotReady, why));
        }
        self.change(format!("fail_over {cluster} to {to}"), |state| {
            if state.limits.failover_does_nothing {
                return;
            }
            for found in state.clusters.iter_mut().filter(|found| found.name == cluster) {
                found.members.iter_mut().for_each(|member| member.writer = member.instance == to);
            }
        })
    }
}
