//! Plain text: for mail, for pipes, and for wherever nothing better can be shown.

use super::FIELD_WIDTH;
use crate::document::{Document, Line};

/// Renders a document as plain text, each line ended by a newline.
pub fn plain(document: &Document) -> String {
    document.0.iter().map(|line| plain_line(line) + "\n").collect()
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
