//! Start-up of a function: JSON logs, one step value for all invocations, typed errors to the Runtime API.

use crate::admission::{Admission, Signed, Unplanned};
use crate::step::{Direction, Step};
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use rewind_clock::{OutOfTime, SystemClock, invocation};
use rewind_core::{Clock, ErrorName, StepError, VerifyPlans, timeouts};
use serde_json::Value;
use std::time::Duration;

/// Starts logging in JSON, at the level `info` unless `RUST_LOG` has another.
pub fn init_logging() {
    tracing_subscriber::fmt()
        .json()
        .with_target(false)
        .with_current_span(false)
        .without_time() // CloudWatch stamps every line
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
}

/// Serves invocations of `step` until the environment ends: those with a plan that `verifier` knows as signed and that is no dry run's, and
/// no others.
///
/// # Errors
///
/// An error that the client of the Lambda Runtime API cannot recover from.
pub async fn start<S: Step>(step: S, verifier: impl VerifyPlans) -> Result<(), lambda_runtime::Error> {
    serve_all(step, Signed { verifier, in_dry_runs: false }).await
}

/// The same for a step that changes nothing, and that dry runs have as well.
///
/// # Errors
///
/// An error that the client of the Lambda Runtime API cannot recover from.
pub async fn start_in_dry_runs<S: Step>(step: S, verifier: impl VerifyPlans) -> Result<(), lambda_runtime::Error> {
    serve_all(step, Signed { verifier, in_dry_runs: true }).await
}

/// Serves invocations of a step that follows no plan. One with a plan in its payload is refused, so a step that needs a plan
/// cannot be started by this.
///
/// # Errors
///
/// An error that the client of the Lambda Runtime API cannot recover from.
pub async fn start_unplanned<S: Step>(step: S) -> Result<(), lambda_runtime::Error> {
    serve_all(step, Unplanned).await
}

async fn serve_all<S: Step>(step: S, admission: impl Admission) -> Result<(), lambda_runtime::Error> {
    init_logging();
    // Borrowed: clients and their pools are built once, not for each invocation.
    let (step, admission) = (&step, &admission);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let LambdaEvent { payload, context } = event;
        serve(step, admission, payload, time_until(context.deadline, SystemClock.now())).await.map_err(Failure)
    }))
    .await
}

/// Runs `work` as the invocation of that context: with new connections, and stopped before Lambda would kill it.
///
/// # Errors
///
/// [`OutOfTime`] where it was stopped.
pub async fn within_deadline<T>(context: &Context, work: impl Future<Output = T>) -> Result<T, OutOfTime> {
    invocation(time_until(context.deadline, SystemClock.now()), Box::pin(work)).await
}

/// Runs one invocation within `time`.
async fn serve<S: Step>(
    step: &S,
    admission: &impl Admission,
    payload: Value,
    time: Duration,
) -> Result<Value, StepError> {
    match invocation(time, Box::pin(invoke(step, admission, payload))).await {
        Ok(answer) => answer,
        // Lambda's own timeout has no error name that a state could match, and leaves no line in the log.
        Err(OutOfTime) => Err(stopped(time)),
    }
}

/// Computes the time from `now` until the work has to stop, which Lambda kills at `deadline`, in milliseconds since 1970.
fn time_until(deadline: u64, now: Timestamp) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
    // A deadline that has passed leaves no time, where a plain subtraction would leave centuries.
    Duration::from_millis(deadline.saturating_sub(now)).saturating_sub(timeouts::STOPPED_BEFORE)
}

/// Makes the error of work that was stopped between two lines, so that nobody knows what it had done.
fn stopped(time: Duration) -> StepError {
    let error = StepError::new(
        ErrorName::OutcomeUnknown,
        format!("the step was stopped after {} s, for Lambda gives it no longer", time.as_secs()),
    )
    .changed("what it had begun may or may not be done")
    .advice("see what is there, then try again");
    tracing::error!(name = %error.name, "{error}");
    error
}

/// Admits the payload, reads direction and input, runs the step or its undo, and logs the result.
async fn invoke<S: Step>(step: &S, admission: &impl Admission, payload: Value) -> Result<Value, StepError> {
    // Answered without the step: the function is only to be there when a recovery needs it.
    if payload.get("wake").is_some_and(|wake| wake == &Value::Bool(true)) {
        return Ok(Value::Null);
    }
    // Before the input is read: a payload that cannot be read must be found in the logs too.
    let recovery = payload.pointer("/recovery/id").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let direction = match payload.get("direction") {
        None | Some(Value::Null) => Direction::Do,
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|e| StepError::bug(format!("the state machine passed a direction that is none: {e}")))?,
    };
    let answer = admit_and_run(step, admission, direction, payload).await;
    match &answer {
        Ok(_) => tracing::info!(recovery, ?direction, "done"),
        Err(error) => {
            // The detail stays in the log: an execution history has more readers.
            tracing::error!(recovery, ?direction, name = %error.name, detail = error.for_log(), "{error}");
        }
    }
    answer
}

