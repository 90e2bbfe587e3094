//! Errors of database servers, written for the event log and for a person who reads it.

use std::path::{Path, PathBuf};

/// A failure of a server, a command or a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written or moved.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A program did not start.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("{program} failed: {output}")]
    Command {
        /// The program.
        program: String,
        /// The end of what it wrote to its error output.
        output: String,
    },
    /// A server ended, or never came up; the end of its log says why.
    #[error("the server on {address} {what}: {log}")]
    Server {
        /// The address that it listens on.
        address: std::net::Ipv4Addr,
        /// The failure, as the rest of a sentence about the server.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
    /// A server without a network ended, or never came up; the end of its log says why.
    #[error("the server on {socket} {what}: {log}")]
    Local {
        /// The address that it listens on.
        socket: PathBuf,
        /// The failure, as the rest of a sentence about the server.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
    /// An address can't be listened on.
    #[error("{at} can't be listened on: {source}")]
    Listen {
        /// The address and port.
        at: std::net::SocketAddrV4,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A log could not be applied to a copy.
    #[error("the log could not be replayed: {0}")]
    Replay(String),
    /// A PostgreSQL server refused a connection or a statement.
    #[error("{}", sql(.0))]
    Sql(#[from] tokio_postgres::Error),
    /// A connection could not be made.
    #[error("no connection to the server: {0}")]
    Connect(#[from] std::io::Error),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The cluster is not in a state for this.
    #[error("{0}")]
    State(&'static str),
    /// No usable database on this machine.
    #[error("{0}")]
    Missing(String),
}

// The driver's own text is only "db error": the server's message is one level down.
fn sql(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} ({})", refused.message(), refused.code().code()),
        None => error.to_string(),
    }
}

/// Names the file in an I/O error.
pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}
