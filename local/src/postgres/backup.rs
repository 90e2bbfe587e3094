//! Continuous backup of one cluster: the archive of the log, base backups, and the heartbeat that lets recovery stop at any quarter
//! of a second. It never changes a server's data.

use super::admin::ADMIN;
use super::context::Context;
use crate::servers::error::file;
use crate::servers::restore_window::{self, RestoreWindow};
use crate::servers::{Error, ServerEndpoint};
use jiff::Timestamp;
use rewind_core::Clock;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

/// Recovery to a time stops only at a commit, and replays what comes before one: a dropped database is gone from the disk
/// before its drop commits. With a commit this often there is always one between the target and the mistake.
const HEARTBEAT: Duration = Duration::from_millis(250);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
const BACKUP_CHECK: Duration = Duration::from_secs(3);
/// Log since the last base backup that is worth another one: a restore need not replay more.
const BACKUP_AFTER_BYTES: f64 = 256.0 * 1024.0 * 1024.0;
const MOST_BACKUPS: usize = 6;
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A copy of the whole data directory, usable for moments from its end on.
#[derive(Debug, Clone)]
pub(super) struct BaseBackup {
    pub dir: PathBuf,
    ended: Timestamp,
    lsn: String,
}

#[derive(Debug, Default)]
struct State {
    backups: Vec<BaseBackup>,
    last_commit: Option<Timestamp>,
    made: u32,
}

/// The backups of one cluster.
#[derive(Debug)]
pub(super) struct Backups {
    context: Arc<Context>,
    pub archive: PathBuf,
    dir: PathBuf,
    state: Mutex<State>,
    /// Held for reading while a restore reads the files, for writing while they are removed.
    pub files: RwLock<()>,
}

