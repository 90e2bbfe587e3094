//! The MySQL protocol over a connection of our own: login, one statement at a time, rows as text. It decides nothing.
//!
//! The messages and the logins are `mysql_common`'s. The drivers above it resolve names and connect by themselves, from
//! an address of the system's choice, and always let several statements stand in one text; here none of that may be.

use super::packets::{LARGEST, ProtocolError, framed, malformed, receive, row, unless_refused};
use super::{OLDEST, Variant, Version};
use crate::engine::{QueryResult, Row};
use crate::target::LoginAttempt;
use crate::tls::Protection;
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;

/// The protocol's options that are used here. Left out on purpose: several statements in one text, and files of the client's.
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS);
const UTF8MB4: u8 = 45;
const MORE_RESULTS: u16 = 0x0008;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const CLOSE_STATEMENT: u8 = 0x19;

/// The destination of the rows of a result.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// The first of them into the result.
    Kept(usize),
    /// All of them on to whoever takes them.
    Sent(&'a Sender<Row>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A connection that is logged in.
pub(super) struct Protocol {
    stream: BufStream<Box<dyn Stream>>,
    sequence: u8,
    pub(super) variant: Variant,
    /// The version, as the greeting has it; MariaDB's own, whose numbers are higher.
    pub(super) version: Version,
    pub(super) encrypted: bool,
}

impl Protocol {
    /// Logs in over `stream`, encrypted where the server can.
    pub(super) async fn open(
        stream: TcpStream,
        attempt: &LoginAttempt<'_>,
        protection: &Protection,
    ) -> Result<Self, ProtocolError> {
        let mut stream = stream;
        let (mut sequence, greeting) = greet(&mut stream).await?;
        let greeting: HandshakePacket<'_> =
            ParseBuf(unless_refused(&greeting)?).parse(()).map_err(|_| malformed("first message"))?;
        // MariaDB says that it is 5.5.5 in front of its own version, for replicas of old: the crate knows that.
        let (variant, version) = match greeting.maria_db_server_version_parsed() {
            Some(version) => (Variant::MariaDb, version),
            // Of a server that does not say its version, no function is known that an old one lacks.
            None => (Variant::MySql, greeting.server_version_parsed().unwrap_or(OLDEST)),
        };
        let encrypted = greeting.capabilities().contains(CapabilityFlags::CLIENT_SSL);
        let mut capabilities = CAPABILITIES & (greeting.capabilities() | CapabilityFlags::CLIENT_LONG_PASSWORD);
        let stream: Box<dyn Stream> = if encrypted {
            capabilities |= CapabilityFlags::CLIENT_SSL;
            let mut request = Vec::new();
            SslRequest::new(capabilities, LARGEST as u32, UTF8MB4).serialize(&mut request);
            stream.write_all(&framed(&request, &mut sequence)).await?;
            Box::new(protection.encrypt(stream, &attempt.target.certificate_name).await.map_err(ProtocolError::Tls)?)
        } else if protection.verifies {
            // Verified or not at all: a password must not go to a server that merely claims to have no TLS.
            return Err(ProtocolError::Broken("the server offers no TLS".to_owned()));
        } else {
            Box::new(stream)
        };
        let mut protocol = Self { stream: BufStream::new(stream), sequence, variant, version, encrypted };
        protocol.log_in(&greeting, attempt, capabilities).await?;
        Ok(protocol)
    }

    async fn log_in(
        &mut self,
        greeting: &HandshakePacket<'_>,
        attempt: &LoginAttempt<'_>,
        capabilities: CapabilityFlags,
    ) -> Result<(), ProtocolError> {
        let LoginAttempt { credential, database, application_name, .. } = attempt;
        let mut secret =
            Secret { password: &credential.password, scramble: greeting.nonce(), encrypted: self.encrypted };
        // A server's own choice is its default; the account's may be another, and the server then says so.
        let plugin = match greeting.auth_plugin() {
            Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
            _ => AuthPlugin::MysqlNativePassword,
        };
        let mut procedure = authentication(&plugin)?;
        let first = procedure.run(&secret, &secret.scramble.clone()).map_err(|_| malformed("challenge"))?;
        let program = HashMap::from([("program_name".to_owned(), (*application_name).to_owned())]);
        let response = HandshakeResponse::new(
            first.data(),
            greeting.server_version_parsed().unwrap_or((8, 0, 0)),
            Some(credential.user.as_bytes()),
            Some(database.as_bytes()),
            Some(plugin),
            capabilities,
            Some(program),
            LARGEST as u32,
        );
        let mut message = Vec::new();
        response.serialize(&mut message);
        self.send(&message).await?;
        let mut switched = false;
        loop {
            let response = self.receive().await?;
            let response = unless_refused(&response)?;
            match response.split_first() {
                Some((0x00, _)) => return Ok(()),
                // Once only: a server that asks again and again would never let the login end.
                Some((0xfe, _)) if !switched => {
                    switched = true;
                    let request: AuthSwitchRequest<'_> =
                        ParseBuf(response).parse(()).map_err(|_| malformed("choice of a login"))?;
                    procedure = authentication(&request.auth_plugin())?;
                    secret.scramble = request.plugin_data().to_vec();
                    let reply = procedure.run(&secret, &secret.scramble.clone()).map_err(|_| malformed("challenge"))?;
                    self.send(reply.data().unwrap_or_default()).await?;
                }
                Some((0x01, challenge)) => {
                    let reply = procedure.run(&secret, challenge).map_err(|_| malformed("challenge"))?;
                    if let Some(data) = reply.data() {
                        self.send(data).await?;
                    }
                }
                _ => return Err(malformed("response to the login")),
            }
        }
    }

    /// Has the server parse one statement without running it, and returns how many columns its result would have.
    pub(super) async fn count_columns(&mut self, sql: &str) -> Result<usize, ProtocolError> {
        Ok(self.describe(sql).await?.0.len())
    }

    /// Has the server parse one statement without running it, and returns the descriptions of its columns, as they came,
    /// and the number of its placeholders.
    pub(super) async fn describe(&mut self, sql: &str) -> Result<(Vec<Vec<u8>>, usize), ProtocolError> {
        self.command(PREPARE, sql.as_bytes()).await?;
        let prepared = self.receive().await?;
        let mut prepared = ParseBuf(unless_refused(&prepared)?);
        let mut read = || {
            prepared.checked_eat_u8()?;
            Some((prepared.checked_eat_u32_le()?, prepared.checked_eat_u16_le()?, prepared.checked_eat_u16_le()?))
        };
        let (statement, columns, parameters) = read().ok_or_else(|| malformed("response"))?;
        let mut descriptions = Vec::new();
        for described in [parameters, columns] {
            descriptions.clear();
            for _ in 0..described {
                descriptions.push(self.receive().await?);
            }
            // A message that ends them, which is there only where there are descriptions.
            if described > 0 {
                self.receive().await?;
            }
        }
        // The server sends nothing back for this, so nothing is read.
        self.command(CLOSE_STATEMENT, &statement.to_le_bytes()).await?;
        Ok((descriptions, parameters.into()))
    }

    /// Runs one statement and keeps the first `keep` rows of all its results.
    pub(super) async fn query(&mut self, sql: &str, keep: usize) -> Result<QueryResult, ProtocolError> {
        self.command(QUERY, sql.as_bytes()).await?;
        let mut result = QueryResult::default();
        // A procedure sends the results of its statements and then its own; all have to be read before the next command.
        while self.read_result(Rows::Kept(keep), &mut result).await? & MORE_RESULTS != 0 {}
        Ok(result)
    }

    /// Runs one statement and sends each row of its results on.
    pub(super) async fn query_each(&mut self, sql: &str, rows: &Sender<Row>) -> Result<(), ProtocolError> {
        self.command(QUERY, sql.as_bytes()).await?;
        let mut result = QueryResult::default();
        while self.read_result(Rows::Sent(rows), &mut result).await? & MORE_RESULTS != 0 {}
        Ok(())
    }

    /// Reads one result, and returns the server's status after it.
    async fn read_result(&mut self, rows: Rows<'_>, read: &mut QueryResult) -> Result<u16, ProtocolError> {
        let head = self.receive().await?;
        let mut head = ParseBuf(unless_refused(&head)?);
        if head.0.first() == Some(&0x00) {
            head.checked_eat_u8();
            head.checked_eat_lenenc_int();
            head.checked_eat_lenenc_int();
            return head.checked_eat_u16_le().ok_or_else(|| malformed("response"));
        }
        let columns =
            head.checked_eat_lenenc_int().filter(|&columns| columns > 0).ok_or_else(|| malformed("response"))?;
        for _ in 0..=columns {
            self.receive().await?;
        }
        loop {
            let message = self.receive().await?;
            let message = unless_refused(&message)?;
            // A row may begin with the same byte: then a length of 8 bytes follows it, and the message is longer.
            if message.first() == Some(&0xfe) && message.len() < 9 {
                let mut end = ParseBuf(message);
                end.checked_eat(3);
                return end.checked_eat_u16_le().ok_or_else(|| malformed("response"));
            }
            read.total += 1;
            let decoded = || row(message, columns).ok_or_else(|| malformed("row"));
            match rows {
                Rows::Kept(keep) if read.rows.len() < keep => read.rows.push(decoded()?),
                Rows::Kept(_) => {}
                // Nobody takes it any more: the rest is read all the same, for the next command's result comes after it.
                Rows::Sent(rows) => drop(rows.send(decoded()?).await),
            }
        }
    }

    /// Tells the server that the session ends.
    pub(super) async fn quit(mut self) {
        if self.command(QUIT, &[]).await.is_ok() {
            drop(self.stream.shutdown().await);
        }
    }

    async fn command(&mut self, command: u8, body: &[u8]) -> Result<(), ProtocolError> {
        self.sequence = 0;
        let mut message = Vec::with_capacity(body.len() + 1);
        message.push(command);
        message.extend_from_slice(body);
        self.send(&message).await
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), ProtocolError> {
        self.stream.write_all(&framed(message, &mut self.sequence)).await?;
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<Vec<u8>, ProtocolError> {
        receive(&mut self.stream, &mut self.sequence).await
    }
}

/// The server's first message, and the number of the next.
async fn greet(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), ProtocolError> {
    let mut sequence = 0;
    let greeting = receive(stream, &mut sequence).await?;
    Ok((sequence, greeting))
}

/// Starts a login procedure; only those that never send the password to whoever asks.
fn authentication(plugin: &AuthPlugin<'_>) -> Result<AuthProc, ProtocolError> {
    match plugin {
        AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password => {
            plugin.init().map_err(|error| ProtocolError::Broken(error.to_string()))
        }
        other => Err(ProtocolError::Broken(format!(
            "the server wants a login by {}; the account needs mysql_native_password or caching_sha2_password",
            String::from_utf8_lossy(other.as_bytes())
        ))),
    }
}

/// The password, and what it is proven against.
struct Secret<'a> {
    password: &'a str,
    scramble: Vec<u8>,
    encrypted: bool,
}

impl Context for &Secret<'_> {
    fn pass(&self) -> &[u8] {
        self.password.as_bytes()
    }
    fn is_ipc_transport(&self) -> bool {
        false
    }
    fn is_tls_transport(&self) -> bool {
        self.encrypted
    }
    fn scramble(&self) -> &[u8] {
        &self.scramble
    }
    /// None: a key that the server sends is nobody's whom we know. The procedure then asks for it, and that login fails.
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Credential, Target};
    use mysql_common::constants::StatusFlags;
    use proptest::prelude::*;
    use rewind_core::Engine;

    const NONCE: &[u8; 20] = b"twenty bytes of salt";

    /// One end of a login: what a test's server does is written out, for no MariaDB speaks `caching_sha2_password`.
    struct Server<S> {
        stream: S,
        sequence: u8,
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
        async fn send(&mut self, message: &[u8]) {
            let framed = framed(message, &mut self.sequence);
            self.stream.write_all(&framed).await.unwrap();
        }

        async fn receive(&mut self) -> Vec<u8> {
            receive(&mut self.stream, &mut self.sequence).await.unwrap()
        }

        async fn greet(&mut self, plugin: &str, encrypted: bool) {
            let mut capabilities = CAPABILITIES;
            capabilities.set(CapabilityFlags::CLIENT_SSL, encrypted);
            let greeting = HandshakePacket::new(
                10,
                &b"8.0.28"[..],
                7,
                [b't', b'w', b'e', b'n', b't', b'y', b' ', b'b'],
                Some([&NONCE[8..], &[0]].concat()),
                capabilities,
                UTF8MB4,
                StatusFlags::SERVER_STATUS_AUTOCOMMIT,
                Some(plugin.as_bytes()),
            );
            let mut message = Vec::new();
            greeting.serialize(&mut message);
            self.send(&message).await;
        }
    }

    const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
    const SHA2: &str = "caching_sha2_password";

    async fn pair() -> (tokio::task::JoinHandle<Result<Protocol, ProtocolError>>, Server<TcpStream>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = tokio::spawn(async move {
            let target = Target::new(Engine::AuroraMysql, "db.example", 3306);
            let credential = Credential { user: "admin".into(), password: "secret".into(), label: String::new() };
            let attempt = LoginAttempt {
                target: &target,
                credential: &credential,
                database: "mysql",
                application_name: "p",
                check_functions: &[],
                open_to_checks: &rewind_core::OpenDatabases::default(),
                at: "mysql at db.example".to_owned(),
            };
            Protocol::open(stream, &attempt, &Protection::new(None).unwrap()).await
        });
        (client, Server { stream: listener.accept().await.unwrap().0, sequence: 0 })
    }

    fn scrambled() -> [u8; 32] {
        mysql_common::auth::plugins::caching_sha2_password::scramble_sha256(NONCE, b"secret").unwrap()
    }

    fn holds(message: &[u8], part: &[u8]) -> bool {
        message.windows(part.len()).any(|window| window == part)
    }

    #[tokio::test]
    async fn a_password_that_the_server_remembers_is_proven_and_not_shown() {
        let (client, mut server) = pair().await;
        server.greet(SHA2, false).await;
        let response = server.receive().await;
        assert!(holds(&response, &scrambled()) && holds(&response, b"admin") && !holds(&response, b"secret"));
        server.send(&[1, 3]).await;
        server.send(OK).await;
        let protocol = client.await.unwrap().unwrap();
        assert_eq!((protocol.variant, protocol.version, protocol.encrypted), (Variant::MySql, (8, 0, 28), false));
    }

    #[tokio::test]
    async fn an_account_may_log_in_by_another_way_than_the_server_s_own() {
        let (client, mut server) = pair().await;
        server.greet("mysql_native_password", false).await;
        server.receive().await;
        server.send(&[b"\xfecaching_sha2_password\0", &NONCE[..], b"\0"].concat()).await;
        assert_eq!(server.receive().await, scrambled());
        server.send(&[1, 3]).await;
        server.send(OK).await;
        client.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn without_tls_a_password_that_the_server_forgot_waits_for_its_key() {
        let (client, mut server) = pair().await;
        server.greet(SHA2, false).await;
        server.receive().await;
        server.send(&[1, 4]).await;
        assert_eq!(server.receive().await, [2]);
        server.send(b"\x01this is no key").await;
        assert!(matches!(client.await.unwrap(), Err(ProtocolError::Broken(_))));
    }

    #[tokio::test]
    async fn a_password_that_the_server_forgot_goes_through_tls() {
        let issued = rcgen::generate_simple_self_signed(vec!["db.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![issued.cert.der().clone()], key)
                .unwrap();
        let (client, mut server) = pair().await;
        server.greet(SHA2, true).await;
        let request = server.receive().await;
        assert_eq!(request.len(), 32, "nothing but the wish for TLS goes in clear");
        let Server { stream, sequence } = server;
        let stream = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)).accept(stream).await.unwrap();
        let mut server = Server { stream, sequence };
        assert!(holds(&server.receive().await, &scrambled()));
        server.send(&[1, 4]).await;
        assert_eq!(server.receive().await, b"secret\0");
        server.send(OK).await;
        assert!(client.await.unwrap().unwrap().encrypted);
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_itself_does_not_get_it() {
        let (client, mut server) = pair().await;
        server.greet("mysql_native_password", false).await;
        server.receive().await;
        server.send(b"\xfemysql_clear_password\0").await;
        let Err(ProtocolError::Broken(why)) = client.await.unwrap() else { panic!("it went on") };
        assert!(why.contains("mysql_clear_password"), "{why}");
    }

    /// Messages of a server at random, numbered and measured as they have to be.
    fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // The first byte decides what a message is taken for.
        let first = prop_oneof![Just(0x00), Just(0x01), Just(0xfb), Just(0xfe), Just(0xff), any::<u8>()];
        let message = (first, prop::collection::vec(any::<u8>(), 0..48));
        let message = message.prop_map(|(first, rest)| [&[first], rest.as_slice()].concat());
        prop::collection::vec(prop_oneof![9 => message, 1 => Just(Vec::new())], 0..8)
    }

    /// Lets a server send these messages, and then nothing more, to a connection that is logged in.
    async fn logged_in(sent: Vec<Vec<u8>>) -> Protocol {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let mut server = Server { stream: theirs, sequence: 1 };
        for message in &sent {
            server.send(message).await;
        }
        server.stream.shutdown().await.unwrap();
        // What the client sends has to go somewhere.
        tokio::spawn(async move { tokio::io::copy(&mut server.stream, &mut tokio::io::sink()).await });
        let stream: Box<dyn Stream> = Box::new(ours);
        let (variant, version) = (Variant::MySql, (8, 0, 28));
        Protocol { stream: BufStream::new(stream), sequence: 0, variant, version, encrypted: true }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_a_statement_ends(sent in messages(), keep in 0_usize..4) {
            run(async {
                let read = logged_in(sent.clone()).await.query("SELECT 1", keep).await;
                prop_assert!(read.as_ref().is_ok_and(|read| read.rows.len() <= keep) || read.is_err());
                let _ = logged_in(sent).await.describe("SELECT 1").await;
                Ok(())
            })?;
        }

        #[test]
        fn whatever_a_server_sends_a_login_ends_and_shows_no_password(sent in messages(), greets in any::<bool>()) {
            run(async {
                let (client, mut server) = pair().await;
                if greets {
                    server.greet(SHA2, false).await;
                }
                for message in &sent {
                    let framed = framed(message, &mut server.sequence);
                    // The client may have gone by now.
                    let _ = server.stream.write_all(&framed).await;
                }
                let _ = server.stream.shutdown().await;
                // With it the connection ends, however the login did: only then is there an end to read to.
                drop(client.await.unwrap());
                let mut received = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut server.stream, &mut received).await;
                prop_assert!(!holds(&received, b"secret"));
                Ok(())
            })?;
        }
    }
}
