//! The secret with the password of a login that one person reads with: made when the cluster is opened, deleted when it is closed.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::secrets::Secrets;
use aws_sdk_secretsmanager::types::Tag;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{ErrorName, StepError};
use serde_json::Value;
use std::fmt;

/// A login in its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptLogin {
    /// The ARN of the secret.
    pub arn: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for KeptLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptLogin").field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// Keeps the logins of openings.
pub trait OpeningSecrets: Send + Sync {
    /// Keeps `login`, JSON with a `password`, in a new secret of that name; returns what an earlier run kept in it.
    fn keep_opening_login(
        &self,
        name: &str,
        recovery_id: &str,
        login: &Value,
    ) -> impl Future<Output = AwsResult<KeptLogin>> + Send;
    /// Deletes the secret at once; false where there is none.
    fn delete_opening_login(&self, name: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

impl OpeningSecrets for Secrets {
    /// IAM: `secretsmanager:CreateSecret`, `secretsmanager:TagResource`, `secretsmanager:GetSecretValue`.
    async fn keep_opening_login(&self, name: &str, recovery_id: &str, login: &Value) -> AwsResult<KeptLogin> {
        let created = self
            .0
            .create_secret()
            .name(name)
            .description("A login of aurora-rewind that reads for a time in a cluster that was left behind.")
            .tags(Tag::builder().key(RECOVERY_TAG).value(recovery_id).build())
            .secret_string(login.to_string())
            .send()
            .await;
        match created {
            Ok(_) => {}
            Err(e) if code(&e) == Some("ResourceExistsException") => {}
            Err(e) => return Err(classify(&e, Call::Change, &format!("secretsmanager:CreateSecret of {name}"))),
        }
        // Read in either case: the password that counts is the one that people will find there.
        let read = self.0.get_secret_value().secret_id(name).send().await;
        let read = read.map_err(|e| classify(&e, Call::Read, &format!("secretsmanager:GetSecretValue of {name}")))?;
        let content: Option<Value> = read.secret_string().and_then(|text| serde_json::from_str(text).ok());
        let password = content.as_ref().and_then(|login| login.get("password")?.as_str().map(ToOwned::to_owned));
        match (read.arn, password) {
            (Some(arn), Some(password)) => Ok(KeptLogin { arn, password }),
            _ => Err(StepError::new(ErrorName::RewindFailed, format!("the secret {name} holds no login of ours"))
                .advice("delete it, and open the cluster again")),
        }
    }

    /// IAM: `secretsmanager:DeleteSecret`.
    async fn delete_opening_login(&self, name: &str) -> AwsResult<bool> {
        // Without days to recover it: the login is gone, and its name is of this opening alone.
        match self.0.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await {
            Ok(_) => Ok(true),
            Err(e) if code(&e) == Some("ResourceNotFoundException") => Ok(false),
            Err(e) => Err(classify(&e, Call::Change, &format!("secretsmanager:DeleteSecret of {name}"))),
        }
    }
}
