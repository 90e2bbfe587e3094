//! The MySQL protocol over a connection of our own: login, one statement at a time, rows as text. It decides nothing.
//!
//! The messages and the logins are `mysql_common`'s. The drivers above it resolve names and connect by themselves, from
//! an address of the system's choice, and always let several statements stand in one text; here none of that may be.

use crate::engine::Dialect;
use crate::error::Refusal;
use crate::session::{Answered, Row};
use crate::tls::Protection;
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// What a client may do here. Left out on purpose: several statements in one text, and files of the client's.
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS);
/// A part of a message that is this long is not its last.
const FULL: usize = 0xff_ffff;
/// No message may be larger, whatever a server says.
const LARGEST: usize = 64 << 20;
const UTF8MB4: u8 = 45;
const MORE_RESULTS: u16 = 0x0008;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const CLOSE_STATEMENT: u8 = 0x19;

/// Who logs in, and where to.
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) database: &'a str,
    /// Shown by `performance_schema.session_connect_attrs`.
    pub(crate) program: &'a str,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    /// The server said no; the connection goes on.
    Refused(Refusal),
    /// The TLS handshake failed.
    Tls(std::io::Error),
    /// The connection is of no use any more.
    Broken(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn nonsense(what: &str) -> Error {
    Error::Broken(format!("the server's {what} makes no sense"))
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A connection that is logged in.
pub(crate) struct Wire {
    stream: BufStream<Box<dyn Stream>>,
    sequence: u8,
    pub(crate) dialect: Dialect,
    pub(crate) encrypted: bool,
}

impl Wire {
    /// Logs in over `stream`, encrypted where the server can; the server presents itself as `name`.
    pub(crate) async fn open(
        stream: TcpStream,
        login: &Login<'_>,
        protection: &Protection,
        name: &str,
    ) -> Result<Self, Error> {
        let mut stream = stream;
        let (mut sequence, greeting) = greet(&mut stream).await?;
        let greeting: HandshakePacket<'_> =
            ParseBuf(refused(&greeting)?).parse(()).map_err(|_| nonsense("first message"))?;
        let dialect = match greeting.maria_db_server_version_parsed() {
            Some(_) => Dialect::MariaDb,
            None => Dialect::MySql,
        };
        let encrypted = greeting.capabilities().contains(CapabilityFlags::CLIENT_SSL);
        let mut capabilities = CAPABILITIES & (greeting.capabilities() | CapabilityFlags::CLIENT_LONG_PASSWORD);
        let stream: Box<dyn Stream> = if encrypted {
            capabilities |= CapabilityFlags::CLIENT_SSL;
            let mut request = Vec::new();
            SslRequest::new(capabilities, LARGEST as u32, UTF8MB4).serialize(&mut request);
            stream.write_all(&framed(&request, &mut sequence)).await?;
            Box::new(protection.encrypt(stream, name).await.map_err(Error::Tls)?)
        } else if protection.verifies {
            // Verified or not at all: a password must not go to a server that merely claims to have no TLS.
            return Err(Error::Broken("the server offers no TLS".to_owned()));
        } else {
            Box::new(stream)
        };
        let mut wire = Self { stream: BufStream::new(stream), sequence, dialect, encrypted };
        wire.log_in(&greeting, login, capabilities).await?;
        Ok(wire)
    }

    async fn log_in(
        &mut self,
        greeting: &HandshakePacket<'_>,
        login: &Login<'_>,
        capabilities: CapabilityFlags,
    ) -> Result<(), Error> {
        let mut secret = Secret { password: login.password, scramble: greeting.nonce(), encrypted: self.encrypted };
        // A server's own choice is its default; the account's may be another, and the server then says so.
        let plugin = match greeting.auth_plugin() {
            Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
            _ => AuthPlugin::MysqlNativePassword,
        };
        let mut procedure = begin(&plugin)?;
        let first = procedure.run(&secret, &secret.scramble.clone()).map_err(|_| nonsense("challenge"))?;
        let program = HashMap::from([("program_name".to_owned(), login.program.to_owned())]);
        let response = HandshakeResponse::new(
            first.data(),
            greeting.server_version_parsed().unwrap_or((8, 0, 0)),
            Some(login.user.as_bytes()),
            Some(login.database.as_bytes()),
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
            let answer = self.receive().await?;
            let answer = refused(&answer)?;
            match answer.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xfe, _)) if !switched => {
                    switched = true;
                    let request: AuthSwitchRequest<'_> =
                        ParseBuf(answer).parse(()).map_err(|_| nonsense("choice of a login"))?;
                    procedure = begin(&request.auth_plugin())?;
                    secret.scramble = request.plugin_data().to_vec();
                    let reply = procedure.run(&secret, &secret.scramble.clone()).map_err(|_| nonsense("challenge"))?;
                    self.send(reply.data().unwrap_or_default()).await?;
                }
                Some((0x01, challenge)) => {
                    let reply = procedure.run(&secret, challenge).map_err(|_| nonsense("challenge"))?;
                    if let Some(data) = reply.data() {
                        self.send(data).await?;
                    }
                }
                _ => return Err(nonsense("answer to the login")),
            }
        }
    }

    /// Has the server read one statement without running it; answers how many columns it would have.
    pub(crate) async fn columns(&mut self, sql: &str) -> Result<usize, Error> {
        self.command(PREPARE, sql.as_bytes()).await?;
        let answer = self.receive().await?;
        let mut answer = ParseBuf(refused(&answer)?);
        let mut read = || {
            answer.checked_eat_u8()?;
            Some((answer.checked_eat_u32_le()?, answer.checked_eat_u16_le()?, answer.checked_eat_u16_le()?))
        };
        let (statement, columns, parameters) = read().ok_or_else(|| nonsense("answer"))?;
        for described in [parameters, columns] {
            // The descriptions, and a message that ends them.
            for _ in 0..if described == 0 { 0 } else { u32::from(described) + 1 } {
                self.receive().await?;
            }
        }
        self.command(CLOSE_STATEMENT, &statement.to_le_bytes()).await?;
        Ok(columns.into())
    }

    /// Runs one statement and keeps the first `keep` rows of all that it answers.
    pub(crate) async fn query(&mut self, sql: &str, keep: usize) -> Result<Answered, Error> {
        self.command(QUERY, sql.as_bytes()).await?;
        let mut answered = Answered { rows: Vec::new(), total: 0 };
        while self.result(keep, &mut answered).await? & MORE_RESULTS != 0 {}
        Ok(answered)
    }

    /// Reads one result; answers the server's status after it.
    async fn result(&mut self, keep: usize, answered: &mut Answered) -> Result<u16, Error> {
        let head = self.receive().await?;
        let mut head = ParseBuf(refused(&head)?);
        if head.0.first() == Some(&0x00) {
            head.checked_eat_u8();
            head.checked_eat_lenenc_int();
            head.checked_eat_lenenc_int();
            return head.checked_eat_u16_le().ok_or_else(|| nonsense("answer"));
        }
        let columns = head.checked_eat_lenenc_int().filter(|&columns| columns > 0).ok_or_else(|| nonsense("answer"))?;
        for _ in 0..=columns {
            self.receive().await?;
        }
        loop {
            let message = self.receive().await?;
            let message = refused(&message)?;
            if message.first() == Some(&0xfe) && message.len() < 9 {
                let mut end = ParseBuf(message);
                end.checked_eat(3);
                return end.checked_eat_u16_le().ok_or_else(|| nonsense("answer"));
            }
            answered.total += 1;
            if answered.rows.len() < keep {
                answered.rows.push(row(message, columns).ok_or_else(|| nonsense("row"))?);
            }
        }
    }

    /// Says farewell.
    pub(crate) async fn quit(mut self) {
        if self.command(QUIT, &[]).await.is_ok() {
            drop(self.stream.shutdown().await);
        }
    }

    async fn command(&mut self, command: u8, body: &[u8]) -> Result<(), Error> {
        self.sequence = 0;
        let mut message = Vec::with_capacity(body.len() + 1);
        message.push(command);
        message.extend_from_slice(body);
        self.send(&message).await
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.stream.write_all(&framed(message, &mut self.sequence)).await?;
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Error> {
        receive(&mut self.stream, &mut self.sequence).await
    }
}

