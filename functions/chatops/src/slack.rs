//! What Slack sends, once its signature is verified: a slash command, or a button that was pressed.

use crate::people::Person;
use crate::task::Task;
use serde::Deserialize;
use std::collections::HashMap;

/// What somebody asks in chat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    /// A line was typed.
    Line {
        /// By whom.
        person: Person,
        /// What comes after `/rewind`.
        line: String,
        /// Where to answer later.
        response_url: String,
    },
    /// A button of ours was pressed.
    Button {
        /// By whom.
        person: Person,
        /// What it stands for.
        task: Box<Task>,
        /// Where to answer.
        response_url: String,
    },
    /// Slack asks whether somebody is there.
    Ping,
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

/// Reads a body of Slack's; none where it is no such thing.
pub(crate) fn read(body: &[u8]) -> Option<Asked> {
    // A form with broken encoding is no form: replacement characters would be somebody else's words.
    let text = std::str::from_utf8(body).ok()?;
    let mut form: HashMap<String, String> = HashMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        form.insert(name.into_owned(), value.into_owned());
    }
    if form.contains_key("ssl_check") {
        return Some(Asked::Ping);
    }
    if let Some(payload) = form.get("payload") {
        let payload: Payload = serde_json::from_str(payload).ok()?;
        let action = payload.actions.into_iter().next()?;
        return Some(Asked::Button {
            person: Person {
                id: payload.user.id,
                name: payload.user.username,
                team: payload.team.map(|team| team.id).unwrap_or_default(),
            },
            task: Box::new(serde_json::from_str(&action.value).ok()?),
            response_url: payload.response_url,
        });
    }
    let mut field = |name: &str| form.remove(name);
    let _command = field("command")?;
    Some(Asked::Line {
        person: Person {
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
    use serde_json::json;

    fn form(fields: &[(&str, &str)]) -> Vec<u8> {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
    }

    #[test]
    fn a_typed_line_is_read_with_its_person() {
        let body = form(&[
            ("command", "/rewind"),
            ("text", "orders 5m ago"),
            ("user_id", "U1"),
            ("user_name", "ann"),
            ("team_id", "T1"),
            ("response_url", "https://hooks.slack.com/x"),
        ]);
        let Some(Asked::Line { person, line, response_url }) = read(&body) else { panic!() };
        assert_eq!((person.id.as_str(), person.team.as_str(), line.as_str()), ("U1", "T1", "orders 5m ago"));
        assert_eq!(response_url, "https://hooks.slack.com/x");
    }

    #[test]
    fn a_button_stands_for_its_task() {
        let task = Task::Undo { id: "r-1".into(), confirm: "orders".into() };
        let payload = json!({
            "type": "block_actions", "user": { "id": "U2", "username": "bob" }, "team": { "id": "T1" },
            "response_url": "https://hooks.slack.com/y",
            "actions": [{ "action_id": "a", "value": serde_json::to_string(&task).unwrap() }],
        });
        let Some(Asked::Button { person, task: read_task, .. }) = read(&form(&[("payload", &payload.to_string())]))
        else {
            panic!()
        };
        assert_eq!((person.name.as_str(), *read_task), ("bob", task));
    }

    #[test]
    fn what_is_no_request_of_slacks_is_none() {
        for body in [
            &b""[..],
            b"{}",
            b"\xff\xfe",
            b"command=%2Frewind",
            b"command=%2Frewind&user_id=U1&text=%ff",
            b"payload=%7B%7D",
            b"payload=%7B%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22actions%22%3A%5B%7B%22value%22%3A%22x%22%7D%5D%7D",
        ] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>(), text in "\\PC{0,60}") {
            let _ = read(&body);
            let _ = read(&form(&[("payload", &text)]));
            let _ = read(&form(&[("command", "/rewind"), ("user_id", &text), ("text", &text)]));
        }
    }
}
