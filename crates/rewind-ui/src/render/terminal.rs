//! Text for a terminal: the plain text, with bold, dim and coloured parts where the terminal shows them.

use super::plain::{FIELD_WIDTH, plain};
use crate::document::{Document, Line};

// Select Graphic Rendition codes of ECMA-48. The names of the four that are used are worth no dependency.
const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Renders a document for a terminal, each line ended by a newline. Without `styles` it is the plain text.
pub fn terminal(document: &Document, styles: bool) -> String {
    if !styles {
        return plain(document);
    }
    document.lines().iter().map(|line| styled_line(line) + "\n").collect()
}

fn styled_line(line: &Line) -> String {
    match line {
        Line::Heading(text) => style(BOLD, text),
        Line::Step(number, text) => format!("  {} {text}", style(DIM, &format!("{number}."))),
        Line::Item(text) => format!("  - {text}"),
        Line::Field(name, value) => format!("  {} {value}", style(DIM, &format!("{name:<FIELD_WIDTH$}"))),
        Line::Warning(text) => format!("  {}", style(YELLOW, &format!("! {text}"))),
        Line::Good(text) => format!("  {}", style(GREEN, &format!("+ {text}"))),
        Line::Plain(text) => text.clone(),
    }
}

fn style(code: &str, text: &str) -> String {
    // Each part is reset at its own end: a line that is cut off must not colour the rest of the screen.
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
