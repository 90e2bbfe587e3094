//! HTTP: a form comes in, an action is run, XML goes out. `GET /health` returns 200 once the stack is ready.

use super::actions::{
    ActionResult, backtrack, clusters, delete_cluster, describe, endpoints, global_clusters, instances, modify_cluster,
    parameter_groups, restore, roles, subnet_groups, tags,
};
use super::callers::{self, Callers};
use super::control_plane::ControlPlane;
use super::error::ApiError;
use super::faults::CallFaultKind;
use super::iam::{self, Authorizer};
use super::instance_limits;
use super::metrics;
use super::query::Params;
use super::xml;
use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const VERSION: &str = "2014-10-31";

/// Builds the routes of the API; without an authorizer every request that is no web page's is allowed.
pub fn router(control_plane: Arc<ControlPlane>, callers: Callers, authorizer: Option<Authorizer>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        // Paths that RDS has not: a client of the API can neither hit them by mistake nor rely on them.
        .route("/_local/resolve", get(resolve))
        .route("/_local/metrics", get(metrics::measure))
        .route("/_local/faults", post(fault))
        .route("/_local/instances", post(instance_limits::set))
        .route("/", any(serve))
        // The health check stays open whoever asks: `up` has no credentials to sign with.
        .layer(Extension(authorizer))
        .layer(from_fn_with_state(Arc::new(callers), callers::check))
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

/// Plans a fault, `POST /_local/faults?…`: docs/local-stack.md lists them.
async fn fault(
    State(control_plane): State<Arc<ControlPlane>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match plan_fault(&control_plane, &query) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (error.status, error.message).into_response(),
    }
}

fn plan_fault(control_plane: &ControlPlane, query: &HashMap<String, String>) -> Result<(), ApiError> {
    let faults = &control_plane.faults;
    let get = |name: &str| query.get(name).map(String::as_str);
    let unknown = || ApiError::value(format!("which fault? {KNOWN_FAULTS}\n"));
    if let Some(cluster) = get("backtrack") {
        faults.plan(cluster);
    } else if let Some(cluster) = get("restore") {
        let seconds = get("seconds").unwrap_or("0").parse().map_err(|_| unknown())?;
        faults.plan_restore(cluster, Duration::from_secs(seconds));
    } else if let (Some(instance), Some(certificate)) = (get("instance"), get("certificate")) {
        control_plane.store().instance_mut(instance)?.certificate = certificate.to_owned();
    } else if let Some(rate) = get("rate") {
        let calls = if rate == "off" { None } else { Some(rate.parse().map_err(|_| unknown())?) };
        faults.plan_rate(calls);
    } else if let Some(mentions) = get("forget") {
        faults.forget_calls(mentions);
    } else if let (Some(action), Some(kind)) = (get("action"), get("fails")) {
        let kind = CallFaultKind::parse(kind).ok_or_else(unknown)?;
        let times = get("times").unwrap_or("1").parse().map_err(|_| unknown())?;
        faults.plan_calls(action, get("mentions").unwrap_or_default(), kind, times);
    } else {
        return Err(unknown());
    }
    Ok(())
}

const KNOWN_FAULTS: &str = "backtrack=<cluster>, restore=<new cluster>&seconds=<n>, instance=<instance>&certificate=<identifier>, \
    rate=<calls a second>|off, forget=<text>, or \
    action=<prefix>&fails=throttle|unavailable|internal|quota|capacity|cut&mentions=<text>&times=<n>";

/// True for a call of a function: the credentials of a session begin so, and those of the account's user do not.
fn is_of_a_function(headers: &HeaderMap) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization.is_some_and(|value| value.contains("Credential=ASIA"))
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
    let planned = match authorized {
        Ok(()) if is_of_a_function(&headers) => control_plane.faults.of_call(action, &String::from_utf8_lossy(form)),
        other => other.map(|()| None),
    };
    let is_cut = planned == Ok(Some(CallFaultKind::Cut));
    let result = match planned {
        Ok(_) => dispatch(&control_plane, action, &params).await,
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
        Ok(mut document) => {
            if is_cut {
                // A client must not take what is left for an answer.
                document.truncate(document.len() / 2);
            }
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
        "CopyDBClusterParameterGroup" => parameter_groups::copy_cluster(control_plane, params),
        "CreateDBCluster" => clusters::create(control_plane, params).await,
        "CreateDBClusterEndpoint" => endpoints::create(control_plane, params),
        "CreateDBClusterParameterGroup" => parameter_groups::create_cluster(control_plane, params),
        "CreateDBInstance" => instances::create(control_plane, params),
        "CreateDBParameterGroup" => parameter_groups::create_instance(control_plane, params),
        "CreateDBSubnetGroup" => subnet_groups::create(control_plane, params),
        "CreateGlobalCluster" => global_clusters::create(control_plane, params),
        "DeleteDBCluster" => delete_cluster::delete(control_plane, params),
        "DeleteDBClusterEndpoint" => endpoints::delete(control_plane, params),
        "DeleteDBClusterParameterGroup" => parameter_groups::delete_cluster(control_plane, params),
        "DeleteDBClusterSnapshot" => restore::delete_snapshot(control_plane, params),
        "DeleteDBInstance" => instances::delete(control_plane, params),
        "DeleteDBParameterGroup" => parameter_groups::delete_instance(control_plane, params),
        "DeleteGlobalCluster" => global_clusters::delete(control_plane, params),
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
        "DescribeGlobalClusters" => global_clusters::describe(control_plane, params),
        "DisableHttpEndpoint" => clusters::set_http_endpoint(control_plane, params, false),
        "EnableHttpEndpoint" => clusters::set_http_endpoint(control_plane, params, true),
        "FailoverDBCluster" => clusters::fail_over(control_plane, params),
        "ListTagsForResource" => tags::list(control_plane, params),
        "ModifyDBCluster" => modify_cluster::modify(control_plane, params).await,
        "ModifyDBClusterParameterGroup" => parameter_groups::modify_cluster(control_plane, params),
        "ModifyDBInstance" => instances::modify(control_plane, params),
        "RebootDBInstance" => instances::reboot(control_plane, params),
        "RemoveFromGlobalCluster" => global_clusters::remove(control_plane, params),
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
