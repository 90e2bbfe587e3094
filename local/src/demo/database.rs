//! Connections to the stack's databases as a careful client makes them: by name, over TLS, with the endpoint's certificate
//! checked, and with drivers of its own rather than the product's. It never uses an account that RDS would not give.

use super::names::{Led, Names};
use super::stop::{Because, Stop, causes};
use crate::stack::StackEnv;
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

const PATIENCE: Duration = Duration::from_secs(5);

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
    /// What the databases are.
    pub engine: Engine,
    ca_bundle: PathBuf,
    tls: rustls::ClientConfig,
}

/// A connection; it closes when it is dropped. Values are texts, as the server writes them.
#[derive(Debug)]
pub struct Session {
    link: Link,
    /// Where the name led when it was made.
    pub server: Led,
}

#[derive(Debug)]
enum Link {
    Postgres(Client),
    MySql(Box<Conn>),
}

/// No connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotConnected(pub String);

/// What a server said in the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refused(error: impl std::error::Error + 'static) -> Refused {
    Refused(causes(&error))
}

impl Session {
    /// Runs one statement; answers how many rows it changed.
    ///
    /// # Errors
    ///
    /// What the server says, or that the connection broke.
    pub async fn run(&mut self, sql: &str) -> Result<u64, Refused> {
        match &mut self.link {
            Link::Postgres(client) => client.execute(sql, &[]).await.map_err(refused),
            Link::MySql(conn) => {
                conn.query_drop(sql).await.map_err(refused)?;
                Ok(conn.affected_rows())
            }
        }
    }

    /// The rows that one statement answers.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Refused> {
        match &mut self.link {
            Link::Postgres(client) => {
                let answered = client.simple_query(sql).await.map_err(refused)?;
                let rows = answered.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                Ok(rows
                    .map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
                    .collect())
            }
            Link::MySql(conn) => {
                let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(refused)?;
                let text = |value: mysql_async::Value| match value {
                    mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    _ => String::new(),
                };
                Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
            }
        }
    }

    /// The one value that a statement answers.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn value(&mut self, sql: &str) -> Result<String, Refused> {
        let first = self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next());
        first.ok_or_else(|| Refused(format!("{sql} answered no row")))
    }

    /// Whether the server is still there, as far as a pool has to know before it gives the connection away.
    pub async fn is_open(&mut self) -> bool {
        match &mut self.link {
            Link::Postgres(client) => !client.is_closed(),
            Link::MySql(conn) => conn.ping().await.is_ok(),
        }
    }
}

impl Databases {
    /// The way to the databases of a stack.
    ///
    /// # Errors
    ///
    /// When its certificate authority can't be read.
    pub fn of(stack: &StackEnv, engine: Engine) -> Result<Self, Stop> {
        let doing = format!("{} can't be used", stack.ca_bundle.display());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&stack.ca_bundle).because(&doing)?).because(&doing)?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .because(&doing)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { names: Names::new(stack.dns)?, engine, ca_bundle: stack.ca_bundle.clone(), tls })
    }

    /// Connects to whatever `name` leads to now.
    ///
    /// # Errors
    ///
    /// Why not: the name, the network, TLS, or what the server said.
    pub async fn connect(&self, name: &str, login: &Login, database: &str) -> Result<Session, NotConnected> {
        let connecting = async {
            let server = self.names.lead(name).await.map_err(NotConnected)?;
            let link = match self.engine {
                Engine::AuroraPostgresql => Link::Postgres(self.postgres(None, &server, login, database, "").await?),
                Engine::AuroraMysql => Link::MySql(Box::new(self.mysql(&server, login, database).await?)),
            };
            Ok(Session { link, server })
        };
        in_time(name, connecting).await
    }

    /// Connects to PostgreSQL from an address of one's own, with `options` for the session as libpq has them.
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
            let link = Link::Postgres(self.postgres(from, &server, login, database, options).await?);
            Ok(Session { link, server })
        };
        in_time(name, connecting).await
    }

    async fn postgres(
        &self,
        from: Option<Ipv4Addr>,
        server: &Led,
        login: &Login,
        database: &str,
        options: &str,
    ) -> Result<Client, NotConnected> {
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
        Ok(client)
    }

    async fn mysql(&self, server: &Led, login: &Login, database: &str) -> Result<Conn, NotConnected> {
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
            // Of this machine or not, clients come by the network.
            .prefer_socket(Some(false));
        Conn::new(options).await.map_err(|e| NotConnected(causes(&e)))
    }
}

async fn in_time(
    name: &str,
    connecting: impl Future<Output = Result<Session, NotConnected>>,
) -> Result<Session, NotConnected> {
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(result) => result,
        Err(_) => Err(NotConnected(format!("{name} did not answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn dial(from: Option<Ipv4Addr>, to: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    let stream = socket.connect(SocketAddr::from((to, port(Engine::AuroraPostgresql)))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
