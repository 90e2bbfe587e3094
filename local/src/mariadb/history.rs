//! The history of a cluster: epochs, each a base copy of the data with the log written since, and the length that the log had at each
//! time. It copies and replays nothing.
//!
//! A rewind ends an epoch and begins another from the state that it reached; the old one is kept as long as a window needs it. So there
//! is one line of time, and forward is just another moment on it.

use crate::servers::host::Host;
use crate::servers::restore_window::{ceil_to_millis, floor_to_millis};
use crate::servers::{Error, remove_dir};
use jiff::{SignedDuration, Timestamp};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::RwLock;
use tokio::time::MissedTickBehavior;

/// Time between two looks at the log. Replies to clients are observed as they go; this finds changes without a client.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(50);
const OBSERVATIONS_BETWEEN_PRUNINGS: u32 = 40;
/// Log since the last base copy that is worth another one: a rewind need not replay more.
const BASE_AFTER_BYTES: u64 = 64 * 1024 * 1024;
/// Most observations of an epoch: beyond, every second one of the older half is dropped.
const MOST_OBSERVATIONS: usize = 200_000;

const NONE: Error = Error::State("the cluster has no data yet");

/// A position in an epoch's log; the default is before the first file, with nothing logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub file: u32,
    pub offset: u64,
}

/// The times between which the log was observed to end at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Observation {
    first: Timestamp,
    last: Timestamp,
    at: Position,
}

/// A copy of the data, taken while no server ran on it.
#[derive(Debug, Clone)]
pub(super) struct BaseCopy {
    pub dir: PathBuf,
    /// The position up to which the log is in it.
    pub at: Position,
}

#[derive(Debug)]
struct Epoch {
    dir: PathBuf,
    bases: Vec<BaseCopy>,
    observations: Vec<Observation>,
    /// The newest file of the log.
    newest: Option<LogFile>,
    /// True after `RESET MASTER`: the log since the base copy is gone.
    reset: bool,
}

/// A file of a log, told from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LogFile {
    number: u32,
    inode: u64,
    /// The time of its creation: a file system may give the inode of a removed file to the next one at once.
    born: Option<SystemTime>,
}

/// A state that can be rebuilt: a base copy, and the log to replay over it.
#[derive(Debug, Clone)]
pub(super) struct RestorePoint {
    pub base: BaseCopy,
    pub log: PathBuf,
    pub to: Position,
    /// The time at which the cluster was in this state.
    pub reached: Timestamp,
}

#[derive(Debug)]
struct State {
    epochs: Vec<Epoch>,
    begun: u32,
    backtrack: SignedDuration,
    retention: SignedDuration,
}

/// The history of one cluster.
#[derive(Debug)]
pub(super) struct History {
    dir: PathBuf,
    clock: SystemClock,
    state: Mutex<State>,
    /// Held for reading while files are read, for writing while they are removed.
    pub files: Arc<RwLock<()>>,
}

