//! The form of a secret: whether a recovery can log in with what it holds. The password itself never leaves this module.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::secrets::Secrets;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use jiff::Timestamp;
use rewind_core::ErrorName;
use serde_json::Value;

/// The form of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretForm {
    /// It holds a password, and perhaps a user.
    Login,
    /// There is no such secret.
    Missing,
    /// It is marked for deletion since that time, and cannot be read.
    Deleted(Timestamp),
    /// AWS does not let this function read it; the message is AWS's.
    Unreadable(String),
    /// It holds bytes and no text.
    Binary,
    /// The text is no JSON object.
    PlainText,
    /// It lacks a password: the names of its fields.
    Keys(Vec<String>),
    /// The field, `password` or `username`, is not text.
    NotText(&'static str),
    /// The password is empty.
    EmptyPassword,
}

/// Reads the form of secrets.
pub trait ReadSecretForm: Send + Sync {
    /// Reads the form of the current version.
    fn form(&self, secret_arn: &str) -> impl Future<Output = AwsResult<SecretForm>> + Send;
}

impl ReadSecretForm for Secrets {
    /// IAM: `secretsmanager:DescribeSecret`, `secretsmanager:GetSecretValue`.
    async fn form(&self, secret_arn: &str) -> AwsResult<SecretForm> {
        // Described first: a secret that is marked for deletion says only then since when.
        match self.0.describe_secret().secret_id(secret_arn).send().await {
            Ok(described) => {
                let deleted = described.deleted_date.and_then(|at| Timestamp::from_second(at.secs()).ok());
                if let Some(at) = deleted {
                    return Ok(SecretForm::Deleted(at));
                }
            }
            Err(e) if code(&e) == Some("ResourceNotFoundException") => return Ok(SecretForm::Missing),
            Err(e) => {
                let what = format!("secretsmanager:DescribeSecret of {secret_arn}");
                return unreadable(classify(&e, Call::Read, &what));
            }
        }
        match self.0.get_secret_value().secret_id(secret_arn).send().await {
            Ok(value) => Ok(form_of_value(&value)),
            Err(e) if code(&e) == Some("ResourceNotFoundException") => {
                Ok(SecretForm::Unreadable("it has no current version".to_owned()))
            }
            Err(e) => unreadable(classify(&e, Call::Read, &format!("secretsmanager:GetSecretValue of {secret_arn}"))),
        }
    }
}

/// Sorts an error: what AWS refuses is the form of the secret, what passes is an error.
fn unreadable(error: rewind_core::StepError) -> AwsResult<SecretForm> {
    match error.name {
        ErrorName::RewindFailed => Ok(SecretForm::Unreadable(error.to_string())),
        _ => Err(error),
    }
}

fn form_of_value(value: &GetSecretValueOutput) -> SecretForm {
    match (&value.secret_string, &value.secret_binary) {
        (Some(text), _) => form_of(text),
        (None, Some(_)) => SecretForm::Binary,
        (None, None) => SecretForm::PlainText,
    }
}

fn form_of(text: &str) -> SecretForm {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else { return SecretForm::PlainText };
    match fields.get("password") {
        None => return SecretForm::Keys(fields.keys().cloned().collect()),
        Some(Value::String(password)) if password.is_empty() => return SecretForm::EmptyPassword,
        Some(Value::String(_)) => {}
        Some(_) => return SecretForm::NotText("password"),
    }
    match fields.get("username").or_else(|| fields.get("user")) {
        None | Some(Value::String(_) | Value::Null) => SecretForm::Login,
        Some(_) => SecretForm::NotText("username"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_from_the_others() {
        let keys = |names: &[&str]| SecretForm::Keys(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, form) in [
            (r#"{"username":"u","password":"p"}"#, SecretForm::Login),
            (r#"{"user":"u","password":"p","host":"h"}"#, SecretForm::Login),
            (r#"{"password":"p"}"#, SecretForm::Login),
            ("hunter2", SecretForm::PlainText),
            ("", SecretForm::PlainText),
            ("12345", SecretForm::PlainText),
            (r#""text""#, SecretForm::PlainText),
            (r#"["p"]"#, SecretForm::PlainText),
            ("{}", keys(&[])),
            (r#"{"Username":"u","Password":"p"}"#, keys(&["Password", "Username"])),
            (r#"{"username":"u","pass":"p"}"#, keys(&["pass", "username"])),
            (r#"{"username":"u","password":12345}"#, SecretForm::NotText("password")),
            (r#"{"username":"u","password":null}"#, SecretForm::NotText("password")),
            (r#"{"username":7,"password":"p"}"#, SecretForm::NotText("username")),
            (r#"{"username":"u","password":""}"#, SecretForm::EmptyPassword),
        ] {
            assert_eq!(form_of(text), form, "{text}");
        }
    }
}
