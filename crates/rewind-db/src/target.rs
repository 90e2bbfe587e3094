//! The address of a database server and the login to it, as values.

use rewind_core::{Engine, OpenDatabases};
use std::fmt;

/// A database server as it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The engine of its cluster, and so the protocol to speak.
    pub engine: Engine,
    /// The name or address to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name that the server's certificate has to hold: another than `host` where `host` is a CNAME, since
    /// certificates name the RDS endpoints only.
    pub certificate_name: String,
    /// The master user of its cluster, where that is known: no fence closes its login, whoever raises it.
    pub master_user: Option<String>,
}

impl Target {
    /// A server that is reached by the name that its certificate holds.
    pub fn new(engine: Engine, host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { engine, certificate_name: host.clone(), host, port, master_user: None }
    }

    /// The same server, whose cluster has this master user.
    #[must_use]
    pub fn of_master_user(mut self, name: Option<String>) -> Self {
        self.master_user = name;
        self
    }

    /// The same server by another of its names: `host` is resolved, the certificate still has to hold the first name.
    #[must_use]
    pub fn by_name(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A login, from one version of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The database user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The version of the secret that it comes from, such as `AWSPREVIOUS`: shown in the report.
    pub label: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand, without the password: values are logged by their Debug form.
        f.debug_struct("Credential").field("user", &self.user).field("label", &self.label).finish_non_exhaustive()
    }
}

/// A login that is under way.
pub(crate) struct LoginAttempt<'a> {
    pub(crate) target: &'a Target,
    pub(crate) credential: &'a Credential,
    pub(crate) database: &'a str,
    /// The name of this program, as the server shows it to its administrators.
    pub(crate) application_name: &'a str,
    /// The functions that a check may call besides those that act on nothing.
    pub(crate) check_functions: &'a [String],
    /// The databases that a check may read, where a session reaches more than one.
    pub(crate) open_to_checks: &'a OpenDatabases,
    /// The database and the address, for error messages.
    pub(crate) at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let credential = Credential { user: "u".into(), password: "secret".into(), label: "AWSCURRENT".into() };
        assert!(!format!("{credential:?}").contains("secret"));
    }
}