impl History {
    pub fn new(host: &Host, clock: SystemClock, dir: PathBuf) -> Result<Self, Error> {
        host.make_dir(&dir)?;
        let state = State {
            epochs: Vec::new(),
            begun: 0,
            backtrack: SignedDuration::ZERO,
            retention: SignedDuration::from_hours(24),
        };
        Ok(Self { dir, clock, state: Mutex::new(state), files: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how far back the history reaches.
    pub fn set_reach(&self, backtrack: SignedDuration, retention: SignedDuration) {
        let mut state = self.state();
        (state.backtrack, state.retention) = (backtrack, retention);
    }

    /// Creates the directory of the next epoch: `base` in it is for the copy, `log` for the log.
    pub fn prepare(&self, host: &Host) -> Result<PathBuf, Error> {
        let dir = {
            let mut state = self.state();
            state.begun += 1;
            self.dir.join(state.begun.to_string())
        };
        host.make_dir(&dir)?;
        host.make_dir(&log(&dir))?;
        Ok(dir)
    }

    /// Begins the epoch prepared in `dir`, now.
    pub fn begin(&self, dir: PathBuf) {
        self.observe();
        let mut state = self.state();
        let now = self.clock.now();
        let at = Position::default();
        let bases = vec![BaseCopy { dir: base(&dir), at }];
        state.epochs.push(Epoch {
            dir,
            bases,
            observations: vec![Observation { first: now, last: now, at }],
            newest: None,
            reset: false,
        });
    }

    /// Returns the directory of the present writer's log.
    pub fn log(&self) -> Result<PathBuf, Error> {
        self.state().epochs.last().map(|epoch| log(&epoch.dir)).ok_or(NONE)
    }

    /// Counts the base copies of the present epoch.
    #[cfg(test)]
    pub fn base_copies(&self) -> usize {
        self.state().epochs.last().map_or(0, |epoch| epoch.bases.len())
    }

    /// Observes the length of the log. Everything acknowledged before the call is observed, and the noted time is after all of it: a
    /// client that learns something after this call finds it at its own time, and nothing younger.
    pub fn observe(&self) {
        let mut state = self.state();
        let Some(epoch) = state.epochs.last_mut() else { return };
        let Some(last) = epoch.observations.last_mut() else { return };
        let log = log(&epoch.dir);
        // `RESET MASTER` begins at the first file again: the file of that number is another one.
        let replaced = epoch.newest.is_some_and(|newest| LogFile::find(&log, newest.number) != Some(newest));
        let shorter = length_of(&log, last.at.file).is_some_and(|length| length < last.at.offset);
        if (replaced || shorter) && !epoch.reset {
            tracing::warn!(log = %log.display(), "the log was reset: its moments can't be gone to any more");
            epoch.reset = true;
        }
        // Lengths of the new log say nothing of the old positions: the next rewind begins an epoch without the flag.
        if epoch.reset {
            return;
        }
        let at = end_of(&log, last.at);
        if epoch.newest.is_none_or(|newest| newest.number != at.file) {
            epoch.newest = LogFile::find(&log, at.file);
        }
        // After the length was read: a time from before could miss what was acknowledged in between.
        let now = self.clock.now();
        if at <= last.at {
            last.last = now.max(last.last);
        } else if now > last.first {
            epoch.observations.push(Observation { first: now, last: now, at });
        } else {
            last.at = at;
        }
        if epoch.observations.len() > MOST_OBSERVATIONS {
            // The older half only: recent moments are the ones that people go back to, and there every millisecond counts.
            let half = MOST_OBSERVATIONS / 2;
            let mut index = 0;
            epoch.observations.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
    }

    /// Returns the state with everything acknowledged so far.
    pub fn now(&self) -> Result<RestorePoint, Error> {
        self.observe();
        let state = self.state();
        let epoch = state.epochs.last().ok_or(NONE)?;
        point(epoch, *epoch.observations.last().ok_or(NONE)?, Timestamp::MAX)
    }

    /// Returns the state at a moment: with all that had been acknowledged by then, and nothing that came after. A moment before the
    /// history is its beginning.
    pub fn at(&self, moment: Timestamp) -> Result<RestorePoint, Error> {
        self.observe();
        let state = self.state();
        let begun = |epoch: &&Epoch| epoch.observations.first().is_some_and(|first| first.first <= moment);
        let epoch = state.epochs.iter().rev().find(begun).or(state.epochs.first()).ok_or(NONE)?;
        // The last state at or before the moment: what was acknowledged in the same instant is in, nothing later is.
        let after = epoch.observations.partition_point(|observation| observation.first <= moment);
        point(epoch, *epoch.observations.get(after.saturating_sub(1)).ok_or(NONE)?, moment)
    }

    /// Returns the first and last moments known, no further back than `reach`.
    fn span(&self, reach: SignedDuration) -> Option<(Timestamp, Timestamp)> {
        let state = self.state();
        let first = state.epochs.first()?.observations.first()?.first;
        let last = state.epochs.last()?.observations.last()?.last;
        let horizon = self.clock.now().checked_sub(reach).unwrap_or(Timestamp::MIN);
        Some((ceil_to_millis(first.max(horizon)), floor_to_millis(last)))
    }

    /// Returns the earliest moment to rewind to, if there is a backtrack window.
    pub fn earliest_backtrack(&self) -> Option<Timestamp> {
        let reach = self.state().backtrack;
        if reach.is_zero() { None } else { self.span(reach).map(|(first, _)| first) }
    }

    /// Returns the first and last moments that can be restored.
    pub fn restorable(&self) -> Option<(Timestamp, Timestamp)> {
        let reach = self.state().retention;
        self.span(reach)
    }

    /// Returns the state for another base copy, if the log has grown enough for one.
    pub fn point_for_next_base(&self) -> Option<RestorePoint> {
        let point = self.now().ok()?;
        (bytes_between(&point.log, point.base.at, point.to) > BASE_AFTER_BYTES).then_some(point)
    }

    /// Returns the directory for another base copy, beside the others of its epoch.
    pub fn dir_for_base(&self, point: &RestorePoint) -> PathBuf {
        point.base.dir.with_file_name(format!("base-{}-{}", point.to.file, point.to.offset))
    }

    /// Adds a base copy to the epoch with this log, if that is still kept.
    pub fn add_base(&self, log_of: &Path, base: BaseCopy) {
        let mut state = self.state();
        if let Some(epoch) = state.epochs.iter_mut().find(|epoch| log(&epoch.dir) == log_of) {
            epoch.bases.push(base);
        }
    }

    /// Observes the log until it is dropped, and removes what no window needs any more.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(OBSERVE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut observed: u32 = 0;
        loop {
            ticks.tick().await;
            self.observe();
            observed = observed.wrapping_add(1);
            if observed.is_multiple_of(OBSERVATIONS_BETWEEN_PRUNINGS)
                && let Err(error) = self.prune().await
            {
                tracing::warn!(%error, "old history was not removed");
            }
        }
    }

    /// Removes all epochs and their files.
    pub async fn destroy(&self) -> Result<(), Error> {
        let _removing = self.files.write().await;
        self.state().epochs.clear();
        remove_dir(&self.dir).await
    }

    /// Removes the epochs that every window has left behind.
    async fn prune(&self) -> Result<(), Error> {
        // While a restore reads, nothing is removed; the next pruning comes soon.
        let Ok(_removing) = self.files.try_write() else { return Ok(()) };
        let gone: Vec<PathBuf> = {
            let mut state = self.state();
            let reach = state.backtrack.max(state.retention);
            let horizon = self.clock.now().checked_sub(reach).unwrap_or(Timestamp::MIN);
            let starts =
                state.epochs.iter().map(|epoch| epoch.observations.first().map(|observation| observation.first));
            // Whole epochs alone: within one, every moment needs the log from its base copy on.
            let passed = left_behind(starts, horizon);
            state.epochs.drain(..passed).map(|epoch| epoch.dir).collect()
        };
        for dir in gone {
            remove_dir(&dir).await?;
        }
        Ok(())
    }
}

fn base(epoch: &Path) -> PathBuf {
    epoch.join("base")
}

fn log(epoch: &Path) -> PathBuf {
    epoch.join("log")
}

/// Returns the path of a file of a log.
pub(super) fn log_file(log: &Path, number: u32) -> PathBuf {
    log.join(format!("binlog.{number:06}"))
}

/// Counts the epochs whose successor had begun by the horizon.
fn left_behind(starts: impl Iterator<Item = Option<Timestamp>>, horizon: Timestamp) -> usize {
    starts.skip(1).take_while(|start| start.is_some_and(|start| start <= horizon)).count()
}

fn point(epoch: &Epoch, observation: Observation, moment: Timestamp) -> Result<RestorePoint, Error> {
    if epoch.reset {
        return Err(Error::State("RESET MASTER removed the log that this moment would be rebuilt from"));
    }
    // The newest that is not beyond the state: the least to replay, and a log can't be undone.
    let base = epoch.bases.iter().rev().find(|base| base.at <= observation.at).or(epoch.bases.first());
    let base = base.ok_or(NONE)?.clone();
    Ok(RestorePoint { base, log: log(&epoch.dir), to: observation.at, reached: reached(observation, moment) })
}

/// The last time at which the state of a observation is known to have been, no later than `moment`: in the milliseconds of the API where
/// that is the same state, so that whoever asks for it again gets it again.
fn reached(observation: Observation, moment: Timestamp) -> Timestamp {
    // In the API's milliseconds where that is still the same state: whoever asks for the reported time again gets this state again.
    let known = floor_to_millis(observation.last.min(moment));
    if known >= observation.first { known } else { moment.clamp(observation.first, observation.last) }
}

/// Finds the present end of a log that ended at `known` before.
fn end_of(log: &Path, known: Position) -> Position {
    let mut at = known;
    // A server that starts, and `FLUSH LOGS`, begin another file.
    // No directory listing: this runs with every reply of the server, and two lookups are what it can cost.
    while let Some(offset) = length_of(log, at.file + 1) {
        at = Position { file: at.file + 1, offset };
    }
    match length_of(log, at.file) {
        Some(offset) if at.file > 0 => Position { file: at.file, offset },
        _ => at,
    }
}

fn length_of(log: &Path, number: u32) -> Option<u64> {
    std::fs::metadata(log_file(log, number)).map(|data| data.len()).ok()
}

impl LogFile {
    fn find(log: &Path, number: u32) -> Option<Self> {
        let data = std::fs::metadata(log_file(log, number)).ok()?;
        Some(Self { number, inode: data.ino(), born: data.created().ok() })
    }
}

fn bytes_between(log: &Path, from: Position, to: Position) -> u64 {
    let whole: u64 = (from.file.max(1)..to.file).filter_map(|number| length_of(log, number)).sum();
    (whole + to.offset).saturating_sub(from.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T10:{text}Z").parse().unwrap()
    }

    fn observation(first: &str, last: &str) -> Observation {
        Observation { first: at(first), last: at(last), at: Position::default() }
    }

    #[test]
    fn it_lands_where_it_was_asked_to_while_the_state_is_known_to_have_lasted() {
        assert_eq!(reached(observation("01:00", "02:00"), at("01:30")), at("01:30"));
        assert_eq!(reached(observation("01:00", "02:00"), at("02:30")), at("02:00"));
    }

    #[test]
    fn asking_for_the_landing_again_finds_the_same_state() {
        for (first, last, moment) in [
            ("01:00.0004", "01:00.0009", "01:00.5"),
            ("01:00.0004", "01:00.0031", "01:00.5"),
            ("01:00.0004", "01:00.0031", "01:00.001"),
            ("01:00.0004", "01:00.0004", "01:00.0004"),
        ] {
            let seen = observation(first, last);
            let landed = reached(seen, at(moment));
            assert!(seen.first <= landed && landed <= seen.last.min(at(moment)), "{first} {last} {moment}: {landed}");
        }
    }

    #[test]
    fn a_log_file_is_told_from_a_later_one_of_its_number_though_the_inode_is_the_same() {
        let log = tempfile::tempdir().unwrap();
        let path = log_file(log.path(), 1);
        let created = || {
            std::fs::write(&path, "binlog").unwrap();
            let found = LogFile::find(log.path(), 1);
            assert_eq!(LogFile::find(log.path(), 1), found);
            // Beyond the granularity of a file system's times.
            std::thread::sleep(std::time::Duration::from_millis(20));
            std::fs::remove_file(&path).unwrap();
            found.unwrap()
        };
        let found: Vec<LogFile> = std::iter::repeat_with(created).take(5).collect();
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "{found:?}");
    }

    #[test]
    fn an_epoch_is_left_behind_when_the_next_one_covers_the_whole_window() {
        let starts = || [Some(at("01:00")), Some(at("02:00")), Some(at("03:00"))].into_iter();
        assert_eq!(left_behind(starts(), at("00:30")), 0);
        assert_eq!(left_behind(starts(), at("01:59")), 0);
        assert_eq!(left_behind(starts(), at("02:00")), 1);
        assert_eq!(left_behind(starts(), at("59:00")), 2);
    }
}
