//! A proxy in front of a server: it listens where clients connect, admits the addresses of the security groups, and tells the server the
//! client's address. It reads nothing of the traffic, and never ends a connection that it admitted, until it is closed itself.

use super::accounts::REPLICATION;
use crate::servers::Error;
use ipnet::IpNet;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

const CHUNK: usize = 64 * 1024;
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Attempts to listen: a proxy may be opened again before the system has released the last one's port.
const BIND_TRIES: u32 = 100;

/// The admitted blocks; shared by the proxies of a cluster, read for each new connection.
pub(super) type AdmittedBlocks = Arc<Mutex<Vec<IpNet>>>;
/// Called with each reply of the server, before the client gets it.
pub(super) type OnReply = Arc<dyn Fn() + Send + Sync>;

/// The clients of a proxy.
#[derive(Clone)]
pub(super) enum Accept {
    /// Clients of the database. `on_reply` runs before they learn of anything.
    Clients { admitted: AdmittedBlocks, on_reply: Option<OnReply> },
    /// Replicas of the cluster: only the replication account is let through, and the server takes them for local.
    Readers,
}

/// A listening proxy; dropping it closes it with all its connections.
#[derive(Debug)]
pub(super) struct Proxy {
    pub at: SocketAddr,
    listening: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Proxy {
    /// Listens at `at`, for the server on `socket`.
    pub async fn open(at: SocketAddrV4, socket: PathBuf, who: Accept) -> Result<Self, Error> {
        let listener = bind(at).await.map_err(|source| Error::Listen { at, source })?;
        let at = listener.local_addr()?;
        Ok(Self { at, listening: tokio::spawn(listen(listener, socket, who)) })
    }

    /// Stops listening; when this returns, every connection through the proxy is cut.
    pub async fn close(mut self) {
        self.listening.abort();
        // Awaited: an aborted task holds its sockets until the runtime gets to it, and a client could still see a reply.
        let _ = (&mut self.listening).await;
    }
}

async fn bind(at: SocketAddrV4) -> io::Result<TcpListener> {
    for _ in 1..BIND_TRIES {
        match TcpListener::bind(at).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(Duration::from_millis(20)).await,
            bound => return bound,
        }
    }
    TcpListener::bind(at).await
}

async fn listen(listener: TcpListener, socket: PathBuf, who: Accept) {
    // Sessions live in this task's set, so that aborting the task cuts them all.
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, peer)) => {
                    let (socket, who) = (socket.clone(), who.clone());
                    sessions.spawn(async move {
                        if let Err(error) = session(client, peer, &socket, who).await {
                            tracing::debug!(%error, %peer, "a connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_AGAIN).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
        }
    }
}

async fn session(mut client: TcpStream, peer: SocketAddr, socket: &Path, who: Accept) -> io::Result<()> {
    if let Accept::Clients { admitted, .. } = &who
        && !admitted.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|block| block.contains(&peer.ip()))
    {
        // On AWS nothing would answer; hanging up at once says the same sooner.
        return Ok(());
    }
    client.set_nodelay(true)?;
    let to = client.local_addr()?;
    let (mut from_server, mut to_server) = UnixStream::connect(socket).await?.into_split();
    let on_reply = match who {
        Accept::Clients { on_reply, .. } => {
            let header = format!("PROXY TCP4 {} {} {} {}\r\n", peer.ip(), to.ip(), peer.port(), to.port());
            to_server.write_all(header.as_bytes()).await?;
            on_reply
        }
        Accept::Readers => {
            let login = replication_login(&mut client, &mut from_server).await?;
            to_server.write_all(&login).await?;
            None
        }
    };
    let (mut from_client, mut to_client) = client.split();
    let replies = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = from_server.read(&mut chunk).await?;
            // Before the bytes are passed on: what a client has been told is in the history at a time no later than the telling.
            if let Some(on_reply) = &on_reply {
                on_reply();
            }
            match chunk.get(..length) {
                Some([]) | None => return Ok(()),
                Some(reply) => to_client.write_all(reply).await?,
            }
        }
    };
    // No client of MySQL half-closes a connection: whoever ends first ends both.
    tokio::select! {
        ended = replies => ended,
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(drop),
    }
}

/// Passes the server's greeting on, and returns the login if it is replication's.
async fn replication_login(client: &mut TcpStream, server: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    client.write_all(&packet(server).await?).await?;
    let login = packet(client).await?;
    // Capabilities (4), longest packet (4), character set (1) and filler (23) come before the name.
    let name = login.get(4 + 32..).unwrap_or_default();
    if name.strip_prefix(REPLICATION.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
        return Ok(login);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "this proxy is for readers only"))
}

async fn packet(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let [a, b, c, _] = header;
    let mut packet = header.to_vec();
    packet.resize(4 + u32::from_le_bytes([a, b, c, 0]) as usize, 0);
    from.read_exact(packet.get_mut(4..).unwrap_or_default()).await?;
    Ok(packet)
}
