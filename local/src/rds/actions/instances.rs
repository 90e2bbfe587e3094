//! Describing, creating, modifying, rebooting and deleting instances.

use super::{ActionResult, filters, page, result, subnet_groups};
use crate::rds::certificates;
use crate::rds::control_plane::{ControlPlane, successor};
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::instance_limits::Fate;
use crate::rds::model::{ClusterStatus, DbInstance, InstanceStatus};
use crate::rds::monitoring::{Insights, Monitoring};
use crate::rds::monitoring::{read_insights, read_monitoring};
use crate::rds::preferred_windows;
use crate::rds::query::{Params, identifier};
use crate::rds::render;
use crate::rds::resource_names::{id_of, instance_endpoint};
use crate::rds::settings::default_group;
use crate::rds::store::Store;
use crate::rds::tags::read_tags;
use crate::servers::ServerEndpoint;
use std::sync::Arc;
use std::time::Duration;

/// Time that an instance spends in `configuring-enhanced-monitoring`: whoever waits for `available` must not take it for a failure.
const MONITORING_TIME: Duration = Duration::from_millis(300);
/// Parameters of the cluster, which are refused on one of its instances.
const CLUSTER_PARAMETERS: [&str; 10] = [
    "MasterUsername",
    "MasterUserPassword",
    "DBName",
    "VpcSecurityGroupIds",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "Port",
    "StorageEncrypted",
    "DeletionProtection",
    "ManageMasterUserPassword",
];

/// `DescribeDBInstances`.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(params, &["db-cluster-id", "db-instance-id", "dbi-resource-id", "engine", "domain"])?;
    let store = control_plane.store();
    let one = params.get("DBInstanceIdentifier").filter(|id| !id.is_empty());
    let chosen: Vec<&DbInstance> = match one {
        Some(id) => vec![store.instance(id)?],
        None => store.instances.values().collect(),
    };
    let matches = |instance: &&DbInstance| {
        filters.iter().all(|(name, values)| match *name {
            "db-cluster-id" => values.iter().any(|value| id_of("cluster", value) == instance.cluster),
            "db-instance-id" => values.iter().any(|value| id_of("db", value) == instance.id),
            "dbi-resource-id" => values.contains(&instance.resource_id),
            "engine" => store
                .clusters
                .get(&instance.cluster)
                .is_some_and(|cluster| values.iter().any(|value| value == cluster.engine.name())),
            _ => false,
        })
    };
    let shown = chosen.into_iter().filter(matches);
    page(
        params,
        "DBInstances",
        shown.map(|found| (found.id.clone(), render::instance(control_plane, &store, found))).collect(),
    )
}

fn describe_one(control_plane: &ControlPlane, id: &str) -> ActionResult {
    let store = control_plane.store();
    Ok(result().child(render::instance(control_plane, &store, store.instance(id)?)))
}

