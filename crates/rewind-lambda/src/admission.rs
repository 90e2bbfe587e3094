//! Decides if an invocation may reach its step: a plan in the payload must be one that validate-window signed for that recovery.

use rewind_core::{ErrorName, StepError, VerifyPlans, plan_digest};
use serde_json::Value;

/// Admits payloads to a step.
pub(crate) trait Admission: Send + Sync {
    /// Fails for a payload that the step must not see.
    fn admit(&self, payload: &Value) -> impl Future<Output = Result<(), StepError>> + Send;
}

/// Admits payloads with a signed plan, and no others.
#[derive(Debug)]
pub(crate) struct Signed<V> {
    /// The verifier of plans.
    pub(crate) verifier: V,
    /// True for a step that dry runs have as well, which changes nothing.
    pub(crate) in_dry_runs: bool,
}

impl<V: VerifyPlans> Admission for Signed<V> {
    async fn admit(&self, payload: &Value) -> Result<(), StepError> {
        let plan = payload.get("plan").ok_or_else(|| refused("has no plan".to_owned()))?;
        let text = |at: &str| payload.pointer(at).and_then(Value::as_str);
        let (recovery, planned) = (text("/recovery/id"), text("/plan/recoveryId"));
        if recovery.is_none() || recovery != planned {
            // A plan is signed once, and would otherwise serve for what another recovery created.
            let (recovery, planned) = (recovery.unwrap_or("no recovery"), planned.unwrap_or("no recovery"));
            return Err(refused(format!("is for {recovery}, and has the plan of {planned}")));
        }
        let Some(signature) = text("/plan/signature") else {
            return Err(refused(
                "has a plan without a signature, as the versions before signatures made it".to_owned(),
            ));
        };
        if !self.verifier.verify_plan(&plan_digest(plan), signature).await? {
            return Err(refused("has a plan that is not as validate-window made it".to_owned()));
        }
        // A dry run takes no lease, and nobody hears of it: its plan is signed, and is for people to read.
        if !self.in_dry_runs && plan.get("dryRun") != Some(&Value::Bool(false)) {
            return Err(refused("has the plan of a dry run, which nothing is to follow".to_owned()));
        }
        Ok(())
    }
}

/// Admits payloads without a plan, and no others: nobody would have verified it.
#[derive(Debug)]
pub(crate) struct Unplanned;

impl Admission for Unplanned {
    async fn admit(&self, payload: &Value) -> Result<(), StepError> {
        match payload.get("plan") {
            None => Ok(()),
            Some(_) => Err(refused("has a plan, which this function does not verify".to_owned())),
        }
    }
}

// A bug, so that it pages: the state machine passes what validate-window answered, and nobody else calls a step.
fn refused(why: String) -> StepError {
    StepError::new(ErrorName::Bug, format!("the payload {why}")).changed("this step changed nothing").advice(
        "find in CloudTrail who called the function; if an earlier version made the plan, let that one finish it \
             (docs/install.md#upgrading)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::JsonDigest;
    use serde_json::json;

    /// A key whose signature is the digest's first number.
    struct Key;

    impl VerifyPlans for Key {
        async fn verify_plan(&self, digest: &JsonDigest, signature: &str) -> Result<bool, StepError> {
            Ok(signature == digest[0].to_string())
        }
    }

    const SIGNED: Signed<Key> = Signed { verifier: Key, in_dry_runs: false };

    fn payload() -> Value {
        planned(json!({ "recoveryId": "r-1", "cluster": "orders", "findings": [], "dryRun": false }))
    }

    fn planned(mut plan: Value) -> Value {
        plan["signature"] = json!(plan_digest(&plan)[0].to_string());
        json!({ "recovery": { "id": "r-1" }, "plan": plan, "direction": "undo" })
    }

    #[tokio::test]
    async fn the_plan_of_a_dry_run_is_followed_by_no_step_that_changes_anything() {
        for dry_run in [json!(true), json!(null), json!("false")] {
            let payload = planned(json!({ "recoveryId": "r-1", "dryRun": dry_run }));
            let error = SIGNED.admit(&payload).await.unwrap_err();
            assert!(error.name == ErrorName::Bug && error.to_string().contains("of a dry run"), "{dry_run}: {error}");
            assert_eq!(Signed { verifier: Key, in_dry_runs: true }.admit(&payload).await, Ok(()), "{dry_run}");
        }
        // Saying that it is none changes what was signed.
        let mut edited = planned(json!({ "recoveryId": "r-1", "dryRun": true }));
        edited["plan"]["dryRun"] = json!(false);
        let error = SIGNED.admit(&edited).await.unwrap_err().to_string();
        assert!(error.contains("not as validate-window made it"), "{error}");
    }

    #[tokio::test]
    async fn only_the_plan_that_was_signed_for_the_recovery_is_admitted() {
        assert_eq!(SIGNED.admit(&payload()).await, Ok(()));
        for (at, value, why) in [
            ("/plan/cluster", json!("billing"), "not as validate-window made it"),
            ("/plan/signature", json!("no"), "not as validate-window made it"),
            ("/plan/signature", json!(null), "without a signature"),
            ("/plan/signature", json!(7), "without a signature"),
            ("/recovery/id", json!("r-2"), "is for r-2, and has the plan of r-1"),
            ("/recovery", json!(null), "is for no recovery"),
            ("/plan", json!(null), "has the plan of no recovery"),
        ] {
            let mut other = payload();
            *other.pointer_mut(at).unwrap() = value;
            let error = SIGNED.admit(&other).await.unwrap_err();
            assert!(error.name == ErrorName::Bug && error.to_string().contains(why), "{at}: {error}");
        }
        // Neither has an id, so both would be the same.
        let error = SIGNED.admit(&json!({ "plan": {} })).await.unwrap_err();
        assert!(error.to_string().contains("for no recovery"), "{error}");
        assert!(SIGNED.admit(&json!({ "recovery": { "id": "r-1" } })).await.is_err());
    }

    #[tokio::test]
    async fn a_step_that_verifies_no_plan_gets_none() {
        assert_eq!(Unplanned.admit(&json!({ "cluster": "orders" })).await, Ok(()));
        assert!(Unplanned.admit(&payload()).await.is_err());
        assert!(Unplanned.admit(&json!({ "plan": null })).await.is_err());
    }
}
