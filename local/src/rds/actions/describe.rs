//! Actions that only describe: events, engine versions, certificates, snapshots. They change nothing.

use super::{ActionResult, filters, page, result};
use crate::rds::certificates;
use crate::rds::control_plane::ControlPlane;
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::model::{Event, Snapshot};
use crate::rds::query::Params;
use crate::rds::quotas;
use crate::rds::render;
use crate::rds::resource_names::id_of;
use crate::rds::xml::Element;
use jiff::SignedDuration;

/// The default of `Duration`, in minutes.
const HOUR: i64 = 60;
/// The longest `Duration`, in minutes: AWS keeps events for 14 days.
const FORTNIGHT: i64 = 20_160;

/// `DescribeEvents`.
pub fn events(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let (source, kind) = (params.get("SourceIdentifier"), params.get("SourceType"));
    // The identifier of a cluster and of an instance may be the same.
    if source.is_some() && kind.is_none() {
        return Err(ApiError::combination("SourceType is required when SourceIdentifier is specified."));
    }
    let end = params.time("EndTime")?.unwrap_or_else(|| control_plane.now());
    let minutes = params.number("Duration", 1..=FORTNIGHT)?.unwrap_or(HOUR);
    let start = match params.time("StartTime")? {
        Some(start) => start,
        None => end.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(end),
    };
    let categories = params.texts("EventCategories", "EventCategory");
    let store = control_plane.store();
    let matches = |event: &&Event| {
        source.is_none_or(|source| event.source == source.to_ascii_lowercase())
            && kind.is_none_or(|kind| event.source_type == kind)
            && categories.as_ref().is_none_or(|wanted| wanted.iter().any(|category| category == event.category))
            && start <= event.at
            && event.at <= end
    };
    // Numbered for the pages: an event has no name that a marker could hold.
    let shown = store.events.iter().enumerate().filter(|(_, event)| matches(event));
    page(params, "Events", shown.map(|(number, event)| (number.to_string(), render::event(event))).collect())
}

/// `DescribeDBEngineVersions`.
pub fn engine_versions(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let is_asked = |(engine, version): &(Engine, &str)| {
        params.get("Engine").is_none_or(|asked| asked == engine.name())
            && params.get("EngineVersion").is_none_or(|asked| asked == *version || asked == engine.major(version))
            && params.get("DBParameterGroupFamily").is_none_or(|asked| asked == engine.family(version))
    };
    let all = Engine::ALL.into_iter().map(|engine| (engine, control_plane.servers.version(engine)));
    let shown = all.filter(is_asked);
    let shape =
        |(engine, version)| (format!("{}/{version}", Engine::name(engine)), render::engine_version(engine, version));
    page(params, "DBEngineVersions", shown.map(shape).collect())
}

/// `DescribeAccountAttributes`: the quotas that the product looks at.
pub fn account_attributes(control_plane: &ControlPlane) -> ActionResult {
    let quotas = quotas::all(&control_plane.store()).map(|(name, used, most)| {
        Element::new("AccountQuota").field("AccountQuotaName", name).field("Used", used).field("Max", most)
    });
    Ok(result().list("AccountQuotas", quotas))
}

/// `DescribeCertificates`.
pub fn certificates(params: &Params) -> ActionResult {
    let shown = match params.get("CertificateIdentifier").filter(|id| !id.is_empty()) {
        Some(one) => vec![certificates::offered(one)?],
        None => certificates::OFFERED.map(str::to_owned).to_vec(),
    };
    let items = shown.into_iter().map(|id| (id.clone(), render::certificate(&id))).collect();
    let shown = page(params, "Certificates", items)?;
    Ok(shown.field("DefaultCertificateForNewLaunches", certificates::DEFAULT))
}

/// `DescribeDBClusterSnapshots`.
pub fn snapshots(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(params, &["db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine"])?;
    let store = control_plane.store();
    let one =
        params.get("DBClusterSnapshotIdentifier").filter(|id| !id.is_empty()).map(|id| id_of("cluster-snapshot", id));
    if let Some(one) = one.as_ref().filter(|one| !store.snapshots.contains_key(*one)) {
        return Err(ApiError::not_found(
            "DBClusterSnapshotNotFoundFault",
            format!("DBClusterSnapshot {one} not found."),
        ));
    }
    let cluster = params.get("DBClusterIdentifier").filter(|id| !id.is_empty()).map(|id| id_of("cluster", id));
    let matches = |snapshot: &&Snapshot| {
        one.as_ref().is_none_or(|one| snapshot.id == *one)
            && cluster.as_ref().is_none_or(|cluster| snapshot.cluster.id == *cluster)
            // Every snapshot here is a final one, which AWS lists as manual.
            && params.get("SnapshotType").is_none_or(|kind| kind == "manual")
            && filters.iter().all(|(name, values)| match *name {
                "db-cluster-id" => values.iter().any(|value| id_of("cluster", value) == snapshot.cluster.id),
                "db-cluster-snapshot-id" => values.contains(&snapshot.id),
                "snapshot-type" => values.iter().any(|value| value == "manual"),
                _ => values.iter().any(|value| value == snapshot.cluster.engine.name()),
            })
    };
    let shown = store.snapshots.values().filter(matches);
    page(params, "DBClusterSnapshots", shown.map(|found| (found.id.clone(), render::snapshot(found))).collect())
}
