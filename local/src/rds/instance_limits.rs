//! `/_local/instances`: a test sets what there is room for, and what becomes of an instance. A path that RDS has not.

use super::control_plane::ControlPlane;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;

/// Sets a limit: `POST /_local/instances` with `?quota=3&prefix=my-` (or `none`), `?class=db.r6g.large&zone=us-east-1a&capacity=none`
/// (or `some`), or `?instance=my-reader&becomes=failed` (`incompatible-network`, `creating`, `late`).
pub async fn set(
    State(control_plane): State<Arc<ControlPlane>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match control_plane.limits.set(&query) {
        Some(()) => StatusCode::NO_CONTENT.into_response(),
        None => {
            let known = "which limit? quota=<number or none>&prefix=<of names>, class=<class>&zone=<zone>&capacity=<none or \
                         some>, or instance=<instance>&becomes=<failed, incompatible-network, creating or late>\n";
            (StatusCode::BAD_REQUEST, known).into_response()
        }
    }
}
