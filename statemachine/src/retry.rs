//! The errors that are retried, and how. These lists and the errors of rewind-core are all that `ErrorEquals` may
//! hold.

use crate::json::{Json, object};
use rewind_core::ErrorName;

/// The names of failures that are bugs: a function's own, and those of the platform that evaluates the
/// definition. They are never retried, for they would fail again, and a person has to look.
pub(crate) const BUGS: [&str; 3] = [ErrorName::Bug.as_str(), "States.QueryEvaluationError", "States.DataLimitExceeded"];

/// Everything that no other catcher names.
pub(crate) const ANY: [&str; 1] = ["States.ALL"];

/// A conditional write found another state than it expects.
pub(crate) const CONDITION_FAILED: [&str; 1] = ["DynamoDB.ConditionalCheckFailedException"];

/// The service asks to wait, or nothing was changed by a read that failed.
const BUSY: [&str; 7] = [
    ErrorName::Throttled.as_str(),
    ErrorName::Unavailable.as_str(),
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
];

/// A function that was just deployed, or that nobody called for weeks, gets its network first.
const NOT_READY: [&str; 8] = [
    "Lambda.ResourceNotReadyException",
    "Lambda.ENINotReadyException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceConflictException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENILimitReachedException",
    "Lambda.SubnetIPAddressLimitReachedException",
];

/// A change may have been made: every step looks first what is done already. The function that reports it has ended.
const UNKNOWN: &str = ErrorName::OutcomeUnknown.as_str();

/// The function was cut off, and may be running still.
const CUT_OFF: [&str; 3] = ["Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown"];

/// No answer of the function came, so it may be running still.
pub(crate) const UNANSWERED: [&str; 6] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "States.Timeout",
];

/// The errors of DynamoDB that a second attempt may not meet.
const TABLE: [&str; 7] = [
    "DynamoDB.ProvisionedThroughputExceededException",
    "DynamoDB.RequestLimitExceeded",
    "DynamoDB.ThrottlingException",
    "DynamoDB.InternalServerError",
    "DynamoDB.AmazonDynamoDBException",
    "DynamoDB.SdkClientException",
    "States.Timeout",
];

/// How a state is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retries {
    /// Nothing to retry: the state calls nobody.
    None,
    /// A function that a step invokes.
    Function,
    /// A function that waits for a person: its timeout is the end of a slice, and no error.
    Slice,
    /// A function without which the recovery goes on, and for which nobody waits beyond its time.
    Optional,
    /// An item of the table.
    Table,
    /// An item that nobody could go back without, or on, written while clients have a database.
    PatientTable,
    /// An event or a message. It stops nothing, so it is not tried for long.
    Notice,
}

/// How long a state waits for what passes by itself: a service that is busy or away, a function that is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsOut {
    /// Minutes: nothing that took long is lost by starting again, or people are without their database meanwhile.
    Minutes,
    /// About an hour: hours of restore would be lost, or clients would stay locked out, by giving up earlier.
    Hour,
}

/// One entry of `Retry`.
#[derive(Clone)]
struct Retrier {
    errors: Vec<&'static str>,
    interval: u64,
    rate: u64,
    attempts: u64,
    longest: Option<u64>,
    jitter: bool,
}

impl Retries {
    /// The `Retry` of a state; `None` where there is none.
    pub(crate) fn to_json(self, waits_out: WaitsOut) -> Option<Json> {
        let retriers = self.retriers(waits_out);
        (!retriers.is_empty()).then(|| Json::List(retriers.iter().map(Retrier::to_json).collect()))
    }

    /// The seconds that a state may spend between its attempts, whatever fails and however often.
    pub(crate) fn longest_pause(self, waits_out: WaitsOut) -> u64 {
        self.retriers(waits_out).iter().map(Retrier::longest_pause).sum()
    }

    /// The attempts that a service or a function that is away for an hour takes.
    pub(crate) fn attempts_of_an_hour(self) -> u64 {
        self.retriers(WaitsOut::Hour).first().map_or(0, |retrier| retrier.attempts)
    }