/// `CreateDBInstance`.
pub fn create(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let id = identifier("DBInstanceIdentifier", params.required("DBInstanceIdentifier")?)?;
    let class = class(params.required("DBInstanceClass")?)?;
    let engine = Engine::parse(params.required("Engine")?)?;
    let cluster_id = params.get("DBClusterIdentifier").filter(|id| !id.is_empty());
    let cluster_id = cluster_id.ok_or_else(|| {
        ApiError::combination(format!("The engine {} requires a DBClusterIdentifier.", engine.name()))
    })?;
    if let Some(name) = params.first_given(&CLUSTER_PARAMETERS) {
        return Err(ApiError::combination(format!(
            "The requested DB Instance will be a member of a DB Cluster. Set {name} for the DB Cluster."
        )));
    }
    let mut monitoring = Monitoring::default();
    read_monitoring(&mut monitoring, params)?;
    let mut insights = Insights::default();
    read_insights(&mut insights, params)?;
    let window = params.get("PreferredMaintenanceWindow").map(preferred_windows::maintenance).transpose()?;
    let certificate = certificates::offered(params.get("CACertificateIdentifier").unwrap_or(certificates::DEFAULT))?;
    let tags = read_tags(params)?.unwrap_or_default();
    let tier = params.number("PromotionTier", 0..=15_u32)?.unwrap_or(1);
    let minor_upgrade = params.boolean("AutoMinorVersionUpgrade")?.unwrap_or(true);
    let public = params.boolean("PubliclyAccessible")?.unwrap_or(false);
    let copy_tags = params.boolean("CopyTagsToSnapshot")?.unwrap_or(false);

    // From here on under one lock: the address is taken for an identifier that is known to be free.
    let mut store = control_plane.store();
    let cluster = store.cluster(cluster_id)?.clone();
    if store.instances.contains_key(&id) {
        return Err(ApiError::bad("DBInstanceAlreadyExists", "DB instance already exists"));
    }
    if !matches!(cluster.status, ClusterStatus::Available | ClusterStatus::Creating | ClusterStatus::Modifying) {
        return Err(ApiError::cluster_state(format!("Db cluster {} is not in available state.", cluster.id)));
    }
    if engine != cluster.engine {
        return Err(ApiError::combination(format!(
            "The engine name requested for your DB instance ({}) doesn't match the engine name of your DB cluster ({}).",
            engine.name(),
            cluster.engine.name()
        )));
    }
    // Only its form is checked: an instance of Aurora runs its cluster's version.
    engine.version(params.get("EngineVersion"), &cluster.version)?;
    let parameter_group = params
        .get("DBParameterGroupName")
        .map_or_else(|| default_group(engine, &cluster.version), str::to_ascii_lowercase);
    store.check_parameter_group(engine, &parameter_group)?;
    if params.get("DBSubnetGroupName").is_some_and(|group| group.to_ascii_lowercase() != cluster.subnet_group) {
        return Err(ApiError::combination("The DB subnet group of the instance must be the one of its DB cluster."));
    }
    let window = match window {
        Some(window) => window,
        None => preferred_windows::maintenance_clear_of(&cluster.settings.backup_window)?,
    };
    preferred_windows::refuse_overlap(&cluster.settings.backup_window, &window)?;
    control_plane.limits.check_quota(&id, store.instances.keys())?;
    // Zones go round, so that a reader is not beside its writer.
    let mut zones = subnet_groups::zones(store.subnet_groups.get(&cluster.subnet_group));
    let turn = cluster.members.len() % zones.len().max(1);
    zones.rotate_left(turn);
    let zone = control_plane.limits.zone(&class, params.text("AvailabilityZone"), &zones)?;
    let address = control_plane.take_address()?;
    let instance = DbInstance {
        id: id.clone(),
        resource_id: super::clusters::resource_id("db"),
        cluster: cluster.id.clone(),
        class,
        next_class: None,
        status: InstanceStatus::Creating,
        created: control_plane.now(),
        address,
        tier,
        parameter_group,
        in_sync: true,
        binlog: false,
        zone,
        maintenance_window: window,
        minor_upgrade,
        public,
        copy_tags,
        certificate,
        monitoring,
        insights,
        tags,
    };
    store.instances.insert(id.clone(), instance.clone());
    store.cluster_mut(&cluster.id)?.members.push(id.clone());
    drop(store);
    tokio::spawn(start_instance(Arc::clone(control_plane), instance));
    describe_one(control_plane, &id)
}

