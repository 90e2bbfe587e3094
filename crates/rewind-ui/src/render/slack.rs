//! Slack's mrkdwn, in sections that Slack takes. <https://docs.slack.dev/messaging/formatting-message-text>

use crate::document::{Document, Line};

/// The most characters of a section. Slack takes 3,000; a code fence around it needs a few.
const SECTION_MAX: usize = 2_900;
/// The most sections. Slack takes 50 blocks in a message; buttons and a note about what is left out need some.
const SECTIONS_MAX: usize = 45;

/// Renders a document as the texts of sections, as few as it fits in.
pub fn sections(document: &Document) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in &document.0 {
        // Cut after escaping: an escaped character is longer than the one that it stands for.
        let line: String = mrkdwn(line).chars().take(SECTION_MAX).collect();
        match sections.last_mut() {
            Some(section) if section.chars().count() + line.chars().count() < SECTION_MAX => {
                section.push('\n');
                section.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    // For one block too many Slack refuses the whole message.
    if sections.len() > SECTIONS_MAX {
        sections.truncate(SECTIONS_MAX);
        sections.push("… and more: the command line shows all of it".to_owned());
    }
    sections
}

/// Renders one line as mrkdwn.
pub fn mrkdwn(line: &Line) -> String {
    match line {
        Line::Heading(text) => format!("*{}*", escape(text)),
        Line::Step(number, text) => format!("{number}. {}", escape(text)),
        Line::Item(text) => format!("• {}", escape(text)),
        Line::Field(name, value) => format!("{name}: {}", escape(value)),
        Line::Warning(text) => format!(":warning: {}", escape(text)),
        Line::Good(text) => format!(":white_check_mark: {}", escape(text)),
        Line::Plain(text) => escape(text),
    }
}

/// Escapes the three characters that Slack reads as its own.
// Unescaped, a comment or a check's name that somebody chose could call `<!channel>` or hide a link behind another text.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
