//! Describing, creating and failing over clusters, and what other actions on clusters share.

use super::parameter_groups::values_of;
use super::{ActionResult, filters, page, result, secret};
use crate::rds::control_plane::{ControlPlane, successor};
use crate::rds::database::Database;
use crate::rds::engine::{Engine, check_password};
use crate::rds::error::ApiError;
use crate::rds::model::{ClusterStatus, DbCluster, InstanceStatus};
use crate::rds::query::{Params, identifier};
use crate::rds::render;
use crate::rds::resource_names::{cluster_arn, endpoint, id_of};
use crate::rds::secrets;
use crate::rds::settings::Settings;
use crate::rds::tags::read_tags;
use crate::servers::MasterUser;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Parameters for what this stack does not have: ignored, code that relies on them would pass here and fail on AWS.
const UNSUPPORTED: [&str; 9] = [
    "GlobalClusterIdentifier",
    "ReplicationSourceIdentifier",
    "Domain",
    "ScalingConfiguration",
    "RdsCustomClusterConfiguration",
    "DBClusterInstanceClass",
    "Iops",
    "EnableLimitlessDatabase",
    "MasterUserAuthenticationType",
];

/// `DescribeDBClusters`.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(params, &["db-cluster-id", "db-cluster-resource-id", "engine", "clone-group-id", "domain"])?;
    let store = control_plane.store();
    let one = params.get("DBClusterIdentifier").filter(|id| !id.is_empty());
    let chosen: Vec<&DbCluster> = match one {
        Some(id) => vec![store.cluster(id)?],
        None => store.clusters.values().collect(),
    };
    let matches = |cluster: &&DbCluster| {
        filters.iter().all(|(name, values)| match *name {
            "db-cluster-id" => values.iter().any(|value| id_of("cluster", value) == cluster.id),
            "db-cluster-resource-id" => values.contains(&cluster.resource_id),
            "clone-group-id" => values.contains(&cluster.clone_group),
            "engine" => values.iter().any(|value| value == cluster.engine.name()),
            _ => false,
        })
    };
    let shown = chosen.into_iter().filter(matches);
    page(
        params,
        "DBClusters",
        shown.map(|cluster| (cluster.id.clone(), render::cluster(control_plane, &store, cluster))).collect(),
    )
}

/// Renders the result that holds one cluster.
pub fn describe_one(control_plane: &ControlPlane, id: &str) -> ActionResult {
    let store = control_plane.store();
    Ok(result().child(render::cluster(control_plane, &store, store.cluster(id)?)))
}

/// Refuses parameters for what this stack does not have.
pub fn refuse_unsupported(params: &Params) -> Result<(), ApiError> {
    match params.first_given(&UNSUPPORTED) {
        Some(name) => Err(ApiError::combination(format!("{name} is not supported by this local stack"))),
        None => Ok(()),
    }
}

/// Refuses an engine mode other than `provisioned`.
pub fn engine_mode(params: &Params) -> Result<String, ApiError> {
    match params.get("EngineMode") {
        None | Some("provisioned" | "") => Ok("provisioned".to_owned()),
        Some(mode) => {
            Err(ApiError::combination(format!("The engine mode {mode} you requested is currently unavailable.")))
        }
    }
}

/// Prepares the databases of a new cluster; nothing is created yet.
pub fn database(
    control_plane: &ControlPlane,
    engine: Engine,
    id: &str,
    resource_id: &str,
    port: u16,
    settings: &Settings,
) -> Result<Database, ApiError> {
    // Names for the certificates of all servers of the cluster: custom endpoints come and go while it runs, hence the wildcard.
    let names = vec![
        endpoint(id, "cluster", &control_plane.hash),
        endpoint(id, "cluster-ro", &control_plane.hash),
        endpoint("*", "cluster-custom", &control_plane.hash),
    ];
    let admitted = control_plane.groups.admitted(&settings.security_groups)?;
    let files = control_plane.files_of(resource_id);
    let database = Database::new(&control_plane.servers, engine, files, names, port, admitted);
    let database = database.map_err(|error| ApiError::internal(error.to_string()))?;
    database.set_reach(settings);
    Ok(database)
}

/// Generates a resource id.
pub fn resource_id(kind: &str) -> String {
    format!("{kind}-{}", uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase())
}

