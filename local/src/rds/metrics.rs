//! `/_local/metrics`: the measurements of all clusters now, for the local CloudWatch. A path that RDS has not.

use super::control_plane::ControlPlane;
use crate::servers::Load;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Time that the servers of a cluster get: CloudWatch has a gap for those that do not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Measures all clusters side by side.
pub async fn measure(State(control_plane): State<Arc<ControlPlane>>) -> Response {
    // Copied out: the store's guard must not live across an await.
    let (databases, names): (Vec<_>, BTreeMap<String, String>) = {
        let store = control_plane.store();
        let databases = store.clusters.values().map(|cluster| (cluster.id.clone(), cluster.database.clone()));
        // Servers are known by resource ids, which outlive a change of name.
        let names = store.instances.values().map(|instance| (instance.resource_id.clone(), instance.id.clone()));
        (databases.collect(), names.collect())
    };
    let mut measuring = JoinSet::new();
    for (id, database) in databases {
        measuring.spawn(async move { (id, timeout(TIMEOUT, database.load()).await) });
    }
    let mut found = Vec::new();
    while let Some(measured) = measuring.join_next().await {
        match measured {
            Ok((id, Ok(Ok(load)))) => found.extend(values(&id, &load, &names)),
            Ok((id, Ok(Err(error)))) => tracing::info!(cluster = id, %error, "a cluster was not measured"),
            Ok((id, Err(_))) => tracing::info!(cluster = id, "a cluster was not measured in time"),
            Err(error) => tracing::info!(%error, "a cluster was not measured"),
        }
    }
    ([(header::CONTENT_TYPE, "application/json")], Value::Array(found).to_string()).into_response()
}

/// Lists the values of a cluster, by the metrics and dimensions of the namespace `AWS/RDS`.
fn values(cluster: &str, load: &Load, names: &BTreeMap<String, String>) -> Vec<Value> {
    let value = |metric: &str, dimension: &str, of: &str, value: u64| json!({ "metric": metric, "dimension": dimension, "of": of, "value": value });
    let connections = load
        .connections
        .iter()
        .filter_map(|(id, number)| Some(value("DatabaseConnections", "DBInstanceIdentifier", names.get(id)?, *number)));
    let bytes = load.bytes.map(|bytes| value("VolumeBytesUsed", "DBClusterIdentifier", cluster, bytes));
    connections.chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_of_instances_and_bytes_of_the_cluster() {
        let names = [("db-1".to_owned(), "orders-1".to_owned())].into();
        let load = Load { connections: [("db-1".to_owned(), 3), ("db-gone".to_owned(), 1)].into(), bytes: Some(1024) };
        assert_eq!(
            values("orders", &load, &names),
            [
                json!({ "metric": "DatabaseConnections", "dimension": "DBInstanceIdentifier", "of": "orders-1", "value": 3 }),
                json!({ "metric": "VolumeBytesUsed", "dimension": "DBClusterIdentifier", "of": "orders", "value": 1024 }),
            ]
        );
        assert_eq!(values("orders", &Load::default(), &names), Vec::<Value>::new());
    }
}
