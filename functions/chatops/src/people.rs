//! Who may do what. Whoever is in no list is a stranger, and is told nothing but that.

use crate::task::Task;
use rewind_ui::chat::Command;
use serde::{Deserialize, Serialize};

/// Somebody in chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The id that never changes, such as `U2CERLKJA`.
    pub id: String,
    /// The name, for people.
    pub name: String,
    /// The workspace.
    pub team: String,
}

impl Person {
    /// For the record of who decided.
    pub(crate) fn says(&self) -> String {
        format!("{} ({} in Slack workspace {})", self.name, self.id, self.team)
    }
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// May plan and start recoveries.
    pub starters: Vec<String>,
    /// May approve, reject, take back, and set windows.
    pub approvers: Vec<String>,
    /// Whoever started a recovery may not approve it.
    pub two_people: bool,
    /// The one workspace that is listened to; none: every workspace that the app is installed in.
    pub team: Option<String>,
}

impl People {
    /// Reads `REWIND_CHAT_STARTERS`, `REWIND_CHAT_APPROVERS`, `REWIND_CHAT_TWO_PEOPLE` and `REWIND_CHAT_TEAM`.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let list = |name: &str| {
            let ids = get(name).unwrap_or_default();
            ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(ToOwned::to_owned).collect()
        };
        Self {
            starters: list("REWIND_CHAT_STARTERS"),
            approvers: list("REWIND_CHAT_APPROVERS"),
            // Whatever is not plainly a no: a typing error must not let one person do both.
            two_people: get("REWIND_CHAT_TWO_PEOPLE").is_some_and(|on| !matches!(on.trim(), "" | "false")),
            team: get("REWIND_CHAT_TEAM").filter(|team| !team.trim().is_empty()).map(|team| team.trim().to_owned()),
        }
    }

    /// Whether somebody is in any list.
    pub(crate) fn knows(&self, person: &Person) -> bool {
        self.team.as_ref().is_none_or(|team| *team == person.team)
            && (self.may_start(person) || self.may_decide(person))
    }

    pub(crate) fn may_start(&self, person: &Person) -> bool {
        self.starters.contains(&person.id)
    }

    pub(crate) fn may_decide(&self, person: &Person) -> bool {
        self.approvers.contains(&person.id)
    }

    /// Why somebody who is known may not do this; none if they may.
    pub(crate) fn objection(&self, person: &Person, right: Right) -> Option<&'static str> {
        match right {
            Right::Start if !self.may_start(person) => Some(STARTERS),
            Right::Decide if !self.may_decide(person) => Some(APPROVERS),
            _ => None,
        }
    }
}

/// What a word needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// To be known.
    Look,
    /// To be a starter.
    Start,
    /// To be an approver.
    Decide,
}

impl Right {
    /// What a line needs.
    pub(crate) fn to(command: &Command) -> Self {
        match command {
            Command::Status(_) | Command::List(_) => Self::Look,
            Command::Plan(_) | Command::Start(_) => Self::Start,
            Command::Window(words) if words.window.is_none() => Self::Look,
            Command::Approve(_) | Command::Reject(_) | Command::Undo(_) | Command::Window(_) => Self::Decide,
        }
    }

    /// What later work, or a button, needs.
    pub(crate) fn to_do(task: &Task) -> Self {
        match task {
            Task::Show { .. } | Task::Window { window: None, .. } => Self::Look,
            Task::Start { .. } => Self::Start,
            Task::Decide { .. } | Task::Undo { .. } | Task::Window { .. } => Self::Decide,
        }
    }
}

/// What one who may not start is told.
pub(crate) const STARTERS: &str = "you may look, and not start a recovery; nothing was done; next step: ask one of those who may (REWIND_CHAT_STARTERS)";
/// What one who may not decide is told.
pub(crate) const APPROVERS: &str =
    "you may look, and not decide; nothing was done; next step: ask one of those who may (REWIND_CHAT_APPROVERS)";
/// What a stranger is told.
pub(crate) const STRANGER: &str = "you are not among the people who may use this; nothing was done";
/// What one who started a recovery is told.
pub(crate) const TWO_PEOPLE: &str = "you started this recovery, so somebody else has to approve it; nothing was decided; next step: ask another approver";

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_ui::chat::{Said, read};

    fn person(id: &str) -> Person {
        Person { id: id.into(), name: "ann".into(), team: "T1".into() }
    }

    fn people() -> People {
        People {
            starters: vec!["U1".into(), "U3".into()],
            approvers: vec!["U2".into(), "U3".into()],
            ..People::default()
        }
    }

    #[test]
    fn each_word_needs_its_list_and_looking_needs_either() {
        let may = |id: &str, line: &str| match read(line).unwrap() {
            Said::Do(command) => people().objection(&person(id), Right::to(&command)).is_none(),
            Said::Help(_) => panic!("{line}"),
        };
        for line in ["plan orders latest", "orders 5m ago", "start orders latest"] {
            assert_eq!([may("U1", line), may("U2", line), may("U3", line)], [true, false, true], "{line}");
        }
        for line in ["approve r-1", "reject r-1", "undo r-1", "window orders 24h"] {
            assert_eq!([may("U1", line), may("U2", line), may("U3", line)], [false, true, true], "{line}");
        }
        for line in ["status", "list", "window orders"] {
            assert_eq!([may("U1", line), may("U2", line)], [true, true], "{line}");
        }
    }

    #[test]
    fn nobody_is_known_until_somebody_is_named_and_another_workspace_never_is() {
        assert!(!People::default().knows(&person("U1")));
        assert!(people().knows(&person("U1")) && !people().knows(&person("u1")) && !people().knows(&person("")));
        let elsewhere = People { team: Some("T2".into()), ..people() };
        assert!(!elsewhere.knows(&person("U1")));
    }

    #[test]
    fn lists_are_read_with_care_and_two_people_unless_plainly_off() {
        let read = |value: &'static str| {
            People::read(move |name| {
                Some(if name == "REWIND_CHAT_TWO_PEOPLE" { value } else { " U1, ,U2," }.to_owned())
            })
        };
        assert_eq!(read("true").starters, ["U1", "U2"]);
        for (value, on) in [("true", true), ("yes", true), ("False", true), ("false", false), ("", false)] {
            assert_eq!(read(value).two_people, on, "{value:?}");
        }
    }
}
