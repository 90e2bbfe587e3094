//! Credentials and Region as a laptop has them: environment, profiles, single sign-on, credential processes, roles. For
//! the command alone: a function has its credentials in its environment, and should not link all of this.

use super::{Aws, http};
use crate::classify::{Call, classify};
use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::retry::RetryConfig;
use rewind_core::{ErrorName, StepError};

impl Aws {
    /// Finds Region and credentials as the AWS CLI does: a `profile` that is named goes before keys in the environment, which go
    /// before `AWS_PROFILE`; `region` goes before `AWS_REGION`, and that before the profile's.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] where one of them is missing, with what to do.
    pub async fn from_chain(profile: Option<&str>, region: Option<&str>) -> Result<Self, StepError> {
        let http = http::client();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(aws_config::Region::new(region.to_owned()));
        }
        let found = loader.load().await;
        let missing = |what: &str| StepError::new(ErrorName::InvalidRequest, what).changed("nothing was sent to AWS");
        let region = found
            .region()
            .cloned()
            .ok_or_else(|| missing("no AWS Region").advice("set AWS_REGION, or give --region"))?;
        let advice = "sign in as for the AWS CLI (aws sso login, AWS_PROFILE or AWS_ACCESS_KEY_ID); \
                      for the local stack: set -a; . .local/stack.env; set +a";
        let credentials = match profile {
            // By default keys in the environment win over any profile: whoever named one would act on another account.
            Some(profile) => Some(SharedCredentialsProvider::new(of_profile(profile, &region, http.clone()))),
            None => found.credentials_provider(),
        };
        let credentials = credentials.ok_or_else(|| missing("no AWS credentials").advice(advice))?;
        // Resolved now: later, each call would fail with a message of the service in place of one about the profile.
        credentials.provide_credentials().await.map_err(|error| {
            let why = DisplayErrorContext(&error).to_string();
            missing(&format!("no AWS credentials: {error}")).advice(advice).detail(why)
        })?;
        // The SDK may retry here: every change that the command sends (start, decide, invoke) has the same effect twice as once.
        Ok(Self { region, credentials, http, retries: RetryConfig::standard() })
    }

    /// Reads the identity of these credentials: the ARN of a user or of an assumed role.
    ///
    /// IAM: `sts:GetCallerIdentity`, which is always allowed.
    ///
    /// # Errors
    ///
    /// The error of AWS.
    pub async fn caller(&self) -> Result<String, StepError> {
        let answer = aws_sdk_sts::Client::new(&self.config("STS")).get_caller_identity().send().await;
        let caller = answer.map_err(|e| classify(&e, Call::Read, "sts:GetCallerIdentity"))?;
        caller.arn.ok_or_else(|| StepError::bug("sts:GetCallerIdentity named nobody"))
    }
}

/// The credentials of a profile, whatever the environment holds.
fn of_profile(profile: &str, region: &aws_config::Region, http: SharedHttpClient) -> ProfileFileCredentialsProvider {
    let config = ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(http);
    ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build()
}
