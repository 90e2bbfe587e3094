//! The signature of an approval: what of it is signed, and the ports of whoever signs and verifies. It knows no key.

use crate::error::StepError;
use crate::people::Identity;
use crate::plan::Plan;
use crate::signature::{JsonDigest, json_digest};
use serde_json::json;

/// Signs approvals.
pub trait SignApprovals: Send + Sync {
    /// Returns the signature of an approval with this digest.
    fn sign_approval(&self, digest: &JsonDigest) -> impl Future<Output = Result<String, StepError>> + Send;
}

/// Verifies signatures of approvals.
pub trait VerifyApprovals: Send + Sync {
    /// True if the signature is that of an approval with this digest.
    fn verify_approval(
        &self,
        digest: &JsonDigest,
        signature: &str,
    ) -> impl Future<Output = Result<bool, StepError>> + Send;
}

/// Computes the digest of the approval of a signed plan, whose signature stands for all of it.
pub fn approval_digest(plan: &Plan) -> JsonDigest {
    json_digest("aurora-rewind approval 1", &json!([plan.recovery_id, plan.signature]))
}

/// Computes the digest of whoever has approved the proposal `hash` of a recovery, where more people have to.
pub fn approvers_digest(recovery_id: &str, hash: &str, approvers: &[Identity]) -> JsonDigest {
    json_digest("aurora-rewind approvers 1", &json!([recovery_id, hash, approvers]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvers_of_one_proposal_are_none_of_another() {
        let ann = Identity::Aws { arn: "arn:ann".to_owned() };
        let ann = std::slice::from_ref(&ann);
        let digest = approvers_digest("r-1", "3fa9c1d20b7e", ann);
        for other in [
            approvers_digest("r-2", "3fa9c1d20b7e", ann),
            approvers_digest("r-1", "0fa9c1d20b7e", ann),
            approvers_digest("r-1", "3fa9c1d20b7e", &[Identity::Unknown]),
            approvers_digest("r-1", "3fa9c1d20b7e", &[]),
        ] {
            assert_ne!(digest, other);
        }
    }
}
