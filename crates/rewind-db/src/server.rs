//! A server and the login that works there.

use crate::error::ConnectError;
use crate::network::Network;
use crate::session::Session;
use crate::target::{Credential, Target};
use rewind_core::{Login, Tls};

/// A server and the login that works there: opens sessions in any of its databases.
#[derive(Debug, Clone)]
pub struct Server {
    network: Network,
    target: Target,
    credential: Credential,
    tls: Tls,
}

impl Server {
    /// Opens a session with the first of `candidates` that the server accepts, and keeps it for further sessions.
    ///
    /// # Errors
    ///
    /// [`ConnectError::LoginRefused`] when it accepts none of them; any other error of the first candidate that failed for
    /// another reason than its login.
    pub async fn connect(
        network: &Network,
        target: &Target,
        candidates: &[Credential],
        database: &str,
    ) -> Result<(Self, Session), ConnectError> {
        let mut refused = Vec::new();
        for credential in candidates {
            match network.connect(target, credential, database).await {
                Ok(session) => {
                    let server = Self {
                        network: network.clone(),
                        target: target.clone(),
                        credential: credential.clone(),
                        tls: session.tls(),
                    };
                    return Ok((server, session));
                }
                // Passwords are rewound with the data, and a secret is rotated: another version may be the right one.
                Err(ConnectError::LoginRefused(why)) => refused.push(format!("{}: {why}", credential.label)),
                // Not a matter of the password: the next version would only wait as long, and hide what is wrong.
                Err(error) => return Err(error),
            }
        }
        Err(ConnectError::LoginRefused(match refused.as_slice() {
            [] => format!("there is no login to try at {target}"),
            _ => format!("no version of the secret logs in to {target} ({})", refused.join("; ")),
        }))
    }

    /// Opens another session.
    ///
    /// # Errors
    ///
    /// As [`Network::connect`].
    pub async fn open(&self, database: &str) -> Result<Session, ConnectError> {
        self.network.connect(&self.target, &self.credential, database).await
    }

    /// The login that worked, for the report.
    pub fn login(&self) -> Login {
        Login { user: self.credential.user.clone(), secret_version: self.credential.label.clone(), tls: self.tls }
    }

    /// The address of the server.
    pub fn target(&self) -> &Target {
        &self.target
    }
}
