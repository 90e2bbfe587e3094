//! Renders documents: plain text for mail and pipes, styled text for a terminal, mrkdwn for Slack. A renderer adds markup
//! and leaves no fact out.

mod plain;
pub mod slack;
mod terminal;

pub use plain::plain;
pub use terminal::terminal;

/// The column in which the values of fields begin, as wide as the longest name.
// Slack shows no columns: its font is proportional, so it gets "name: value".
const FIELD_WIDTH: usize = 16;

#[cfg(test)]
mod tests;
