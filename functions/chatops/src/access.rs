//! The access policy: the people who may use chat, and the permissions that they have. Whoever is in no list is told nothing
//! but that.

use rewind_aws::chat::ChatAct;
use rewind_core::{Agreeing, Identity, StepError};
use rewind_ui::chat::ChatCommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A user of Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatUser {
    /// The id, such as `U2CERLKJA`. Unlike the name it never changes.
    pub id: String,
    /// The name, only to be shown.
    pub name: String,
    /// The id of the workspace; of the organization where Slack names no workspace.
    pub team: String,
    /// The id of the organization of several workspaces, if there is one.
    #[serde(default)]
    pub enterprise: Option<String>,
}

impl ChatUser {
    /// Names the user for people, as it is recorded with a decision.
    pub(crate) fn display_name(&self) -> String {
        format!("{} ({} in Slack workspace {})", self.name, self.id, self.team)
    }

    /// The identity by which the user acts.
    pub(crate) fn identity(&self) -> Identity {
        Identity::Slack { team: self.team.clone(), user: self.id.clone() }
    }

    /// An act of the user.
    pub(crate) fn act(&self, of: String) -> ChatAct {
        ChatAct { team: self.team.clone(), user: self.id.clone(), of }
    }
}

/// The access policy of chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessPolicy {
    /// The ids of users who may plan and start recoveries: `U1` in `team`, and `T1/U1` in the workspace `T1`.
    pub requesters: Vec<String>,
    /// The ids of users who may approve, reject, undo, and set windows.
    pub approvers: Vec<String>,
    /// The rule that two people agree. It is applied here only to answer at once: confirm-approval decides.
    pub agreeing: Agreeing,
    /// The id of the only workspace or organization with access; none for each that comes with the id of a user.
    pub team: Option<String>,
}

impl AccessPolicy {
    /// Reads `REWIND_CHAT_REQUESTERS`, `REWIND_CHAT_APPROVERS`, `REWIND_CHAT_TEAM` and the rule that two people agree.
    ///
    /// # Errors
    ///
    /// `Bug` with the variable that cannot be read.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        let team = get("REWIND_CHAT_TEAM").filter(|team| !team.trim().is_empty()).map(|team| team.trim().to_owned());
        let list = |name: &str| -> Vec<String> {
            // A list that is not set gives nobody access: forgetting it must not open anything.
            let ids = get(name).unwrap_or_default();
            let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
            // Only in the log, which whoever deploys reads: people without access are told nothing.
            if team.is_none() && ids.clone().any(|id| !id.contains('/')) {
                tracing::error!(
                    "{name} has ids without a workspace, which are nobody's while REWIND_CHAT_TEAM is not set"
                );
            }
            ids.map(ToOwned::to_owned).collect()
        };
        Ok(Self {
            requesters: list("REWIND_CHAT_REQUESTERS"),
            approvers: list("REWIND_CHAT_APPROVERS"),
            agreeing: Agreeing::read(&get)?,
            team,
        })
    }

    /// True if the user is in any list, and in the right workspace.
    pub(crate) fn has_access(&self, user: &ChatUser) -> bool {
        self.may_request(user) || self.may_approve(user)
    }

    pub(crate) fn may_request(&self, user: &ChatUser) -> bool {
        self.is_in(&self.requesters, user)
    }

    pub(crate) fn may_approve(&self, user: &ChatUser) -> bool {
        self.is_in(&self.approvers, user)
    }

    fn is_in(&self, list: &[String], user: &ChatUser) -> bool {
        let is_of = |team: &str| team == user.team || Some(team) == user.enterprise.as_deref();
        let is_accepted = self.team.as_deref().is_none_or(is_of);
        let is_named = list.iter().any(|listed| match listed.split_once('/') {
            Some((team, id)) => is_of(team) && id == user.id,
            // An id is unique within a workspace only: the same one elsewhere is another person.
            None => self.team.is_some() && *listed == user.id,
        });
        is_accepted && is_named
    }

    /// Makes sure that a request started by `user` asks a person who may approve; returns the denial where it says that nobody is to be
    /// asked. Otherwise a requester could do alone what two people are for.
    pub(crate) fn ask_a_person(&self, user: &ChatUser, request: &mut Value) -> Option<&'static str> {
        let alone = !self.agreeing.is_on() && self.may_approve(user);
        let fields = request.as_object_mut().filter(|_| !alone)?;
        match fields.get("approval") {
            // A recovery that is resumed may have left the approval out, and its words hold unless others are given.
            None => {
                fields.insert("approval".to_owned(), Value::from("required"));
                None
            }
            Some(approval) => (approval != "required").then_some(UNASKED_DENIED),
        }
    }

    /// The denial for a user who has access, but not this permission; none if they have it.
    pub(crate) fn denied(&self, user: &ChatUser, permission: Permission) -> Option<&'static str> {
        match permission {
            Permission::Request if !self.may_request(user) => Some(REQUEST_DENIED),
            Permission::Approve if !self.may_approve(user) => Some(APPROVAL_DENIED),
            Permission::Read | Permission::Request | Permission::Approve => None,
        }
    }
}

/// A permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// To read: everybody with access has it.
    Read,
    /// To plan and start recoveries: requesters have it.
    Request,
    /// To approve, reject, undo and set windows: approvers have it.
    Approve,
}

