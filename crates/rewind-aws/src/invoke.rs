//! Calls functions for people, such as set-window. The steps of a recovery are called by the state machine alone.

use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_smithy_types::Blob;
use rewind_core::timeouts;
use serde_json::Value;

/// The result of a call that reached the function.
#[derive(Debug, Clone, PartialEq)]
pub enum Called {
    /// The function's result.
    Answered(Value),
    /// The function's error: its name, and its message for people.
    Refused(String, String),
}

/// Calls functions.
pub trait CallFunctions: Send + Sync {
    /// Calls a function, by name or ARN, and waits for its answer.
    fn call(&self, function: &str, payload: &Value) -> impl Future<Output = AwsResult<Called>> + Send;

    /// The same for a function that changes nothing and may take minutes.
    fn ask(&self, function: &str, payload: &Value) -> impl Future<Output = AwsResult<Called>> + Send;
}

/// The client of Lambda.
#[derive(Debug, Clone)]
pub struct Lambda {
    changes: aws_sdk_lambda::Client,
    reads: aws_sdk_lambda::Client,
}

impl Lambda {
    /// Makes the client at the environment's endpoint. It waits longer than the functions that people call may run.
    pub fn new(aws: &Aws) -> Self {
        let client = |call| aws_sdk_lambda::Client::new(&aws.config_within("LAMBDA", call));
        Self { changes: client(timeouts::CALL_SET_WINDOW), reads: client(timeouts::CALL_COMPARE_TABLES) }
    }
}

impl CallFunctions for Lambda {
    /// IAM: `lambda:InvokeFunction`.
    async fn call(&self, function: &str, payload: &Value) -> AwsResult<Called> {
        let sent = self.changes.invoke().function_name(function).payload(Blob::new(payload.to_string())).send().await;
        // A change: set-window may have set the window before its answer was lost.
        let answer = sent.map_err(|e| classify(&e, Call::Change, &format!("lambda:InvokeFunction of {function}")))?;
        Ok(called(answer))
    }

    /// IAM: `lambda:InvokeFunction`.
    async fn ask(&self, function: &str, payload: &Value) -> AwsResult<Called> {
        let sent = self.reads.invoke().function_name(function).payload(Blob::new(payload.to_string())).send().await;
        let answer = sent.map_err(|e| classify(&e, Call::Read, &format!("lambda:InvokeFunction of {function}")))?;
        Ok(called(answer))
    }
}

fn called(answer: InvokeOutput) -> Called {
    let payload = answer.payload.unwrap_or_default().into_inner();
    let result: Value = serde_json::from_slice(&payload).unwrap_or_default();
    // Lambda answers 200 for a function that failed, and says so in a header of its own.
    if answer.function_error.is_none() {
        return Called::Answered(result);
    }
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or("no reason was given").to_owned();
    Called::Refused(text("errorType"), text("errorMessage"))
}
