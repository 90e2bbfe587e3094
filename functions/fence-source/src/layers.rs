//! The layers of a fence as the report shows them, a sentence each.

use rewind_core::Engine;
use rewind_db::fence::{Fenced, Verification};
use serde::Serialize;

/// One layer of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `network`, `login`, `sessions` or `proof`.
    pub layer: &'static str,
    /// The change that was made, for a person.
    pub did: String,
}

/// The outcome of the layers inside the database.
pub(crate) struct DatabaseLayers {
    /// The logins that are closed; none where the network alone is to keep clients out.
    pub(crate) logins: Option<Verification>,
    pub(crate) fenced: Fenced,
}

/// Renders the layers, in the order they were raised.
pub(crate) fn layers(
    engine: Engine,
    network: Option<String>,
    DatabaseLayers { logins, fenced }: &DatabaseLayers,
) -> Vec<Layer> {
    let mut layers = Vec::new();
    layers.extend(network.map(|did| Layer { layer: "network", did }));
    if logins.is_some() {
        layers.push(Layer { layer: "login", did: login(engine, fenced) });
    }
    let mut sessions = format!("{} ended, none came back", fenced.sessions_ended);
    if !fenced.notes.is_empty() {
        sessions.push_str(&format!("; {}", fenced.notes.join("; ")));
    }
    layers.push(Layer { layer: "sessions", did: sessions });
    // A MySQL account can only be probed with its password, which the recovery does not have: its lock is read again.
    let verified = match (logins, engine) {
        (None, _) => "the security groups are in force, and no session is left".to_owned(),
        (Some(verification), Engine::AuroraPostgresql) => {
            format!("connections refused by {}", list(&verification.closed, "no database"))
        }
        (Some(verification), Engine::AuroraMysql) => {
            format!("read again as locked: {}", list(&verification.closed, "no account"))
        }
    };
    // Reached only behind the security groups: without them an open login ends the step.
    let open = logins.iter().flat_map(|verification| &verification.open);
    let verified = open.fold(verified, |verified, login| {
        verified + &format!("; {} closed by the network alone ({})", login.name, login.why)
    });
    layers.push(Layer { layer: "proof", did: verified });
    layers
}

fn login(engine: Engine, fenced: &Fenced) -> String {
    let mut login = match engine {
        Engine::AuroraPostgresql => format!(
            "connection limit 0 on {}; NOLOGIN for {}",
            list(&fenced.databases, "no database"),
            list(&fenced.roles, "no role")
        ),
        Engine::AuroraMysql => format!("ACCOUNT LOCK for {}", list(&fenced.accounts, "no account")),
    };
    if !fenced.not_changed.is_empty() {
        login.push_str(&format!("; not changed: {}", fenced.not_changed.join(", ")));
    }
    login
}

fn list(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}
