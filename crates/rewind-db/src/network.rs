//! The way to a database server: names, addresses, TLS and logins. What is said over it is not its business.

use crate::error::{ConnectError, chain, unavailable};
use crate::resolve::{Resolution, resolve};
use crate::session::Session;
use crate::tls::Protection;
use crate::wire::{self, Wire};
use rewind_clock::{OutOfTime, bounded, within};
use rewind_core::{Engine, ErrorName, Login, StepError, Tls, timeouts};
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::config::SslMode;

/// What the environment says about the way to databases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `REWIND_DNS_SERVER`: the server to ask for names; unset: the system's resolver.
    pub dns_server: Option<SocketAddr>,
    /// `REWIND_DATABASE_SOURCE_ADDRESS`: the local address to connect from; unset: the system's choice.
    pub source_address: Option<IpAddr>,
    /// `REWIND_DATABASE_CA_BUNDLE`: a PEM file with the authorities that servers are verified against; unset:
    /// encrypted, not verified.
    pub ca_bundle: Option<PathBuf>,
}

impl Settings {
    /// Reads the settings through `variable`; an empty one counts as unset.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] with the variable that cannot be read: the deployment is wrong, whatever the request is.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        fn parse<T: std::str::FromStr>(name: &str, value: Option<String>, right: &str) -> Result<Option<T>, StepError> {
            let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
            value.parse().map(Some).map_err(|_| {
                StepError::new(ErrorName::Bug, format!("the function's environment has {name}={value}"))
                    .changed("nothing was changed")
                    .advice(format!("set it to {right}"))
            })
        }
        let read = |name: &str| variable(name);
        Ok(Self {
            dns_server: parse("REWIND_DNS_SERVER", read("REWIND_DNS_SERVER"), "address:port, such as 10.0.0.2:53")?,
            source_address: parse(
                "REWIND_DATABASE_SOURCE_ADDRESS",
                read("REWIND_DATABASE_SOURCE_ADDRESS"),
                "an IP address of this machine",
            )?,
            ca_bundle: parse("REWIND_DATABASE_CA_BUNDLE", read("REWIND_DATABASE_CA_BUNDLE"), "a path")?,
        })
    }
}

/// A database server as it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub engine: Engine,
    /// The name or address to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name that the server's certificate has to hold: another than `host` where `host` is a CNAME, since
    /// certificates name the RDS endpoints only.
    pub certificate_name: String,
}

impl Target {
    /// A server that is reached by the name that its certificate holds.
    pub fn new(engine: Engine, host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { engine, certificate_name: host.clone(), host, port }
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
    /// Where it comes from, such as `AWSPREVIOUS`: shown in the report.
    pub label: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).field("label", &self.label).finish_non_exhaustive()
    }
}

/// The way to databases, as this function has it. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    settings: Arc<Settings>,
    protection: Protection,
    application_name: String,
}

impl Network {
    /// The way that the environment's variables describe. Read once, when the function starts.
    ///
    /// # Errors
    ///
    /// As [`Settings::read`] and [`Network::new`].
    pub fn from_env() -> Result<Self, StepError> {
        Self::new(Settings::read(|name| std::env::var(name).ok())?)
    }

    /// The way that `settings` describe.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] when the CA bundle cannot be used.
    pub fn new(settings: Settings) -> Result<Self, StepError> {
        let pem = settings.ca_bundle.as_ref().map(|path| {
            std::fs::read(path).map_err(|error| {
                StepError::new(ErrorName::Bug, format!("the CA bundle {} cannot be read: {error}", path.display()))
                    .changed("nothing was changed")
                    .advice("correct REWIND_DATABASE_CA_BUNDLE, or put the file there")
            })
        });
        let protection = Protection::new(pem.transpose()?.as_deref())?;
        Ok(Self { settings: Arc::new(settings), protection, application_name: "aurora-rewind".to_owned() })
    }

