//! Slack's slash command and buttons, behind a function URL: verified before anything is read, answered within Slack's
//! three seconds, and done at the same client as the command line. It decides nothing by itself, and tells strangers nothing.

mod door;
mod people;
mod post;
mod reply;
mod secret;
mod signature;
mod slack;
mod task;
mod work;
mod world;

pub use people::{People, Person};
pub use post::{Post, Web};
pub use secret::Secret;
pub use world::{Chat, Real, Settings, World};

/// The IAM actions that the function calls, at the client and beside it.
pub const ACTIONS: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Scan",
    "lambda:InvokeFunction",
    "secretsmanager:GetSecretValue",
    "states:DescribeExecution",
    "states:GetExecutionHistory",
    "states:SendTaskSuccess",
    "states:StartExecution",
];

#[cfg(test)]
mod tests;