/// `CreateDBCluster`.
pub async fn create(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let id = identifier("DBClusterIdentifier", params.required("DBClusterIdentifier")?)?;
    let engine = Engine::parse(params.required("Engine")?)?;
    refuse_unsupported(params)?;
    let engine_mode = engine_mode(params)?;
    let version = engine.version(params.get("EngineVersion"), control_plane.servers.version(engine))?;
    let master_user = params.required("MasterUsername")?.to_owned();
    engine.check_master(&master_user)?;
    let managed = params.boolean("ManageMasterUserPassword")?.unwrap_or(false);
    let password = match (params.text("MasterUserPassword"), managed) {
        (Some(_), true) => {
            return Err(ApiError::combination(
                "You can't specify MasterUserPassword when ManageMasterUserPassword is true.",
            ));
        }
        (Some(password), false) => password,
        (None, true) => secrets::password()?,
        (None, false) => return Err(ApiError::missing("MasterUserPassword")),
    };
    check_password(&password)?;
    // All parameters are read before anything is created: a refused request must leave no secret and no address behind.
    let database_name = params.text("DatabaseName").filter(|name| !name.is_empty());
    if let Some(name) = &database_name {
        engine.check_database(name)?;
    }
    let port = params.number("Port", 1150..=65535_u16)?.unwrap_or(engine.port());
    let mut settings = Settings::defaults(engine, &version);
    settings.read_common(params)?;
    settings.read_operations(params)?;
    settings.separate_windows(params)?;
    settings.read_backtrack(engine, true, params)?;
    settings.read_log_exports(engine, params)?;
    settings.http_endpoint = params.boolean("EnableHttpEndpoint")?.unwrap_or(false);
    let subnet_group = params.get("DBSubnetGroupName").unwrap_or("default").to_ascii_lowercase();
    let tags = read_tags(params)?.unwrap_or_default();
    let encrypted = params.boolean("StorageEncrypted")?.unwrap_or(false);
    let kms_key = encrypted.then(|| params.text("KmsKeyId").unwrap_or_else(|| control_plane.kms_key.clone()));
    let zones = params.texts("AvailabilityZones", "AvailabilityZone").unwrap_or_else(zones);
    {
        let store = control_plane.store();
        if store.clusters.contains_key(&id) {
            return Err(already_exists());
        }
        store.check_cluster_parameter_group(engine, &settings.parameter_group)?;
        store.check_subnet_group(&subnet_group)?;
    }
    // Secrets Manager is asked outside the lock: the identifier is checked again when the cluster is added.
    let secret = match managed {
        true => Some(secret::create(control_plane, params, &id, &master_user, &password).await?),
        false => None,
    };
    let resource_id = resource_id("cluster");
    let work = control_plane.lease_address()?;
    let database = database(control_plane, engine, &id, &resource_id, port, &settings)?;
    let cluster = DbCluster {
        id: id.clone(),
        resource_id: resource_id.clone(),
        engine,
        version,
        status: ClusterStatus::Creating,
        created: control_plane.now(),
        settings,
        port,
        master_user: master_user.clone(),
        database_name: database_name.clone(),
        subnet_group,
        zones,
        engine_mode,
        encrypted,
        kms_key,
        clone_group: uuid::Uuid::new_v4().to_string(),
        roles: Vec::new(),
        tags,
        secret: secret.clone(),
        groups_active: true,
        next_version: None,
        members: Vec::new(),
        writer: None,
        backtracks: Vec::new(),
        database: database.clone(),
    };
    // Another request may have taken the identifier while the secret was created.
    if let Err(error) = insert(control_plane, cluster) {
        secret::delete(control_plane, secret).await;
        return Err(error);
    }
    let master = MasterUser { user: master_user, password, database: database_name };
    let (task_control_plane, cluster_id) = (Arc::clone(control_plane), id.clone());
    tokio::spawn(async move {
        let made = ControlPlane::with_minimum_duration(database.create(work.address, &master)).await;
        // Moves the whole lease into this task: using its address alone would copy that, and release the lease at once.
        drop(work);
        if let Some(secret) =
            task_control_plane.store().clusters.get_mut(&cluster_id).and_then(|cluster| cluster.secret.as_mut())
        {
            secret.status = "active";
        }
        task_control_plane.finish_cluster_change(&cluster_id, "created", ClusterStatus::Failed, made);
    });
    describe_one(control_plane, &id)
}

/// Lists the Availability Zones of a cluster whose request names none.
pub fn zones() -> Vec<String> {
    ["a", "b", "c"].iter().map(|zone| format!("{}{zone}", crate::rds::resource_names::region())).collect()
}

/// Builds the refusal of an identifier that is taken.
pub fn already_exists() -> ApiError {
    ApiError::bad("DBClusterAlreadyExistsFault", "DB Cluster already exists")
}

