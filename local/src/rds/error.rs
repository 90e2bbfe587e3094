//! Errors of the RDS API: a code, an HTTP status and a message. Where a wording of AWS is known, it is used.

use axum::http::StatusCode;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The code on the wire, which is not always the shape's name.
    pub code: &'static str,
    /// 400, 403, 404, or 500 when the fault is here.
    pub status: StatusCode,
    /// For a person.
    pub message: String,
}

impl ApiError {
    fn new(code: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    /// A 400 with `code`.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, message)
    }

    /// A value that is wrong by itself.
    pub fn value(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterValue", message)
    }

    /// Values that do not go together.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::bad("InvalidParameterCombination", message)
    }

    /// A required parameter is not there.
    pub fn missing(parameter: &str) -> Self {
        Self::bad("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    /// The cluster is in the wrong state.
    pub fn cluster_state(message: impl Into<String>) -> Self {
        Self::bad("InvalidDBClusterStateFault", message)
    }

    /// The instance is in the wrong state.
    pub fn instance_state(message: impl Into<String>) -> Self {
        Self::bad("InvalidDBInstanceState", message)
    }

    /// A 404 with `code`.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::NOT_FOUND, message)
    }

    /// No such cluster.
    pub fn no_cluster(id: &str) -> Self {
        Self::not_found("DBClusterNotFoundFault", format!("DBCluster {id} not found."))
    }

    /// No such instance.
    pub fn no_instance(id: &str) -> Self {
        Self::not_found("DBInstanceNotFound", format!("DBInstance {id} not found."))
    }

    /// A failure of this stand-in. The SDKs retry it, as they do AWS's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}