/// The server's first message, and the number of the next.
async fn greet(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), Error> {
    let mut sequence = 0;
    let greeting = receive(stream, &mut sequence).await?;
    Ok((sequence, greeting))
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), sequence: &mut u8) -> Result<Vec<u8>, Error> {
    let mut message = Vec::new();
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [a, b, c, number] = head;
        let (start, length) = (message.len(), u32::from_le_bytes([a, b, c, 0]) as usize);
        if start + length > LARGEST {
            return Err(Error::Broken(format!("the server's answer is larger than {} MiB", LARGEST >> 20)));
        }
        message.resize(start + length, 0);
        stream.read_exact(message.get_mut(start..).unwrap_or_default()).await?;
        *sequence = number.wrapping_add(1);
        if length < FULL {
            return Ok(message);
        }
    }
}

/// A message in its parts, each with its length and number.
fn framed(message: &[u8], sequence: &mut u8) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    let mut part = |part: &[u8]| {
        framed.extend((part.len() as u32).to_le_bytes().into_iter().take(3));
        framed.push(*sequence);
        framed.extend_from_slice(part);
        *sequence = sequence.wrapping_add(1);
    };
    message.chunks(FULL).for_each(&mut part);
    if message.len().is_multiple_of(FULL) {
        part(&[]);
    }
    framed
}

