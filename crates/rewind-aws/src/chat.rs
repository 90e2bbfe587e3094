//! What chat keeps and sends: signatures that were seen, who started what, the app's secret, and its own later work. The
//! recovery's item itself is never written here.

use crate::classify::{Call, classify, code};
use crate::{Answer, Aws};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;
use rewind_core::StepError;
use serde_json::Value;

/// Keeps what chat must know again.
pub trait Memory: Send + Sync {
    /// Whether this is new; from now on, and at least until `until` (epoch seconds), it is not.
    fn is_new(&self, what: &str, until: i64) -> impl Future<Output = Answer<bool>> + Send;
    /// Remembers that somebody asked for a recovery to be started. Several may have.
    fn started(&self, recovery_id: &str, who: &str, until: i64) -> impl Future<Output = Answer<()>> + Send;
    /// Whether they did.
    fn has_started(&self, recovery_id: &str, who: &str) -> impl Future<Output = Answer<bool>> + Send;
}

/// Reads a secret that is no login.
pub trait SecretText: Send + Sync {
    /// The secret's present text.
    fn text(&self, secret_arn: &str) -> impl Future<Output = Answer<String>> + Send;
}

/// Hands work to a function without waiting for it.
pub trait Later: Send + Sync {
    /// Hands it over.
    fn later(&self, function: &str, payload: &Value) -> impl Future<Output = Answer<()>> + Send;
}

/// The table, as chat uses it.
#[derive(Debug, Clone)]
pub struct ChatTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl ChatTable {
    /// The client at the environment's endpoint, for the table of that name.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(&aws.config("DYNAMODB")), name: name.into() }
    }
}

impl Memory for ChatTable {
    /// IAM: `dynamodb:PutItem`.
    async fn is_new(&self, what: &str, until: i64) -> Answer<bool> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("id", AttributeValue::S(format!("seen#{what}")))
            .item("expiresAt", AttributeValue::N(until.to_string()))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(classify(&error, Call::Change, "dynamodb:PutItem of what was seen")),
        }
    }

    /// IAM: `dynamodb:PutItem`.
    async fn started(&self, recovery_id: &str, who: &str, until: i64) -> Answer<()> {
        self.client
            .put_item()
            .table_name(&self.name)
            .item("id", starter(recovery_id, who))
            .item("expiresAt", AttributeValue::N(until.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:PutItem of who started a recovery"))?;
        Ok(())
    }

    /// IAM: `dynamodb:GetItem`.
    async fn has_started(&self, recovery_id: &str, who: &str) -> Answer<bool> {
        let read = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", starter(recovery_id, who))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of who started a recovery"))?;
        Ok(read.item.is_some())
    }
}

fn starter(recovery_id: &str, who: &str) -> AttributeValue {
    AttributeValue::S(format!("starter#{recovery_id}#{who}"))
}

/// The client of Secrets Manager.
#[derive(Debug, Clone)]
pub struct AppSecrets(aws_sdk_secretsmanager::Client);

impl AppSecrets {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(&aws.config("SECRETS_MANAGER")))
    }
}

impl SecretText for AppSecrets {
    /// IAM: `secretsmanager:GetSecretValue`.
    async fn text(&self, secret_arn: &str) -> Answer<String> {
        let read = self.0.get_secret_value().secret_id(secret_arn).send().await;
        let read = read.map_err(|e| classify(&e, Call::Read, "secretsmanager:GetSecretValue of the app's secret"))?;
        read.secret_string.ok_or_else(|| StepError::bug("the app's secret holds no text"))
    }
}

/// The client of Lambda.
#[derive(Debug, Clone)]
pub struct Handover(aws_sdk_lambda::Client);

impl Handover {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_lambda::Client::new(&aws.config("LAMBDA")))
    }
}

impl Later for Handover {
    /// IAM: `lambda:InvokeFunction`.
    async fn later(&self, function: &str, payload: &Value) -> Answer<()> {
        self.0
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "lambda:InvokeFunction of the later work"))?;
        Ok(())
    }
}