async fn start_instance(control_plane: Arc<ControlPlane>, instance: DbInstance) {
    match control_plane.limits.take_fate(&instance.id) {
        None => {}
        Some(Fate::Ends(status)) => {
            ControlPlane::with_minimum_duration(async {}).await;
            control_plane.set_instance(&instance.id, status);
            control_plane.instance_event(&instance.id, "failure", format!("DB instance not created: {status}"));
            return;
        }
        Some(Fate::NeverComes) => return,
        Some(Fate::Late) => {
            let of = &instance.cluster;
            let has_writer = |store: &Store| store.clusters.get(of).is_none_or(|cluster| cluster.writer.is_some());
            control_plane.wait_for(|store| (has_writer(store) || !is_wanted(store, &instance.id)).then_some(())).await;
        }
    }
    // The volume must be there, and the first instance to be created becomes the writer, however fast the others are.
    let ready = control_plane
        .wait_for(|store| match store.clusters.get(&instance.cluster).filter(|_| is_wanted(store, &instance.id)) {
            None => Some(None),
            Some(cluster) if cluster.status == ClusterStatus::Failed => Some(None),
            Some(cluster) if cluster.status == ClusterStatus::Creating => None,
            Some(cluster) => {
                let mut earlier = store.members(cluster).take_while(|other| other.id != instance.id);
                let waits = cluster.writer.is_none()
                    && earlier.any(|other| {
                        other.status == InstanceStatus::Creating && !control_plane.limits.is_held_back(&other.id)
                    });
                (!waits).then(|| Some(cluster.clone()))
            }
        })
        .await;
    let Some(cluster) = ready else {
        if !is_wanted(&control_plane.store(), &instance.id) {
            return;
        }
        control_plane.set_instance(&instance.id, InstanceStatus::Failed);
        control_plane.instance_event(&instance.id, "failure", "DB instance not created: its DB cluster failed");
        return;
    };
    let endpoint = ServerEndpoint {
        name: instance_endpoint(&instance.id, &control_plane.hash),
        address: instance.address,
        port: cluster.port,
    };
    match ControlPlane::with_minimum_duration(cluster.database.start(&instance.resource_id, endpoint)).await {
        Ok(is_writer) => {
            // The databases decide who writes: a deletion of the first instance may have come in between.
            if is_writer && let Ok(cluster) = control_plane.store().cluster_mut(&cluster.id) {
                cluster.writer = Some(instance.id.clone());
            }
            control_plane.store().apply_parameter_group(&instance.id);
            if instance.monitoring.interval > 0 {
                control_plane.set_instance(&instance.id, InstanceStatus::ConfiguringMonitoring);
                tokio::time::sleep(MONITORING_TIME).await;
            }
            control_plane.set_instance(&instance.id, InstanceStatus::Available);
            control_plane.instance_event(&instance.id, "creation", "DB instance created");
            // The deletion may have come while the instance waited to start, and found no server to end.
            if !control_plane.store().instances.contains_key(&instance.id)
                && let Err(error) = cluster.database.remove(&instance.resource_id, None).await
            {
                tracing::error!(instance = instance.id, %error, "an instance was not removed cleanly");
            }
        }
        Err(error) => {
            tracing::error!(instance = instance.id, %error, "an instance did not start");
            control_plane.set_instance(&instance.id, InstanceStatus::Failed);
            control_plane.instance_event(&instance.id, "failure", format!("DB instance not created: {error}"));
        }
    }
}

/// True while an instance is there and not being deleted.
fn is_wanted(store: &Store, id: &str) -> bool {
    store.instances.get(id).is_some_and(|instance| instance.status != InstanceStatus::Deleting)
}

// Every class is taken that looks like one: instances of all classes are the same process here.
fn class(class: &str) -> Result<String, ApiError> {
    if class.starts_with("db.") && class.split('.').count() >= 3 || class == "db.serverless" {
        return Ok(class.to_owned());
    }
    Err(ApiError::value(format!("Invalid DB Instance class: {class}")))
}

/// `ModifyDBInstance`.
pub fn modify(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBInstanceIdentifier")?;
    if let Some(name) = params.first_given(&CLUSTER_PARAMETERS) {
        return Err(ApiError::combination(format!(
            "The specified DB Instance is a member of a DB Cluster. Modify {name} for the DB Cluster."
        )));
    }
    if params.first_given(&["NewDBInstanceIdentifier"]).is_some() {
        return Err(ApiError::combination("NewDBInstanceIdentifier is not supported by this local stack"));
    }
    let mut store = control_plane.store();
    let before = store.instance(given)?.clone();
    if before.status != InstanceStatus::Available {
        return Err(ApiError::instance_state("Database instance is not in available state."));
    }
    let mut after = before.clone();
    // Without ApplyImmediately a class waits for the maintenance window, which never comes on a stack: it stays pending.
    let next = params.get("DBInstanceClass").map(class).transpose()?.or(after.next_class.take());
    match next {
        Some(next) if next == after.class => {}
        Some(next) if params.boolean("ApplyImmediately")? == Some(true) => after.class = next,
        next => after.next_class = next,
    }
    if let Some(tier) = params.number("PromotionTier", 0..=15)? {
        after.tier = tier;
    }
    if let Some(group) = params.get("DBParameterGroupName") {
        after.parameter_group = group.to_ascii_lowercase();
        let engine = store.cluster(&before.cluster)?.engine;
        store.check_parameter_group(engine, &after.parameter_group)?;
    }
    if let Some(window) = params.get("PreferredMaintenanceWindow") {
        after.maintenance_window = preferred_windows::maintenance(window)?;
        let backup = &store.cluster(&before.cluster)?.settings.backup_window;
        preferred_windows::refuse_overlap(backup, &after.maintenance_window)?;
    }
    if let Some(certificate) = params.get("CACertificateIdentifier") {
        after.certificate = certificates::offered(certificate)?;
    }
    after.minor_upgrade = params.boolean("AutoMinorVersionUpgrade")?.unwrap_or(before.minor_upgrade);
    after.public = params.boolean("PubliclyAccessible")?.unwrap_or(before.public);
    after.copy_tags = params.boolean("CopyTagsToSnapshot")?.unwrap_or(before.copy_tags);
    read_monitoring(&mut after.monitoring, params)?;
    read_insights(&mut after.insights, params)?;
    let id = before.id.clone();

    if after != before {
        after.status = InstanceStatus::Modifying;
        store.instances.insert(id.clone(), after);
        let (control_plane, id) = (Arc::clone(control_plane), id.clone());
        tokio::spawn(async move {
            ControlPlane::with_minimum_duration(async {}).await;
            control_plane.set_instance(&id, InstanceStatus::Available);
            control_plane.instance_event(&id, "configuration change", "Finished applying modifications");
        });
    }
    drop(store);
    describe_one(control_plane, &id)
}