    fn retriers(self, waits_out: WaitsOut) -> Vec<Retrier> {
        // Throttled calls are many at once: without jitter they would come back at once.
        let jittered = |errors: &[&'static str], attempts| Retrier {
            errors: errors.to_vec(),
            interval: 1,
            rate: 2,
            attempts,
            longest: Some(20),
            jitter: true,
        };
        // 22 attempts are ten minutes: as long as Lambda takes for a network interface on a bad day.
        let not_ready = Retrier {
            errors: NOT_READY.to_vec(),
            interval: 5,
            rate: 2,
            attempts: 22,
            longest: Some(30),
            jitter: false,
        };
        // With full jitter a pause is half of its limit on average, so 125 attempts are an hour. A minute is the longest
        // pause: a service that is back is noticed within it. Longer pauses would spare events of the history, and keep
        // people waiting in the undos that run inside an outage.
        let hour = Retrier {
            errors: BUSY.iter().chain(&NOT_READY).chain([&UNKNOWN]).copied().collect(),
            longest: Some(60),
            ..jittered(&[], 125)
        };
        let passing = |attempts| match waits_out {
            WaitsOut::Minutes => vec![jittered(&BUSY, attempts), not_ready],
            WaitsOut::Hour => vec![hour],
        };
        let not_ready_cluster = vec![ErrorName::ClusterNotReady.as_str()];
        let wrong_state = match waits_out {
            // 20 minutes, which is how long RDS mostly takes to leave a state in which it refuses a call.
            WaitsOut::Minutes => {
                Retrier { errors: not_ready_cluster, interval: 5, rate: 1, attempts: 240, longest: None, jitter: false }
            }
            // An hour, as for everything else that passes: an upgrade takes longer, and an undo that gives up leaves clients out. Pauses
            // of half a minute, so that it takes no more of the history than the rest.
            WaitsOut::Hour => Retrier {
                errors: not_ready_cluster,
                interval: 5,
                rate: 2,
                attempts: 122,
                longest: Some(30),
                jitter: false,
            },
        };
        // Once only: nobody knows if the call was carried out, and one that was cut off may be running still. RDS refuses changes
        // with a 503 while it is away, and that is waited out where everything else is.
        let once = |timeout: Option<&'static str>| Retrier {
            errors: (waits_out == WaitsOut::Minutes)
                .then_some(UNKNOWN)
                .into_iter()
                .chain(timeout)
                .chain(CUT_OFF)
                .collect(),
            interval: 2,
            rate: 1,
            attempts: 1,
            longest: None,
            jitter: false,
        };
        match self {
            Self::None => Vec::new(),
            Self::Function => [passing(8), vec![wrong_state, once(Some("States.Timeout"))]].concat(),
            // There the timeout is the regular end: RequestApproval catches it.
            Self::Slice => [passing(8), vec![once(None)]].concat(),
            // Nothing that lasts: whoever waits for it would rather go on without it.
            Self::Optional => {
                let errors = [&BUSY[..], &NOT_READY].concat();
                vec![Retrier { errors, ..jittered(&[], 5) }]
            }
            Self::Table => vec![jittered(&TABLE, 6)],
            // Half an hour on average. Nobody waits for it but the recovery.
            Self::PatientTable => vec![Retrier { longest: Some(60), ..jittered(&TABLE, 65) }],
            Self::Notice => {
                vec![Retrier { errors: ANY.to_vec(), interval: 1, rate: 2, attempts: 2, longest: None, jitter: false }]
            }
        }
    }
}

impl Retrier {
    fn to_json(&self) -> Json {
        let errors = Json::List(self.errors.iter().map(|name| Json::from(*name)).collect());
        let Json::Object(mut fields) = object([
            ("ErrorEquals", errors),
            ("IntervalSeconds", self.interval.into()),
            ("BackoffRate", self.rate.into()),
            ("MaxAttempts", self.attempts.into()),
        ]) else {
            return Json::Null;
        };
        if let Some(longest) = self.longest {
            fields.push(("MaxDelaySeconds".to_owned(), longest.into()));
        }
        if self.jitter {
            fields.push(("JitterStrategy".to_owned(), "FULL".into()));
        }
        Json::Object(fields)
    }

