//! Slack's slash command and buttons, behind a function URL: verified before anything is parsed, answered within Slack's
//! three seconds, and done by the same client as the command line. It decides nothing by itself, and shows people without
//! access nothing.

mod access;
mod app;
mod button;
mod commands;
mod deferred;
mod events;
mod http;
mod messages;
mod ports;
mod secret;
mod settings;
mod signature;
mod slack_client;
mod slack_message;
mod slack_request;
mod task;

pub use access::{AccessPolicy, ChatUser};
pub use app::ChatApp;
pub use ports::{AwsPorts, Ports};
pub use secret::AppSecret;
pub use settings::Settings;
pub use slack_client::{HttpsClient, SlackClient};

/// The IAM actions that the function calls, by the client and beside it.
pub const ACTIONS: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
    "lambda:InvokeFunction",
    "rds:DescribeDBClusters",
    "route53:ListHostedZones",
    "route53:ListResourceRecordSets",
    "secretsmanager:GetSecretValue",
    "states:DescribeExecution",
    "states:GetExecutionHistory",
    "states:SendTaskSuccess",
    "states:StartExecution",
    "sts:AssumeRole",
];

#[cfg(test)]
mod tests;
