//! The certificate authorities that instances may be given. One that AWS offers no more stays on the instances that have
//! it, and is refused for every other.

use super::error::ApiError;

/// The authorities that are offered: RDS offers the same three in all Regions.
pub const OFFERED: [&str; 3] = ["rds-ca-ecc384-g1", DEFAULT, "rds-ca-rsa4096-g1"];
/// The authority of an instance whose request names none.
pub const DEFAULT: &str = "rds-ca-rsa2048-g1";

/// Refuses an authority that is not offered, with AWS's wording.
pub fn offered(identifier: &str) -> Result<String, ApiError> {
    // An old authority passes on AWS only as the present one of an instance: who copies it from a source to a new instance fails.
    match OFFERED.contains(&identifier) {
        true => Ok(identifier.to_owned()),
        false => Err(ApiError::not_found("CertificateNotFound", format!("Certificate not found: {identifier}"))),
    }
}
