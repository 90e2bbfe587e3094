//! The network path to a database server: names, addresses, and TCP connections. What is sent over it is the session's.

use crate::error::{ConnectError, unavailable};
use crate::resolve::{Resolution, resolve};
use crate::session::Session;
use crate::target::{Credential, LoginAttempt, Target};
use crate::tls::Protection;
use rewind_clock::{bounded, within};
use rewind_core::{CheckDatabases, ErrorName, OpenDatabases, StepError, timeouts};
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};

/// The settings of the network path, from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `REWIND_DNS_SERVER`: the server to ask for names; unset: the system's resolver.
    pub dns_server: Option<SocketAddr>,
    /// `REWIND_DATABASE_SOURCE_ADDRESS`: the local address to connect from; unset: the system's choice.
    pub source_address: Option<IpAddr>,
    /// `REWIND_DATABASE_CA_BUNDLE`: a PEM file with the authorities that servers are verified against; unset:
    /// encrypted, not verified.
    pub ca_bundle: Option<PathBuf>,
    /// `REWIND_CHECK_FUNCTIONS`: the functions, separated by commas, that checks may call besides those that act on nothing:
    /// `schema.name`, with the types of its arguments in brackets or without, or the name alone for one of the system's.
    pub check_functions: Vec<String>,
    /// `REWIND_CHECK_DATABASES`: the databases that checks may read; unset: none.
    pub check_databases: CheckDatabases,
}

impl Settings {
    /// Reads the settings through `variable`; an empty one counts as unset.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] with the variable that cannot be read: the deployment is wrong, whatever the request is.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        fn parse<T: std::str::FromStr>(name: &str, value: Option<String>, right: &str) -> Result<Option<T>, StepError> {
            // A parameter of the template that nobody set arrives as an empty variable.
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
            check_databases: CheckDatabases::read(&variable)?,
            check_functions: names(&read("REWIND_CHECK_FUNCTIONS").unwrap_or_default()),
        })
    }
}

/// The names in a list, with the arguments that stand in brackets behind one.
fn names(list: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let parts = list.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The network path to databases, as this function has it. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    settings: Arc<Settings>,
    protection: Protection,
    application_name: String,
    /// The databases that checks may read in the sessions of this network.
    open_to_checks: OpenDatabases,
}

impl Network {
    /// Reads the environment's variables: once, when the function starts.
    ///
    /// # Errors
    ///
    /// As [`Settings::read`] and [`Network::new`].
    pub fn from_env() -> Result<Self, StepError> {
        Self::new(Settings::read(|name| std::env::var(name).ok())?)
    }

    /// A network with these settings.
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
        // Of no cluster, until one is named: what is open in all clusters alone.
        let open_to_checks = settings.check_databases.of("");
        let application_name = "aurora-rewind".to_owned();
        Ok(Self { settings: Arc::new(settings), protection, application_name, open_to_checks })
    }

    /// The same network, with sessions that name the recovery they belong to: `aurora-rewind/<id>` in
    /// `pg_stat_activity` or `session_connect_attrs`.
    #[must_use]
    pub fn for_recovery(&self, id: &str) -> Self {
        Self { application_name: format!("aurora-rewind/{id}"), ..self.clone() }
    }

    /// The same network, with sessions in which checks may read what the deployment opens of the source `cluster`, on whatever server
    /// its data is.
    #[must_use]
    pub fn for_checks_of(&self, cluster: &str) -> Self {
        Self { open_to_checks: self.settings.check_databases.of(cluster), ..self.clone() }
    }

    /// Resolves `name`, never from a cache.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Unavailable`] when the resolver does not respond. A name that does not exist is no error: it has no
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
        let at = format!("{database} at {target}");
        let application_name = &self.application_name;
        let check_functions = self.settings.check_functions.as_slice();
        let open_to_checks = &self.open_to_checks;
        let attempt =
            LoginAttempt { target, credential, database, application_name, check_functions, open_to_checks, at };
        Session::log_in(stream, attempt, &self.protection).await
    }

    /// A TCP connection to the first address that takes one.
    async fn dial(&self, target: &Target) -> Result<TcpStream, StepError> {
        let resolution = self.resolve(&target.host).await?;
        let mut tried = Vec::new();
        // One after the other: a reader endpoint has an address an instance, and one of those may be restarting.
        for address in &resolution.addresses {
            let at = SocketAddr::new(*address, target.port);
            let bound = bounded(timeouts::DATABASE_CONNECT);
            match within(bound, self.dial_address(at)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => tried.push(format!("{at}: {error}")),
                Err(_) => tried.push(format!("{at}: no answer within {} s", bound.as_secs())),
            }
        }
        // A name without an address is told from a server that is down: one is for DNS to mend, the other for the network.
        Err(if tried.is_empty() {
            unavailable(format!("the name {} has no address", target.host))
        } else {
            unavailable(format!("no connection to {target} ({})", tried.join("; ")))
        })
    }

    async fn dial_address(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.settings.source_address.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            // The local stack admits connections by where they come from, as a security group does.
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        // A statement is small, and the next one waits for its result.
        stream.set_nodelay(true)?;
        // A connection that a security group cut, or whose host is gone, gets no reset: without these a statement would wait
        // for the kernel's two hours.
        let keepalive = TcpKeepalive::new()
            .with_time(timeouts::DATABASE_KEEPALIVE)
            .with_interval(timeouts::DATABASE_KEEPALIVE_INTERVAL)
            .with_retries(3);
        let options = SockRef::from(&stream);
        options.set_tcp_keepalive(&keepalive)?;
        // Keepalive tests a silent connection only; this one is for data that was sent and is never acknowledged.
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
    fn a_comma_between_arguments_ends_no_name() {
        assert_eq!(names("public.f(integer, text), g,, shop.h() "), ["public.f(integer, text)", "g", "shop.h()"]);
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
}
