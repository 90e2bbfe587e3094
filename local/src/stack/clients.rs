//! AWS SDK clients for the local stack: plain HTTP, the stack's own credentials, nothing read from the user's AWS profile.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_route53::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;
use std::fmt;

/// The Region of the stack. In us-east-1 version 1 of the AWS CLI ignores `AWS_ENDPOINT_URL_RDS`; and code that works only because
/// Route 53's own Region is us-east-1 fails in another.
pub const REGION: &str = "eu-west-1";
/// The credentials of the account's root user on one stack: other ones at each start, so that nobody but whom its owner shows them to
/// can ask anything of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key's id.
    pub id: String,
    /// The secret that requests are signed with.
    pub secret: String,
}

impl Keys {
    /// Makes new ones.
    #[must_use]
    pub fn random() -> Self {
        let hex = || uuid::Uuid::new_v4().simple().to_string();
        // AWS's own length and alphabet: clients check them.
        let id: String = hex().to_uppercase().chars().take(16).collect();
        Self { id: format!("AKIA{id}"), secret: (hex() + &hex()).chars().take(40).collect() }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Builds the configuration of a client of `endpoint`.
#[must_use]
pub fn sdk_config(endpoint: &str, keys: &Keys) -> SdkConfig {
    let credentials = Credentials::new(keys.id.as_str(), keys.secret.as_str(), None, None, "local stack");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        // aws-config would set it; without it the SDK can't wait between retries, and gives up at the first timeout.
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}