/// Adds a cluster whose identifier is still free.
pub fn insert(control_plane: &ControlPlane, cluster: DbCluster) -> Result<(), ApiError> {
    let mut store = control_plane.store();
    if store.clusters.contains_key(&cluster.id) {
        return Err(already_exists());
    }
    // Before its first writer: one that starts with the scheduler on runs what was due at once.
    cluster.database.take_parameters(&values_of(&store, &cluster.settings.parameter_group), false);
    store.clusters.insert(cluster.id.clone(), cluster);
    Ok(())
}

/// Refuses a cluster that is not available.
pub fn check_available(cluster: &DbCluster) -> Result<(), ApiError> {
    match cluster.status {
        ClusterStatus::Available => Ok(()),
        _ => Err(ApiError::cluster_state(format!("Db cluster {} is not in available state.", cluster.id))),
    }
}

/// `FailoverDBCluster`.
pub fn fail_over(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBClusterIdentifier")?;
    let target = params.get("TargetDBInstanceIdentifier").map(|target| id_of("db", target));
    let (id, database, target, resource) = {
        let mut store = control_plane.store();
        let cluster = store.cluster(given)?.clone();
        check_available(&cluster)?;
        let writer = cluster.writer.clone().unwrap_or_default();
        // In this order, as clients tell a wrong name from one that they have to wait for.
        if let Some(target) = &target
            && store.instance(target)?.status != InstanceStatus::Available
        {
            return Err(ApiError::instance_state(format!("DB instance {target} is not in available state.")));
        }
        let chosen = match &target {
            Some(target) => store.members(&cluster).find(|instance| instance.id == *target && instance.id != writer),
            None => successor(store.members(&cluster), &writer),
        };
        let Some(chosen) = chosen.filter(|_| !writer.is_empty()).cloned() else {
            return Err(ApiError::cluster_state(match target {
                Some(target) => format!("Cannot failover cluster {} to {target}: it is no reader of it.", cluster.id),
                None => format!("Cannot failover cluster {}: it has no reader.", cluster.id),
            }));
        };
        store.cluster_mut(&cluster.id)?.status = ClusterStatus::FailingOver;
        (cluster.id, cluster.database, chosen.id, chosen.resource_id)
    };
    let shown = describe_one(control_plane, &id);
    let control_plane = Arc::clone(control_plane);
    tokio::spawn(async move {
        let done = ControlPlane::with_minimum_duration(database.fail_over(&resource)).await;
        // The endpoint moves only when the new writer takes writes: until then clients meet an error, never a second writer.
        if done.is_ok()
            && let Ok(cluster) = control_plane.store().cluster_mut(&id)
        {
            cluster.writer = Some(target);
        }
        control_plane.publish_endpoints();
        control_plane.finish_cluster_change(&id, "failed over", ClusterStatus::Failed, done);
    });
    shown
}

/// `EnableHttpEndpoint` and `DisableHttpEndpoint`.
pub fn set_http_endpoint(control_plane: &ControlPlane, params: &Params, enabled: bool) -> ActionResult {
    let arn = params.required("ResourceArn")?;
    if !arn.starts_with(&cluster_arn("")) {
        return Err(ApiError::value(format!("{arn} is not the ARN of a cluster")));
    }
    let mut store = control_plane.store();
    // This action answers with its own code, not with DBClusterNotFoundFault.
    let missing = || ApiError::not_found("ResourceNotFoundFault", format!("{arn} not found."));
    let cluster = store.cluster_mut(arn).map_err(|_| missing())?;
    check_available(cluster)?;
    cluster.settings.http_endpoint = enabled;
    Ok(result().field("ResourceArn", arn).field("HttpEndpointEnabled", enabled))
}

/// `DescribeDBClusterAutomatedBackups`.
pub fn automated_backups(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let store = control_plane.store();
    let (resource, id) = (params.get("DbClusterResourceId"), params.get("DBClusterIdentifier"));
    let active = store.clusters.values().map(|cluster| (cluster, false));
    let all = active.chain(store.retained.values().map(|cluster| (cluster, true)));
    let matching = all.filter(|(cluster, _)| {
        resource.is_none_or(|resource| cluster.resource_id == resource)
            && id.is_none_or(|id| cluster.id == id_of("cluster", id))
    });
    let shown: Vec<_> = matching
        .map(|(cluster, kept)| (cluster.resource_id.clone(), render::automated_backup(cluster, kept)))
        .collect();
    let names: BTreeSet<&String> = shown.iter().map(|(name, _)| name).collect();
    if names.is_empty() && resource.is_some() {
        return Err(ApiError::not_found("DBClusterAutomatedBackupNotFoundFault", "No automated backup found."));
    }
    page(params, "DBClusterAutomatedBackups", shown)
}
