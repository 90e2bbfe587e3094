//! Reads logins from Secrets Manager, the version first that was current at a given moment.
//!
//! A rewound database has the passwords of its moment: if a secret was rotated since, the login is in an older version.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use jiff::Timestamp;
use rewind_core::{ErrorName, StepError};
use serde::Deserialize;
use std::fmt;

/// A login.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user; none where the secret names none (the master user is meant then).
    pub user: Option<String>,
    /// The password.
    pub password: String,
    /// The version of the secret: its staging labels, or its id if it has none.
    pub version: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("version", &self.version).finish_non_exhaustive()
    }
}

/// The number of versions that are tried. Every failed login counts at the
/// database, and some lock an account for that.
const VERSIONS_TRIED: usize = 4;

/// Reads logins.
pub trait Logins: Send + Sync {
    /// Reads the logins of a secret: the one that was current at `moment` first, then those next to it.
    fn logins(&self, secret_arn: &str, moment: Timestamp) -> impl Future<Output = AwsResult<Vec<Login>>> + Send;
}

/// Finds secrets.
pub trait FindSecrets: Send + Sync {
    /// True if there is a secret of that ARN.
    fn exists(&self, secret_arn: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// The client of Secrets Manager.
#[derive(Debug, Clone)]
pub struct Secrets(pub(crate) aws_sdk_secretsmanager::Client);

impl Secrets {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(&aws.config("SECRETS_MANAGER")))
    }
}

#[derive(Deserialize)]
struct Content {
    // RDS writes `username`; secrets written by hand often have `user`.
    #[serde(alias = "user")]
    username: Option<String>,
    password: String,
}

impl Logins for Secrets {
    /// IAM: `secretsmanager:ListSecretVersionIds`, `secretsmanager:GetSecretValue`.
    async fn logins(&self, secret_arn: &str, moment: Timestamp) -> AwsResult<Vec<Login>> {
        // A version without labels counts as deprecated, and the login of an older moment may be one of those.
        let listed =
            self.0.list_secret_version_ids().secret_id(secret_arn).include_deprecated(true).send().await.map_err(
                |e| classify(&e, Call::Read, &format!("secretsmanager:ListSecretVersionIds of {secret_arn}")),
            )?;
        let mut versions: Vec<Version> = listed
            .versions
            .unwrap_or_default()
            .into_iter()
            .filter_map(|entry| {
                let labels = entry.version_stages.unwrap_or_default();
                let created = entry.created_date.and_then(|at| Timestamp::from_second(at.secs()).ok());
                // A version still being rotated in was never a login.
                (labels != ["AWSPENDING"]).then_some(Version { id: entry.version_id?, labels, created })
            })
            .collect();
        // A secret can be rotated after the target, so the current version may be unknown to the rewound database.
        order(&mut versions, moment);
        let mut logins = Vec::new();
        for version in versions.into_iter().take(VERSIONS_TRIED) {
            let value = self.0.get_secret_value().secret_id(secret_arn).version_id(&version.id).send().await;
            match value {
                Ok(value) => {
                    let text = value.secret_string.unwrap_or_default();
                    // An old version may have been written before the secret was a login.
                    let Ok(content) = serde_json::from_str::<Content>(&text) else { continue };
                    let version = if version.labels.is_empty() { version.id } else { version.labels.join("+") };
                    logins.push(Login { user: content.username, password: content.password, version });
                }
                // A version without labels may be deleted between the two calls.
                Err(e) if code(&e) == Some("ResourceNotFoundException") => {}
                Err(e) => {
                    return Err(classify(&e, Call::Read, &format!("secretsmanager:GetSecretValue of {secret_arn}")));
                }
            }
        }
        if logins.is_empty() { Err(not_a_login(secret_arn)) } else { Ok(logins) }
    }
}

impl FindSecrets for Secrets {
    /// IAM: `secretsmanager:DescribeSecret`.
    async fn exists(&self, secret_arn: &str) -> AwsResult<bool> {
        match self.0.describe_secret().secret_id(secret_arn).send().await {
            Ok(_) => Ok(true),
            Err(e) if code(&e) == Some("ResourceNotFoundException") => Ok(false),
            Err(e) => Err(classify(&e, Call::Read, &format!("secretsmanager:DescribeSecret of {secret_arn}"))),
        }
    }
}

// Not retried: a secret does not become a login by waiting.
fn not_a_login(secret_arn: &str) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("the secret {secret_arn} holds no login"))
        .advice("give a secret whose text is JSON with `username` and `password`")
}

struct Version {
    id: String,
    labels: Vec<String>,
    created: Option<Timestamp>,
}

/// Orders the versions by how likely they are the login of `moment`: the newest one not after it was current then, and the nearer
/// another one is to it, the likelier.
// A rotation reaches the secret a little earlier or later than the database, so those on both sides come next. The latest one is no
// likelier than others: a secret that is rotated every day may have had many since.
fn order(versions: &mut Vec<Version>, moment: Timestamp) {
    versions.sort_by_key(|version| std::cmp::Reverse(version.created));
    let current = versions.iter().position(|version| version.created.is_some_and(|at| at <= moment));
    let Some(current) = current else { return };
    let mut ranked: Vec<(usize, Version)> = versions.drain(..).enumerate().collect();
    ranked.sort_by_key(|(at, _)| at.abs_diff(current));
    versions.extend(ranked.into_iter().map(|(_, version)| version));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(moment: i64) -> Vec<String> {
        let version =
            |id: &str, at| Version { id: id.to_owned(), labels: Vec::new(), created: Timestamp::from_second(at).ok() };
        let mut versions = vec![version("b", 200), version("d", 400), version("a", 100), version("c", 300)];
        order(&mut versions, Timestamp::from_second(moment).unwrap());
        versions.into_iter().map(|version| version.id).collect()
    }

    #[test]
    fn the_version_that_was_current_at_the_moment_comes_first() {
        assert_eq!(ordered(1_000), ["d", "c", "b", "a"]);
        assert_eq!(ordered(250), ["b", "c", "a", "d"]);
        assert_eq!(ordered(50), ["d", "c", "b", "a"]);
    }

    #[test]
    fn a_login_never_shows_its_password() {
        let login = Login { user: Some("u".to_owned()), password: "hunter2".to_owned(), version: "v".to_owned() };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
