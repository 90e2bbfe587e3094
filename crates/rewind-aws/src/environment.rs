//! The configuration of all clients, from the few environment variables that Lambda sets.
//!
//! `aws-config` would read files, profiles and metadata services that a function does not have, at 0.7 MB each function.

#[cfg(feature = "chain")]
mod chain;
mod http;

pub(crate) use http::NotSent;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{SdkConfig, SharedCredentialsProvider};
use rewind_core::{ErrorName, StepError, timeouts};
use std::time::Duration;

/// The configuration that all clients of a function share.
#[derive(Debug, Clone)]
pub struct Aws {
    region: Region,
    credentials: SharedCredentialsProvider,
    http: SharedHttpClient,
    retries: RetryConfig,
}

impl Aws {
    /// Reads `AWS_REGION` and the credentials that Lambda sets.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] where one is missing: Lambda always sets them.
    pub fn from_env() -> Result<Self, StepError> {
        // Absent for a user's long-lived keys, as the local stack has them; Lambda's role always has one.
        let session = std::env::var("AWS_SESSION_TOKEN").ok().filter(|token| !token.is_empty());
        let (key, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
        Ok(Self {
            region: Region::new(required("AWS_REGION")?),
            credentials: SharedCredentialsProvider::new(Credentials::new(key, secret, session, None, "environment")),
            http: http::client(),
            // The state machine retries, by the error's name: a change that the SDK sent twice behind our back could not
            // be told from one that was sent once.
            retries: RetryConfig::disabled(),
        })
    }

    /// An environment whose requests go through `http`.
    #[cfg(test)]
    pub(crate) fn for_test(http: SharedHttpClient) -> Self {
        Self {
            region: Region::new("eu-west-1"),
            credentials: SharedCredentialsProvider::new(Credentials::new("AKIAHERE", "secret", None, None, "test")),
            http,
            retries: RetryConfig::disabled(),
        }
    }

    /// Builds the configuration of one service's client; `AWS_ENDPOINT_URL_<service>`, then `AWS_ENDPOINT_URL`, move its endpoint.
    pub(crate) fn config(&self, service: &str) -> SdkConfig {
        self.config_within(service, timeouts::CALL)
    }

    /// The same, where one call may take `call`.
    pub(crate) fn config_within(&self, service: &str, call: Duration) -> SdkConfig {
        // The SDK's own lookup of these variables is in aws-config, which functions don't link.
        let endpoint = [format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL".to_owned()]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        let timeouts =
            TimeoutConfig::builder().connect_timeout(timeouts::CONNECT).operation_attempt_timeout(call).build();
        let mut config = SdkConfig::builder()
            .behavior_version(aws_smithy_runtime_api::client::behavior_version::BehaviorVersion::latest())
            .region(self.region.clone())
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            // The SDK needs a sleeper for its timeouts, and takes none by default without aws-config.
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .time_source(aws_smithy_async::time::SharedTimeSource::new(aws_smithy_async::time::SystemTimeSource::new()))
            .timeout_config(timeouts)
            .retry_config(self.retries.clone());
        config.set_endpoint_url(endpoint);
        config.build()
    }
}

pub(crate) fn required(name: &str) -> Result<String, StepError> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| StepError::new(ErrorName::Bug, format!("the environment variable {name} is not set")))
}
