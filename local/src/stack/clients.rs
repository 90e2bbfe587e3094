//! AWS SDK clients for the local stack: plain HTTP, the stack's own credentials, nothing read from the user's AWS profile.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_route53::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;

/// The Region that the stack plays. In us-east-1 version 1 of the AWS CLI ignores `AWS_ENDPOINT_URL_RDS`; and whatever
/// rests on the Region being Route 53's own shows elsewhere.
pub const REGION: &str = "eu-west-1";
/// The key that ministack takes as its account's root user.
pub const ACCESS_KEY_ID: &str = "test";
/// Its secret. Neither opens anything outside the stack.
pub const SECRET_ACCESS_KEY: &str = "test";

/// The configuration of every client that speaks to `endpoint`.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local stack");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}

/// The innermost cause of an SDK error: its own `Display` says "service error" and keeps the cause below.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.dedup();
    causes.join(": ")
}
