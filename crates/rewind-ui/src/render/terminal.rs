//! Text for a terminal: the plain text, with bold, dim and coloured parts where the terminal shows them, broken between words where
//! it is narrower than a line.

use crate::document::{Document, Line};

// Select Graphic Rendition codes of ECMA-48. The names of the four that are used are worth no dependency.
const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// The width of the names of fields: that of the longest one.
// Slack shows no columns: its font is proportional, so it gets "name: value".
const FIELD_WIDTH: usize = 16;

/// The width from which a broken field goes on below its value. On a narrower terminal that column would be too narrow.
const WIDE: usize = 72;

/// The column in which a field goes on on a narrower one.
const BELOW_NARROW: usize = 4;

/// Renders a document for a terminal of that width, each line ended by a newline. Without `styles` and without a width it is the
/// plain text.
pub fn terminal(document: &Document, styles: bool, width: Option<usize>) -> String {
    document.lines().iter().flat_map(|line| lines(line, styles, width)).map(|line| line + "\n").collect()
}

/// Renders one line of a document: what leads to the text, the text, and where its next line begins if it is broken.
fn lines(line: &Line, styles: bool, width: Option<usize>) -> Vec<String> {
    let below_value = if width.is_some_and(|width| width < WIDE) { BELOW_NARROW } else { FIELD_WIDTH + 3 };
    let field = |name: &str| format!("{name:<FIELD_WIDTH$}");
    let (before, mark, mark_style, after, text, text_style, next) = match line {
        Line::Heading(text) => ("", String::new(), None, "", text, Some(BOLD), 2),
        Line::Plain(text) => ("", String::new(), None, "", text, None, 2),
        Line::Step(number, text) => ("  ", format!("{number}."), Some(DIM), " ", text, None, 5),
        Line::Item(text) => ("  ", "-".to_owned(), None, " ", text, None, 4),
        // A command that is too long for the rest of the line gets one of its own, as wide as there is.
        Line::Field(name, text) if is_command(text) => ("  ", field(name), Some(DIM), " ", text, None, BELOW_NARROW),
        Line::Field(name, text) => ("  ", field(name), Some(DIM), " ", text, None, below_value),
        Line::Below(text) => ("", " ".repeat(below_value), None, "", text, None, below_value),
        // The mark has the colour of the text: it is the same sign of a warning without any colour.
        Line::Warning(text) => ("  ", String::new(), None, "", text, Some(YELLOW), 4),
        Line::Good(text) => ("  ", String::new(), None, "", text, Some(GREEN), 4),
    };
    let text = match line {
        Line::Warning(_) => format!("! {text}"),
        Line::Good(_) => format!("+ {text}"),
        _ => text.clone(),
    };
    let style = |code: Option<&str>, text: &str| match code.filter(|_| styles && !text.is_empty()) {
        Some(code) => styled(code, text),
        None => text.to_owned(),
    };
    let lead = before.chars().count() + mark.chars().count() + after.chars().count();
    let parts = broken(&text, width, lead, next);
    parts
        .iter()
        .enumerate()
        .map(|(number, part)| match number {
            0 if part.is_empty() => format!("{before}{}", style(mark_style, mark.trim_end())),
            0 => format!("{before}{}{after}{}", style(mark_style, &mark), style(text_style, part)),
            _ => format!("{}{}", " ".repeat(next), style(text_style, part)),
        })
        .collect()
}

/// True of a command that people copy, and of nothing else: no sentence begins with a program.
pub(super) fn is_command(text: &str) -> bool {
    ["aws ", "rewind ", "echo ", "psql ", "mysql "].iter().any(|program| text.starts_with(program))
}

/// Breaks a text between words, so that its first line fits behind `lead` columns and each other one behind `next`.
///
/// A command is not broken: it is there to be copied, and a terminal copies what it has broken itself as one line. One that is too long
/// for the line begins on the next one, where that has more room. A word that is longer than a line is left to the terminal too.
pub fn broken(text: &str, width: Option<usize>, lead: usize, next: usize) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    if is_command(text) {
        let is_below = next < lead && lead + text.chars().count() > width;
        return is_below.then(String::new).into_iter().chain([text.to_owned()]).collect();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for word in text.split_inclusive(' ') {
        let room = width.saturating_sub(if parts.is_empty() { lead } else { next });
        // By characters, as a terminal counts them. The blank behind the last word may be beyond the edge.
        let length = part.chars().count() + word.trim_end().chars().count();
        // A first word that is too long for what leads to it may fit below.
        let fits_below = parts.is_empty() && length > room && length <= width.saturating_sub(next);
        if length > room && (!part.trim_end().is_empty() || fits_below) {
            parts.push(std::mem::take(&mut part).trim_end().to_owned());
        }
        part.push_str(word);
    }
    parts.push(part);
    parts
}

fn styled(code: &str, text: &str) -> String {
    // Each part is reset at its own end: a line that is cut off must not colour the rest of the screen.
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
