//! Keeps a step to what people have approved, where its plan says that they have to.

use crate::step::{Step, Undone};
use rewind_core::{Approval, ErrorName, Plan, StepError, VerifyApprovals, approval_digest};

/// An input of a step that people decide on.
pub trait ToApprove {
    /// The plan to approve, and the signature of its approval; none where the input asks for nothing that people decide on.
    fn to_approve(&self) -> Option<(&Plan, Option<&str>)>;

    /// The same of the undo. None by default: most undos lead back to what was, which has to work whatever else is lost.
    fn undo_to_approve(&self) -> Option<(&Plan, Option<&str>)> {
        None
    }
}

/// A step that runs only what people have approved, and undoes alone what they had approved where its input says so.
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
        self.refuse_unapproved(input.to_approve()).await?;
        self.step.run(input).await
    }

    async fn undo(&self, input: S::Input) -> Result<Undone, StepError> {
        self.refuse_unapproved(input.undo_to_approve()).await?;
        self.step.undo(input).await
    }
}

impl<S, A: VerifyApprovals> Approved<S, A> {
    async fn refuse_unapproved(&self, asked: Option<(&Plan, Option<&str>)>) -> Result<(), StepError> {
        let Some((plan, signature)) = asked.filter(|(plan, _)| plan.approval != Approval::None) else { return Ok(()) };
        let Some(signature) = signature else { return Err(refused("no approval of it")) };
        match self.approvals.verify_approval(&approval_digest(plan), signature).await? {
            true => Ok(()),
            false => Err(refused("an approval that confirm-approval did not give it")),
        }
    }
}

// A bug, so that it pages: the state machine asks people first, and nobody else calls a step.
fn refused(what: &str) -> StepError {
    StepError::new(ErrorName::Bug, format!("the payload has a plan that people have to approve, and {what}"))
        .changed("this step changed nothing")
        .advice("find in CloudTrail who called the function")
}
