//! Connections to the stack's databases as a careful client makes them: by name, over TLS, with the endpoint's certificate
//! checked. It never uses an account that RDS would not give.

use super::names::{Led, Names};
use super::stop::{Because, Stop, causes};
use crate::stack::StackEnv;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The engine's standard port.
const PORT: u16 = 5432;
const PATIENCE: Duration = Duration::from_secs(5);

/// A user with its password.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The way to the databases.
#[derive(Debug, Clone)]
pub struct Databases {
    /// Who knows where names lead.
    pub names: Names,
    tls: rustls::ClientConfig,
}

/// A connection; it closes when it is dropped.
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub client: Client,
    /// Where the name led when it was made.
    pub server: Led,
}

/// No connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotConnected(pub String);

impl Databases {
    /// The way to the databases of a stack.
    ///
    /// # Errors
    ///
    /// When its certificate authority can't be read.
    pub fn of(stack: &StackEnv) -> Result<Self, Stop> {
        let doing = format!("{} can't be used", stack.ca_bundle.display());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&stack.ca_bundle).because(&doing)?).because(&doing)?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .because(&doing)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { names: Names::new(stack.dns)?, tls })
    }

    /// Connects to whatever `name` leads to now.
    ///
    /// # Errors
    ///
    /// Why not: the name, the network, TLS, or what the server said.
    pub async fn connect(&self, name: &str, login: &Login, database: &str) -> Result<Session, NotConnected> {
        self.connect_from(None, name, login, database, "").await
    }

    /// Connects from an address of one's own, with `options` for the session as libpq has them.
    ///
    /// # Errors
    ///
    /// As [`Databases::connect`].
    pub async fn connect_from(
        &self,
        from: Option<Ipv4Addr>,
        name: &str,
        login: &Login,
        database: &str,
        options: &str,
    ) -> Result<Session, NotConnected> {
        let connecting = async {
            let server = self.names.lead(name).await.map_err(NotConnected)?;
            let stream = dial(from, server.address).await.map_err(|e| NotConnected(e.to_string()))?;
            let mut config = Config::new();
            config.user(&login.user).password(&login.password).dbname(database).application_name("demo");
            config.ssl_mode(SslMode::Require);
            if !options.is_empty() {
                config.options(options);
            }
            // A certificate names the database's endpoint, not the record that leads there.
            let mut tls = MakeRustlsConnect::new(self.tls.clone());
            let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &server.endpoint)
                .map_err(|e| NotConnected(e.to_string()))?;
            let (client, connection) = config.connect_raw(stream, tls).await.map_err(|e| NotConnected(causes(&e)))?;
            // How it ends is seen by whoever uses the client.
            tokio::spawn(connection);
            Ok(Session { client, server })
        };
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(result) => result,
            Err(_) => Err(NotConnected(format!("{name} did not answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

async fn dial(from: Option<Ipv4Addr>, to: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    let stream = socket.connect(SocketAddr::from((to, PORT))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
