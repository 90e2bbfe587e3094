//! Renders documents: plain text for mail and pipes, styled text for a terminal, mrkdwn for Slack. A renderer adds markup
//! and leaves no fact out.

mod plain;
pub mod slack;
mod terminal;

pub use plain::plain;
pub use terminal::{broken, terminal};

#[cfg(test)]
mod screens;
#[cfg(test)]
mod tests;
