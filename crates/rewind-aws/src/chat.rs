//! The AWS calls of chat: records of seen requests and of requesters, the secret of the Slack app, and asynchronous invocations
//! of itself. The record of a recovery is never written here.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;
use rewind_core::StepError;
use serde_json::Value;

/// Keeps the records of chat, each with an expiry in epoch seconds.
pub trait ChatRecords: Send + Sync {
    /// Records `key`; returns true if it was not recorded before.
    fn first_seen(&self, key: &str, until: i64) -> impl Future<Output = AwsResult<bool>> + Send;
    /// Records that `user` asked for a recovery to be started. A recovery may have several requesters.
    fn record_requester(&self, recovery_id: &str, user: &str, until: i64)
    -> impl Future<Output = AwsResult<()>> + Send;
    /// Returns true if `user` asked for that recovery.
    fn is_requester(&self, recovery_id: &str, user: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// Reads secrets that are no logins.
pub trait ReadSecretText: Send + Sync {
    /// Reads the text of a secret's current version.
    fn secret_text(&self, secret_arn: &str) -> impl Future<Output = AwsResult<String>> + Send;
}

/// Invokes functions without waiting for them.
pub trait InvokeAsync: Send + Sync {
    /// Invokes a function asynchronously.
    fn invoke_async(&self, function: &str, payload: &Value) -> impl Future<Output = AwsResult<()>> + Send;
}

/// The DynamoDB client for the records of chat, in the table of recoveries.
#[derive(Debug, Clone)]
pub struct ChatTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl ChatTable {
    /// Creates the client at the environment's endpoint, for the table `name`.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(&aws.config("DYNAMODB")), name: name.into() }
    }
}

impl ChatRecords for ChatTable {
    /// IAM: `dynamodb:PutItem`.
    async fn first_seen(&self, key: &str, until: i64) -> AwsResult<bool> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("id", AttributeValue::S(format!("seen#{key}")))
            .item("expiresAt", AttributeValue::N(until.to_string()))
            // The condition makes it one atomic question: two copies of a request at once cannot both be the first.
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(classify(&error, Call::Change, "dynamodb:PutItem of a seen request")),
        }
    }

    /// IAM: `dynamodb:PutItem`.
    async fn record_requester(&self, recovery_id: &str, user: &str, until: i64) -> AwsResult<()> {
        self.client
            .put_item()
            .table_name(&self.name)
            .item("id", requester_key(recovery_id, user))
            .item("expiresAt", AttributeValue::N(until.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:PutItem of a requester"))?;
        Ok(())
    }

    /// IAM: `dynamodb:GetItem`.
    async fn is_requester(&self, recovery_id: &str, user: &str) -> AwsResult<bool> {
        let read = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", requester_key(recovery_id, user))
            // An eventually consistent read could miss the requester who approves a second later.
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of a requester"))?;
        Ok(read.item.is_some())
    }
}

fn requester_key(recovery_id: &str, user: &str) -> AttributeValue {
    AttributeValue::S(format!("requester#{recovery_id}#{user}"))
}

/// The Secrets Manager client for secrets that are no logins.
#[derive(Debug, Clone)]
pub struct SecretTexts(aws_sdk_secretsmanager::Client);

impl SecretTexts {
    /// Creates the client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(&aws.config("SECRETS_MANAGER")))
    }
}

impl ReadSecretText for SecretTexts {
    /// IAM: `secretsmanager:GetSecretValue`.
    async fn secret_text(&self, secret_arn: &str) -> AwsResult<String> {
        let read = self.0.get_secret_value().secret_id(secret_arn).send().await;
        let read = read.map_err(|e| classify(&e, Call::Read, "secretsmanager:GetSecretValue of the app's secret"))?;
        read.secret_string.ok_or_else(|| StepError::bug("the app's secret holds no text"))
    }
}

/// The Lambda client for asynchronous invocations.
#[derive(Debug, Clone)]
pub struct AsyncLambda(aws_sdk_lambda::Client);

impl AsyncLambda {
    /// Creates the client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_lambda::Client::new(&aws.config("LAMBDA")))
    }
}

impl InvokeAsync for AsyncLambda {
    /// IAM: `lambda:InvokeFunction`.
    async fn invoke_async(&self, function: &str, payload: &Value) -> AwsResult<()> {
        self.0
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "asynchronous lambda:InvokeFunction"))?;
        Ok(())
    }
}
