//! Managed master passwords: generated here, kept in Secrets Manager. Nothing else is read or written there.

use super::error::ApiError;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_sdk_secretsmanager::types::Tag;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// RDS uses all of ASCII but `/`, `@`, `"` and spaces; the single quote is left out too, so that a shell can quote it.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+-.:<=>?[]_{|}~";
const LENGTH: usize = 28;

/// The account's secrets, if the rest of the local AWS is there.
#[derive(Debug, Clone)]
pub struct Secrets(Option<Client>);

impl Secrets {
    /// Secrets kept behind `endpoint`.
    #[must_use]
    pub fn new(endpoint: Option<&str>, region: &str) -> Self {
        Self(endpoint.map(|endpoint| {
            let key = |name: &str| std::env::var(name).unwrap_or_default();
            let credentials =
                Credentials::new(key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"), None, None, "local");
            let config = aws_sdk_secretsmanager::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region.to_owned()))
                .endpoint_url(endpoint)
                .credentials_provider(credentials)
                // A request of RDS waits for this: ministack that hangs must become an error, not a client's timeout.
                .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build();
            Client::from_conf(config)
        }))
    }

    fn client(&self) -> Result<&Client, ApiError> {
        self.0.as_ref().ok_or_else(|| {
            ApiError::combination(
                "ManageMasterUserPassword needs Secrets Manager, and this stack was started without an AWS endpoint",
            )
        })
    }

    /// Stores the master password of a cluster; returns the secret's ARN.
    pub async fn create(&self, cluster_arn: &str, user: &str, password: &str) -> Result<String, ApiError> {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let answer = self
            .client()?
            .create_secret()
            // RDS's own scheme of names; permissions in AWS's guides are given on `rds!cluster-*`.
            .name(format!("rds!cluster-{}", uuid::Uuid::new_v4()))
            .description(format!("The secret associated with the primary RDS DB cluster: {cluster_arn}"))
            .secret_string(content(user, password))
            .tags(tag("aws:secretsmanager:owningService", "rds"))
            .tags(tag("aws:rds:primaryDBClusterArn", cluster_arn))
            .send()
            .await
            .map_err(|error| failed(&DisplayErrorContext(error)))?;
        answer.arn.ok_or_else(|| ApiError::internal("Secrets Manager made a secret without an ARN"))
    }

    /// Stores another password in a secret; the one before stays as `AWSPREVIOUS`.
    pub async fn rotate(&self, secret: &str, user: &str, password: &str) -> Result<(), ApiError> {
        let put = self.client()?.put_secret_value().secret_id(secret).secret_string(content(user, password));
        put.send().await.map(drop).map_err(|error| failed(&DisplayErrorContext(error)))
    }

    /// Removes a secret at once, as RDS does with its own.
    pub async fn delete(&self, secret: &str) -> Result<(), ApiError> {
        let delete = self.client()?.delete_secret().secret_id(secret).force_delete_without_recovery(true);
        delete.send().await.map(drop).map_err(|error| failed(&DisplayErrorContext(error)))
    }
}

/// Generates a password like those of RDS: long, and with characters that must be quoted in shells and escaped in URLs.
pub fn password() -> Result<String, ApiError> {
    let mut password = String::new();
    while password.len() < LENGTH {
        let mut bytes = [0_u8; LENGTH];
        getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(format!("no randomness: {error}")))?;
        // Bytes beyond a multiple of the alphabet are left out: with them the first characters would be more likely than the rest.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let chars =
            fair.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len())).map(|byte| char::from(*byte));
        password.extend(chars.take(LENGTH - password.len()));
    }
    Ok(password)
}

fn content(user: &str, password: &str) -> String {
    serde_json::json!({ "username": user, "password": password }).to_string()
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal(format!("Secrets Manager did not do it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_different_and_acceptable_to_rds() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert_ne!(one, other);
        assert!(super::super::engine::check_password(&one).is_ok());
    }
}
