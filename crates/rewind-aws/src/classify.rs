//! Translates errors of AWS into the errors of a recovery.
//!
//! RDS answers codes that its model doesn't have (`InvalidParameterValue` is one), so codes are matched as strings. A failed call
//! is `Unavailable` if it only reads, and `OutcomeUnknown` if it may have changed something.

use crate::environment::NotSent;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rewind_core::{ErrorName, StepError};
use std::error::Error;

/// The kind of a call, by what may have happened if no answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// It only reads.
    Read,
    /// It changes something.
    Change,
}

/// The AWS error code of `error`, if the service answered one.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Translates an error of the call `what` (such as `rds:DescribeDBClusters of orders`).
pub(crate) fn classify<E>(error: &SdkError<E, HttpResponse>, call: Call, what: &str) -> StepError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let detail = aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
    // The state machine repeats the first by itself; after the second the step has to read before it decides.
    let unanswered = match call {
        Call::Read => ErrorName::Unavailable,
        Call::Change => ErrorName::OutcomeUnknown,
    };
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let code = context.err().code().unwrap_or("no code");
            let message = context.err().message().unwrap_or("no message");
            let (name, advice) = by_code(code, status, unanswered);
            StepError::new(name, format!("{what}: AWS answered {code}: {message}")).advice(advice).detail(detail)
        }
        // Nothing was sent, and the next attempt would build the same call: only a change of the code helps.
        SdkError::ConstructionFailure(_) => {
            StepError::bug(format!("{what}: the call could not be built")).detail(detail)
        }
        SdkError::DispatchFailure(failure) if was_not_sent(failure) => {
            StepError::new(ErrorName::Unavailable, format!("{what}: it was not sent, for the function's time was up"))
                .changed("what this function did before that is done")
                .advice("try again")
                .detail(detail)
        }
        // For a change an I/O error may also be a connection that broke after the request was sent: then nobody knows.
        SdkError::DispatchFailure(failure) if call == Call::Read && failure.is_io() => {
            StepError::new(ErrorName::Unavailable, format!("{what}: AWS could not be reached"))
                .advice("try again; if it stays so, look at the network between")
                .detail(detail)
        }
        // Timeouts, broken connections, answers that cannot be parsed: the call may have arrived.
        _ => StepError::new(unanswered, format!("{what}: no answer came"))
            .advice("see what is there, then try again")
            .detail(detail),
    }
}

/// True if our own connector refused to send the call: even a change was certainly not made.
fn was_not_sent(failure: &DispatchFailure) -> bool {
    failure.as_connector_error().and_then(Error::source).is_some_and(|source| source.is::<NotSent>())
}

fn by_code(code: &str, status: u16, unanswered: ErrorName) -> (ErrorName, &'static str) {
    // The same error has different suffixes from one service and even one operation to the next.
    let code = code.trim_end_matches("Fault").trim_end_matches("Exception");
    match code {
        // Each service has its own word for it.
        "Throttling"
        | "Throttled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "PriorRequestNotComplete"
        | "SlowDown"
        | "ProvisionedThroughputExceeded"
        | "RequestThrottled"
        | "KMSThrottling" => (ErrorName::Throttled, "try again, more slowly"),
        // These pass by themselves: another change, a backup or a failover is under way.
        "InvalidDBClusterState" | "InvalidDBInstanceState" | "InvalidResourceState" => {
            (ErrorName::ClusterNotReady, "try again, for the state may pass")
        }
        // A permission that is missing stays missing, and retries would only delay the message.
        "AccessDenied" | "AccessDeniedFault" | "UnauthorizedOperation" | "AuthorizationError" => {
            (ErrorName::RewindFailed, on_permission(std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some()))
        }
        // Not retried: new credentials come with a new start of the function, not with time.
        "InvalidClientTokenId" | "ExpiredToken" | "SignatureDoesNotMatch" | "UnrecognizedClient" => {
            (ErrorName::RewindFailed, "look at the caller's credentials, and start again")
        }
        // Refused before anything was done: no repetition makes a wrong value right.
        "InvalidParameterValue" | "InvalidParameterCombination" => {
            (ErrorName::RewindFailed, "AWS's message says which value it does not take; mend it, and start again")
        }
        // Too many requests, whatever the service calls it.
        _ if status == 429 => (ErrorName::Throttled, "try again, more slowly"),
        // A 5xx may come from a load balancer after the service has done its work.
        _ if status >= 500 => (unanswered, "see what is there, then try again"),
        _ => (ErrorName::RewindFailed, "AWS's message says what to mend before another try"),
    }
}

/// The advice on a permission that is missing. The parameters of the stack give the functions theirs, and a person none.
const fn on_permission(is_function: bool) -> &'static str {
    match is_function {
        true => {
            "allow the caller the action that is named, and start again; a function of the stack may do what the parameters allow: \
             ClusterPattern, SecretArns, HostedZoneArns and RecordNames"
        }
        false => "allow yourself the action that is named, or use credentials that have it, and try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_that_a_person_lacks_is_not_of_the_stacks_parameters() {
        assert!(on_permission(true).contains("ClusterPattern"));
        assert!(!on_permission(false).contains("function") && !on_permission(false).contains("ClusterPattern"));
        // Outside a function.
        let advice = by_code("AccessDeniedException", 400, ErrorName::Unavailable).1;
        assert_eq!(advice, on_permission(false));
    }

    #[test]
    fn a_failed_read_may_be_repeated_and_a_failed_change_may_not() {
        // The same answer twice: only the kind of the call decides what it means.
        assert_eq!(by_code("InternalFailure", 500, ErrorName::Unavailable).0, ErrorName::Unavailable);
        assert_eq!(by_code("InternalFailure", 500, ErrorName::OutcomeUnknown).0, ErrorName::OutcomeUnknown);
    }

    #[test]
    fn too_many_requests_are_waited_out_whatever_the_service_calls_them() {
        for (code, status) in [("Throttled", 400), ("ThrottledException", 429), ("no code", 429), ("LimitReached", 429)]
        {
            assert_eq!(by_code(code, status, ErrorName::OutcomeUnknown).0, ErrorName::Throttled, "{code} {status}");
        }
        // A permission that is missing stays missing.
        assert_eq!(by_code("AccessDenied", 429, ErrorName::OutcomeUnknown).0, ErrorName::RewindFailed);
    }

    #[test]
    fn codes_are_known_with_and_without_their_suffix() {
        // The wire codes, as the services send them, and not the names of the SDK's types.
        for (code, name) in [
            ("Throttling", ErrorName::Throttled),
            ("ThrottlingException", ErrorName::Throttled),
            ("PriorRequestNotComplete", ErrorName::Throttled),
            ("InvalidDBClusterStateFault", ErrorName::ClusterNotReady),
            ("InvalidDBInstanceState", ErrorName::ClusterNotReady),
            ("AccessDenied", ErrorName::RewindFailed),
            ("InvalidParameterValue", ErrorName::RewindFailed),
            ("InvalidParameterCombination", ErrorName::RewindFailed),
            ("DBClusterQuotaExceededFault", ErrorName::RewindFailed),
        ] {
            assert_eq!(by_code(code, 400, ErrorName::OutcomeUnknown).0, name, "{code}");
        }
    }
}
