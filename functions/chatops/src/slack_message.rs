//! A message as Slack takes it: a document in blocks, and buttons below it.

use crate::task::Task;
use rewind_ui::Document;
use rewind_ui::render::slack;
use serde_json::{Value, json};

/// The most bytes of a button's value. Slack takes 2,000 characters.
const VALUE_MAX: usize = 1_900;
/// The most characters of the question that a button asks. <https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object>
const QUESTION_MAX: usize = 300;

/// A message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SlackMessage {
    document: Document,
    public: bool,
    /// True to show it in letters of one width.
    verbatim: bool,
    buttons: Vec<Button>,
}

/// A button.
#[derive(Debug, Clone, PartialEq)]
struct Button {
    label: &'static str,
    style: &'static str,
    question: String,
    value: String,
}

impl SlackMessage {
    /// Makes a message that only the user who asked sees.
    pub(crate) fn private(document: Document) -> Self {
        Self { document, ..Self::default() }
    }

    /// Makes a message that everybody in the channel sees: something was done.
    pub(crate) fn public(document: Document) -> Self {
        Self { document, public: true, ..Self::default() }
    }

    /// Makes a sentence that only the user who asked sees.
    pub(crate) fn sentence(text: impl Into<String>) -> Self {
        let mut document = Document::new();
        document.plain(text);
        Self::private(document)
    }

    /// Makes a message of text in columns that only the user who asked sees.
    pub(crate) fn verbatim(text: &str) -> Self {
        Self { verbatim: true, ..Self::private(Document::of_lines(text)) }
    }

    /// Adds a button that asks a question before its task runs. One whose task is too long for Slack is left out.
    pub(crate) fn button(
        mut self,
        label: &'static str,
        dangerous: bool,
        question: impl Into<String>,
        task: &Task,
    ) -> Self {
        let style = if dangerous { "danger" } else { "primary" };
        // Slack refuses the whole message for one value that is too long, so the button is dropped and the text
        // stays.
        let value = serde_json::to_string(task).ok().filter(|value| value.len() <= VALUE_MAX);
        self.buttons.extend(value.map(|value| Button { label, style, question: question.into(), value }));
        self
    }

    /// Renders the message as Slack takes it.
    pub(crate) fn to_json(&self) -> Value {
        let mut blocks: Vec<Value> = slack::sections(&self.document)
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
            // The message with the buttons stays, so that people can read later what was decided on.
            "replace_original": false,
            "text": notification(&self.document),
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
                "title": plain("Are you sure?"), "text": plain(&self.question.chars().take(QUESTION_MAX).collect::<String>()),
                "confirm": plain(self.label), "deny": plain("Cancel"),
            },
        })
    }
}

/// Makes the text that a notification shows, of the first line.
fn notification(document: &Document) -> String {
    let first = document.lines().first().map(slack::mrkdwn).unwrap_or_default();
    first.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rewind_client::Undoing;

    #[test]
    fn nothing_that_is_shown_can_call_a_channel_or_hide_a_link() {
        let json = SlackMessage::sentence("<!channel> <https://evil.example|click> & more").to_json().to_string();
        assert!(!json.contains("<!channel>") && json.contains("&lt;!channel&gt;"), "{json}");
    }

    #[test]
    fn what_was_done_is_shown_to_the_channel_and_the_rest_to_one_user() {
        assert_eq!(SlackMessage::public(Document::new()).to_json()["response_type"], "in_channel");
        assert_eq!(SlackMessage::sentence("no").to_json()["response_type"], "ephemeral");
    }

    #[test]
    fn a_button_carries_its_task_and_asks_before_it_runs() {
        let task = Task::Undo { id: "r-1".into(), confirm: "orders".into(), undoing: Undoing::Undo };
        let message = SlackMessage::sentence("x").button("Do it", true, "really?", &task).to_json();
        let button = &message["blocks"][1]["elements"][0];
        assert_eq!(serde_json::from_str::<Task>(button["value"].as_str().unwrap()).unwrap(), task);
        assert_eq!(button["confirm"]["text"]["text"], "really?");
        let long = Task::Start { id: "r".into(), request: Value::from("x".repeat(2_000)) };
        assert_eq!(
            SlackMessage::sentence("x").button("Do it", false, "", &long).to_json()["blocks"].as_array().unwrap().len(),
            1
        );
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_slack_takes(
            lines in prop::collection::vec(("\\PC{0,30}", 0_usize..200), 0..80), verbatim in any::<bool>()
        ) {
            let mut document = Document::new();
            lines.into_iter().for_each(|(words, times)| document.item(words.repeat(times)));
            let message = SlackMessage { verbatim, ..SlackMessage::private(document) }.to_json();
            let blocks = message["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50);
            for block in blocks {
                prop_assert!(block["text"]["text"].as_str().unwrap().chars().count() <= 3_000);
            }
        }
    }
}
