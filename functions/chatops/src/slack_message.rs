//! A message as Slack takes it: a document in blocks, and buttons below it.

use crate::access::ChatUser;
use crate::button;
use crate::task::Task;
use jiff::Timestamp;
use rewind_ui::Document;
use rewind_ui::render::slack;
use serde_json::{Value, json};

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
    style: &'static str,
    task: Task,
    /// The person who confirms the task with it, and when they were asked; none where it offers the task to everybody.
    confirms: Option<(ChatUser, Timestamp)>,
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

    /// Puts a document below the message, above its buttons.
    pub(crate) fn below(mut self, document: Document) -> Self {
        self.document.extend(document);
        self
    }

    /// Adds the button of a task. Whoever presses it is asked before the task runs.
    pub(crate) fn button(mut self, task: Task) -> Self {
        self.buttons.push(Button { style: style(&task), task, confirms: None });
        self
    }

    /// Adds the button with which `user`, whom this message tells what the task does, has it run.
    pub(crate) fn confirmed_by(mut self, user: &ChatUser, now: Timestamp, task: Task) -> Self {
        self.buttons.push(Button { style: style(&task), task, confirms: Some((user.clone(), now)) });
        self
    }

    /// Renders the message as Slack takes it, with buttons that are known again by the secret. A button whose task is too long for
    /// Slack is left out, and so is each one without a secret.
    pub(crate) fn to_json(&self, signing_secret: Option<&str>) -> Value {
        let mut blocks: Vec<Value> = slack::sections(&self.document)
            .into_iter()
            .map(|text| if self.verbatim { format!("```{text}```") } else { text })
            // Verbatim: otherwise Slack makes links of addresses, channels and names in what others wrote.
            .map(|text| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }))
            .collect();
        // Slack refuses the whole message for one value that is too long, so that button is dropped and the text stays.
        let buttons: Vec<Value> = signing_secret
            .into_iter()
            .flat_map(|secret| self.buttons.iter().enumerate().filter_map(|(n, button)| button.to_json(secret, n)))
            .collect();
        if !buttons.is_empty() {
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
    fn to_json(&self, signing_secret: &str, n: usize) -> Option<Value> {
        // No markup is read in it, and without emoji neither are their names.
        let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
        let label = self.task.label()?;
        let value = match &self.confirms {
            None => button::value(signing_secret, &self.task)?,
            Some((user, now)) => button::confirming_value(signing_secret, &self.task, user, *now)?,
        };
        Some(json!({
            "type": "button", "action_id": format!("rewind-{n}"), "text": plain(label), "style": self.style, "value": value,
        }))
    }
}

fn style(task: &Task) -> &'static str {
    match task {
        Task::Decide { approved: false, .. } | Task::Undo { .. } => "danger",
        _ => "primary",
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
    use rewind_core::printable;

    #[test]
    fn nothing_that_is_shown_can_call_a_channel_or_hide_a_link() {
        let json = SlackMessage::sentence("<!channel> <https://evil.example|click> & more").to_json(None).to_string();
        assert!(!json.contains("<!channel>") && json.contains("&lt;!channel&gt;"), "{json}");
    }

    #[test]
    fn what_was_done_is_shown_to_the_channel_and_the_rest_to_one_user() {
        assert_eq!(SlackMessage::public(Document::new()).to_json(None)["response_type"], "in_channel");
        assert_eq!(SlackMessage::sentence("no").to_json(None)["response_type"], "ephemeral");
    }

    #[test]
    fn a_button_carries_its_task_for_everybody_or_for_whoever_confirms_it() {
        let task = Task::Undo { id: "r-1".into(), confirm: "orders".into(), undoing: Undoing::Undo };
        let message = SlackMessage::sentence("x").button(task.clone());
        let json = message.to_json(Some("secret"));
        let button = &json["blocks"][1]["elements"][0];
        assert_eq!(button["value"].as_str(), button::value("secret", &task).as_deref());
        assert_eq!(button["text"]["text"], "Undo it");
        let user = ChatUser { id: "U1".into(), name: "ann".into(), team: "T1".into(), enterprise: None };
        let confirming = SlackMessage::sentence("x").confirmed_by(&user, Timestamp::UNIX_EPOCH, task.clone());
        assert_eq!(
            confirming.to_json(Some("secret"))["blocks"][1]["elements"][0]["value"].as_str(),
            button::confirming_value("secret", &task, &user, Timestamp::UNIX_EPOCH).as_deref()
        );
        assert_eq!(
            message.to_json(None)["blocks"].as_array().unwrap().len(),
            1,
            "a button that nobody could know again"
        );
        let long = Task::Start { id: "r".into(), request: Value::from("x".repeat(2_000)) };
        let json = SlackMessage::sentence("x").button(long).to_json(Some("secret"));
        assert_eq!(json["blocks"].as_array().unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_of_others_becomes_markup_or_hides(
            texts in prop::collection::vec(any::<String>(), 1..4),
            forged in prop::sample::select(&["<!channel>", "```", "*all passed*", ":tada:", "x\n*y*", "\u{202e}z", "\u{1b}[2J", "<http://x|y>"][..]),
            verbatim in any::<bool>(),
        ) {
            let mut document = Document::new();
            for text in texts.iter().map(String::as_str).chain([forged]) {
                document.warning(text);
                document.field("name", text);
                document.plain(text);
            }
            let task = Task::Start { id: "r-1".into(), request: Value::Null };
            let (lines, first) = (document.lines().len(), notification(&document));
            let json = SlackMessage { verbatim, ..SlackMessage::private(document) }.button(task).to_json(Some("secret"));
            let blocks = json["blocks"].as_array().unwrap();
            let sections = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
            let fence = if verbatim { "```" } else { "" };
            let sections: Vec<&str> = sections.map(|text| text.strip_prefix(fence).unwrap().strip_suffix(fence).unwrap()).collect();
            prop_assert_eq!(sections.iter().map(|text| text.split('\n').count()).sum::<usize>(), lines);
            for text in sections.iter().copied().chain([first.as_str()]) {
                let shown = text.replace(['\u{2060}', '\n'], "");
                prop_assert_eq!(printable(&shown), shown.clone());
            }
            for text in &sections {
                prop_assert!(!text.contains("```") && !text.contains(":tada:") && !text.contains("*all passed*"), "{text}");
                prop_assert!(!text.contains('<') && !text.contains('>'), "{text}");
                let bare = ["&amp;", "&lt;", "&gt;"].iter().fold((*text).to_owned(), |text, entity| text.replace(entity, ""));
                prop_assert!(!bare.contains('&'), "{text}");
            }
        }

        #[test]
        fn no_text_is_more_than_slack_takes(
            lines in prop::collection::vec(("\\PC{0,30}", 0_usize..200), 0..80), verbatim in any::<bool>()
        ) {
            let mut document = Document::new();
            lines.into_iter().for_each(|(words, times)| document.item(words.repeat(times)));
            let message = SlackMessage { verbatim, ..SlackMessage::private(document) }.to_json(None);
            let blocks = message["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50);
            for block in blocks {
                prop_assert!(block["text"]["text"].as_str().unwrap().chars().count() <= 3_000);
            }
        }
    }
}