    fn longest_pause(&self) -> u64 {
        let mut pause = self.interval;
        let mut sum: u64 = 0;
        for _ in 0..self.attempts {
            // Full jitter draws a pause between zero and this one, so this is the longest.
            sum += self.longest.map_or(pause, |longest| pause.min(longest));
            pause = pause.saturating_mul(self.rate);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds between the attempts at `error`, on average and at most.
    fn pauses(retries: Retries, waits_out: WaitsOut, error: &str) -> (u64, u64) {
        let retriers = retries.retriers(waits_out);
        let retrier = retriers.iter().find(|retrier| retrier.errors.contains(&error)).unwrap();
        // Full jitter draws between zero and the limit.
        let share = if retrier.jitter { 2 } else { 1 };
        (retrier.longest_pause() / share, retrier.longest.unwrap_or(retrier.interval))
    }

    #[test]
    fn what_passes_is_waited_out_for_about_an_hour_with_pauses_of_a_minute_at_most() {
        for retries in [Retries::Function, Retries::Slice] {
            let not_ready = (retries == Retries::Function).then_some(ErrorName::ClusterNotReady.as_str());
            for error in BUSY.iter().chain(&NOT_READY).chain([&UNKNOWN]).copied().chain(not_ready) {
                let (average, longest) = pauses(retries, WaitsOut::Hour, error);
                assert!((55 * 60..=65 * 60).contains(&average), "{error}: {average} s");
                assert!(longest <= 60, "{error}: {longest} s");
            }
        }
    }

    #[test]
    fn no_error_takes_more_attempts_of_an_hour_than_the_history_has_room_for() {
        let retriers = Retries::Function.retriers(WaitsOut::Hour);
        let most = retriers.iter().map(|retrier| retrier.attempts).max();
        assert_eq!(most, Some(Retries::Function.attempts_of_an_hour()));
    }

    #[test]
    fn a_table_that_is_away_for_minutes_does_not_lose_the_end_of_a_recovery() {
        for error in TABLE {
            let (average, longest) = pauses(Retries::PatientTable, WaitsOut::Minutes, error);
            assert!((25 * 60..=35 * 60).contains(&average) && longest <= 60, "{error}: {average} s, {longest} s");
        }
    }

    #[test]
    fn before_the_restore_and_while_people_wait_it_is_minutes() {
        for error in BUSY {
            let (average, longest) = pauses(Retries::Function, WaitsOut::Minutes, error);
            assert!(average < 5 * 60 && longest <= 20, "{error}: {average} s, {longest} s");
        }
        assert!(pauses(Retries::Function, WaitsOut::Minutes, NOT_READY[0]).0 <= 11 * 60);
        assert_eq!(pauses(Retries::Function, WaitsOut::Minutes, ErrorName::ClusterNotReady.as_str()), (20 * 60, 5));
    }

    #[test]
    fn what_a_recovery_can_do_without_is_waited_for_half_a_minute() {
        for error in BUSY.iter().chain(&NOT_READY) {
            let (average, longest) = pauses(Retries::Optional, WaitsOut::Minutes, error);
            assert!(average <= 30 && longest <= 20, "{error}: {average} s, {longest} s");
        }
    }

    #[test]
    fn no_error_is_in_two_entries_for_only_the_first_would_count() {
        for waits_out in [WaitsOut::Minutes, WaitsOut::Hour] {
            let retriers = Retries::Function.retriers(waits_out);
            let all: Vec<&str> = retriers.iter().flat_map(|retrier| retrier.errors.iter().copied()).collect();
            let distinct: std::collections::BTreeSet<&str> = all.iter().copied().collect();
            assert_eq!(all.len(), distinct.len(), "{waits_out:?}");
        }
    }
}