impl Permission {
    /// The permission that a command needs.
    pub(crate) fn for_command(command: &ChatCommand) -> Self {
        match command {
            ChatCommand::Status(_) | ChatCommand::List(_) => Self::Read,
            ChatCommand::Plan(_) | ChatCommand::Start(_) | ChatCommand::Resume(_) => Self::Request,
            ChatCommand::Window(args) if args.window.is_none() => Self::Read,
            ChatCommand::Approve(_)
            | ChatCommand::Reject(_)
            | ChatCommand::Undo(_)
            | ChatCommand::Cancel(_)
            | ChatCommand::Window(_) => Self::Approve,
        }
    }
}

/// The message for a user who may not start recoveries.
pub(crate) const REQUEST_DENIED: &str = "you may look, and not start a recovery; nothing was done; next step: ask one of those who may (the stack's parameter ChatRequesters)";
/// The message for a user who may not approve.
pub(crate) const APPROVAL_DENIED: &str = "you may look, and not decide; nothing was done; next step: ask one of those who may (the stack's parameter ChatApprovers)";
/// The message for a user who would have nobody asked.
pub(crate) const UNASKED_DENIED: &str = "in chat somebody who may approve is always asked (the stack's parameters ChatApprovers and TwoPeople); nothing was started; next step: leave --approval out";
/// The message for a user without access. It names neither clusters, recoveries nor people.
pub(crate) const ACCESS_DENIED: &str = "you are not among the people who may use this; nothing was done";
/// The message for a requester who would approve their own recovery.
pub(crate) const SELF_APPROVAL_DENIED: &str = "you started this recovery, so somebody else has to approve it; nothing was decided; next step: ask another approver";

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_ui::chat::{ChatInput, parse};

    fn user(id: &str) -> ChatUser {
        ChatUser { id: id.into(), name: "ann".into(), team: "T1".into(), enterprise: None }
    }

    fn policy() -> AccessPolicy {
        AccessPolicy {
            requesters: vec!["U1".into(), "U3".into()],
            approvers: vec!["U2".into(), "U3".into()],
            team: Some("T1".into()),
            ..AccessPolicy::default()
        }
    }

    #[test]
    fn each_command_needs_its_list_and_reading_needs_either() {
        let may = |id: &str, line: &str| match parse(line).unwrap() {
            ChatInput::Command(command) => policy().denied(&user(id), Permission::for_command(&command)).is_none(),
            ChatInput::Help(_) => panic!("{line}"),
        };
        for line in ["plan orders latest", "orders 5m ago", "start orders latest", "resume r-1"] {
            assert_eq!([may("U1", line), may("U2", line), may("U3", line)], [true, false, true], "{line}");
        }
        for line in ["approve r-1", "reject r-1", "undo r-1", "cancel r-1", "window orders 24h"] {
            assert_eq!([may("U1", line), may("U2", line), may("U3", line)], [false, true, true], "{line}");
        }
        for line in ["status", "list", "window orders"] {
            assert_eq!([may("U1", line), may("U2", line)], [true, true], "{line}");
        }
    }

    #[test]
    fn nobody_has_access_until_they_are_named_and_another_workspace_never_has() {
        assert!(!AccessPolicy::default().has_access(&user("U1")));
        assert!(
            policy().has_access(&user("U1")) && !policy().has_access(&user("u1")) && !policy().has_access(&user(""))
        );
        let elsewhere = AccessPolicy { team: Some("T2".into()), ..policy() };
        assert!(!elsewhere.has_access(&user("U1")));
        let organization = AccessPolicy { team: Some("E1".into()), ..policy() };
        assert!(organization.has_access(&ChatUser { enterprise: Some("E1".into()), ..user("U1") }));
        assert!(!organization.has_access(&ChatUser { enterprise: Some("E2".into()), ..user("U1") }));
    }

    #[test]
    fn an_id_is_of_one_workspace_alone() {
        let of = |team: Option<&str>, listed: &str| {
            let team = team.map(ToOwned::to_owned);
            AccessPolicy { requesters: vec![listed.to_owned()], team, ..AccessPolicy::default() }
        };
        let elsewhere = ChatUser { team: "T2".into(), ..user("U1") };
        let in_organization = ChatUser { enterprise: Some("E1".into()), ..elsewhere.clone() };
        for (team, listed, in_t1, in_t2, in_e1) in [
            // Without a workspace it would be somebody's in every workspace in which the app is installed.
            (None, "U1", false, false, false),
            (None, "T1/U1", true, false, false),
            (None, "E1/U1", false, false, true),
            (Some("T1"), "U1", true, false, false),
            (Some("T1"), "T1/U1", true, false, false),
            (Some("T1"), "T2/U1", false, false, false),
            (Some("E1"), "U1", false, false, true),
            (Some("E1"), "T2/U1", false, false, true),
            (None, "/U1", false, false, false),
            (None, "T1/", false, false, false),
        ] {
            let found =
                [user("U1"), elsewhere.clone(), in_organization.clone()].map(|one| of(team, listed).has_access(&one));
            assert_eq!(found, [in_t1, in_t2, in_e1], "{team:?} {listed}");
        }
        assert!(!of(None, "/U1").has_access(&ChatUser { team: String::new(), ..user("U2") }));
    }

    #[test]
    fn blank_ids_are_left_out_and_two_people_are_needed_unless_plainly_off() {
        let read = |value: &'static str| {
            AccessPolicy::read(move |name| match name {
                "REWIND_TWO_PEOPLE" => Some(value.to_owned()),
                "REWIND_PEOPLE" => None,
                _ => Some(" U1, ,U2,".to_owned()),
            })
        };
        assert_eq!(read("always").unwrap().requesters, ["U1", "U2"]);
        for (value, on) in [("always", true), ("known", true), ("chat", true), ("off", false), ("", true)] {
            assert_eq!(read(value).unwrap().agreeing.is_on(), on, "{value:?}");
        }
        assert!(read("false").is_err());
    }
}
