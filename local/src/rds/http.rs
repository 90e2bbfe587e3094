//! HTTP: a form comes in, an action is run, XML goes out. `GET /health` returns 200 once the stack is ready.

use super::actions::{
    ActionResult, backtrack, clusters, delete_cluster, describe, endpoints, instances, modify_cluster,
    parameter_groups, restore, roles, subnet_groups, tags,
};
use super::control_plane::ControlPlane;
use super::error::ApiError;
use super::iam::{self, Authorizer};
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

/// Builds the routes of the API; without an authorizer every request is allowed.
pub fn router(control_plane: Arc<ControlPlane>, authorizer: Option<Authorizer>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        // Paths that RDS has not: a client of the API can neither hit them by mistake nor rely on them.
        .route("/_local/resolve", get(resolve))
        .route("/_local/faults", post(fault))
        .route("/", any(serve))
        // The health check stays open whoever asks: `up` has no credentials to sign with.
        .layer(Extension(authorizer))
        .with_state(control_plane)
}

/// Returns the address of an endpoint, for those who have no DNS client at hand.
async fn resolve(
    State(control_plane): State<Arc<ControlPlane>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let name = query.get("name").map(|name| name.trim_end_matches('.')).unwrap_or_default();
    match control_plane.endpoints.lookup(name) {
        Some(address) => format!("{address}\n").into_response(),
        None => (StatusCode::NOT_FOUND, "no such endpoint now\n").into_response(),
    }
}

/// Makes the next backtrack of a cluster fail, `POST /_local/faults?backtrack=my-cluster`, or gives an instance the
/// certificate authority that it would have had for years, `?instance=my-instance&certificate=rds-ca-2019`.
async fn fault(
    State(control_plane): State<Arc<ControlPlane>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match (query.get("backtrack"), query.get("instance"), query.get("certificate")) {
        (Some(cluster), None, None) => control_plane.faults.plan(cluster),
        (None, Some(instance), Some(certificate)) => match control_plane.store().instance_mut(instance) {
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
    State(control_plane): State<Arc<ControlPlane>>,
    Extension(authorizer): Extension<Option<Authorizer>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The Query protocol: a POST has the parameters in its body, a GET in its query.
    let form = if body.is_empty() { uri.query().unwrap_or_default().as_bytes() } else { body.as_ref() };
    let params = Params::parse(form);
    let id = uuid::Uuid::new_v4().to_string();
    let action = params.get("Action").unwrap_or_default();
    let authorized = match &authorizer {
        Some(authorizer) => {
            let permissions =
                || iam::required_permissions(&mut control_plane.store(), &control_plane.kms_key, action, &params);
            authorizer.authorize((&method, &uri, &headers, &body), permissions).await
        }
        None => Ok(()),
    };
    let result = match authorized {
        Ok(()) => dispatch(&control_plane, action, &params).await,
        Err(error) => Err(error),
    };
    let (status, document) = match result {
        Ok(result) => {
            // Whoever waits describes every second: those calls would bury the ones that change something.
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

/// Actions whose response has no result element, by the API model.
const NO_RESULT: [&str; 6] = [
    "AddRoleToDBCluster",
    "AddTagsToResource",
    "DeleteDBClusterParameterGroup",
    "DeleteDBParameterGroup",
    "RemoveRoleFromDBCluster",
    "RemoveTagsFromResource",
];

async fn dispatch(control_plane: &Arc<ControlPlane>, action: &str, params: &Params) -> ActionResult {
    // A client written by hand may forget the version, and AWS refuses it then.
    match params.get("Version") {
        Some(VERSION) => {}
        Some(other) => return Err(unknown(action, other)),
        None => return Err(ApiError::bad("MissingParameter", "The request must contain the parameter Version")),
    }
    match action {
        "AddRoleToDBCluster" => roles::add(control_plane, params),
        "AddTagsToResource" => tags::add(control_plane, params),
        "BacktrackDBCluster" => backtrack::start(control_plane, params),
        "CreateDBCluster" => clusters::create(control_plane, params).await,
        "CreateDBClusterEndpoint" => endpoints::create(control_plane, params),
        "CreateDBClusterParameterGroup" => parameter_groups::create_cluster(control_plane, params),
        "CreateDBInstance" => instances::create(control_plane, params),
        "CreateDBParameterGroup" => parameter_groups::create_instance(control_plane, params),
        "CreateDBSubnetGroup" => subnet_groups::create(control_plane, params),
        "DeleteDBCluster" => delete_cluster::delete(control_plane, params),
        "DeleteDBClusterEndpoint" => endpoints::delete(control_plane, params),
        "DeleteDBClusterParameterGroup" => parameter_groups::delete_cluster(control_plane, params),
        "DeleteDBClusterSnapshot" => restore::delete_snapshot(control_plane, params),
        "DeleteDBInstance" => instances::delete(control_plane, params),
        "DeleteDBParameterGroup" => parameter_groups::delete_instance(control_plane, params),
        "DescribeAccountAttributes" => describe::account_attributes(control_plane),
        "DescribeCertificates" => describe::certificates(params),
        "DescribeDBClusterAutomatedBackups" => clusters::automated_backups(control_plane, params),
        "DescribeDBClusterBacktracks" => backtrack::describe(control_plane, params),
        "DescribeDBClusterEndpoints" => endpoints::describe(control_plane, params),
        "DescribeDBClusterParameterGroups" => parameter_groups::describe_cluster(control_plane, params),
        "DescribeDBClusterParameters" => parameter_groups::describe_parameters(control_plane, params),
        "DescribeDBClusterSnapshots" => describe::snapshots(control_plane, params),
        "DescribeDBClusters" => clusters::describe(control_plane, params),
        "DescribeDBEngineVersions" => describe::engine_versions(control_plane, params),
        "DescribeDBInstances" => instances::describe(control_plane, params),
        "DescribeDBParameterGroups" => parameter_groups::describe_instance(control_plane, params),
        "DescribeDBSubnetGroups" => subnet_groups::describe(control_plane, params),
        "DescribeEvents" => describe::events(control_plane, params),
        "DescribeGlobalClusters" => describe::global_clusters(params),
        "DisableHttpEndpoint" => clusters::set_http_endpoint(control_plane, params, false),
        "EnableHttpEndpoint" => clusters::set_http_endpoint(control_plane, params, true),
        "FailoverDBCluster" => clusters::fail_over(control_plane, params),
        "ListTagsForResource" => tags::list(control_plane, params),
        "ModifyDBCluster" => modify_cluster::modify(control_plane, params).await,
        "ModifyDBClusterParameterGroup" => parameter_groups::modify_cluster(control_plane, params),
        "ModifyDBInstance" => instances::modify(control_plane, params),
        "RebootDBInstance" => instances::reboot(control_plane, params),
        "RemoveRoleFromDBCluster" => roles::remove(control_plane, params),
        "RemoveTagsFromResource" => tags::remove(control_plane, params),
        "ResetDBClusterParameterGroup" => parameter_groups::reset_cluster(control_plane, params),
        "RestoreDBClusterFromSnapshot" => restore::from_snapshot(control_plane, params),
        "RestoreDBClusterToPointInTime" => restore::restore(control_plane, params),
        "" => Err(ApiError::missing("Action")),
        _ => Err(unknown(action, VERSION)),
    }
}

fn unknown(action: &str, version: &str) -> ApiError {
    ApiError::bad("InvalidAction", format!("Could not find operation {action} for version {version}"))
}
