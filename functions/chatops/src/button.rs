//! The value of a button: a task, and the MAC of it that only this function makes. Slack's own signature says that somebody pressed a button of
//! the app; who put that button there it does not say: whoever has the app's webhook posts messages with buttons of any value, and whoever
//! reads a channel can copy a genuine one below a text of their own.
//!
//! So a button in a message only offers its task. Whoever presses it is shown what the task would do, by this function and to them alone,
//! with a second button that is good for that person and for five minutes. Only that one does something. What a message says cannot be
//! held to its button instead: Slack writes texts anew, and sends none along with a button that one user alone sees.

use crate::access::ChatUser;
use crate::signature::mac;
use crate::task::Task;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// The most bytes of a button's value. Slack takes 2,000 characters.
pub(crate) const VALUE_MAX: usize = 1_980;

/// The room that the button which confirms a task needs besides, for the person and the time.
const CONFIRMING: usize = 140;

/// The time for which a button confirms, in seconds.
pub(crate) const CONFIRMS_FOR: i64 = 300;

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PressedButton {
    /// The text on it.
    pub(crate) label: String,
    /// The value that it has.
    pub(crate) value: String,
}

/// The task of a button, as far as it goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pressed {
    /// The person is to be shown what the task does.
    Offered(Task),
    /// The person was shown it.
    Confirmed(Task),
}

/// A task that one person confirms, until a time.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation<'a> {
    team: Cow<'a, str>,
    user: Cow<'a, str>,
    /// In seconds since 1970.
    until: i64,
    task: Cow<'a, Task>,
}

/// The names of the two kinds, with which their MACs begin.
// No request of Slack's and no deferred task begins so: their bytes begin with the version of Slack's signature.
const OFFERS: &str = "button";
const CONFIRMS: &str = "confirmation";

/// Makes the value of a button that offers a task; none where no button stands for such a task, or where it is too long for Slack.
pub(crate) fn value(signing_secret: &str, task: &Task) -> Option<String> {
    task.label()?;
    signed(signing_secret, OFFERS, task).filter(|value| value.len() + CONFIRMING <= VALUE_MAX)
}

/// Makes the value of the button by which `user` confirms a task, until some minutes after `now`.
pub(crate) fn confirming_value(signing_secret: &str, task: &Task, user: &ChatUser, now: Timestamp) -> Option<String> {
    task.label()?;
    let confirmation = Confirmation {
        team: user.team.as_str().into(),
        user: user.id.as_str().into(),
        until: now.as_second() + CONFIRMS_FOR,
        task: Cow::Borrowed(task),
    };
    signed(signing_secret, CONFIRMS, &confirmation).filter(|value| value.len() <= VALUE_MAX)
}

fn signed<T: Serialize>(signing_secret: &str, kind: &str, what: &T) -> Option<String> {
    // Slack writes these as entities where it shows them. They stand in strings alone, where JSON has other letters for them.
    let json =
        serde_json::to_string(what).ok()?.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    Some(format!("{} {json}", button_mac(signing_secret, kind, &json)?))
}

impl PressedButton {
    /// The task of a button that this function made with that secret, and that bears the label of its task; none of any other, and none
    /// of one that confirms for another person or for another time than now.
    pub(crate) fn pressed(&self, signing_secret: &str, user: &ChatUser, now: Timestamp) -> Option<Pressed> {
        let (found, json) = self.value.split_once(' ')?;
        // Before anything of it is parsed.
        let is_of = |kind: &str| {
            let expected = button_mac(signing_secret, kind, json);
            expected.is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(found.as_bytes())))
        };
        let pressed = if is_of(OFFERS) {
            Pressed::Offered(serde_json::from_str(json).ok()?)
        } else if is_of(CONFIRMS) {
            let confirmation: Confirmation<'_> = serde_json::from_str(json).ok()?;
            let is_theirs = confirmation.team == user.team && confirmation.user == user.id;
            if !is_theirs || now.as_second() > confirmation.until {
                return None;
            }
            Pressed::Confirmed(confirmation.task.into_owned())
        } else {
            return None;
        };
        let (Pressed::Offered(task) | Pressed::Confirmed(task)) = &pressed;
        // The value of a button can be copied to one that promises something else.
        (task.label()? == self.label).then_some(pressed)
    }
}

