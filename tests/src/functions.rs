//! The functions as the tests see them: their folders, and what their sources say.

use crate::files;
use regex::Regex;
use std::collections::BTreeSet;

/// Functions that no state machine invokes: people call them.
pub(crate) const CALLED_BY_OPERATORS: [&str; 1] = ["SetWindow"];

/// Functions that no state machine invokes: events and chat do.
pub(crate) const CALLED_BY_OTHERS: [&str; 2] = ["Chatops", "StartRecovery"];

pub(crate) struct Function {
    /// The folder: `start-restore`.
    pub(crate) stem: String,
    /// The state: `StartRestore`.
    pub(crate) name: String,
    /// The sources without the tests, one after another.
    pub(crate) source: String,
    /// The text of `Cargo.toml`.
    pub(crate) manifest: String,
}

impl Function {
    pub(crate) fn all() -> Vec<Self> {
        files::names_in("functions").into_iter().map(Self::read).collect()
    }

    /// Those that state machines invoke.
    pub(crate) fn steps() -> Vec<Self> {
        let called_otherwise = [&CALLED_BY_OPERATORS[..], &CALLED_BY_OTHERS].concat();
        Self::all().into_iter().filter(|function| !called_otherwise.contains(&function.name.as_str())).collect()
    }

    fn read(stem: String) -> Self {
        let name = stem.split('-').map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..])).collect();
        let folder = format!("functions/{stem}/src");
        let source = files::names_in(&folder)
            .into_iter()
            // Tests call more than the function does, and would demand permissions for it.
            .filter(|file| file.ends_with(".rs") && file != "tests.rs")
            .map(|file| files::read(format!("{folder}/{file}")))
            .collect();
        let manifest = files::read(format!("functions/{stem}/Cargo.toml"));
        Self { stem, name, source, manifest }
    }

    /// True if the step has an undo of its own.
    pub(crate) fn has_undo(&self) -> bool {
        self.source.contains("fn undo(")
    }

    /// True if no invocation reaches the step whose plan is not verified.
    pub(crate) fn verifies_plans(&self) -> bool {
        let starts = ["rewind_lambda::start(", "rewind_lambda::start_in_dry_runs("];
        starts.iter().any(|start| self.source.contains(start)) && self.source.contains("PlanKey::from_env(")
    }

    /// True if the step asks for the approval of people, where its plan does.
    pub(crate) fn is_approved(&self) -> bool {
        self.source.contains("Approved { step, approvals: ApprovalKey::from_env(")
    }

    /// True if the step follows the plan of a dry run.
    pub(crate) fn is_in_dry_runs(&self) -> bool {
        self.source.contains("rewind_lambda::start_in_dry_runs(")
    }

    /// The IAM actions that the step says it calls.
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        let list = Regex::new(r"(?s)pub const ACTIONS: &\[&str\] =\s*&\[(.*?)\];").unwrap();
        let list = list.captures(&self.source).unwrap_or_else(|| panic!("{} has no ACTIONS", self.stem));
        Regex::new(r#""([^"]+)""#).unwrap().captures_iter(&list[1]).map(|found| found[1].to_owned()).collect()
    }

    /// True if the function calls a method of that name: itself, by logging in with rewind-access, by creating or deleting a
    /// cluster or changing its security groups with rewind-aws, or through the client of rewind-client.
    pub(crate) fn calls(&self, method: &str) -> bool {
        let call = Regex::new(&format!(r"[.:]\s*{method}\(")).unwrap();
        // By text: building every function to ask the compiler would take minutes in each run.
        let access = self.source.contains("rewind_access::Access");
        let created = ["NewCluster", "delete_created"].iter().any(|item| self.source.contains(item));
        let groups = self.source.contains("set_security_groups");
        call.is_match(&self.source)
            || (groups && call.is_match(&files::read("crates/rewind-aws/src/rds/security_groups.rs")))
            || (access && call.is_match(&files::read("crates/rewind-access/src/lib.rs")))
            || self.client().iter().any(|source| call.is_match(source))
            || (created && call.is_match(&files::read("crates/rewind-aws/src/rds/recovery_cluster.rs")))
    }

    /// The sources of rewind-client whose methods the function calls, itself or through one another.
    fn client(&self) -> Vec<String> {
        if !self.source.contains("rewind_client::") {
            return Vec::new();
        }
        let files = files::names_in("crates/rewind-client/src").into_iter();
        let mut rest: Vec<String> = files
            .filter(|file| file.ends_with(".rs") && !["fake.rs", "tests.rs", "lib.rs"].contains(&file.as_str()))
            .map(|file| files::read(format!("crates/rewind-client/src/{file}")))
            .collect();
        let method = Regex::new(r"pub async fn (\w+)").unwrap();
        let (mut callers, mut used) = (vec![self.source.clone()], Vec::new());
        // One method of the client calls others in other files, and the function needs the permissions of all of
        // them.
        while let Some(caller) = callers.pop() {
            let is_called =
                |source: &String| method.captures_iter(source).any(|name| caller.contains(&format!(".{}(", &name[1])));
            let (called, others): (Vec<String>, Vec<String>) = rest.into_iter().partition(is_called);
            rest = others;
            callers.extend(called);
            used.push(caller);
        }
        used
    }
}