/// `RebootDBInstance`.
pub fn reboot(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBInstanceIdentifier")?;
    let (instance, database) = {
        let mut store = control_plane.store();
        let instance = store.instance_mut(given)?;
        if instance.status != InstanceStatus::Available {
            return Err(ApiError::instance_state(format!(
                "Instance {} cannot currently reboot due to an in-progress management operation.",
                instance.id
            )));
        }
        instance.status = InstanceStatus::Rebooting;
        let instance = instance.clone();
        let database = store.cluster(&instance.cluster)?.database.clone();
        (instance, database)
    };
    let shown = describe_one(control_plane, &instance.id);
    let control_plane = Arc::clone(control_plane);
    tokio::spawn(async move {
        match ControlPlane::with_minimum_duration(database.restart(&instance.resource_id)).await {
            Ok(()) => {
                control_plane.store().apply_parameter_group(&instance.id);
                control_plane.set_instance(&instance.id, InstanceStatus::Available);
                control_plane.instance_event(&instance.id, "availability", "DB instance restarted");
            }
            Err(error) => {
                tracing::error!(instance = instance.id, %error, "an instance did not restart");
                control_plane.set_instance(&instance.id, InstanceStatus::Failed);
                control_plane.instance_event(&instance.id, "failure", format!("DB instance not restarted: {error}"));
            }
        }
    });
    shown
}

/// `DeleteDBInstance`.
pub fn delete(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBInstanceIdentifier")?;
    if params.get("FinalDBSnapshotIdentifier").is_some_and(|name| !name.is_empty()) {
        return Err(ApiError::combination(
            "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance",
        ));
    }
    let (instance, was_creating) = {
        let mut store = control_plane.store();
        let instance = store.instance_mut(given)?;
        if instance.status == InstanceStatus::Deleting {
            return Err(ApiError::instance_state(format!("Instance {} is already being deleted.", instance.id)));
        }
        // Remembered before the status is overwritten: start_instance goes on until it sees the deletion.
        let was_creating = instance.status == InstanceStatus::Creating;
        instance.status = InstanceStatus::Deleting;
        (instance.clone(), was_creating)
    };
    control_plane.publish_endpoints();
    let shown = describe_one(control_plane, &instance.id);
    tokio::spawn(stop_instance(Arc::clone(control_plane), instance, was_creating));
    shown
}

async fn stop_instance(control_plane: Arc<ControlPlane>, instance: DbInstance, was_creating: bool) {
    let (database, next) = {
        let store = control_plane.store();
        let Ok(cluster) = store.cluster(&instance.cluster) else { return };
        let next = successor(store.members(cluster), &instance.id).cloned();
        (cluster.database.clone(), next)
    };
    if was_creating {
        // Its start can't be undone half-way: it is let finish first.
        control_plane
            .wait_for(|store| {
                store.cluster(&instance.cluster).map_or(true, |c| c.status != ClusterStatus::Creating).then_some(())
            })
            .await;
    }
    let heir = next.as_ref().map(|next| next.resource_id.as_str());
    let removed = ControlPlane::with_minimum_duration(database.remove(&instance.resource_id, heir)).await;
    if let Err(error) = &removed {
        tracing::error!(instance = instance.id, %error, "an instance was not removed cleanly");
    }
    {
        let mut store = control_plane.store();
        store.instances.remove(&instance.id);
        if let Ok(cluster) = store.cluster_mut(&instance.cluster) {
            cluster.members.retain(|member| *member != instance.id);
            if cluster.writer.as_ref() == Some(&instance.id) {
                cluster.writer = next.map(|next| next.id);
            }
        }
    }
    // Last of all: given out before, another cluster's server would answer the clients of this one.
    control_plane.free(instance.address);
    control_plane.publish_endpoints();
    control_plane.instance_event(&instance.id, "deletion", "DB instance deleted");
}
