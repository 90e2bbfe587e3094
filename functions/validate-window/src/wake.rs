//! Wakes the functions in the VPC while the plan is made: this function is outside, where Lambda's API can be reached.

use rewind_aws::wake::WakeFunctions;
use rewind_core::{Finding, FindingCode, Plan, StepError};
use rewind_lambda::Step;

/// The step, with the functions that are woken beside it.
#[derive(Debug)]
pub struct Waking<S, W> {
    /// The step that makes the plan.
    pub step: S,
    /// The client that wakes functions.
    pub waker: W,
    /// Their names.
    pub functions: Vec<String>,
}

/// Reads the names of the functions to wake from `REWIND_WAKE_FUNCTIONS`, separated by commas.
pub fn functions_from_env() -> Vec<String> {
    let names = std::env::var("REWIND_WAKE_FUNCTIONS").unwrap_or_default();
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}

impl<S: Step<Output = Plan>, W: WakeFunctions> Step for Waking<S, W> {
    type Input = S::Input;
    type Output = Plan;

    async fn run(&self, input: S::Input) -> Result<Plan, StepError> {
        let (plan, asleep) = tokio::join!(Box::pin(self.step.run(input)), Box::pin(self.wake()));
        let mut plan = plan?;
        plan.findings.extend(asleep);
        Ok(plan)
    }
}

impl<S: Send + Sync, W: WakeFunctions> Waking<S, W> {
    /// Wakes all functions, and describes those that could not be.
    async fn wake(&self) -> Option<Finding> {
        let mut failed = Vec::new();
        for function in &self.functions {
            if let Err(error) = self.waker.wake(function).await {
                failed.push(error.to_string());
            }
        }
        (!failed.is_empty()).then(|| {
            // Not blocking: the state machine waits ten minutes for a function that is not ready.
            Finding::warning(
                FindingCode::FunctionsAsleep,
                format!("functions could not be woken: {}", failed.join("; ")),
                "see that each can start: aws lambda get-function-configuration shows its state",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::AwsResult;
    use rewind_aws::fixtures::plan;
    use rewind_core::ErrorName;
    use std::sync::Mutex;

    struct Planner;

    impl Step for Planner {
        type Input = ();
        type Output = Plan;

        async fn run(&self, (): ()) -> Result<Plan, StepError> {
            Ok(plan())
        }
    }

    #[derive(Default)]
    struct Calls(Mutex<Vec<String>>);

    impl WakeFunctions for Calls {
        async fn wake(&self, function: &str) -> AwsResult<()> {
            self.0.lock().unwrap().push(function.to_owned());
            if function == "broken" { Err(StepError::new(ErrorName::Unavailable, "it is broken")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn every_function_is_woken_and_one_that_is_not_stops_nothing() {
        let functions = ["verify", "broken", "fence"].map(ToOwned::to_owned).to_vec();
        let waking = Waking { step: Planner, waker: Calls::default(), functions };
        let made = waking.run(()).await.unwrap();
        assert_eq!(*waking.waker.0.lock().unwrap(), ["verify", "broken", "fence"]);
        let [finding] = made.findings.as_slice() else { panic!("{made:?}") };
        assert!(!finding.is_blocking() && finding.what.ends_with("woken: it is broken"), "{finding}");
    }
}
