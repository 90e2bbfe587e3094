//! What is said, as Slack shows it: blocks of text, and buttons.

use crate::task::Task;
use rewind_ui::{Line, Text};
use serde_json::{Value, json};

/// The most characters of a section.
const SECTION_MAX: usize = 2_900;
/// The most sections: Slack takes 50 blocks.
const SECTIONS_MAX: usize = 45;
/// The most characters that a button carries.
const VALUE_MAX: usize = 1_900;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reply {
    text: Text,
    public: bool,
    /// Shown as it is, in letters of one width.
    verbatim: bool,
    buttons: Vec<Button>,
}

/// A button.
#[derive(Debug, Clone, PartialEq)]
struct Button {
    label: &'static str,
    style: &'static str,
    asks: String,
    value: String,
}

impl Reply {
    /// For the one who asked alone.
    pub(crate) fn private(text: Text) -> Self {
        Self { text, ..Self::default() }
    }

    /// For all in the channel: something was done.
    pub(crate) fn public(text: Text) -> Self {
        Self { text, public: true, ..Self::default() }
    }

    /// A sentence for the one who asked.
    pub(crate) fn sentence(text: impl Into<String>) -> Self {
        Self::private(Text(vec![Line::Plain(text.into())]))
    }

    /// Text whose columns mean something, for the one who asked.
    pub(crate) fn verbatim(text: &str) -> Self {
        let lines = text.lines().map(|line| Line::Plain(line.to_owned())).collect();
        Self { verbatim: true, ..Self::private(Text(lines)) }
    }

    /// With a button that asks once more before it does its task. One that would be too long for Slack is left out.
    pub(crate) fn button(mut self, label: &'static str, dangerous: bool, asks: impl Into<String>, task: &Task) -> Self {
        let style = if dangerous { "danger" } else { "primary" };
        let value = serde_json::to_string(task).ok().filter(|value| value.len() <= VALUE_MAX);
        self.buttons.extend(value.map(|value| Button { label, style, asks: asks.into(), value }));
        self
    }

    /// As Slack takes it.
    pub(crate) fn to_json(&self) -> Value {
        let mut blocks: Vec<Value> = sections(&self.text)
            .into_iter()
            .map(|text| if self.verbatim { format!("```{text}```") } else { text })
            .map(|text| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }))
            .collect();
        if !self.buttons.is_empty() {
            let buttons: Vec<Value> = self.buttons.iter().enumerate().map(|(n, button)| button.to_json(n)).collect();
            blocks.push(json!({ "type": "actions", "elements": buttons }));
        }
        json!({
            "response_type": if self.public { "in_channel" } else { "ephemeral" },
            "replace_original": false,
            "text": fallback(&self.text),
            "blocks": blocks,
        })
    }
}

impl Button {
    fn to_json(&self, n: usize) -> Value {
        let plain = |text: &str| json!({ "type": "plain_text", "text": text });
        json!({
            "type": "button", "action_id": format!("rewind-{n}"), "text": plain(self.label), "style": self.style,
            "value": self.value,
            "confirm": {
                "title": plain("Are you sure?"), "text": plain(&self.asks.chars().take(300).collect::<String>()),
                "confirm": plain(self.label), "deny": plain("Cancel"),
            },
        })
    }
}

/// What a notification shows.
fn fallback(text: &Text) -> String {
    let first = text.0.first().map(mrkdwn).unwrap_or_default();
    first.chars().take(200).collect()
}

/// The lines, put together into as few sections as they fit in.
fn sections(text: &Text) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in &text.0 {
        let line: String = mrkdwn(line).chars().take(SECTION_MAX).collect();
        match sections.last_mut() {
            Some(section) if section.chars().count() + line.chars().count() < SECTION_MAX => {
                section.push('\n');
                section.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    if sections.len() > SECTIONS_MAX {
        sections.truncate(SECTIONS_MAX);
        sections.push("… and more: the command line shows all of it".to_owned());
    }
    sections
}

fn mrkdwn(line: &Line) -> String {
    match line {
        Line::Heading(text) => format!("*{}*", escape(text)),
        Line::Item(text) => format!("• {}", escape(text)),
        Line::Field(name, value) => format!("{name}: {}", escape(value)),
        Line::Warning(text) => format!(":warning: {}", escape(text)),
        Line::Good(text) => format!(":white_check_mark: {}", escape(text)),
        Line::Plain(text) => escape(text),
    }
}

/// The three characters that Slack reads as its own: without this, a cluster's comment could call `<!channel>`.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_is_shown_can_call_a_channel_or_hide_a_link() {
        let said = Reply::sentence("<!channel> <https://evil.example|click> & more").to_json().to_string();
        assert!(!said.contains("<!channel>") && said.contains("&lt;!channel&gt;"), "{said}");
    }

    #[test]
    fn what_is_done_is_shown_to_all_and_the_rest_to_one() {
        assert_eq!(Reply::public(Text::new()).to_json()["response_type"], "in_channel");
        assert_eq!(Reply::sentence("no").to_json()["response_type"], "ephemeral");
    }

    #[test]
    fn a_button_carries_its_task_and_asks_before_it_is_done() {
        let task = Task::Undo { id: "r-1".into(), confirm: "orders".into() };
        let reply = Reply::sentence("x").button("Do it", true, "really?", &task).to_json();
        let button = &reply["blocks"][1]["elements"][0];
        assert_eq!(serde_json::from_str::<Task>(button["value"].as_str().unwrap()).unwrap(), task);
        assert_eq!(button["confirm"]["text"]["text"], "really?");
        let long = Task::Start { id: "r".into(), request: Value::from("x".repeat(2_000)) };
        assert_eq!(
            Reply::sentence("x").button("Do it", false, "", &long).to_json()["blocks"].as_array().unwrap().len(),
            1
        );
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_slack_takes(
            lines in prop::collection::vec(("\\PC{0,30}", 0_usize..200), 0..80), verbatim in any::<bool>()
        ) {
            let text = Text(lines.into_iter().map(|(words, times)| Line::Item(words.repeat(times))).collect());
            let reply = Reply { verbatim, ..Reply::private(text) }.to_json();
            let blocks = reply["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50);
            for block in blocks {
                prop_assert!(block["text"]["text"].as_str().unwrap().chars().count() <= 3_000);
            }
        }
    }
}
