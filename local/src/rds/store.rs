//! Everything the control plane knows, in one place behind one lock that is never held while something is awaited.

use super::error::ApiError;
use super::model::{CustomEndpoint, DbCluster, DbInstance, Event, ParameterGroup, Snapshot, SubnetGroup, Tags, id_of};
use std::collections::BTreeMap;

/// The whole state.
#[derive(Debug, Default)]
pub struct Store {
    pub clusters: BTreeMap<String, DbCluster>,
    pub instances: BTreeMap<String, DbInstance>,
    /// Deleted clusters whose automated backups were kept, by resource id.
    pub retained: BTreeMap<String, DbCluster>,
    pub endpoints: BTreeMap<String, CustomEndpoint>,
    pub cluster_parameter_groups: BTreeMap<String, ParameterGroup>,
    pub parameter_groups: BTreeMap<String, ParameterGroup>,
    pub subnet_groups: BTreeMap<String, SubnetGroup>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub events: Vec<Event>,
}

impl Store {
    /// A cluster by identifier or ARN.
    pub fn cluster(&self, given: &str) -> Result<&DbCluster, ApiError> {
        self.clusters.get(&id_of("cluster", given)).ok_or_else(|| ApiError::no_cluster(given))
    }

    /// A cluster that is changed.
    pub fn cluster_mut(&mut self, given: &str) -> Result<&mut DbCluster, ApiError> {
        self.clusters.get_mut(&id_of("cluster", given)).ok_or_else(|| ApiError::no_cluster(given))
    }

    /// An instance by identifier or ARN.
    pub fn instance(&self, given: &str) -> Result<&DbInstance, ApiError> {
        self.instances.get(&id_of("db", given)).ok_or_else(|| ApiError::no_instance(given))
    }

    /// An instance that is changed.
    pub fn instance_mut(&mut self, given: &str) -> Result<&mut DbInstance, ApiError> {
        self.instances.get_mut(&id_of("db", given)).ok_or_else(|| ApiError::no_instance(given))
    }

    /// The instances of a cluster, in the order in which they were made.
    pub fn members<'a>(&'a self, cluster: &'a DbCluster) -> impl Iterator<Item = &'a DbInstance> {
        cluster.members.iter().filter_map(|id| self.instances.get(id))
    }

    /// Refuses a cluster parameter group that does not exist.
    pub fn check_cluster_parameter_group(&self, name: &str) -> Result<(), ApiError> {
        if name.starts_with("default.") || self.cluster_parameter_groups.contains_key(name) {
            return Ok(());
        }
        Err(ApiError::not_found(
            "DBClusterParameterGroupNotFound",
            format!("DBClusterParameterGroup not found: {name}"),
        ))
    }

    /// Refuses an instance parameter group that does not exist.
    pub fn check_parameter_group(&self, name: &str) -> Result<(), ApiError> {
        if name.starts_with("default.") || self.parameter_groups.contains_key(name) {
            return Ok(());
        }
        Err(ApiError::not_found("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}")))
    }

    /// Refuses a subnet group that does not exist.
    pub fn check_subnet_group(&self, name: &str) -> Result<(), ApiError> {
        if name == "default" || self.subnet_groups.contains_key(name) {
            return Ok(());
        }
        Err(ApiError::not_found("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist.")))
    }

    /// The tags of the resource with an ARN.
    pub fn tags_mut(&mut self, arn: &str) -> Result<&mut Tags, ApiError> {
        let kind = arn.split(':').nth(5).unwrap_or_default().to_owned();
        if !arn.starts_with("arn:aws:rds:") {
            return Err(ApiError::value(format!("Invalid resource name: {arn}")));
        }
        let id = id_of(&kind, arn);
        let gone = |code| move || ApiError::not_found(code, format!("{arn} not found."));
        match kind.as_str() {
            "cluster" => self.cluster_mut(&id).map(|cluster| &mut cluster.tags),
            "db" => self.instance_mut(&id).map(|instance| &mut instance.tags),
            "cluster-pg" => {
                let found = self.cluster_parameter_groups.get_mut(&id).map(|found| &mut found.tags);
                found.ok_or_else(gone("DBClusterParameterGroupNotFound"))
            }
            "pg" => {
                let found = self.parameter_groups.get_mut(&id).map(|found| &mut found.tags);
                found.ok_or_else(gone("DBParameterGroupNotFound"))
            }
            "subgrp" => {
                let found = self.subnet_groups.get_mut(&id).map(|found| &mut found.tags);
                found.ok_or_else(gone("DBSubnetGroupNotFoundFault"))
            }
            "cluster-snapshot" => {
                let found = self.snapshots.get_mut(&id).map(|found| &mut found.cluster.tags);
                found.ok_or_else(gone("DBClusterSnapshotNotFoundFault"))
            }
            "cluster-endpoint" => {
                let found = self.endpoints.get_mut(&id).map(|found| &mut found.tags);
                found.ok_or_else(|| ApiError::bad("DBClusterEndpointNotFoundFault", format!("{arn} not found.")))
            }
            _ => Err(ApiError::value(format!("Invalid resource name: {arn}"))),
        }
    }
}
