//! Connections to the stack's databases as a careful client makes them: by name, over TLS, with the endpoint's certificate
//! checked, and with drivers of its own rather than the product's. It never uses an account that RDS would not give.

use super::dns_client::{DnsClient, ResolvedEndpoint};
use crate::stack::StackEnv;
use anyhow::{Context, Result, anyhow};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts};
pub use rewind_core::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Longest time that a connection may take: a fenced cluster on AWS does not refuse, it just does not respond.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The port on which the demo's clusters of `engine` listen.
fn port(engine: Engine) -> u16 {
    match engine {
        Engine::AuroraPostgresql => 5432,
        Engine::AuroraMysql => 3306,
    }
}

/// A user with its password.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

// A derived one would print the password wherever something that holds a login is logged.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Connects to the databases of a stack.
#[derive(Debug, Clone)]
pub struct Databases {
    /// The stack's name server.
    pub dns: DnsClient,
    /// The engine of the databases.
    pub engine: Engine,
    ca_bundle: PathBuf,
    tls: rustls::ClientConfig,
}

/// A connection; it closes when it is dropped. Values are texts, as the server writes them.
#[derive(Debug)]
pub struct Session {
    link: Link,
    /// The endpoint and address that the name resolved to when the connection was made.
    pub server: ResolvedEndpoint,
}

#[derive(Debug)]
enum Link {
    Postgres(Client),
    MySql(Box<Conn>),
}

/// Formats an error with its causes, leaving out what an error repeats of its cause: mysql_async quotes each in the one above it.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl Session {
    /// Runs one statement; returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// When the server refuses it, or the connection breaks.
    pub async fn run(&mut self, sql: &str) -> Result<u64> {
        match &mut self.link {
            Link::Postgres(client) => Ok(client.execute(sql, &[]).await?),
            Link::MySql(conn) => {
                conn.query_drop(sql).await?;
                Ok(conn.affected_rows())
            }
        }
    }

    /// Runs one query; returns its rows.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        match &mut self.link {
            Link::Postgres(client) => {
                // The simple protocol has values as texts, whatever their types: the demo only prints and compares them.
                let messages = client.simple_query(sql).await?;
                let rows = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                Ok(rows
                    .map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
                    .collect())
            }
            Link::MySql(conn) => {
                let rows: Vec<mysql_async::Row> = conn.query(sql).await?;
                let text = |value: mysql_async::Value| match value {
                    // The text protocol has every value but NULL as bytes.
                    mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    _ => String::new(),
                };
                Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
            }
        }
    }

    /// Runs one query; returns the first value of its first row.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn value(&mut self, sql: &str) -> Result<String> {
        let first = self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next());
        first.ok_or_else(|| anyhow!("{sql} returned no row"))
    }

    /// True while the server is still there, as far as a pool has to know before it gives the connection away.
    pub async fn is_open(&mut self) -> bool {
        match &mut self.link {
            Link::Postgres(client) => !client.is_closed(),
            Link::MySql(conn) => conn.ping().await.is_ok(),
        }
    }
}

impl Databases {
    /// Prepares connections to the databases of a stack.
    ///
    /// # Errors
    ///
    /// When the stack's certificate authority can't be read.
    pub fn of(stack: &StackEnv, engine: Engine) -> Result<Self> {
        let failed = || format!("{} can't be used", stack.ca_bundle.display());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&stack.ca_bundle).with_context(failed)?).with_context(failed)?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .with_context(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { dns: DnsClient::new(stack.dns)?, engine, ca_bundle: stack.ca_bundle.clone(), tls })
    }

    /// Connects to whatever `name` resolves to now.
    ///
    /// # Errors
    ///
    /// When the name does not resolve, the network or TLS fails, or the server refuses the login.
    pub async fn connect(&self, name: &str, login: &Login, database: &str) -> Result<Session> {
        let connecting = async {
            let server = self.dns.resolve(name).await?;
            let link = match self.engine {
                Engine::AuroraPostgresql => Link::Postgres(self.postgres(None, &server, login, database, "").await?),
                Engine::AuroraMysql => Link::MySql(Box::new(self.mysql(&server, login, database).await?)),
            };
            Ok(Session { link, server })
        };
        with_timeout(name, connecting).await
    }

    /// Connects to PostgreSQL from a given local address, with `options` for the session as libpq has them.
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
    ) -> Result<Session> {
        let connecting = async {
            let server = self.dns.resolve(name).await?;
            let link = Link::Postgres(self.postgres(from, &server, login, database, options).await?);
            Ok(Session { link, server })
        };
        with_timeout(name, connecting).await
    }

    async fn postgres(
        &self,
        from: Option<Ipv4Addr>,
        server: &ResolvedEndpoint,
        login: &Login,
        database: &str,
        options: &str,
    ) -> Result<Client> {
        let stream = dial(from, server.address).await?;
        let mut config = Config::new();
        config.user(&login.user).password(&login.password).dbname(database).application_name("demo");
        config.ssl_mode(SslMode::Require);
        if !options.is_empty() {
            config.options(options);
        }
        // As on RDS, a certificate names the endpoint, not the record that leads there: verify-full through a CNAME would fail.
        let mut tls = MakeRustlsConnect::new(self.tls.clone());
        let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &server.endpoint)?;
        let (client, connection) = config.connect_raw(stream, tls).await?;
        // It drives the client; an error of it reaches whoever uses the client next.
        tokio::spawn(connection);
        Ok(client)
    }

    async fn mysql(&self, server: &ResolvedEndpoint, login: &Login, database: &str) -> Result<Conn> {
        let tls =
            SslOpts::default().with_root_certs(vec![self.ca_bundle.clone().into()]).with_disable_built_in_roots(true);
        let options = OptsBuilder::default()
            .ip_or_hostname(&server.endpoint)
            .resolved_ips(Some(vec![IpAddr::V4(server.address)]))
            .tcp_port(port(self.engine))
            .user(Some(&login.user))
            .pass(Some(&login.password))
            .db_name(Some(database))
            .ssl_opts(Some(tls))
            // The driver would ask a server on 127.x for its socket and go on over it, past TLS and the security groups.
            .prefer_socket(Some(false));
        Ok(Conn::new(options).await?)
    }
}

async fn with_timeout(name: &str, connecting: impl Future<Output = Result<Session>>) -> Result<Session> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(result) => result,
        Err(_) => Err(anyhow!("{name} did not answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

async fn dial(from: Option<Ipv4Addr>, to: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        // Without it a port that a closed connection holds in TIME_WAIT can't be bound again.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    let stream = socket.connect(SocketAddr::from((to, port(Engine::AuroraPostgresql)))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn a_vague_error_gets_its_cause_and_a_quoted_cause_is_not_repeated() {
        let vague = anyhow::Error::new(Error::other("no such table")).context("db error").context("rows");
        assert_eq!(causes(&vague), "rows: db error: no such table");
        let quoting = anyhow::Error::new(Error::other("closed")).context("io error: closed");
        assert_eq!(causes(&quoting), "io error: closed");
    }
}
