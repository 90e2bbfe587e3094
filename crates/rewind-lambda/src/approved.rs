//! Keeps a step to what people have approved, where its plan says that they have to.

use crate::step::{Step, Undone};
use rewind_core::{Approval, ErrorName, Plan, StepError, VerifyApprovals, approval_digest};

/// An input of a step that people decide on.
pub trait ToApprove {
    /// The plan to approve, and the signature of its approval; none where the input asks for nothing that people decide on.
    fn to_approve(&self) -> Option<(&Plan, Option<&str>)>;
}

/// A step that runs only what people have approved. Its undo needs nobody's approval.
#[derive(Debug)]
pub struct Approved<S, A> {
    /// The step.
    pub step: S,
    /// The verifier of approvals.
    pub approvals: A,
}

impl<S: Step<Input: ToApprove>, A: VerifyApprovals> Step for Approved<S, A> {
    type Input = S::Input;
    type Output = S::Output;

    async fn run(&self, input: S::Input) -> Result<S::Output, StepError> {
        let asked = input.to_approve().filter(|(plan, _)| plan.approval != Approval::None);
        if let Some((digest, signature)) = asked.map(|(plan, given)| (approval_digest(plan), given.map(str::to_owned)))
        {
            let Some(signature) = signature else { return Err(refused("no approval of it")) };
            if !self.approvals.verify_approval(&digest, &signature).await? {
                return Err(refused("an approval that confirm-approval did not give it"));
            }
        }
        self.step.run(input).await
    }

    async fn undo(&self, input: S::Input) -> Result<Undone, StepError> {
        self.step.undo(input).await
    }
}

// A bug, so that it pages: the state machine asks people first, and nobody else calls a step.
fn refused(what: &str) -> StepError {
    StepError::new(ErrorName::Bug, format!("the payload has a plan that people have to approve, and {what}"))
        .changed("this step changed nothing")
        .advice("find in CloudTrail who called the function")
}
