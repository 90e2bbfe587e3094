//! Parses requests of Slack, once their signature is verified: a slash command, or a button that was pressed.

use crate::access::ChatUser;
use crate::button::PressedButton;
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
    /// A user pressed a button, of this function or not.
    Button {
        /// The user.
        user: ChatUser,
        /// The button.
        button: PressedButton,
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
    enterprise: Option<Team>,
}

#[derive(Deserialize)]
struct Action {
    value: String,
    #[serde(default)]
    text: Label,
}

#[derive(Default, Deserialize)]
struct Label {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: String,
    team_id: Option<String>,
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
                // An app of a whole organization gets no workspace with a button, and with the user the organization itself.
                team: payload.team.map(|team| team.id).or(payload.user.team_id).unwrap_or_default(),
                enterprise: payload.enterprise.map(|enterprise| enterprise.id),
            },
            button: PressedButton { label: action.text.text, value: action.value },
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
            enterprise: field("enterprise_id").filter(|id| !id.is_empty()),
        },
        line: field("text").unwrap_or_default(),
        response_url: field("response_url").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
    fn a_pressed_button_is_parsed_with_its_label_its_value_and_its_user() {
        let payload = json!({
            "type": "block_actions", "user": { "id": "U2", "username": "bob" }, "team": { "id": "T1" },
            "response_url": "https://hooks.slack.com/y",
            "actions": [{ "action_id": "a", "text": { "type": "plain_text", "text": "Undo it" }, "value": "v" }],
        });
        let Some(SlackRequest::Button { user, button, .. }) = parse(&form(&[("payload", &payload.to_string())])) else {
            panic!()
        };
        assert_eq!(user.name, "bob");
        assert_eq!(button, PressedButton { label: "Undo it".into(), value: "v".into() });
    }

    #[test]
    fn a_button_of_an_app_of_a_whole_organization_is_of_that_organization() {
        let payload = json!({
            "type": "block_actions", "user": { "id": "U2", "username": "bob", "team_id": "E1" }, "team": null,
            "enterprise": { "id": "E1", "name": "Acme" }, "is_enterprise_install": true,
            "actions": [{ "action_id": "a", "text": { "type": "plain_text", "text": "Undo it" }, "value": "v" }],
        });
        let Some(SlackRequest::Button { user, .. }) = parse(&form(&[("payload", &payload.to_string())])) else {
            panic!()
        };
        assert_eq!((user.team.as_str(), user.enterprise.as_deref()), ("E1", Some("E1")));
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
            b"payload=%7B%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22actions%22%3A%5B%7B%22value%22%3A7%7D%5D%7D",
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
