//! The layers of a fence as the report shows them, a sentence each.

use rewind_core::Engine;
use rewind_db::fence::{Fenced, Verification, cut, some_of};
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
    // In the same sentence: the report shows one line for each layer.
    if !fenced.notes.is_empty() {
        sessions.push_str(&format!("; {}", cut(fenced.notes.clone(), "writers are left").join("; ")));
    }
    layers.push(Layer { layer: "sessions", did: sessions });
    // A MySQL account can only be probed with its password, which the recovery does not have: its lock is read again.
    let verified = match (logins, engine) {
        (None, _) => "the security groups are in force, and no session is left".to_owned(),
        (Some(verification), Engine::AuroraPostgresql) => {
            let refused = format!("connections refused by {}", list("databases", &verification.probed));
            // The catalogue is what decides for all; the probes show that the server does as it says.
            match verification.closed.len() == verification.probed.len() {
                true => refused,
                false => format!("{} databases are closed in the catalogue; {refused}", verification.closed.len()),
            }
        }
        (Some(verification), Engine::AuroraMysql) => {
            format!("read again as locked: {}", list("accounts", &verification.closed))
        }
    };
    // Reached only behind the security groups: without them an open login ends the step.
    let open = logins.iter().flat_map(|verification| &verification.open);
    let open = open.map(|login| format!("{} closed by the network alone ({})", login.name, login.why));
    let verified = [vec![verified], cut(open.collect(), "closed by the network alone")].concat().join("; ");
    layers.push(Layer { layer: "proof", did: verified });
    layers
}

fn login(engine: Engine, fenced: &Fenced) -> String {
    let mut login = match engine {
        Engine::AuroraPostgresql => format!(
            "connection limit 0 on {}; NOLOGIN for {}",
            list("databases", &fenced.databases),
            list("roles", &fenced.roles)
        ),
        Engine::AuroraMysql => format!("ACCOUNT LOCK for {}", list("accounts", &fenced.accounts)),
    };
    if !fenced.not_changed.is_empty() {
        login.push_str(&format!("; not changed: {}", some_of(&fenced.not_changed, "nothing")));
    }
    login
}

/// The names, and their number where they are many.
fn list(what: &str, names: &[String]) -> String {
    let listed = some_of(names, &format!("no {}", what.trim_end_matches('s')));
    if names.len() > MANY { format!("{} {what} ({listed})", names.len()) } else { listed }
}

/// From here on the number says more than the names.
const MANY: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_db::fence::OpenLogin;

    /// The state data of an execution holds the layers until its end.
    #[test]
    fn the_layers_of_2600_tenants_are_short_and_name_their_number() {
        let names: Vec<String> = (0..2_600).map(|n| format!("{n:063}")).collect();
        let open = names.iter().map(|name| OpenLogin { name: name.clone(), why: "app may log in".to_owned() });
        let logins = Verification { closed: names.clone(), probed: names[..16].to_vec(), open: open.collect() };
        let fenced = Fenced {
            databases: names.clone(),
            roles: names.clone(),
            accounts: names.clone(),
            not_changed: names.clone(),
            notes: names,
            ..Fenced::default()
        };
        let inner = DatabaseLayers { logins: Some(logins), fenced };
        for engine in [Engine::AuroraPostgresql, Engine::AuroraMysql] {
            let layers = serde_json::to_string(&layers(engine, None, &inner)).unwrap();
            assert!(layers.len() < 10_000, "{}", layers.len());
            assert!(layers.contains("2600 "), "{layers}");
        }
    }
}
