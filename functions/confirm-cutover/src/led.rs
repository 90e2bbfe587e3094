//! Decides to whose server a name leads. It connects to none.

use rewind_core::Endpoint;
use rewind_db::ServerIdentity;

/// The instances that were asked for who they are.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    /// Those that answered.
    pub(crate) seen: Vec<ServerIdentity>,
    /// Those that did not, with the reason.
    pub(crate) unseen: Vec<String>,
}

/// The server to which a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Led {
    /// To a server of the cluster that is meant, which the record may lead to.
    There,
    /// To another server: a fact.
    Elsewhere(String),
    /// Nobody knows: the name or what is behind it did not answer, or what answered may be an instance that did not.
    Unseen(String),
}

/// Decides where a name leads by the server that answered it, and by those of the cluster that is meant.
pub(crate) fn led(endpoint: Endpoint, found: &ServerIdentity, meant: &Servers, others: &Servers) -> Led {
    let is_among = |servers: &Servers| servers.seen.iter().any(|server| server.is_same_server(found));
    let role_fits = endpoint == Endpoint::Reader || !found.in_recovery;
    if is_among(meant) && role_fits {
        return Led::There;
    }
    if is_among(meant) || is_among(others) {
        // It is of the cluster that is meant, which is no reason to leave it: a name for readers may lead to the writer while
        // they restart, and a failover gives a writer's name to another instance.
        return match endpoint {
            Endpoint::Reader => Led::There,
            Endpoint::Writer => Led::Unseen(format!("{found} answers, which is no writer yet")),
        };
    }
    let unseen: Vec<&str> = meant.unseen.iter().chain(&others.unseen).map(String::as_str).collect();
    if unseen.is_empty() && !(meant.seen.is_empty() && others.seen.is_empty()) {
        return Led::Elsewhere(found.to_string());
    }
    // What did not answer by its own name may be what answered by the record's.
    Led::Unseen(format!("{found} answers, and may be an instance that did not by its own name: {}", unseen.join(", ")))
}
