//! Reads what a secret points at: besides a login, its JSON often names the host and the cluster that applications and rotation
//! connect to. It keeps nothing else of it.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::secrets::Secrets;
use serde::Deserialize;
use serde_json::Value;

/// The names in a secret's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretTarget {
    /// `host`.
    pub host: Option<String>,
    /// `dbClusterIdentifier`.
    pub cluster: Option<String>,
}

/// Reads what secrets point at.
pub trait ReadSecretTargets: Send + Sync {
    /// Reads the current version of a secret; nothing where it is no JSON, or is gone.
    fn secret_target(&self, secret_arn: &str) -> impl Future<Output = AwsResult<SecretTarget>> + Send;
}

// As values: a secret that people wrote may have a number or null there, which names nothing.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    host: Value,
    db_cluster_identifier: Value,
}

impl SecretTarget {
    /// Reads the text of a secret.
    fn read(text: &str) -> Self {
        let content: Content = serde_json::from_str(text).unwrap_or_default();
        let name = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        Self { host: name(&content.host), cluster: name(&content.db_cluster_identifier) }
    }
}

impl ReadSecretTargets for Secrets {
    /// IAM: `secretsmanager:GetSecretValue`.
    async fn secret_target(&self, secret_arn: &str) -> AwsResult<SecretTarget> {
        match self.0.get_secret_value().secret_id(secret_arn).send().await {
            Ok(value) => Ok(SecretTarget::read(value.secret_string.as_deref().unwrap_or_default())),
            Err(e) if code(&e) == Some("ResourceNotFoundException") => Ok(SecretTarget::default()),
            Err(e) => Err(classify(&e, Call::Read, &format!("secretsmanager:GetSecretValue of {secret_arn}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_where_they_are_texts_and_nothing_else_is() {
        let read = SecretTarget::read(
            r#"{"username": "u", "password": "p", "host": "h.example.com", "dbClusterIdentifier": "orders", "port": 5432}"#,
        );
        assert_eq!((read.host.as_deref(), read.cluster.as_deref()), (Some("h.example.com"), Some("orders")));
        for text in ["", "plain", "[]", "7", r#"{"username": "u", "host": 7, "dbClusterIdentifier": null}"#] {
            assert_eq!(SecretTarget::read(text), SecretTarget::default(), "{text}");
        }
    }
}