/// Computes the MAC of a value of that kind.
fn button_mac(signing_secret: &str, kind: &str, json: &str) -> Option<String> {
    mac(signing_secret, &[kind.as_bytes(), b" ", json.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign;
    use proptest::prelude::*;
    use rewind_client::Undoing;
    use serde_json::Value;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

    fn decide(id: &str, approved: bool, hash: &str) -> Task {
        Task::Decide { id: id.into(), approved, comment: None, hash: hash.into() }
    }

    fn user(team: &str, id: &str) -> ChatUser {
        ChatUser { id: id.into(), name: "ann".into(), team: team.into(), enterprise: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pressed(label: &str, value: impl Into<String>) -> Option<Pressed> {
        PressedButton { label: label.into(), value: value.into() }.pressed(SECRET, &user("T1", "U1"), at(1_000))
    }

    #[test]
    fn a_button_gives_back_its_task_and_no_letter_of_it_is_an_entity_of_slacks() {
        let task = Task::Undo { id: "r<1>".into(), confirm: "a & b".into(), undoing: Undoing::Undo };
        let value = value(SECRET, &task).unwrap();
        assert!(!value.contains(['<', '>', '&']), "{value}");
        assert_eq!(pressed("Undo it", value), Some(Pressed::Offered(task.clone())));
        let value = confirming_value(SECRET, &task, &user("T1", "U1"), at(1_000)).unwrap();
        assert!(!value.contains(['<', '>', '&']), "{value}");
        assert_eq!(pressed("Undo it", value), Some(Pressed::Confirmed(task)));
    }

    #[test]
    fn what_this_function_did_not_make_so_is_no_button_of_it() {
        let good = value(SECRET, &decide("r-1", true, "0123456789ab")).unwrap();
        let (mac, json) = good.split_once(' ').unwrap();
        let other = value(SECRET, &decide("r-2", true, "0123456789ab")).unwrap();
        let as_request = sign(SECRET, "1531420618", json.as_bytes()).unwrap();
        for value in [
            json.to_owned(),
            format!(" {json}"),
            format!("{} {json}", "0".repeat(64)),
            format!("{} {json}", mac.to_uppercase()),
            // The MAC of another recovery's button, or a hash, a decision or an id that was changed.
            format!("{} {json}", other.split_once(' ').unwrap().0),
            good.replace("0123456789ab", "0123456789ac"),
            good.replace("true", "false"),
            good.replace("r-1", "r-2"),
            format!("{good} "),
            format!("{mac}  {json}"),
            // A signature that the secret makes for something else.
            format!("{as_request} {json}"),
            format!("{} {json}", as_request.trim_start_matches("v0=")),
            value("another", &decide("r-1", true, "0123456789ab")).unwrap(),
        ] {
            assert_eq!(pressed("Approve", value.clone()), None, "{value}");
        }
        assert!(pressed("Approve", good).is_some());
    }

    #[test]
    fn a_value_is_good_below_its_own_label_only() {
        let good = value(SECRET, &decide("r-1", true, "0123456789ab")).unwrap();
        for label in ["Reject", "Start it", "Undo it", "Show the plan", "approve", "Approve ", ""] {
            assert_eq!(pressed(label, good.clone()), None, "{label}");
        }
    }

    #[test]
    fn a_button_confirms_for_the_person_that_it_was_made_for_and_for_minutes() {
        let task = decide("r-1", true, "0123456789ab");
        let good = confirming_value(SECRET, &task, &user("T1", "U1"), at(1_000)).unwrap();
        let button = PressedButton { label: "Approve".into(), value: good.clone() };
        let press = |team: &str, id: &str, second: i64| button.pressed(SECRET, &user(team, id), at(second));
        assert_eq!(press("T1", "U1", 1_300), Some(Pressed::Confirmed(task.clone())));
        for (team, id, second) in [("T1", "U2", 1_000), ("T2", "U1", 1_000), ("T1", "U1", 1_301)] {
            assert_eq!(press(team, id, second), None, "{team} {id} {second}");
        }
        // Neither kind passes for the other, whoever edits it.
        let (offer, json) = (value(SECRET, &task).unwrap(), good.split_once(' ').unwrap().1);
        let offered = offer.split_once(' ').unwrap();
        let mixed = [
            format!("{} {json}", offered.0),
            format!("{} {}", good.split_once(' ').unwrap().0, offered.1),
            good.replace("1300", "9300"),
            good.replace("U1", "U2"),
        ];
        for value in mixed {
            assert_eq!(pressed("Approve", value.clone()), None, "{value}");
        }
        assert_eq!(pressed("Approve", offer), Some(Pressed::Offered(task)));
        assert_eq!(pressed("Reject", good), None);
    }

    #[test]
    fn a_task_that_no_button_stands_for_has_no_value_even_if_it_is_signed() {
        let task = Task::Window { cluster: "orders".into(), window: Some("1d".into()), confirm: None };
        assert_eq!(value(SECRET, &task), None);
        let json = serde_json::to_string(&task).unwrap();
        let signed = format!("{} {json}", button_mac(SECRET, OFFERS, &json).unwrap());
        assert_eq!(pressed("", signed), None);
    }

    #[test]
    fn a_task_that_is_too_long_for_slack_has_no_value() {
        let long = |length| value(SECRET, &Task::Start { id: "r".into(), request: Value::from("x".repeat(length)) });
        assert!(long(1_700).unwrap().len() <= 2_000);
        assert_eq!(long(1_950), None);
        // What is offered can be confirmed too.
        let longest = (1..1_950).rev().find(|length| long(*length).is_some()).unwrap();
        let task = Task::Start { id: "r".into(), request: Value::from("x".repeat(longest)) };
        let someone = user("T0123456789AB", "U0123456789AB");
        assert!(confirming_value(SECRET, &task, &someone, at(4_102_444_800)).is_some());
    }

    proptest! {
        #[test]
        fn no_value_makes_the_check_panic(label in "\\PC{0,20}", value in "\\PC{0,120}") {
            prop_assert_eq!(pressed(&label, value), None);
        }
    }
}
