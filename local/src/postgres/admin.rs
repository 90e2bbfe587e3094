//! The control plane's own connections: as `rdsadmin`, over TLS, from the one address that servers admit it from.

use crate::servers::{Error, ServerEndpoint};
use crate::tls::Authority;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The bootstrap superuser, and the database of the same name that nobody else may enter.
pub const ADMIN: &str = "rdsadmin";
/// The account of replication and base backups.
pub const REPLICATION: &str = "rdsrepladmin";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The control plane's logins.
#[derive(Debug)]
pub struct Admin {
    source: Ipv4Addr,
    password: String,
    tls: rustls::ClientConfig,
    authority: String,
}

impl Admin {
    /// Uses one password for both of the control plane's accounts on all servers: a restored cluster brings the accounts of its source
    /// along, and must still let the control plane in.
    pub fn new(source: Ipv4Addr, password: String, authority: &Authority) -> Self {
        Self { source, password, tls: authority.client(), authority: authority.pem().to_string_lossy().into_owned() }
    }

    /// The address that the control plane connects from.
    #[must_use]
    pub fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// The password of `rdsadmin` and `rdsrepladmin`.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Connects to `database`. The connection closes when the client is dropped.
    pub async fn connect(&self, endpoint: &ServerEndpoint, database: &str) -> Result<Client, Error> {
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            // The heartbeat connects again and again from this one address: ports in TIME_WAIT would run out.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::from((self.source, 0)))?;
            let stream = socket.connect(SocketAddr::from((endpoint.address, endpoint.port))).await?;
            stream.set_nodelay(true)?;
            let mut config = Config::new();
            config.user(ADMIN).password(&self.password).dbname(database).application_name("rds control plane");
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            // By the endpoint's name: with the address alone a server of another stack that took it over would be believed.
            let mut tls = MakeRustlsConnect::new(self.tls.clone());
            let tls = MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut tls, &endpoint.name)
                .map_err(std::io::Error::other)?;
            let (client, connection) = config.connect_raw(stream, tls).await?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a control connection ended");
                }
            });
            Ok(client)
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result,
            Err(_) => Err(Error::Connect(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Formats the connection string of libpq (a reader, `pg_basebackup`): the name is verified, the address is not resolved.
    #[must_use]
    pub fn conninfo(&self, endpoint: &ServerEndpoint, application: &str) -> String {
        format!("{} password={}", self.conninfo_without_password(endpoint, application), quote(&self.password))
    }

    /// The same, for a command whose arguments everybody on the machine sees.
    #[must_use]
    pub fn conninfo_without_password(&self, endpoint: &ServerEndpoint, application: &str) -> String {
        let ServerEndpoint { name, address, port } = endpoint;
        format!(
            "host={name} hostaddr={address} port={port} user={REPLICATION} sslmode=verify-full sslrootcert={} \
             application_name={application}",
            quote(&self.authority),
        )
    }
}

/// Quotes a value of a connection string.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
