//! `RestoreDBClusterToPointInTime` and `RestoreDBClusterFromSnapshot`: a new cluster with the data of another as it was, and without the
//! settings that AWS does not carry over; and `DeleteDBClusterSnapshot`.

use super::clusters::{self, already_exists, check_available, describe_one, insert, resource_id};
use super::{ActionResult, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::model::{ClusterStatus, DbCluster};
use crate::rds::preferred_windows;
use crate::rds::query::{Params, identifier};
use crate::rds::render;
use crate::rds::resource_names::id_of;
use crate::rds::settings::Settings;
use crate::rds::tags::read_tags;
use crate::servers::{Error, RestoreTo};
use std::sync::Arc;

/// Parameters that the API model has and a restore refuses all the same: they are set on instances, or by `ModifyDBCluster`.
const MONITORING: [&str; 5] = [
    "MonitoringInterval",
    "MonitoringRoleArn",
    "EnablePerformanceInsights",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
];

/// `RestoreDBClusterToPointInTime`.
pub fn restore(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let clone = match params.get("RestoreType") {
        None | Some("full-copy") => false,
        Some("copy-on-write") => true,
        Some(other) => {
            return Err(ApiError::value(format!(
                "Invalid restore type: {other}. Valid values are full-copy, copy-on-write."
            )));
        }
    };
    let to = params.time("RestoreToTime")?;
    let latest = params.boolean("UseLatestRestorableTime")?.unwrap_or(false);
    match (clone, to, latest) {
        (true, Some(_), _) => {
            return Err(ApiError::combination(
                "RestoreToTime cannot be specified when RestoreType is copy-on-write. Use UseLatestRestorableTime.",
            ));
        }
        (_, Some(_), true) => {
            return Err(ApiError::combination(
                "RestoreToTime and UseLatestRestorableTime cannot be specified together.",
            ));
        }
        (_, None, false) => {
            return Err(ApiError::combination("Either RestoreToTime or UseLatestRestorableTime must be specified."));
        }
        _ => {}
    }
    if params.first_given(&MONITORING).is_some() {
        return Err(ApiError::combination(
            "You can enable Performance Insights or set the Enhanced Monitoring interval only when restoring from a source \
             Aurora Limitless DB cluster",
        ));
    }
    let source = source(control_plane, params)?;
    let moment = if clone {
        RestoreTo::Now
    } else {
        let window = source.database.window().ok_or_else(|| {
            ApiError::bad("InvalidRestoreFault", format!("DB cluster {} has no restorable time yet.", source.id))
        })?;
        let to = to.unwrap_or(window.latest);
        if !window.contains(to) {
            return Err(ApiError::value(format!(
                "The specified time {to} is not restorable: DB cluster {} can be restored to a time between {} and {}.",
                source.id, window.earliest, window.latest
            )));
        }
        RestoreTo::At(to)
    };
    create(control_plane, params, &source, moment, clone)
}

/// `RestoreDBClusterFromSnapshot`.
pub fn from_snapshot(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let snapshot = id_of("cluster-snapshot", params.required("SnapshotIdentifier")?);
    let engine = Engine::parse(params.required("Engine")?)?;
    let source =
        control_plane.store().snapshots.get(&snapshot).map(|found| found.cluster.clone()).ok_or_else(|| {
            ApiError::not_found("DBClusterSnapshotNotFoundFault", format!("DBClusterSnapshot {snapshot} not found."))
        })?;
    if engine != source.engine {
        return Err(ApiError::combination(format!(
            "The snapshot {snapshot} is of {}, and can't be restored as {}.",
            source.engine.name(),
            engine.name()
        )));
    }
    // The last state is the snapshot's: snapshots here are final ones, and their cluster took no write afterwards.
    create(control_plane, params, &source, RestoreTo::Now, false)
}

/// `DeleteDBClusterSnapshot`.
pub fn delete_snapshot(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let id = id_of("cluster-snapshot", params.required("DBClusterSnapshotIdentifier")?);
    let (gone, backups) = {
        let mut store = control_plane.store();
        let gone = store.snapshots.remove(&id).ok_or_else(|| {
            ApiError::not_found("DBClusterSnapshotNotFoundFault", format!("DBClusterSnapshot {id} not found."))
        })?;
        let still = store.clusters.values().chain(store.retained.values());
        let backups = still.map(|cluster| &cluster.resource_id).any(|resource| *resource == gone.cluster.resource_id);
        (gone, backups)
    };
    let shown = Ok(result().child(render::snapshot(&gone)));
    if !backups {
        tokio::spawn(async move {
            if let Err(error) = ControlPlane::with_minimum_duration(gone.cluster.database.destroy(true)).await {
                tracing::warn!(snapshot = id, %error, "files of a deleted snapshot were left behind");
            }
        });
    }
    shown
}

/// Creates the restored cluster, and begins to fill it.
fn create(
    control_plane: &Arc<ControlPlane>,
    params: &Params,
    source: &DbCluster,
    moment: RestoreTo,
    clone: bool,
) -> ActionResult {
    let id = identifier("DBClusterIdentifier", params.required("DBClusterIdentifier")?)?;
    clusters::refuse_unsupported(params)?;
    let engine_mode = clusters::engine_mode(params)?;
    // What is not passed is the default, with two exceptions that AWS documents: the retention, and the tags below.
    let mut settings = Settings::defaults(source.engine, &source.version);
    settings.backup_retention = source.settings.backup_retention;
    settings.backup_window = overlapping_backup_window(control_plane, source);
    settings.read_common(params)?;
    settings.separate_windows(params)?;
    // The volume of a clone has the records of its source, or none.
    settings.backtrack_window = source.settings.backtrack_window.filter(|window| clone && *window > 0);
    settings.read_backtrack(source.engine, !clone, params)?;
    settings.read_log_exports(source.engine, params)?;
    let subnet_group = params.get("DBSubnetGroupName").unwrap_or("default").to_ascii_lowercase();
    let port = params.number("Port", 1150..=65535_u16)?.unwrap_or(source.engine.port());
    let kms_key = match (params.text("KmsKeyId"), source.encrypted) {
        (Some(_), false) => {
            return Err(ApiError::combination("KmsKeyId can't be specified for a source that isn't encrypted."));
        }
        (given, _) => given.or_else(|| source.kms_key.clone()),
    };
    let tags = read_tags(params)?.unwrap_or_else(|| source.tags.clone());
    {
        let store = control_plane.store();
        if store.clusters.contains_key(&id) {
            return Err(already_exists());
        }
        store.check_cluster_parameter_group(source.engine, &settings.parameter_group)?;
        store.check_subnet_group(&subnet_group)?;
    }
    let resource_id = resource_id("cluster");
    let work = control_plane.lease_address()?;
    let database = clusters::database(control_plane, source.engine, &id, &resource_id, port, &settings)?;
    let cluster = DbCluster {
        id: id.clone(),
        resource_id,
        engine: source.engine,
        version: source.version.clone(),
        status: ClusterStatus::Creating,
        created: control_plane.now(),
        settings,
        port,
        master_user: source.master_user.clone(),
        database_name: source.database_name.clone(),
        subnet_group,
        zones: clusters::zones(),
        engine_mode,
        encrypted: source.encrypted,
        kms_key,
        clone_group: if clone { source.clone_group.clone() } else { uuid::Uuid::new_v4().to_string() },
        roles: Vec::new(),
        tags,
        // A managed password is not carried over: the master user has the password of the target time until ModifyDBCluster asks for
        // a managed one.
        secret: None,
        groups_active: true,
        next_version: None,
        members: Vec::new(),
        writer: None,
        backtracks: Vec::new(),
        database: database.clone(),
    };
    insert(control_plane, cluster)?;
    let (task_control_plane, cluster_id, source) = (Arc::clone(control_plane), id.clone(), source.clone());
    tokio::spawn(async move {
        let began = tokio::time::Instant::now();
        let fails_after = task_control_plane.faults.take_restore(&cluster_id);
        let work_on = async {
            if let Some(time) = fails_after {
                tokio::time::sleep(time).await;
                return Err(Error::State("a failure that was asked for"));
            }
            database.restore(work.address, &source.database, moment).await
        };
        let restored = ControlPlane::with_minimum_duration(work_on).await.map(|to| {
            tracing::info!(cluster = cluster_id, source = source.id, %to, seconds = began.elapsed().as_secs_f32(), "restored a cluster");
        });
        // The whole lease moves in here by this: naming its address alone would move a copy of that, and free the lease.
        drop(work);
        task_control_plane.finish_cluster_change(
            &cluster_id,
            &format!("restored from {}", source.id),
            ClusterStatus::Failed,
            restored,
        );
    });
    describe_one(control_plane, &id)
}

/// Chooses the backup window of a restore that names none: inside the maintenance window of one of the source's instances.
fn overlapping_backup_window(control_plane: &ControlPlane, source: &DbCluster) -> String {
    let store = control_plane.store();
    let of_instance = store.members(source).next().map(|instance| instance.maintenance_window.as_str());
    preferred_windows::backup_within(of_instance.unwrap_or(&source.settings.maintenance_window))
}

// By identifier among existing clusters alone; by resource id also among deleted ones whose backups were retained, as the identifier
// may belong to another cluster by now.
fn source(control_plane: &ControlPlane, params: &Params) -> Result<DbCluster, ApiError> {
    let store = control_plane.store();
    let given = params.get("SourceDBClusterIdentifier").filter(|id| !id.is_empty());
    let resource = params.get("SourceDbClusterResourceId").filter(|id| !id.is_empty());
    let found = match (given, resource) {
        (Some(_), Some(_)) => {
            return Err(ApiError::combination(
                "SourceDBClusterIdentifier and SourceDbClusterResourceId cannot be specified together.",
            ));
        }
        (None, None) => return Err(ApiError::missing("SourceDBClusterIdentifier")),
        (Some(id), None) => store.clusters.get(&id_of("cluster", id)).ok_or_else(|| ApiError::no_cluster(id))?,
        (None, Some(resource)) => {
            if let Some(kept) = store.retained.get(resource) {
                return Ok(kept.clone());
            }
            store.clusters.values().find(|cluster| cluster.resource_id == resource).ok_or_else(|| {
                ApiError::not_found(
                    "DBClusterAutomatedBackupNotFoundFault",
                    format!("No automated backup found for the cluster {resource}."),
                )
            })?
        }
    };
    // Backups go on during a modification or a failover; during a backtrack or a creation there is no state to restore.
    if !matches!(found.status, ClusterStatus::Modifying | ClusterStatus::FailingOver) {
        check_available(found)?;
    }
    Ok(found.clone())
}