impl Backups {
    pub fn new(context: Arc<Context>, cluster: &Path) -> Result<Self, Error> {
        let (archive, dir) = (cluster.join("archive"), cluster.join("backups"));
        context.host.make_dir(&archive)?;
        context.host.make_dir(&dir)?;
        Ok(Self { context, archive, dir, state: Mutex::default(), files: RwLock::new(()) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn window(&self) -> Option<RestoreWindow> {
        let state = self.state();
        let ends = state.backups.iter().map(|backup| backup.ended);
        restore_window::restore_window(ends, state.last_commit, self.context.clock.now(), self.context.lag)
    }

    pub fn last_commit(&self) -> Option<Timestamp> {
        self.state().last_commit
    }

    /// The base backup to start from for `moment`.
    pub fn base_for(&self, moment: Timestamp) -> Option<BaseBackup> {
        let state = self.state();
        let index = restore_window::base_for(state.backups.iter().map(|backup| backup.ended), moment)?;
        state.backups.get(index).cloned()
    }

    /// Brings everything up to now into the archive, followed by a commit.
    pub async fn flush(&self, endpoint: &ServerEndpoint) -> Result<(), Error> {
        let client = self.context.admin.connect(endpoint, ADMIN).await?;
        // Recovery to a time ends at the first commit after it: without one it would run to the end of the log and fail.
        self.commit_heartbeat(&client).await?;
        let segment: String =
            client.query_one("SELECT pg_walfile_name(pg_switch_wal() - 1::numeric)", &[]).await?.get(0);
        // The archiver works on its own time; the file's presence is the only sign that it has come this far.
        let archived = self.archive.join(segment);
        let deadline = Instant::now() + ARCHIVE_TIMEOUT;
        while !archived.exists() {
            if Instant::now() > deadline {
                return Err(Error::State("the server's log was not archived in time"));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn commit_heartbeat(&self, client: &Client) -> Result<(), Error> {
        // The time before it was sent: a commit that is taken for later than it was would promise a moment that has none after it.
        let before = self.context.clock.now();
        match timeout(HEARTBEAT_TIMEOUT, client.simple_query("SELECT txid_current()")).await {
            Ok(result) => result.map(drop)?,
            Err(_) => return Err(Error::State("the server did not answer the heartbeat")),
        }
        self.state().last_commit = Some(before);
        Ok(())
    }

    /// Commits a heartbeat and takes base backups until it is dropped. Lives through restarts of the server.
    pub async fn watch(self: Arc<Self>, endpoint: ServerEndpoint) {
        // Outside the loop: a restart of the server must not abort a base backup that could have gone on to its end.
        let mut taking = JoinSet::new();
        loop {
            match self.context.admin.connect(&endpoint, ADMIN).await {
                Ok(client) => {
                    let error = self.keep_heartbeat(&client, &endpoint, &mut taking).await;
                    tracing::debug!(%error, name = endpoint.name, "the heartbeat lost its connection");
                }
                Err(error) => tracing::debug!(%error, name = endpoint.name, "the heartbeat can't connect"),
            }
            sleep(HEARTBEAT).await;
        }
    }

    async fn keep_heartbeat(
        self: &Arc<Self>,
        client: &Client,
        endpoint: &ServerEndpoint,
        taking: &mut JoinSet<()>,
    ) -> Error {
        let mut ticks = tokio::time::interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut checked: Option<Instant> = None;
        loop {
            ticks.tick().await;
            if let Err(error) = self.commit_heartbeat(client).await {
                return error;
            }
            // Finished ones are taken out, or the set would never be empty again and no further backup would begin.
            while taking.try_join_next().is_some() {}
            if taking.is_empty() && checked.is_none_or(|at| at.elapsed() > BACKUP_CHECK) {
                checked = Some(Instant::now());
                match self.is_backup_due(client).await {
                    Ok(true) => {
                        let (backups, endpoint) = (Arc::clone(self), endpoint.clone());
                        taking.spawn(async move {
                            if let Err(error) = backups.take(&endpoint).await {
                                tracing::warn!(%error, name = endpoint.name, "a base backup failed, and is tried again");
                            }
                        });
                    }
                    Ok(false) => {}
                    Err(error) => return error,
                }
            }
        }
    }

    async fn is_backup_due(&self, client: &Client) -> Result<bool, Error> {
        let Some(lsn) = self.state().backups.last().map(|backup| backup.lsn.clone()) else { return Ok(true) };
        let since = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::text::pg_lsn)::float8";
        let since: f64 = client.query_one(since, &[&lsn]).await?.get(0);
        if since < BACKUP_AFTER_BYTES {
            return Ok(false);
        }
        // A big database is not worth copying for a log that is small beside it.
        let size = "SELECT coalesce(sum(pg_database_size(oid)), 0)::float8 FROM pg_database";
        let size: f64 = client.query_one(size, &[]).await?.get(0);
        Ok(since > size / 2.0)
    }

    async fn take(&self, endpoint: &ServerEndpoint) -> Result<(), Error> {
        let number = {
            let mut state = self.state();
            state.made += 1;
            state.made
        };
        let (partial, dir) = (self.dir.join(format!("{number}.partial")), self.dir.join(number.to_string()));
        let began = Instant::now();
        // Without its log: the archive has it, and a restore replays from there anyway.
        self.context.base_backup(endpoint, &partial, "none").await?;
        let client = self.context.admin.connect(endpoint, ADMIN).await?;
        let lsn: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0);
        // A backup counts once it is whole: a crash in between leaves a `.partial` that no restore looks at.
        std::fs::rename(&partial, &dir).map_err(file(&dir))?;
        let surplus = {
            let mut state = self.state();
            state.backups.push(BaseBackup { dir, ended: self.context.clock.now(), lsn });
            let ends: Vec<Timestamp> = state.backups.iter().map(|backup| backup.ended).collect();
            // Removed only while no restore reads; otherwise the next backup removes it.
            match (restore_window::dispensable(&ends, MOST_BACKUPS), self.files.try_write()) {
                (Some(index), Ok(guard)) => Some((state.backups.remove(index), guard)),
                _ => None,
            }
        };
        tracing::info!(name = endpoint.name, seconds = began.elapsed().as_secs_f32(), "took a base backup");
        if let Some((surplus, _guard)) = surplus {
            tokio::fs::remove_dir_all(&surplus.dir).await.map_err(file(&surplus.dir))?;
        }
        Ok(())
    }
}