/// The message, unless it is an error.
fn refused(message: &[u8]) -> Result<&[u8], Error> {
    let [0xff, low, high, text @ ..] = message else { return Ok(message) };
    // The state is there once both sides have agreed on it, which some errors come too early for.
    let text = match text {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Err(Error::Refused(Refusal {
        code: u16::from_le_bytes([*low, *high]).to_string(),
        message: String::from_utf8_lossy(text).into_owned(),
    }))
}

fn row(message: &[u8], columns: u64) -> Option<Row> {
    let mut message = ParseBuf(message);
    (0..columns)
        .map(|_| {
            if message.0.first() == Some(&0xfb) {
                message.checked_eat_u8()?;
                return Some(None);
            }
            Some(Some(text(message.checked_eat_lenenc_str()?)))
        })
        .collect()
}

/// A value as text; one that is none in hexadecimal, as the server would write it.
fn text(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(
        |_| value.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02X}")),
        ToOwned::to_owned,
    )
}

/// The login procedure; only those that never show the password to whoever asks.
fn begin(plugin: &AuthPlugin<'_>) -> Result<AuthProc, Error> {
    match plugin {
        AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password => {
            plugin.init().map_err(|error| Error::Broken(error.to_string()))
        }
        other => Err(Error::Broken(format!(
            "the server wants a login by {}; the account needs mysql_native_password or caching_sha2_password",
            String::from_utf8_lossy(other.as_bytes())
        ))),
    }
}

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
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::constants::StatusFlags;

    #[tokio::test]
    async fn a_message_of_any_length_arrives_as_it_was_sent() {
        for length in [0, 1, FULL - 1, FULL, FULL + 1] {
            let message = vec![7; length];
            let mut sent = 3;
            let framed = framed(&message, &mut sent);
            let mut received = 0;
            assert_eq!(receive(&mut framed.as_slice(), &mut received).await.unwrap(), message);
            assert_eq!(sent, received, "{length}");
        }
    }

    #[tokio::test]
    async fn a_message_without_an_end_is_not_waited_for() {
        let part = [&[0xff, 0xff, 0xff, 0][..], &vec![0; FULL]].concat();
        let endless = part.repeat(5);
        let error = receive(&mut endless.as_slice(), &mut 0).await.unwrap_err();
        assert!(matches!(error, Error::Broken(why) if why.contains("64 MiB")));
    }

    #[test]
    fn an_error_is_read_with_and_without_its_state() {
        for message in [&b"\xff\x15\x04#28000no"[..], b"\xff\x15\x04no"] {
            let Err(Error::Refused(refusal)) = refused(message) else { panic!("{message:?}") };
            assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("1045", "no"));
        }
        assert!(refused(b"\x00fine").is_ok());
    }

    #[test]
    fn a_row_that_ends_too_early_is_none() {
        assert_eq!(row(b"\x01a\xfb\x00", 3), Some(vec![Some("a".to_owned()), None, Some(String::new())]));
        assert_eq!(row(b"\x05a", 1), None);
        assert_eq!(row(b"\x01a", 2), None);
        assert_eq!(row(b"\x02\xff\x01", 1), Some(vec![Some("0xFF01".to_owned())]));
    }

    const NONCE: &[u8; 20] = b"twenty bytes of salt";

    /// One end of a login: what a test's server does is written out, for no MariaDB speaks `caching_sha2_password`.
    struct Server<S> {
        stream: S,
        sequence: u8,
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
        async fn say(&mut self, message: &[u8]) {
            let framed = framed(message, &mut self.sequence);
            self.stream.write_all(&framed).await.unwrap();
        }

        async fn hear(&mut self) -> Vec<u8> {
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
            self.say(&message).await;
        }
    }

    const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
    const SHA2: &str = "caching_sha2_password";

    async fn pair() -> (tokio::task::JoinHandle<Result<Wire, Error>>, Server<TcpStream>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = tokio::spawn(async move {
            let login = Login { user: "admin", password: "secret", database: "mysql", program: "p" };
            Wire::open(stream, &login, &Protection::new(None).unwrap(), "db.example").await
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
        let response = server.hear().await;
        assert!(holds(&response, &scrambled()) && holds(&response, b"admin") && !holds(&response, b"secret"));
        server.say(&[1, 3]).await;
        server.say(OK).await;
        let wire = client.await.unwrap().unwrap();
        assert_eq!((wire.dialect, wire.encrypted), (Dialect::MySql, false));
    }

    #[tokio::test]
    async fn an_account_may_log_in_by_another_way_than_the_server_s_own() {
        let (client, mut server) = pair().await;
        server.greet("mysql_native_password", false).await;
        server.hear().await;
        server.say(&[b"\xfecaching_sha2_password\0", &NONCE[..], b"\0"].concat()).await;
        assert_eq!(server.hear().await, scrambled());
        server.say(&[1, 3]).await;
        server.say(OK).await;
        client.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn without_tls_a_password_that_the_server_forgot_waits_for_its_key() {
        let (client, mut server) = pair().await;
        server.greet(SHA2, false).await;
        server.hear().await;
        server.say(&[1, 4]).await;
        assert_eq!(server.hear().await, [2]);
        server.say(b"\x01this is no key").await;
        assert!(matches!(client.await.unwrap(), Err(Error::Broken(_))));
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
        let request = server.hear().await;
        assert_eq!(request.len(), 32, "nothing but the wish for TLS goes in clear");
        let Server { stream, sequence } = server;
        let stream = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)).accept(stream).await.unwrap();
        let mut server = Server { stream, sequence };
        assert!(holds(&server.hear().await, &scrambled()));
        server.say(&[1, 4]).await;
        assert_eq!(server.hear().await, b"secret\0");
        server.say(OK).await;
        assert!(client.await.unwrap().unwrap().encrypted);
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_itself_does_not_get_it() {
        let (client, mut server) = pair().await;
        server.greet("mysql_native_password", false).await;
        server.hear().await;
        server.say(b"\xfemysql_clear_password\0").await;
        let Err(Error::Broken(why)) = client.await.unwrap() else { panic!("it went on") };
        assert!(why.contains("mysql_clear_password"), "{why}");
    }
}
