//! The AWS calls of chat: records of seen requests and of what people did, the secret of the Slack app, and asynchronous invocations
//! of itself. The record of a recovery is never written here.

use crate::classify::{Call, classify, code};
use crate::environment::required;
use crate::{Aws, AwsResult};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;
use rewind_core::{Identity, StepError};
use serde_json::Value;

/// Keeps the records of chat, each with an expiry in epoch seconds.
pub trait ChatRecords: Send + Sync {
    /// Records `key`; returns true if it was not recorded before.
    fn first_seen(&self, key: &str, until: i64) -> impl Future<Output = AwsResult<bool>> + Send;
    /// Records what somebody did in chat. What is recorded twice is recorded.
    fn record_act(
        &self,
        kind: ActKind,
        recovery_id: &str,
        act: &ChatAct,
        until: i64,
    ) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Reads what people did in chat. Only the function of chat may write it, so it verifies who it was.
pub trait ReadActs: Send + Sync {
    /// Returns all acts of this kind on a recovery; of those on a window, on a cluster.
    fn acts(&self, kind: ActKind, recovery_id: &str) -> impl Future<Output = AwsResult<Vec<ChatAct>>> + Send;
}

/// A kind of what people do in chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActKind {
    /// To start a recovery.
    Requested,
    /// To approve one.
    Approved,
    /// To ask for an undo or for another window, which takes two people.
    Asked,
}

impl ActKind {
    fn key(self, recovery_id: &str) -> AttributeValue {
        let prefix = match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Asked => "asked",
        };
        AttributeValue::S(format!("{prefix}#{recovery_id}"))
    }
}

/// Something that a person did in chat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatAct {
    /// The id of the workspace.
    pub team: String,
    /// The id of the member.
    pub user: String,
    /// The digest of the request that was started, or the hash of the proposal that was approved. An act on another is another.
    pub of: String,
}

impl ChatAct {
    fn write(&self) -> String {
        format!("{}/{} {}", self.team, self.user, self.of)
    }

    fn read(text: &str) -> Option<Self> {
        let (by, of) = text.split_once(' ')?;
        let (team, user) = by.split_once('/')?;
        Some(Self { team: team.to_owned(), user: user.to_owned(), of: of.to_owned() })
    }

    /// The identity of the person.
    pub fn identity(&self) -> Identity {
        Identity::Slack { team: self.team.clone(), user: self.user.clone() }
    }
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

    /// The same, for the table `REWIND_TABLE`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        Ok(Self::new(aws, required("REWIND_TABLE")?))
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
            // The TTL attribute of the table: nobody would delete these records by hand.
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

    /// IAM: `dynamodb:UpdateItem`.
    async fn record_act(&self, kind: ActKind, recovery_id: &str, act: &ChatAct, until: i64) -> AwsResult<()> {
        self.client
            .update_item()
            .table_name(&self.name)
            .key("id", kind.key(recovery_id))
            // A set: several people may ask for one recovery, and one person twice.
            .update_expression("ADD acts :act SET expiresAt = :until")
            .expression_attribute_values(":act", AttributeValue::Ss(vec![act.write()]))
            .expression_attribute_values(":until", AttributeValue::N(until.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "dynamodb:UpdateItem of what somebody did in chat"))?;
        Ok(())
    }
}

impl ReadActs for ChatTable {
    /// IAM: `dynamodb:GetItem`.
    async fn acts(&self, kind: ActKind, recovery_id: &str) -> AwsResult<Vec<ChatAct>> {
        let read = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", kind.key(recovery_id))
            // An eventually consistent read could miss whoever did it a second ago.
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "dynamodb:GetItem of what people did in chat"))?;
        let acts = read.item.and_then(|mut item| item.remove("acts"));
        let acts = acts.and_then(|acts| acts.as_ss().ok().cloned()).unwrap_or_default();
        Ok(acts.iter().filter_map(|act| ChatAct::read(act)).collect())
    }
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
        // Not from an environment variable, which everybody who may describe the function can read.
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
            // Slack waits for three seconds: what takes longer is answered by an invocation of its own.
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()))
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "asynchronous lambda:InvokeFunction"))?;
        Ok(())
    }
}
