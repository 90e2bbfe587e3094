//! Plain text: for mail, for pipes, and for wherever nothing better can be shown.

use crate::document::{Document, Line};
use std::fmt;

/// The width of the names of fields: that of the longest one.
// Slack shows no columns: its font is proportional, so it gets "name: value".
pub(super) const FIELD_WIDTH: usize = 16;

impl fmt::Display for Document {
    /// Renders the document as plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(self))
    }
}

/// Renders a document as plain text, each line ended by a newline.
pub fn plain(document: &Document) -> String {
    document.lines().iter().map(|line| plain_line(line) + "\n").collect()
}

fn plain_line(line: &Line) -> String {
    match line {
        Line::Heading(text) | Line::Plain(text) => text.clone(),
        Line::Step(number, text) => format!("  {number}. {text}"),
        Line::Item(text) => format!("  - {text}"),
        Line::Field(name, value) => format!("  {name:<FIELD_WIDTH$} {value}"),
        Line::Warning(text) => format!("  ! {text}"),
        Line::Good(text) => format!("  + {text}"),
    }
}
