//! The settings of the deployment, from the environment.

use crate::access::AccessPolicy;
use rewind_core::{ErrorName, StepError};

/// The settings of the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The people who may use chat, and for what.
    pub access: AccessPolicy,
    /// The ARN of the secret with the Slack app's signing secret.
    pub secret_arn: String,
    /// The name of this function, which it invokes itself for deferred tasks.
    pub function: String,
    /// The prefix of every URL that Slack may ask to be answered at.
    pub response_prefix: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// `Bug` where a variable is missing: the template sets it.
    pub fn read(get: impl Fn(&str) -> Option<String> + Copy) -> Result<Self, StepError> {
        Ok(Self {
            access: AccessPolicy::read(get)?,
            secret_arn: required(get, "REWIND_CHAT_SECRET_ARN")?,
            function: required(get, "AWS_LAMBDA_FUNCTION_NAME")?,
            response_prefix: get("REWIND_CHAT_RESPONSE_PREFIX")
                .unwrap_or_else(|| "https://hooks.slack.com/".to_owned()),
        })
    }
}

/// Reads a variable that the template always sets.
pub(crate) fn required(get: impl Fn(&str) -> Option<String>, name: &str) -> Result<String, StepError> {
    // CloudFormation passes an empty parameter on as an empty string.
    get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| StepError::new(ErrorName::Bug, format!("the environment variable {name} is not set")))
}
