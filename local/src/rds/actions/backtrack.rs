//! Backtrack: rewinding a cluster in place, and describing backtracks.
//!
//! Everything that AWS checks is checked before anything changes. There are no events of a backtrack's start or end.

use super::{ActionResult, filters, page, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::{Backtrack, BacktrackStatus, ClusterStatus, DbCluster, InstanceStatus};
use crate::rds::query::Params;
use crate::rds::render;
use crate::rds::store::Store;
use crate::servers::Error;
use jiff::Timestamp;
use std::sync::Arc;

/// `BacktrackDBCluster`.
pub fn start(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBClusterIdentifier")?;
    let asked = params.time("BacktrackTo")?.ok_or_else(|| ApiError::missing("BacktrackTo"))?;
    let force = params.boolean("Force")?.unwrap_or(false);
    let or_earliest = params.boolean("UseEarliestTimeOnPointInTimeUnavailable")?.unwrap_or(false);
    let now = control_plane.now();
    let (cluster, backtrack) = {
        let mut store = control_plane.store();
        let to = check(&store, store.cluster(given)?, asked, now, force, or_earliest)?;
        let id = uuid::Uuid::new_v4().to_string();
        let backtrack = Backtrack { id, to, from: now, requested: now, status: BacktrackStatus::Pending };
        // Status and record under the lock of the checks: a second request right behind is refused, as there is no idempotency token.
        let cluster = store.cluster_mut(given)?;
        cluster.status = ClusterStatus::Backtracking;
        cluster.backtracks.push(backtrack.clone());
        let cluster = cluster.clone();
        set_members(&mut store, &cluster, InstanceStatus::Available, InstanceStatus::Backtracking);
        (cluster, backtrack)
    };
    let answer = render::backtrack(result(), &cluster.id, &backtrack);
    tokio::spawn(rewind(Arc::clone(control_plane), cluster, backtrack));
    Ok(answer)
}

/// Refuses what AWS refuses; returns the time to rewind to.
fn check(
    store: &Store,
    cluster: &DbCluster,
    asked: Timestamp,
    now: Timestamp,
    force: bool,
    or_earliest: bool,
) -> Result<Timestamp, ApiError> {
    let id = &cluster.id;
    if !cluster.engine.has_backtrack() {
        return Err(cluster.engine.no_backtrack(&cluster.version));
    }
    super::clusters::check_available(cluster)?;
    if cluster.settings.backtrack_window.is_none_or(|window| window == 0) {
        return Err(ApiError::combination(format!("Backtrack is not enabled for DB cluster {id}.")));
    }
    let mut members = store.members(cluster);
    let writer = members.find(|instance| cluster.writer.as_ref() == Some(&instance.id));
    let Some(writer) = writer.filter(|writer| writer.status == InstanceStatus::Available) else {
        return Err(ApiError::cluster_state(format!("DB cluster {id} has no available writer to backtrack.")));
    };
    if asked > now {
        return Err(ApiError::value(format!("The backtrack time {asked} of DB cluster {id} is in the future.")));
    }
    // By the parameters at the writer's last start: a group that was changed since has no effect yet.
    if writer.binlog && !force {
        return Err(ApiError::combination(format!(
            "Binary logging is enabled for DB cluster {id}. Backtracking it can interfere with other operations that use binary logging: specify Force to backtrack all the same."
        )));
    }
    match cluster.earliest_backtrack(now) {
        Some(earliest) if earliest <= asked => Ok(asked),
        Some(earliest) if or_earliest => Ok(earliest),
        Some(earliest) => Err(ApiError::value(format!(
            "The backtrack time {asked} is earlier than the earliest backtrack time {earliest} of DB cluster {id}."
        ))),
        None => Err(ApiError::value(format!("DB cluster {id} has no backtrack time yet."))),
    }
}

async fn rewind(control_plane: Arc<ControlPlane>, cluster: DbCluster, backtrack: Backtrack) {
    // Writes still land for a while after the call, as on AWS: a caller that counts on the response as a fence loses some here.
    ControlPlane::with_minimum_duration(async {}).await;
    update(&control_plane, &cluster.id, &backtrack.id, |backtrack| backtrack.status = BacktrackStatus::Applying);
    let rewound = ControlPlane::with_minimum_duration(async {
        if control_plane.faults.take(&cluster.id) {
            return Err(Error::State("a failure that was asked for"));
        }
        cluster.database.backtrack(backtrack.to).await
    })
    .await;
    update(&control_plane, &cluster.id, &backtrack.id, |backtrack| match &rewound {
        Ok(landed) => {
            // BacktrackTo in the response is the nearest consistent time, not the one that was asked for.
            backtrack.to = *landed;
            backtrack.status = BacktrackStatus::Completed;
        }
        Err(error) => {
            tracing::error!(cluster = cluster.id, backtrack = backtrack.id, %error, "a cluster was not rewound");
            backtrack.status = BacktrackStatus::Failed;
        }
    });
    // Available again even after a failure: nothing was rewound then, and clients go on with the data as it was.
    let mut store = control_plane.store();
    set_members(&mut store, &cluster, InstanceStatus::Backtracking, InstanceStatus::Available);
    if let Ok(cluster) = store.cluster_mut(&cluster.id)
        && cluster.status == ClusterStatus::Backtracking
    {
        cluster.status = ClusterStatus::Available;
    }
}

fn set_members(store: &mut Store, cluster: &DbCluster, from: InstanceStatus, to: InstanceStatus) {
    let is_member = |id: &String| cluster.members.contains(id);
    for (_, instance) in store.instances.iter_mut().filter(|(id, instance)| is_member(id) && instance.status == from) {
        instance.status = to;
    }
}

fn update(control_plane: &ControlPlane, cluster: &str, id: &str, change: impl FnOnce(&mut Backtrack)) {
    if let Ok(cluster) = control_plane.store().cluster_mut(cluster)
        && let Some(backtrack) = cluster.backtracks.iter_mut().find(|backtrack| backtrack.id == id)
    {
        change(backtrack);
    }
}

/// `DescribeDBClusterBacktracks`, in the order of the identifiers.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(params, &["db-cluster-backtrack-id", "db-cluster-backtrack-status"])?;
    let store = control_plane.store();
    let cluster = store.cluster(params.required("DBClusterIdentifier")?)?;
    if !cluster.engine.has_backtrack() {
        return Err(cluster.engine.no_backtrack(&cluster.version));
    }
    let one = params.get("BacktrackIdentifier").filter(|id| !id.is_empty());
    if let Some(one) = one.filter(|one| !cluster.backtracks.iter().any(|known| is_named(known, one))) {
        return Err(ApiError::not_found(
            "DBClusterBacktrackNotFoundFault",
            format!("Backtrack {one} of DB cluster {} not found.", cluster.id),
        ));
    }
    let matches = |backtrack: &&Backtrack| {
        one.is_none_or(|one| is_named(backtrack, one))
            && filters.iter().all(|(name, values)| match *name {
                "db-cluster-backtrack-id" => values.iter().any(|value| is_named(backtrack, value)),
                _ => values.iter().any(|value| backtrack.status.to_string().eq_ignore_ascii_case(value)),
            })
    };
    let mut shown: Vec<&Backtrack> = cluster.backtracks.iter().filter(matches).collect();
    // AWS promises no order. Random identifiers make none, so code that takes "the first" for the newest fails here.
    shown.sort_by(|one, other| one.id.cmp(&other.id));
    let item = |backtrack: &Backtrack| {
        let shape = render::backtrack(crate::rds::xml::Element::new("DBClusterBacktrack"), &cluster.id, backtrack);
        (backtrack.id.clone(), shape)
    };
    page(params, "DBClusterBacktracks", shown.into_iter().map(item).collect())
}

fn is_named(backtrack: &Backtrack, id: &str) -> bool {
    backtrack.id.eq_ignore_ascii_case(id)
}
