//! Ends the servers that a killed control plane left behind, and only those: the ones whose data lies in this stack.

use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(50);
const MOST_ROUNDS: u32 = 100;

/// Ends every server whose data directory is below `dir`, and waits until they are gone. Returns how many there were.
pub async fn stop(dir: &Path) -> usize {
    let mut left: Vec<Pid> = servers(dir);
    let found = left.len();
    for round in 0..MOST_ROUNDS {
        // SIGQUIT makes a postmaster end its children and leave the data as a crash would; a stack keeps no data. Killed, it would
        // leave its children, so that comes only after half of the rounds.
        let signal = if round < MOST_ROUNDS / 2 { Signal::QUIT } else { Signal::KILL };
        left.retain(|pid| belongs(*pid, dir));
        if left.is_empty() {
            break;
        }
        for pid in &left {
            if let Err(error) = rustix::process::kill_process(*pid, signal) {
                tracing::debug!(%error, ?pid, "a left-over server was gone before its signal");
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    found
}

fn servers(dir: &Path) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| belongs(*pid, dir)).collect()
}

/// True for a server started as `postgres -D <something below dir>` or `mariadbd --defaults-file=<something below dir>`: a process id
/// alone may be another process's by now.
fn belongs(pid: Pid, dir: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().map(|word| PathBuf::from(word.as_ref()));
    let is = |name: &str| program.as_ref().is_some_and(|program| program.ends_with(name));
    let below = |path: &str| Path::new(path).starts_with(dir);
    match words.next() {
        Some(option) if is("postgres") => option == "-D" && words.next().is_some_and(|data| below(&data)),
        Some(option) if is("mariadbd") => option.strip_prefix("--defaults-file=").is_some_and(below),
        _ => false,
    }
}