    /// The same way, with sessions that name the recovery they belong to: `aurora-rewind/<id>` in
    /// `pg_stat_activity` or `session_connect_attrs`.
    #[must_use]
    pub fn for_recovery(&self, id: &str) -> Self {
        Self { application_name: format!("aurora-rewind/{id}"), ..self.clone() }
    }

    /// What `name` stands for now, never from a cache.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Unavailable`] when the resolver does not answer. A name that does not exist is no error: it has no
    /// addresses.
    pub async fn resolve(&self, name: &str) -> Result<Resolution, StepError> {
        resolve(self.settings.dns_server, name).await
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which tells a wrong password from everything else.
    pub async fn connect(
        &self,
        target: &Target,
        credential: &Credential,
        database: &str,
    ) -> Result<Session, ConnectError> {
        let stream = self.dial(target).await.map_err(ConnectError::Failed)?;
        let server = stream.peer_addr().ok();
        let way = Way { target, credential, database, at: format!("{database} at {target}") };
        match target.engine {
            Engine::AuroraPostgresql => self.log_in_to_postgres(stream, server, way).await,
            Engine::AuroraMysql => self.log_in_to_mysql(stream, server, way).await,
        }
    }

    async fn log_in_to_postgres(
        &self,
        stream: TcpStream,
        server: Option<SocketAddr>,
        Way { target, credential, database, at }: Way<'_>,
    ) -> Result<Session, ConnectError> {
        let mut config = tokio_postgres::Config::new();
        config
            .user(&credential.user)
            .password(&credential.password)
            .dbname(database)
            .application_name(&self.application_name)
            // Verified or not at all: a password must not go to a server that merely claims to have no TLS.
            .ssl_mode(if self.protection.verifies { SslMode::Require } else { SslMode::Prefer });
        let (connector, progress) = self.protection.connector(&target.certificate_name);
        let login = within(timeouts::DATABASE_LOGIN, config.connect_raw(stream, connector)).await;
        let (client, connection) = match login {
            Ok(Ok(pair)) => pair,
            Ok(Err(error)) => {
                if let Some(db) = error.as_db_error() {
                    return Err(ConnectError::of_postgres(&at, db));
                }
                let why = chain(&error);
                return Err(if progress.failed() { no_tls(target, &why) } else { broke_off(&at, &why) });
            }
            Err(OutOfTime) => return Err(too_slow(&at)),
        };
        let tls = self.tls(progress.done());
        Ok(Session::postgres(client, connection, at, tls, server))
    }

    async fn log_in_to_mysql(
        &self,
        stream: TcpStream,
        server: Option<SocketAddr>,
        Way { target, credential, database, at }: Way<'_>,
    ) -> Result<Session, ConnectError> {
        let login = wire::Login {
            user: &credential.user,
            password: &credential.password,
            database,
            program: &self.application_name,
        };
        let opened = Wire::open(stream, &login, &self.protection, &target.certificate_name);
        match within(timeouts::DATABASE_LOGIN, opened).await {
            Ok(Ok(wire)) => {
                let tls = self.tls(wire.encrypted);
                Ok(Session::mysql(wire, at, tls, server))
            }
            Ok(Err(wire::Error::Refused(refusal))) => Err(ConnectError::of_mysql(&at, &refusal)),
            Ok(Err(wire::Error::Tls(error))) => Err(no_tls(target, &error.to_string())),
            Ok(Err(wire::Error::Broken(why))) => Err(broke_off(&at, &why)),
            Err(OutOfTime) => Err(too_slow(&at)),
        }
    }

    fn tls(&self, encrypted: bool) -> Tls {
        match (encrypted, self.protection.verifies) {
            (true, true) => Tls::Verified,
            (true, false) => Tls::Encrypted,
            (false, _) => Tls::None,
        }
    }

    /// Opens a session with the first of `candidates` that the server accepts, and remembers it for further sessions.
    ///
    /// # Errors
    ///
    /// [`ConnectError::LoginRefused`] when it accepts none of them; any other error of the first candidate that failed for
    /// another reason than its login.
    pub async fn connect_with(
        &self,
        target: &Target,
        candidates: &[Credential],
        database: &str,
    ) -> Result<(Server, Session), ConnectError> {
        let mut refused = Vec::new();
        for credential in candidates {
            match self.connect(target, credential, database).await {
                Ok(session) => {
                    let server = Server {
                        network: self.clone(),
                        target: target.clone(),
                        credential: credential.clone(),
                        tls: session.tls(),
                    };
                    return Ok((server, session));
                }
                Err(ConnectError::LoginRefused(why)) => refused.push(format!("{}: {why}", credential.label)),
                Err(error) => return Err(error),
            }
        }
        Err(ConnectError::LoginRefused(match refused.as_slice() {
            [] => format!("there is no login to try at {target}"),
            _ => format!("no version of the secret logs in to {target} ({})", refused.join("; ")),
        }))
    }

    /// A TCP connection to the first address that takes one.
    async fn dial(&self, target: &Target) -> Result<TcpStream, StepError> {
        let resolution = self.resolve(&target.host).await?;
        let mut tried = Vec::new();
        for address in &resolution.addresses {
            let at = SocketAddr::new(*address, target.port);
            let bound = bounded(timeouts::DATABASE_CONNECT);
            match within(bound, self.dial_address(at)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => tried.push(format!("{at}: {error}")),
                Err(_) => tried.push(format!("{at}: no answer within {} s", bound.as_secs())),
            }
        }
        Err(if tried.is_empty() {
            unavailable(format!("the name {} has no address", target.host))
        } else {
            unavailable(format!("no connection to {target} ({})", tried.join("; ")))
        })
    }

    async fn dial_address(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.settings.source_address.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(timeouts::DATABASE_KEEPALIVE)
            .with_interval(timeouts::DATABASE_KEEPALIVE_INTERVAL)
            .with_retries(3);
        let options = SockRef::from(&stream);
        options.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(timeouts::DATABASE_SILENCE))?;
        Ok(stream)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A login that is under way.
struct Way<'a> {
    target: &'a Target,
    credential: &'a Credential,
    database: &'a str,
    /// Where, for a person.
    at: String,
}

fn no_tls(target: &Target, why: &str) -> ConnectError {
    let name = &target.certificate_name;
    ConnectError::Failed(unavailable(format!(
        "the TLS handshake with {target} failed: its certificate has to be valid for {name}: {why}"
    )))
}

fn broke_off(at: &str, why: &str) -> ConnectError {
    ConnectError::Failed(unavailable(format!("the login to {at} broke off: {why}")))
}

fn too_slow(at: &str) -> ConnectError {
    let seconds = timeouts::DATABASE_LOGIN.as_secs();
    ConnectError::Failed(unavailable(format!("{at} did not finish the login within {seconds} s, or in the time left")))
}

/// A server and the login that works there: opens sessions in any of its databases.
#[derive(Debug, Clone)]
pub struct Server {
    network: Network,
    target: Target,
    credential: Credential,
    tls: Tls,
}

impl Server {
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

    /// Where the server is reached.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn an_empty_environment_means_the_systems_choices() {
        assert_eq!(Settings::read(environment(&[])).unwrap(), Settings::default());
        assert_eq!(Settings::read(environment(&[("REWIND_DNS_SERVER", "")])).unwrap(), Settings::default());
    }

    #[test]
    fn a_wrong_variable_is_named_with_what_would_be_right() {
        let error = Settings::read(environment(&[("REWIND_DNS_SERVER", "10.0.0.2")])).unwrap_err().to_string();
        assert!(error.contains("REWIND_DNS_SERVER=10.0.0.2") && error.contains("address:port"), "{error}");
    }

    #[test]
    fn a_missing_ca_bundle_stops_the_function_before_it_connects_unverified() {
        let settings = Settings { ca_bundle: Some("/nonexistent/ca.pem".into()), ..Settings::default() };
        assert!(Network::new(settings).unwrap_err().to_string().contains("/nonexistent/ca.pem"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let credential = Credential { user: "u".into(), password: "secret".into(), label: "AWSCURRENT".into() };
        assert!(!format!("{credential:?}").contains("secret"));
    }
}
