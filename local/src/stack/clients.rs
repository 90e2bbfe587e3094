//! AWS SDK clients for the local stack: plain HTTP, the stack's own credentials, nothing read from the user's AWS profile.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_route53::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;

/// The Region of the stack. In us-east-1 version 1 of the AWS CLI ignores `AWS_ENDPOINT_URL_RDS`; and code that works only because
/// Route 53's own Region is us-east-1 fails in another.
pub const REGION: &str = "eu-west-1";
/// The access key that ministack takes as its account's root user.
pub const ACCESS_KEY_ID: &str = "test";
/// The secret of that key. Neither opens anything outside the stack.
pub const SECRET_ACCESS_KEY: &str = "test";

/// Builds the configuration of a client of `endpoint`.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local stack");
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
