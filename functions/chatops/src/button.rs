//! The value of a button: a task, and the MAC of it that only this function makes. Slack's own signature says that somebody pressed a button of
//! the app; who put that button there it does not say: whoever has the app's webhook posts messages with buttons of any value.

use crate::signature::mac;
use crate::task::Task;
use subtle::ConstantTimeEq;

/// The most bytes of a button's value. Slack takes 2,000 characters.
pub(crate) const VALUE_MAX: usize = 1_980;

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PressedButton {
    /// The text on it.
    pub(crate) label: String,
    /// The value that it has.
    pub(crate) value: String,
}

/// Makes the value of a button for a task; none where no button stands for such a task, or where it is too long for Slack.
pub(crate) fn value(signing_secret: &str, task: &Task) -> Option<String> {
    task.label()?;
    // Slack writes these as entities where it shows them. They stand in strings alone, where JSON has other letters for them.
    let task =
        serde_json::to_string(task).ok()?.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let value = format!("{} {task}", button_mac(signing_secret, &task)?);
    (value.len() <= VALUE_MAX).then_some(value)
}

impl PressedButton {
    /// The task of a button that this function made with that secret, and that bears the label of its task; none of any other.
    pub(crate) fn task(&self, signing_secret: &str) -> Option<Task> {
        let (found, task) = self.value.split_once(' ')?;
        let expected = button_mac(signing_secret, task)?;
        // Before anything of it is parsed.
        if !bool::from(expected.as_bytes().ct_eq(found.as_bytes())) {
            return None;
        }
        let task: Task = serde_json::from_str(task).ok()?;
        // The value of a button can be copied to one that promises something else.
        (task.label()? == self.label).then_some(task)
    }
}

/// Computes the MAC of a task.
// No request of Slack's and no deferred task begins so: their bytes begin with the version of Slack's signature.
fn button_mac(signing_secret: &str, task: &str) -> Option<String> {
    mac(signing_secret, &[b"button ", task.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign;
    use proptest::prelude::*;
    use serde_json::Value;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

    fn decide(id: &str, approved: bool, hash: &str) -> Task {
        Task::Decide { id: id.into(), approved, comment: None, hash: hash.into() }
    }

    fn pressed(label: &str, value: impl Into<String>) -> PressedButton {
        PressedButton { label: label.into(), value: value.into() }
    }

    #[test]
    fn a_button_gives_back_its_task_and_no_letter_of_it_is_an_entity_of_slacks() {
        let task = Task::Undo { id: "r<1>".into(), confirm: "a & b".into() };
        let value = value(SECRET, &task).unwrap();
        assert!(!value.contains(['<', '>', '&']), "{value}");
        assert_eq!(pressed("Undo it", value).task(SECRET), Some(task));
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
            assert_eq!(pressed("Approve", value.clone()).task(SECRET), None, "{value}");
        }
        assert!(pressed("Approve", good).task(SECRET).is_some());
    }

    #[test]
    fn a_value_is_good_below_its_own_label_only() {
        let good = value(SECRET, &decide("r-1", true, "0123456789ab")).unwrap();
        for label in ["Reject", "Start it", "Undo it", "Show the plan", "approve", "Approve ", ""] {
            assert_eq!(pressed(label, good.clone()).task(SECRET), None, "{label}");
        }
    }

    #[test]
    fn a_task_that_no_button_stands_for_has_no_value_even_if_it_is_signed() {
        let task = Task::Window { cluster: "orders".into(), window: Some("1d".into()), confirm: None };
        assert_eq!(value(SECRET, &task), None);
        let json = serde_json::to_string(&task).unwrap();
        let signed = format!("{} {json}", button_mac(SECRET, &json).unwrap());
        assert_eq!(pressed("", signed).task(SECRET), None);
    }

    #[test]
    fn a_task_that_is_too_long_for_slack_has_no_value() {
        let long = |length| value(SECRET, &Task::Start { id: "r".into(), request: Value::from("x".repeat(length)) });
        assert!(long(1_800).unwrap().len() <= 2_000);
        assert_eq!(long(1_950), None);
    }

    proptest! {
        #[test]
        fn no_value_makes_the_check_panic(label in "\\PC{0,20}", value in "\\PC{0,120}") {
            prop_assert_eq!(pressed(&label, value).task(SECRET), None);
        }
    }
}
