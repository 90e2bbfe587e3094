//! Wakes functions: one in a VPC that nobody called for weeks is inactive, and its first call fails while AWS makes it anew.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;

/// The payload that every function answers at once, without its step.
const WAKE: &str = r#"{"wake":true}"#;

/// Wakes functions.
pub trait WakeFunctions: Send + Sync {
    /// Sends the function an event that does nothing. It does not wait for the function.
    fn wake(&self, function: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// The client of Lambda that wakes.
#[derive(Debug, Clone)]
pub struct Waker(aws_sdk_lambda::Client);

impl Waker {
    /// Makes the client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_lambda::Client::new(&aws.config("LAMBDA")))
    }
}

impl WakeFunctions for Waker {
    /// IAM: `lambda:InvokeFunction`.
    async fn wake(&self, function: &str) -> AwsResult<()> {
        let sent = self
            .0
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(WAKE))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // The call itself is what wakes it: the error says that it is being made anew.
            Err(e) if code(&e).is_some_and(is_waking) => Ok(()),
            // A read: an event that does nothing may be sent twice.
            Err(e) => Err(classify(&e, Call::Read, &format!("lambda:InvokeFunction of {function}"))),
        }
    }
}

fn is_waking(code: &str) -> bool {
    ["ResourceNotReadyException", "ResourceConflictException", "ENINotReadyException"].contains(&code)
}
