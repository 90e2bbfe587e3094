//! The client of Route 53, also for hosted zones in another account: it then assumes a role there for every call. Without such a
//! role it uses the function's own credentials.

use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use aws_credential_types::Credentials;
use aws_sdk_route53::Client;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::sdk_config::SharedCredentialsProvider;
use rewind_core::{StepError, timeouts};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The ARN of the role in the zones' account; unset or empty: the zones are in the function's own.
const ROLE: &str = "REWIND_HOSTED_ZONE_ROLE_ARN";
/// The shortest session that STS gives: longer than any invocation.
const SESSION_SECONDS: i32 = 900;

/// Gives the client that calls Route 53.
pub(crate) trait ReachZones {
    /// The client, with credentials that are valid for longer than a call takes.
    fn client(&self) -> impl Future<Output = AwsResult<Client>> + Send;
}

/// The client of Route 53, and how it comes by its credentials.
#[derive(Debug, Clone)]
pub struct Route53 {
    own: Client,
    role: Option<Arc<Role>>,
}

#[derive(Debug)]
struct Role {
    arn: String,
    session: String,
    aws: Aws,
    sts: aws_sdk_sts::Client,
    time: SharedTimeSource,
    /// The client with the role's credentials, and the end of those. It is kept across invocations.
    assumed: Mutex<Option<(Client, SystemTime)>>,
}

impl Route53 {
    /// The client at the environment's endpoint, through the role `REWIND_HOSTED_ZONE_ROLE_ARN` where it is set.
    pub fn from_env(aws: &Aws) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // The zones' account sees in its own CloudTrail which function it was.
        let session = set("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "aurora-rewind".to_owned());
        Self::through(aws, set(ROLE), session, SharedTimeSource::new(SystemTimeSource::new()))
    }

    fn through(aws: &Aws, role: Option<String>, session: String, time: SharedTimeSource) -> Self {
        let role = role.map(|arn| {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(timeouts::ASSUME_ROLE)
                .operation_attempt_timeout(timeouts::ASSUME_ROLE);
            let config = aws.config("STS").into_builder().timeout_config(timeouts.build()).build();
            let sts = aws_sdk_sts::Client::new(&config);
            Arc::new(Role { arn, session, aws: aws.clone(), sts, time, assumed: Mutex::default() })
        });
        Self { own: Client::new(&aws.config("ROUTE_53")), role }
    }
}

impl ReachZones for Route53 {
    /// IAM: `sts:AssumeRole`.
    async fn client(&self) -> AwsResult<Client> {
        let Some(role) = &self.role else { return Ok(self.own.clone()) };
        // Kept from call to call: a function that polls would assume the role again for each poll.
        if let Some(client) = role.kept() {
            return Ok(client);
        }
        let call = role.sts.assume_role().role_arn(&role.arn).role_session_name(&role.session);
        let answer = call.duration_seconds(SESSION_SECONDS).send().await.map_err(|e| {
            // A read, even if a change was to follow: nothing has been sent to Route 53 yet.
            let error = classify(&e, Call::Read, &format!("sts:AssumeRole of {}", role.arn))
                .changed("Route 53 was not called: no record was read or changed");
            if code(&e) == Some("AccessDenied") {
                return error.advice(format!(
                    "the trust policy of {} must admit the role of this function, and that one must be allowed \
                     sts:AssumeRole on it (docs/install.md, Zones in another account); mend it, and start again",
                    role.arn
                ));
            }
            error
        })?;
        let given = answer.credentials.ok_or_else(|| StepError::bug("sts:AssumeRole answered no credentials"))?;
        let until = SystemTime::try_from(given.expiration)
            .map_err(|e| StepError::bug(format!("sts:AssumeRole answered credentials that end at no time: {e}")))?;
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            Some(until),
            "role of the hosted zones",
        );
        let config = role.aws.config("ROUTE_53").into_builder();
        let provider = SharedCredentialsProvider::new(credentials);
        let client = Client::new(&config.credentials_provider(provider).build());
        role.keep(&client, until);
        Ok(client)
    }
}

impl Role {
    fn kept(&self) -> Option<Client> {
        let kept = self.assumed.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, until) = kept.as_ref()?;
        (self.time.now() + timeouts::CREDENTIALS_RENEWED_BEFORE < *until).then(|| client.clone())
    }

    fn keep(&self, client: &Client, until: SystemTime) {
        *self.assumed.lock().unwrap_or_else(PoisonError::into_inner) = Some((client.clone(), until));
    }
}

#[cfg(test)]
mod tests;
