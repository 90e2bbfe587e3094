//! The application of a scenario: a few workers over a connection pool that insert numbers through one name, for the
//! whole time. It knows nothing of the recovery; after an error it connects again, as an application does.
//!
//! A number is used once. It counts as acknowledged only when the server said so. When no reply came, its fate is unknown
//! and stays so: a real application would have to look, or to try again with something that makes that harmless.

use super::attempt::{Attempt, gaps};
use super::database::{Databases, Login, Session, causes};
use deadpool::managed::{Manager, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use jiff::{SignedDuration, Timestamp};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

const WORKERS: usize = 3;
/// Time between two writes of a worker: three of them write about 50 rows a second, enough that none of the phases is empty.
const WRITE_INTERVAL: Duration = Duration::from_millis(60);
/// Pause of a worker after an error: without it a fenced database would be asked thousands of times a second.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time that the application waits for a reply.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The database and the statement of an application.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The name that the application connects to.
    pub name: String,
    /// The application's own login.
    pub login: Login,
    /// The database.
    pub database: String,
    /// An INSERT that lacks only the row.
    pub insert: String,
}

/// The application while it runs.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// Everything that the application did, once it has stopped.
#[derive(Debug)]
pub struct WriteLog {
    /// Every number that was sent, in order.
    pub attempts: Vec<Attempt>,
    /// The number of connections that were refused, by reason.
    pub refused: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shared {
    next: AtomicI64,
    acknowledged: AtomicUsize,
    stop: AtomicBool,
    attempts: Mutex<Vec<Attempt>>,
    refused: Mutex<BTreeMap<String, usize>>,
}

impl Writer {
    /// Starts to write.
    #[must_use]
    pub fn start(databases: &Databases, workload: &Workload) -> Self {
        let shared = Arc::new(Shared {
            next: AtomicI64::new(1),
            acknowledged: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            attempts: Mutex::default(),
            refused: Mutex::default(),
        });
        let manager = Connections { databases: databases.clone(), workload: workload.clone() };
        // Building fails only where a pool is given timeouts without a runtime to measure them: this one has none.
        let pool = Pool::builder(manager).max_size(WORKERS).build();
        let mut workers = JoinSet::new();
        if let Ok(pool) = pool {
            for _ in 0..WORKERS {
                workers.spawn(work(pool.clone(), workload.insert.clone(), Arc::clone(&shared)));
            }
        }
        Self { shared, workers }
    }

    /// The number of writes acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// The number of connections refused so far.
    #[must_use]
    pub fn refusals(&self) -> usize {
        lock(&self.shared.refused).values().sum()
    }

    /// The most frequent reason of a refused connection.
    #[must_use]
    pub fn most_frequent_refusal(&self) -> Option<String> {
        let refused = lock(&self.shared.refused);
        refused.iter().max_by_key(|(_, times)| **times).map(|(why, _)| why.clone())
    }

    /// The gap between acknowledgements around a moment: its beginning and its length. None while the gap lasts.
    #[must_use]
    pub fn gap_around(&self, around: Timestamp) -> Option<(Timestamp, SignedDuration)> {
        let attempts = lock(&self.shared.attempts);
        gaps(&attempts).find(|(before, gap)| *before <= around && around <= *before + *gap)
    }

    /// Lets every worker end its statement; returns everything that was done.
    pub async fn stop(mut self) -> WriteLog {
        // Aborting the tasks would cut statements short, and each would be a write of unknown fate that no fence caused.
        self.shared.stop.store(true, Ordering::SeqCst);
        while self.workers.join_next().await.is_some() {}
        let mut attempts = std::mem::take(&mut *lock(&self.shared.attempts));
        attempts.sort_by_key(|attempt| attempt.number);
        WriteLog { attempts, refused: std::mem::take(&mut *lock(&self.shared.refused)) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(pool: Pool<Connections>, insert: String, shared: Arc<Shared>) {
    let mut pace = interval(WRITE_INTERVAL);
    // After an outage the default would make up for every missed tick at once, as no application does.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let mut connection = match pool.get().await {
            Ok(connection) => connection,
            Err(error) => {
                let why = match error {
                    PoolError::Backend(error) => causes(&error),
                    other => other.to_string(),
                };
                *lock(&shared.refused).entry(why).or_default() += 1;
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
        };
        // Taken once there is a connection: a refused connection uses no number up, so every number was really sent.
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let endpoint = connection.server.endpoint.clone();
        let insert = format!("{insert} ({number})");
        let sent = SystemClock.now();
        let reply = timeout(STATEMENT_TIMEOUT, connection.run(&insert)).await;
        let acknowledged = match reply {
            Ok(Ok(1)) => Ok(SystemClock.now()),
            Ok(Ok(rows)) => Err(format!("the server says that {rows} rows were inserted")),
            Ok(Err(error)) => Err(causes(&error)),
            Err(_) => Err(format!("no reply within {} s", STATEMENT_TIMEOUT.as_secs())),
        };
        let failed = acknowledged.is_err();
        if !failed {
            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        lock(&shared.attempts).push(Attempt { number, endpoint, sent, acknowledged });
        if failed {
            // The statement may still run in it: given back to the pool, the next write would get this one's reply.
            drop(deadpool::managed::Object::take(connection));
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

/// Makes the pool's connections; resolves the name for each, as the record moves meanwhile.
#[derive(Debug)]
struct Connections {
    databases: Databases,
    workload: Workload,
}

impl Manager for Connections {
    type Type = Session;
    type Error = anyhow::Error;

    async fn create(&self) -> Result<Session, anyhow::Error> {
        let Workload { name, login, database, .. } = &self.workload;
        self.databases.connect(name, login, database).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<anyhow::Error> {
        if session.is_open().await { Ok(()) } else { Err(RecycleError::message("the server closed it")) }
    }
}
