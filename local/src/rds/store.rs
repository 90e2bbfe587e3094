//! The state of the control plane, behind one lock that is never held across an await.

use super::engine::Engine;
use super::error::ApiError;
use super::model::{CustomEndpoint, DbCluster, DbInstance, Event, ParameterGroup, Snapshot, SubnetGroup};
use super::parameters::BINLOG_FORMAT;
use super::resource_names::id_of;
use super::tags::Tags;
use std::collections::BTreeMap;

/// The whole state.
#[derive(Debug, Default)]
pub struct Store {
    pub clusters: BTreeMap<String, DbCluster>,
    pub instances: BTreeMap<String, DbInstance>,
    /// Deleted clusters whose automated backups were kept, by resource id.
    pub retained: BTreeMap<String, DbCluster>,
    pub endpoints: BTreeMap<String, CustomEndpoint>,
    /// Global Databases, each with its primary cluster.
    pub global_clusters: BTreeMap<String, Option<String>>,
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

    /// The Global Database of a cluster.
    pub fn global_cluster_of(&self, cluster: &str) -> Option<&String> {
        self.global_clusters.iter().find(|(_, primary)| primary.as_deref() == Some(cluster)).map(|(global, _)| global)
    }

    /// Refuses a cluster parameter group that does not exist, or is another engine's.
    pub fn check_cluster_parameter_group(&self, engine: Engine, name: &str) -> Result<(), ApiError> {
        let missing = || {
            ApiError::not_found("DBClusterParameterGroupNotFound", format!("DBClusterParameterGroup not found: {name}"))
        };
        check_group(&self.cluster_parameter_groups, engine, name, missing)
    }

    /// Refuses an instance parameter group that does not exist, or is another engine's.
    pub fn check_parameter_group(&self, engine: Engine, name: &str) -> Result<(), ApiError> {
        let missing = || ApiError::not_found("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}"));
        check_group(&self.parameter_groups, engine, name, missing)
    }

    /// Marks an instance as started with its cluster's present parameter group.
    pub fn apply_parameter_group(&mut self, instance: &str) {
        let Some(found) = self.instances.get(instance) else { return };
        // Static parameters are read at a start alone: a change of binlog_format counts from the next reboot of the writer on.
        let binlog = self.clusters.get(&found.cluster).is_some_and(|cluster| self.has_binlog(cluster));
        if let Some(found) = self.instances.get_mut(instance) {
            found.in_sync = true;
            found.binlog = binlog;
        }
    }

    /// True when the parameter group of a cluster turns binary logging on.
    fn has_binlog(&self, cluster: &DbCluster) -> bool {
        let group = self.cluster_parameter_groups.get(&cluster.settings.parameter_group);
        group.and_then(|group| group.values.get(BINLOG_FORMAT)).is_some_and(|format| format != "OFF")
    }

    /// Refuses a subnet group that does not exist.
    pub fn check_subnet_group(&self, name: &str) -> Result<(), ApiError> {
        if name == "default" || self.subnet_groups.contains_key(name) {
            return Ok(());
        }
        Err(ApiError::not_found("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist.")))
    }

    /// Finds the tags of the resource with an ARN.
    pub fn tags_mut(&mut self, arn: &str) -> Result<&mut Tags, ApiError> {
        let kind = arn.split(':').nth(5).unwrap_or_default().to_owned();
        if !arn.starts_with("arn:aws:rds:") {
            return Err(ApiError::value(format!("Invalid resource name: {arn}")));
        }
        let id = id_of(&kind, arn);
        // Each kind has a not-found code of its own on the wire, which is not always the name of its shape.
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

fn check_group(
    groups: &BTreeMap<String, ParameterGroup>,
    engine: Engine,
    name: &str,
    missing: impl FnOnce() -> ApiError,
) -> Result<(), ApiError> {
    // Default groups are not in the store: they are there by themselves, one a family.
    let found = match name.strip_prefix("default.") {
        Some(family) => Engine::ALL.into_iter().find(|engine| family.starts_with(engine.name())),
        None => groups.get(name).map(|group| group.engine),
    };
    // The family has to be the engine's; its major version always is, as there is one a stack.
    if found.ok_or_else(missing)? == engine {
        return Ok(());
    }
    Err(ApiError::combination(format!("The Parameter Group {name} can't be used for the engine {}.", engine.name())))
}
