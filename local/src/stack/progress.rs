//! Output of starting and stopping a stack: a line a step, with its time, and an error with the end of the log that explains it. It
//! decides nothing.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Lines of a log that are printed with an error.
const TAIL: usize = 15;

/// Prints each step with the time that it took.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    step: Instant,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, step: now }
    }

    /// Prints a step that is done; the next one begins.
    pub fn done(&mut self, what: impl Display) {
        println!("{:>6.1} s  {what}", self.step.elapsed().as_secs_f64());
        self.step = Instant::now();
    }

    /// Prints one of several steps that went on at once, from `began` to `ended`.
    pub fn done_at(&mut self, began: Instant, ended: Instant, what: impl Display) {
        println!("{:>6.1} s  {what}", (ended - began).as_secs_f64());
        self.step = Instant::now();
    }

    /// Prints the last line, with the time of all steps.
    pub fn end(&self, what: impl Display) {
        println!("{:>6.1} s  in all: {what}", self.began.elapsed().as_secs_f64());
    }
}

/// An error's message together with the log that explains it: context of an [`anyhow::Error`].
#[derive(Debug)]
pub struct Logged {
    message: String,
    log: PathBuf,
}

impl Logged {
    /// A message, and the log that explains it.
    pub fn new(message: impl Display, log: PathBuf) -> Self {
        Self { message: message.to_string(), log }
    }
}

impl Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Prints an error with its causes, after the end of the log that explains it.
pub fn print_error(error: &anyhow::Error) {
    if let Some(Logged { log, .. }) = error.downcast_ref() {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        eprintln!("the last lines of {}:", shown(log));
        for line in last_lines(&text) {
            eprintln!("  | {line}");
        }
    }
    // Last, where a person looks first when the terminal has stopped moving.
    eprintln!("error: {error:#}");
}

fn last_lines(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().to_vec()
}

/// Formats a path as a person in the checkout would write it.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
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

    #[test]
    fn an_error_keeps_its_log_under_further_context() {
        let error = anyhow::anyhow!("cause").context(Logged::new("it ended", "/logs/x.log".into())).context("outer");
        assert_eq!(error.downcast_ref::<Logged>().map(|logged| logged.log.as_path()), Some(Path::new("/logs/x.log")));
        assert_eq!(format!("{error:#}"), "outer: it ended: cause");
    }
}
