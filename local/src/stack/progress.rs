//! What a person sees while a stack starts or stops: a line a step, with its time. It decides nothing.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How many lines of a log a failure shows.
const TAIL: usize = 15;

/// Says what is done, with the time it took.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    step: Instant,
}

impl Progress {
    /// Begins to count.
    #[must_use]
    pub fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, step: now }
    }

    /// A step is done; the next one begins.
    pub fn done(&mut self, what: impl Display) {
        println!("{:>6.1} s  {what}", self.step.elapsed().as_secs_f64());
        self.step = Instant::now();
    }

    /// A step of several at once was done at `ended`; `began` is its own start.
    pub fn done_at(&mut self, began: Instant, ended: Instant, what: impl Display) {
        println!("{:>6.1} s  {what}", (ended - began).as_secs_f64());
        self.step = Instant::now();
    }

    /// All is done.
    pub fn end(&self, what: impl Display) {
        println!("{:>6.1} s  in all: {what}", self.began.elapsed().as_secs_f64());
    }
}

/// Something went wrong, and the log that tells more.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    log: Option<PathBuf>,
}

impl Failure {
    /// What happened, what was changed, what to do.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), log: None }
    }

    /// The log that tells more.
    #[must_use]
    pub fn see(mut self, log: PathBuf) -> Self {
        self.log = Some(log);
        self
    }

    /// Shows it, with the end of the log.
    pub fn show(&self) {
        if let Some(log) = &self.log {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            eprintln!("the last lines of {}:", shown(log));
            for line in last_lines(&text) {
                eprintln!("  | {line}");
            }
        }
        eprintln!("error: {}", self.message);
    }
}

fn last_lines(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().to_vec()
}

/// A path as a person in the checkout would write it.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

macro_rules! from_error {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        })+
    };
}

from_error!(
    super::env::EnvError,
    super::layout::NoCheckout,
    super::network::NetworkError,
    super::process::Unstoppable,
    super::seed::SeedError,
);

/// An I/O error with what was being done.
pub fn doing(what: impl Display) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown_and_a_short_one_whole() {
        assert_eq!(last_lines("a\nb\n"), ["a", "b"]);
        let long = (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(last_lines(&long).len(), TAIL);
        assert_eq!(last_lines(&long).last(), Some(&"39"));
    }
}
