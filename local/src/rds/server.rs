//! The HTTP side: a form comes in, an action answers, XML goes out. `GET /health` tells when the stack is ready.

use super::actions::{Answer, backtrack, clusters, endpoints, groups, instances, looking, restore, roles, tags};
use super::error::ApiError;
use super::iam::{self, Gate};
use super::plane::Plane;
use super::query::Params;
use super::xml;
use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::collections::HashMap;
use std::sync::Arc;

const VERSION: &str = "2014-10-31";

/// The routes of the API; without a gate everybody may do everything.
pub fn router(plane: Arc<Plane>, gate: Option<Gate>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/_local/resolve", get(resolve))
        .route("/_local/faults", post(fault))
        .route("/", any(serve))
        .layer(Extension(gate))
        .with_state(plane)
}

/// Says the address of an endpoint, for those who have no DNS client at hand.
async fn resolve(State(plane): State<Arc<Plane>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let name = query.get("name").map(|name| name.trim_end_matches('.')).unwrap_or_default();
    match plane.endpoints.lookup(name) {
        Some(address) => format!("{address}\n").into_response(),
        None => (StatusCode::NOT_FOUND, "no such endpoint now\n").into_response(),
    }
}

/// Makes the next backtrack of a cluster fail, `POST /_local/faults?backtrack=my-cluster`, or gives an instance the
/// certificate authority that it would have had for years, `?instance=my-instance&certificate=rds-ca-2019`.
async fn fault(State(plane): State<Arc<Plane>>, Query(query): Query<HashMap<String, String>>) -> Response {
    match (query.get("backtrack"), query.get("instance"), query.get("certificate")) {
        (Some(cluster), None, None) => plane.faults.plan(cluster),
        (None, Some(instance), Some(certificate)) => match plane.store().instance_mut(instance) {
            Ok(found) => found.certificate.clone_from(certificate),
            Err(error) => return (error.status, error.message).into_response(),
        },
        _ => {
            let known = "which fault? backtrack=<cluster>, or instance=<instance>&certificate=<identifier>\n";
            return (StatusCode::BAD_REQUEST, known).into_response();
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn serve(
    State(plane): State<Arc<Plane>>,
    Extension(gate): Extension<Option<Gate>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = if body.is_empty() { uri.query().unwrap_or_default().as_bytes() } else { body.as_ref() };
    let params = Params::parse(form);
    let id = uuid::Uuid::new_v4().to_string();
    let action = params.get("Action").unwrap_or_default();
    let admitted = match &gate {
        Some(gate) => {
            let checks = || iam::checks(&mut plane.store(), &plane.kms_key, action, &params);
            gate.admit((&method, &uri, &headers, &body), checks).await
        }
        None => Ok(()),
    };
    let answered = match admitted {
        Ok(()) => answer(&plane, action, &params).await,
        Err(error) => Err(error),
    };
    let (status, document) = match answered {
        Ok(result) => {
            // Those who wait look every second: what changes something is worth a line, what looks is not.
            if !action.starts_with("Describe") {
                tracing::info!(action, "done");
            }
            let has_result = !NO_RESULT.contains(&action);
            (StatusCode::OK, xml::response(action, has_result.then_some(&result), &id))
        }
        Err(error) => {
            tracing::info!(action, code = error.code, message = error.message, "refused");
            (error.status, xml::error(error.code, error.status, &error.message, &id))
        }
    };
    match document {
        Ok(document) => {
            let headers = [(header::CONTENT_TYPE, "text/xml".to_owned()), (REQUEST_ID, id)];
            (status, headers, document).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-amzn-requestid");

/// Actions whose answer has no result element.
const NO_RESULT: [&str; 6] = [
    "AddRoleToDBCluster",
    "AddTagsToResource",
    "DeleteDBClusterParameterGroup",
    "DeleteDBParameterGroup",
    "RemoveRoleFromDBCluster",
    "RemoveTagsFromResource",
];

async fn answer(plane: &Arc<Plane>, action: &str, params: &Params) -> Answer {
    match params.get("Version") {
        Some(VERSION) => {}
        Some(other) => return Err(unknown(action, other)),
        None => return Err(ApiError::bad("MissingParameter", "The request must contain the parameter Version")),
    }
    match action {
        "AddRoleToDBCluster" => roles::add(plane, params),
        "AddTagsToResource" => tags::add(plane, params),
        "BacktrackDBCluster" => backtrack::start(plane, params),
        "CreateDBCluster" => clusters::create(plane, params).await,
        "CreateDBClusterEndpoint" => endpoints::create(plane, params),
        "CreateDBClusterParameterGroup" => groups::create_cluster(plane, params),
        "CreateDBInstance" => instances::create(plane, params),
        "CreateDBParameterGroup" => groups::create_instance(plane, params),
        "CreateDBSubnetGroup" => groups::create_subnets(plane, params),
        "DeleteDBCluster" => clusters::delete(plane, params),
        "DeleteDBClusterEndpoint" => endpoints::delete(plane, params),
        "DeleteDBClusterParameterGroup" => groups::delete_cluster(plane, params),
        "DeleteDBClusterSnapshot" => restore::delete_snapshot(plane, params),
        "DeleteDBInstance" => instances::delete(plane, params),
        "DeleteDBParameterGroup" => groups::delete_instance(plane, params),
        "DescribeCertificates" => looking::certificates(params),
        "DescribeDBClusterAutomatedBackups" => clusters::automated_backups(plane, params),
        "DescribeDBClusterBacktracks" => backtrack::describe(plane, params),
        "DescribeDBClusterEndpoints" => endpoints::describe(plane, params),
        "DescribeDBClusterParameterGroups" => groups::describe_cluster(plane, params),
        "DescribeDBClusterParameters" => groups::describe_parameters(plane, params),
        "DescribeDBClusterSnapshots" => looking::snapshots(plane, params),
        "DescribeDBClusters" => clusters::describe(plane, params),
        "DescribeDBEngineVersions" => looking::engine_versions(plane, params),
        "DescribeDBInstances" => instances::describe(plane, params),
        "DescribeDBParameterGroups" => groups::describe_instance(plane, params),
        "DescribeDBSubnetGroups" => groups::describe_subnets(plane, params),
        "DescribeEvents" => looking::events(plane, params),
        "DescribeGlobalClusters" => looking::global_clusters(params),
        "DisableHttpEndpoint" => clusters::set_http_endpoint(plane, params, false),
        "EnableHttpEndpoint" => clusters::set_http_endpoint(plane, params, true),
        "FailoverDBCluster" => clusters::fail_over(plane, params),
        "ListTagsForResource" => tags::list(plane, params),
        "ModifyDBCluster" => clusters::modify(plane, params).await,
        "ModifyDBClusterParameterGroup" => groups::modify_cluster(plane, params),
        "ModifyDBInstance" => instances::modify(plane, params),
        "RebootDBInstance" => instances::reboot(plane, params),
        "RemoveRoleFromDBCluster" => roles::remove(plane, params),
        "RemoveTagsFromResource" => tags::remove(plane, params),
        "ResetDBClusterParameterGroup" => groups::reset_cluster(plane, params),
        "RestoreDBClusterFromSnapshot" => restore::from_snapshot(plane, params),
        "RestoreDBClusterToPointInTime" => restore::restore(plane, params),
        "" => Err(ApiError::missing("Action")),
        _ => Err(unknown(action, VERSION)),
    }
}

fn unknown(action: &str, version: &str) -> ApiError {
    ApiError::bad("InvalidAction", format!("Could not find operation {action} for version {version}"))
}
