//! The application of the story: a few workers over a connection pool that insert numbers through one name, for the
//! whole time. It knows nothing of the recovery; after an error it connects again, as an application does.
//!
//! A number is used once. It counts as acknowledged only when the server said so; when no answer came, its fate is unknown
//! and stays so: a real application would have to look, or to try again with something that makes that harmless.

use super::accounting;
use super::database::{Databases, Login, NotConnected, Session};
use super::stop::causes;
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
/// Three workers at this pace write about 50 rows a second.
const PACE: Duration = Duration::from_millis(60);
/// How long a worker rests after an error.
const REST: Duration = Duration::from_millis(100);
/// How long the application waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is written, and where.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name that the application connects to.
    pub name: String,
    /// Its own login.
    pub login: Login,
    /// Its database.
    pub database: String,
    /// An INSERT that lacks only the row.
    pub insert: String,
}

/// One number and what became of it, as far as the application knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The number.
    pub number: i64,
    /// The endpoint that it was sent to: where the name led when the connection was made.
    pub endpoint: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// When the server acknowledged it, or why that is unknown.
    pub acknowledged: Result<Timestamp, String>,
}

/// The application while it runs.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// What it did, when it has stopped.
#[derive(Debug)]
pub struct Written {
    /// Every number that was sent, in order.
    pub attempts: Vec<Attempt>,
    /// How often no connection could be had, by reason.
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
    pub fn start(databases: &Databases, job: &Job) -> Self {
        let shared = Arc::new(Shared {
            next: AtomicI64::new(1),
            acknowledged: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            attempts: Mutex::default(),
            refused: Mutex::default(),
        });
        let manager = Connections { databases: databases.clone(), job: job.clone() };
        // Building can fail only where a pool is given timeouts without a runtime to measure them.
        let pool = Pool::builder(manager).max_size(WORKERS).build();
        let mut workers = JoinSet::new();
        if let Ok(pool) = pool {
            for _ in 0..WORKERS {
                workers.spawn(work(pool.clone(), job.insert.clone(), Arc::clone(&shared)));
            }
        }
        Self { shared, workers }
    }

    /// How many writes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// How often no connection could be had so far.
    #[must_use]
    pub fn refusals(&self) -> usize {
        lock(&self.shared.refused).values().sum()
    }

    /// The reason that was given most often.
    #[must_use]
    pub fn why_refused(&self) -> Option<String> {
        let refused = lock(&self.shared.refused);
        refused.iter().max_by_key(|(_, times)| **times).map(|(why, _)| why.clone())
    }

    /// How long nothing was acknowledged around a moment, and since when; none while that lasts.
    #[must_use]
    pub fn silence(&self, around: Timestamp) -> Option<(Timestamp, SignedDuration)> {
        let attempts = lock(&self.shared.attempts);
        accounting::gaps(&attempts).find(|(before, gap)| *before <= around && around <= *before + *gap)
    }

    /// Lets every worker end what it is at, and says what was done.
    pub async fn stop(mut self) -> Written {
        self.shared.stop.store(true, Ordering::SeqCst);
        while self.workers.join_next().await.is_some() {}
        let mut attempts = std::mem::take(&mut *lock(&self.shared.attempts));
        attempts.sort_by_key(|attempt| attempt.number);
        Written { attempts, refused: std::mem::take(&mut *lock(&self.shared.refused)) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(pool: Pool<Connections>, insert: String, shared: Arc<Shared>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let mut connection = match pool.get().await {
            Ok(connection) => connection,
            Err(error) => {
                let why = match error {
                    PoolError::Backend(error) => error.to_string(),
                    other => causes(&other),
                };
                *lock(&shared.refused).entry(why).or_default() += 1;
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let endpoint = connection.server.endpoint.clone();
        let insert = format!("{insert} ({number})");
        let sent = SystemClock.now();
        let answer = timeout(PATIENCE, connection.run(&insert)).await;
        let acknowledged = match answer {
            Ok(Ok(1)) => Ok(SystemClock.now()),
            Ok(Ok(rows)) => Err(format!("the server says that {rows} rows were inserted")),
            Ok(Err(error)) => Err(causes(&error)),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let failed = acknowledged.is_err();
        if !failed {
            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        lock(&shared.attempts).push(Attempt { number, endpoint, sent, acknowledged });
        if failed {
            // Whatever state it is in, it is not used again.
            drop(deadpool::managed::Object::take(connection));
            tokio::time::sleep(REST).await;
        }
    }
}

/// Makes the pool's connections: the name is looked up for each.
#[derive(Debug)]
struct Connections {
    databases: Databases,
    job: Job,
}

impl Manager for Connections {
    type Type = Session;
    type Error = NotConnected;

    async fn create(&self) -> Result<Session, NotConnected> {
        let Job { name, login, database, .. } = &self.job;
        self.databases.connect(name, login, database).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<NotConnected> {
        if session.is_open().await { Ok(()) } else { Err(RecycleError::message("the server closed it")) }
    }
}
