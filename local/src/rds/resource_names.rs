//! ARNs, identifiers and endpoints of the stack's RDS resources. Pure but for the Region, which is set once a process.

use std::sync::OnceLock;

/// The account of the stack.
pub const ACCOUNT: &str = "000000000000";

// A global: it is part of every ARN and endpoint, and one process is one stack.
static REGION: OnceLock<String> = OnceLock::new();

/// Returns the Region of the stack, which is part of every ARN and endpoint.
pub fn region() -> &'static str {
    REGION.get().map_or("us-east-1", String::as_str)
}

/// Sets the Region, once a process.
pub fn set_region(region: String) {
    if REGION.set(region).is_err() {
        tracing::warn!("the Region of a running stack can't be changed");
    }
}

/// Formats the ARN of a resource of the stack.
pub fn arn(kind: &str, id: &str) -> String {
    format!("arn:aws:rds:{}:{ACCOUNT}:{kind}:{id}", region())
}

/// Formats the ARN of a cluster.
pub fn cluster_arn(id: &str) -> String {
    arn("cluster", id)
}

/// Formats the ARN of a Global Database, which is in no Region.
pub fn global_arn(id: &str) -> String {
    format!("arn:aws:rds::{ACCOUNT}:global-cluster:{id}")
}

/// Takes the identifier out of an identifier or an ARN of `kind`, in lower case.
pub fn id_of(kind: &str, given: &str) -> String {
    // The API takes either where it asks for an identifier; the SDKs' callers pass ARNs for sources of restores.
    let prefix = arn(kind, "");
    given.strip_prefix(&prefix).unwrap_or(given).to_ascii_lowercase()
}

/// Formats an endpoint of a cluster; `kind` is `cluster`, `cluster-ro` or `cluster-custom`.
pub fn endpoint(id: &str, kind: &str, hash: &str) -> String {
    format!("{id}.{kind}-{hash}.{}.rds.amazonaws.com", region())
}

/// Formats the endpoint of an instance.
pub fn instance_endpoint(id: &str, hash: &str) -> String {
    format!("{id}.{hash}.{}.rds.amazonaws.com", region())
}
