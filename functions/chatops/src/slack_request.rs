//! Parses requests of Slack, once their signature is verified: a slash command, or a button that was pressed.

use crate::access::ChatUser;
use crate::task::Task;
use serde::Deserialize;
use std::collections::HashMap;

/// A request of Slack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SlackRequest {
    /// A user typed a line.
    Line {
        /// The user.
        user: ChatUser,
        /// The text after `/rewind`.
        line: String,
        /// The URL for answers that come later.
        response_url: String,
    },
    /// A user pressed a button of ours.
    Button {
        /// The user.
        user: ChatUser,
        /// The task that it stands for.
        task: Box<Task>,
        /// The URL for answers.
        response_url: String,
    },
    /// Slack checks the certificate of the URL.
    SslCheck,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    actions: Vec<Action>,
    #[serde(default)]
    response_url: String,
    user: User,
    team: Option<Team>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

/// Parses a body; none where it is none of Slack's.
pub(crate) fn parse(body: &[u8]) -> Option<SlackRequest> {
    // A form with broken encoding is refused: with replacement characters in it, a line would mean something else.
    let text = std::str::from_utf8(body).ok()?;
    let mut form: HashMap<String, String> = HashMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        form.insert(name.into_owned(), value.into_owned());
    }
    // It has no user and no command, so it would be refused below, and Slack would report the URL as broken.
    if form.contains_key("ssl_check") {
        return Some(SlackRequest::SslCheck);
    }
    if let Some(payload) = form.get("payload") {
        let payload: Payload = serde_json::from_str(payload).ok()?;
        let action = payload.actions.into_iter().next()?;
        return Some(SlackRequest::Button {
            user: ChatUser {
                id: payload.user.id,
                name: payload.user.username,
                team: payload.team.map(|team| team.id).unwrap_or_default(),
            },
            task: Box::new(serde_json::from_str(&action.value).ok()?),
            response_url: payload.response_url,
        });
    }
    let mut field = |name: &str| form.remove(name);
    // Not read further: the app has one command. Without the field it is no slash command at all.
    let _command = field("command")?;
    Some(SlackRequest::Line {
        user: ChatUser {
            id: field("user_id")?,
            name: field("user_name").unwrap_or_default(),
            team: field("team_id").unwrap_or_default(),
        },
        line: field("text").unwrap_or_default(),
        response_url: field("response_url").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rewind_client::Undoing;
    use serde_json::json;

    fn form(fields: &[(&str, &str)]) -> Vec<u8> {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
    }

    #[test]
    fn a_typed_line_is_parsed_with_its_user() {
        let body = form(&[
            ("command", "/rewind"),
            ("text", "orders 5m ago"),
            ("user_id", "U1"),
            ("user_name", "ann"),
            ("team_id", "T1"),
            ("response_url", "https://hooks.slack.com/x"),
        ]);
        let Some(SlackRequest::Line { user, line, response_url }) = parse(&body) else { panic!() };
        assert_eq!((user.id.as_str(), user.team.as_str(), line.as_str()), ("U1", "T1", "orders 5m ago"));
        assert_eq!(response_url, "https://hooks.slack.com/x");
    }

    #[test]
    fn a_button_stands_for_its_task() {
        let task = Task::Undo { id: "r-1".into(), confirm: "orders".into(), undoing: Undoing::Undo };
        let payload = json!({
            "type": "block_actions", "user": { "id": "U2", "username": "bob" }, "team": { "id": "T1" },
            "response_url": "https://hooks.slack.com/y",
            "actions": [{ "action_id": "a", "value": serde_json::to_string(&task).unwrap() }],
        });
        let Some(SlackRequest::Button { user, task: parsed, .. }) = parse(&form(&[("payload", &payload.to_string())]))
        else {
            panic!()
        };
        assert_eq!((user.name.as_str(), *parsed), ("bob", task));
    }

    #[test]
    fn a_body_that_is_no_request_of_slacks_is_none() {
        for body in [
            &b""[..],
            b"{}",
            b"\xff\xfe",
            b"command=%2Frewind",
            b"command=%2Frewind&user_id=U1&text=%ff",
            b"payload=%7B%7D",
            b"payload=%7B%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22actions%22%3A%5B%7B%22value%22%3A%22x%22%7D%5D%7D",
        ] {
            assert_eq!(parse(body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in any::<Vec<u8>>(), text in "\\PC{0,60}") {
            let _ = parse(&body);
            let _ = parse(&form(&[("payload", &text)]));
            let _ = parse(&form(&[("command", "/rewind"), ("user_id", &text), ("text", &text)]));
        }
    }
}
