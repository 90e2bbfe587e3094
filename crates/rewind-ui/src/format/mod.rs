//! Formats what people are told: plan, report, proposal, outcome, status and notices, each as one document for terminal,
//! chat, mail and demo. It works nothing out and calls nothing.

mod approval;
mod clusters;
mod comparison;
mod estimates;
mod not_carried_over;
mod notice;
mod opening;
mod outcome;
mod plan;
mod proposal;
mod recovery;
mod report;
mod short;
mod standing;
mod undo;
mod window;

pub use approval::{approval_mail, approval_request};
pub use clusters::{clusters, removal, removal_begun};
pub use comparison::comparison;
pub use notice::{decided, detached, ending, failed, moment, started};
pub use opening::{closed, closing, opened, opening, to_open};
pub use outcome::outcome;
pub use plan::{plan, start_of};
pub use proposal::{decision_basis, proposal, rejection};
pub use recovery::{recoveries, recovery, recovery_in_short};
pub use report::{Values, report};
pub use standing::{Place, standing, standing_after, standing_before, standing_in_chat};
pub use undo::undo;
pub use window::window;
