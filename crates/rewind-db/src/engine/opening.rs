//! A login that only reads, made on a server whose other logins a fence has closed, and removed again.

use super::{LoginOperations, SessionOperations};
use crate::server::Server;
use jiff::Timestamp;
use rewind_core::StepError;
use std::fmt;
use std::net::IpAddr;

/// A login that reads one database.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadingLogin {
    /// The user: letters, digits and underscores.
    pub user: String,
    /// The password: letters, digits and hyphens.
    pub password: String,
    /// The one address that it connects from. MySQL holds it to that; PostgreSQL leaves it to the network.
    pub from: IpAddr,
    /// The time at which PostgreSQL lets it in no more. MySQL knows no such time.
    pub until: Timestamp,
    /// The database.
    pub database: String,
}

impl fmt::Debug for ReadingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadingLogin")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// The state of a login behind [`OpeningOperations::shut_login`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShutLogin {
    /// There is none of that name.
    Missing,
    /// Nobody logs in as it any more; its sessions stay.
    Shut,
    /// The server does not let it be changed, for this reason: no opening made it.
    Foreign(String),
}

/// The logins of an engine that only read.
pub(crate) trait OpeningOperations: LoginOperations + SessionOperations {
    /// The databases that such a login may be made for.
    fn databases_to_open(&self) -> impl Future<Output = Result<Vec<String>, StepError>> + Send;

    /// Lets `database`, which the fence closed, take the login and one of our own sessions.
    fn make_room(&self, database: &str) -> impl Future<Output = Result<(), StepError>> + Send;

    /// Makes the login, of which there is none, with its rights and without a way in: it cannot log in before
    /// [`OpeningOperations::admit_login`]. Returns a sentence for what it does not read there.
    fn make_login(
        &self,
        server: &Server,
        login: &ReadingLogin,
    ) -> impl Future<Output = Result<Vec<String>, StepError>> + Send;

    /// Names what the login could write to, whatever was granted to it: rights that everybody has.
    fn writable_by(
        &self,
        server: &Server,
        login: &ReadingLogin,
    ) -> impl Future<Output = Result<Vec<String>, StepError>> + Send;

    /// Lets the login in, with its password, one connection at a time.
    fn admit_login(&self, login: &ReadingLogin) -> impl Future<Output = Result<(), StepError>> + Send;

    /// Takes every way in from `user`, and its password, whatever its own sessions and transactions hold. `room_in` is the database that
    /// is closed, in which it may have something still.
    fn shut_login(
        &self,
        server: &Server,
        user: &str,
        room_in: Option<&str>,
    ) -> impl Future<Output = Result<ShutLogin, StepError>> + Send;

    /// Removes the login, which is shut, with its rights. Returns the reason why it is there still: where the server refuses that, and where
    /// it owns something, of which nothing is dropped.
    fn drop_login(&self, server: &Server, user: &str)
    -> impl Future<Output = Result<Option<String>, StepError>> + Send;

    /// Closes `database` again, as the fence had it, where it is open; true if it was.
    fn close_database(&self, database: &str) -> impl Future<Output = Result<bool, StepError>> + Send;
}
