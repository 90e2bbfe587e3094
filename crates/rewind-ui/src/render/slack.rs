//! Slack's mrkdwn, in sections that Slack takes. <https://docs.slack.dev/messaging/formatting-message-text>

use crate::document::{Document, Line};

/// The most characters of a section. Slack takes 3,000; a code fence around it needs a few.
const SECTION_MAX: usize = 2_900;
/// The most sections. Slack takes 50 blocks in a message; buttons and a note about what is left out need some.
const SECTIONS_MAX: usize = 45;

/// Renders a document as the texts of sections, as few as it fits in.
pub fn sections(document: &Document) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in document.lines() {
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
        Line::Plain(text) | Line::Below(text) => escape(text),
    }
}

/// Escapes the three characters that Slack reads as its own, and takes names of emoji and marks of style apart.
// Unescaped, a comment or a check's name that somebody chose could call `<!channel>`, hide a link behind another text, show the
// mark of a check that passed, look like a heading, or leave the letters of one width that a list is shown in.
pub fn escape(text: &str) -> String {
    without_styles(&without_emoji(text)).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Puts a character without width behind each mark that could begin bold, italic or struck, and between two that could end a block of
/// code. Within a word, and before a blank, a mark begins nothing: names such as `public.order_items` and `count(*)` stay as people copy
/// them.
fn without_styles(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        written.push(character);
        let is_apart = match (character, rest.peek()) {
            ('`', Some('`')) => true,
            ('*' | '_' | '~', Some(next)) => {
                !before.is_alphanumeric() && !next.is_whitespace() && !matches!(next, ')' | ',' | ';')
            }
            _ => false,
        };
        written.extend(is_apart.then_some('\u{2060}'));
        before = character;
    }
    written
}

/// Puts a character without width behind the first colon of `:name:`. An ARN stays as it is: people copy it.
fn without_emoji(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(|word| if is_arn(word) { word.to_owned() } else { apart(word) })
        .collect::<Vec<_>>()
        .concat()
}

fn apart(word: &str) -> String {
    let mut parts = word.split(':').peekable();
    let mut written = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        written.push(':');
        if is_emoji(part) && parts.peek().is_some() {
            written.push('\u{2060}');
        }
        written.push_str(part);
    }
    written
}

/// True of a name that could be an emoji's, also one that a workspace has made. Two digits are part of a time.
fn is_emoji(name: &str) -> bool {
    let is_of_time = name.len() == 2 && name.chars().all(|c| c.is_ascii_digit());
    !name.is_empty() && !is_of_time && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '\''))
}

/// True of a word that shows itself to be an ARN before anything else in it could be an emoji.
fn is_arn(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '"', '\'', '`']);
    let parts: Vec<&str> = word.splitn(6, ':').collect();
    let [arn, partition, service, region, account, _] = parts.as_slice() else { return false };
    let is_of =
        |text: &str, more: fn(char) -> bool| text.chars().all(|c| c.is_ascii_lowercase() || c == '-' || more(c));
    *arn == "arn"
        && partition.starts_with("aws")
        && is_of(partition, |_| false)
        && is_of(service, |c| c.is_ascii_digit())
        && is_of(region, |c| c.is_ascii_digit())
        && account.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_style_are_taken_apart_and_names_stay() {
        assert_eq!(escape("*all checks passed*"), "*\u{2060}all checks passed*");
        assert_eq!(escape("```"), "`\u{2060}`\u{2060}`");
        assert_eq!(escape("(_x_) ~y~"), "(_\u{2060}x_) ~\u{2060}y~");
        for same in ["public.order_items", "count(*) from t", "a * b", "_", "2*3", "give `checkTimeout`"] {
            assert_eq!(escape(same), same);
        }
    }

    #[test]
    fn names_of_emoji_are_taken_apart_and_everything_else_stays() {
        assert_eq!(escape(":white_check_mark: done"), ":\u{2060}white_check_mark: done");
        assert_eq!(escape("x:+1::smile:"), "x:\u{2060}+1::\u{2060}smile:");
        for name in ["100", "white_check_mark", "-1", "完了", "flag-de"] {
            let apart = format!(":\u{2060}{name}:");
            assert_eq!(escape(&format!(":{name}:")), apart);
            assert_eq!(
                escape(&format!("a\u{a0}:{name}: arn:aws:rds:")),
                format!("a\u{a0}{apart} arn:\u{2060}aws:\u{2060}rds:")
            );
        }
        assert_eq!(escape(":tada:arn:aws:rds:eu-west-1:0:db:x").find(":tada:"), None);
        for same in [
            "10:30:00",
            "arn:aws:rds:eu-west-1:0:cluster:x",
            "(arn:aws:states:eu-west-1:000000000000:execution:machine:id)",
            "arn:aws:route53:::hostedzone/Z1",
            "db.example.com:5432",
            "aurora-rewind:keep-until",
            ":",
        ] {
            assert_eq!(escape(same), same);
        }
    }
}