async fn admit_and_run<S: Step>(
    step: &S,
    admission: &impl Admission,
    direction: Direction,
    payload: Value,
) -> Result<Value, StepError> {
    // Boxed: the SDK's futures nest so deep that the compiler gives up on laying out all of them as one.
    Box::pin(admission.admit(&payload)).await?;
    let input: S::Input = serde_json::from_value(payload)
        .map_err(|e| StepError::bug(format!("the state machine passed what the step cannot read: {e}")))?;
    match direction {
        Direction::Do => Box::pin(step.run(input)).await.and_then(to_json),
        Direction::Undo => Box::pin(step.undo(input)).await.and_then(to_json),
    }
}

fn to_json<T: serde::Serialize>(value: T) -> Result<Value, StepError> {
    serde_json::to_value(value).map_err(|e| StepError::bug(format!("the answer is not JSON: {e}")))
}

/// A step's error for the Runtime API, whose `errorType` is matched by `ErrorEquals`.
struct Failure(StepError);

impl From<Failure> for Diagnostic {
    fn from(Failure(error): Failure) -> Self {
        Diagnostic { error_type: error.name.as_str().to_owned(), error_message: error.to_string() }
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Undone;
    use rewind_core::ErrorName;
    use serde_json::json;

    struct Echo;

    #[derive(serde::Deserialize)]
    struct Input {
        word: String,
    }

    impl Step for Echo {
        type Input = Input;
        type Output = String;

        async fn run(&self, input: Input) -> Result<String, StepError> {
            Ok(input.word)
        }

        async fn undo(&self, input: Input) -> Result<Undone, StepError> {
            Ok(Undone::of(vec![input.word]))
        }
    }

    #[tokio::test]
    async fn the_payload_has_the_direction() {
        assert_eq!(invoke(&Echo, &Unplanned, json!({ "word": "a" })).await, Ok(json!("a")));
        // The same payload for both directions: the state machine passes everything that the step had.
        let undone = invoke(&Echo, &Unplanned, json!({ "word": "a", "direction": "undo" })).await;
        assert_eq!(undone, Ok(json!({ "changed": true, "what": ["a"] })));
    }

    #[tokio::test]
    async fn a_payload_that_the_step_cannot_read_is_a_bug_of_the_state_machine() {
        // A payload that is wrong once is wrong in every retry, so only a person can help.
        for payload in [json!({}), json!({ "word": "a", "direction": "sideways" })] {
            assert_eq!(invoke(&Echo, &Unplanned, payload).await.unwrap_err().name, ErrorName::Bug);
        }
    }

    #[tokio::test]
    async fn a_function_that_is_woken_runs_nothing() {
        assert_eq!(invoke(&Hangs, &Unplanned, json!({ "wake": true })).await, Ok(Value::Null));
        // A payload of a step is never taken for it.
        assert_eq!(invoke(&Echo, &Unplanned, json!({ "word": "wake", "wake": "true" })).await, Ok(json!("wake")));
    }

    #[tokio::test]
    async fn neither_direction_runs_with_a_plan_that_nobody_verified() {
        let nobody = Signed { verifier: Nobody, in_dry_runs: true };
        for direction in ["do", "undo"] {
            let recovery = json!({ "id": "r-1" });
            let plan = json!({ "recoveryId": "r-1", "signature": "bm8=" });
            let payload = json!({ "word": "a", "direction": direction, "recovery": recovery, "plan": plan });
            for error in [
                invoke(&Echo, &nobody, payload.clone()).await.unwrap_err(),
                invoke(&Echo, &Unplanned, payload).await.unwrap_err(),
            ] {
                assert_eq!(error.name, ErrorName::Bug, "{direction}: {error}");
            }
        }
    }

    /// Verifies no plan.
    struct Nobody;

    impl VerifyPlans for Nobody {
        async fn verify_plan(&self, _: &rewind_core::JsonDigest, _: &str) -> Result<bool, StepError> {
            Ok(false)
        }
    }

    /// Never ends.
    struct Hangs;

    impl Step for Hangs {
        type Input = Value;
        type Output = ();

        async fn run(&self, _: Value) -> Result<(), StepError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_step_that_hangs_is_stopped_and_its_outcome_is_reported_as_unknown() {
        let error = serve(&Hangs, &Unplanned, json!({}), Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.name, ErrorName::OutcomeUnknown);
        assert!(error.to_string().contains("may or may not be done"), "{error}");
    }

    #[test]
    fn the_work_ends_before_lambda_ends_it() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert_eq!(time_until(1_030_500, now), Duration::from_millis(30_500) - timeouts::STOPPED_BEFORE);
        assert_eq!(time_until(1_000_001, now), Duration::ZERO);
        assert_eq!(time_until(0, now), Duration::ZERO);
    }

    #[test]
    fn step_functions_sees_the_name_and_never_the_detail() {
        let error = StepError::new(ErrorName::RecordChanged, "it changed").detail("a password");
        let seen = Diagnostic::from(Failure(error));
        assert_eq!((seen.error_type.as_str(), seen.error_message.as_str()), ("RecordChanged", "it changed"));
    }
}
