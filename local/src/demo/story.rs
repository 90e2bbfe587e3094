//! How the story is told: chapters, lines, and what is going on right now. On a terminal the last line moves; elsewhere
//! there are only lines. It decides nothing and knows no percentages.

use console::style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without a moving line, how long it may be silent.
const SILENCE: Duration = Duration::from_secs(15);

/// The teller.
#[derive(Debug)]
pub struct Story {
    now: Mutex<Now>,
    live: bool,
    began: Instant,
}

/// What is going on.
#[derive(Debug)]
struct Now {
    doing: Option<Doing>,
    spoke: Instant,
}

#[derive(Debug)]
struct Doing {
    what: String,
    note: String,
    since: Instant,
    bar: ProgressBar,
}

impl Story {
    /// Begins, with nothing said yet.
    #[must_use]
    pub fn begin() -> Self {
        let began = Instant::now();
        let now = Mutex::new(Now { doing: None, spoke: began });
        Self { now, live: console::Term::stdout().is_term(), began }
    }

    /// How long it has been told.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.began.elapsed()
    }

    /// A new chapter.
    pub fn chapter(&self, title: &str) {
        self.line(format_args!("\n{}", style(title).bold()));
    }

    /// A line.
    pub fn say(&self, text: impl Display) {
        self.line(format_args!("  {text}"));
    }

    /// A line of less weight.
    pub fn aside(&self, text: impl Display) {
        self.line(format_args!("  {}", style(text).dim()));
    }

    /// Something that a person must not overlook.
    pub fn warn(&self, text: impl Display) {
        self.line(format_args!("  {} {text}", style("!").yellow().bold()));
    }

    /// Something that turned out as it should.
    pub fn good(&self, text: impl Display) {
        self.line(format_args!("  {} {text}", style("ok").green()));
    }

    /// A name and a value, in columns.
    pub fn field(&self, name: &str, value: impl Display) {
        self.line(format_args!("  {}{value}", style(format!("{name:<20}")).dim()));
    }

    /// A step that has ended, with the seconds that it took.
    pub fn done(&self, seconds: f64, what: &str, note: &str) {
        self.line(format_args!("  {} {what:<16} {}", style(format!("{seconds:>5.1} s")).cyan(), style(note).dim()));
    }

    /// What is being done from now on, and what that means.
    pub fn doing(&self, what: &str, note: &str) {
        self.idle();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        if let Ok(look) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
            bar.set_style(look);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        self.now().doing = Some(Doing { what: what.to_owned(), note: note.to_owned(), since: Instant::now(), bar });
        self.tick("");
    }

    /// Still doing it; `beside` is what else goes on.
    pub fn tick(&self, beside: &str) {
        let mut now = self.now();
        let Some(Doing { what, note, since, bar }) = &now.doing else { return };
        // The longest part last: a narrow terminal cuts it off.
        let parts = [beside, note.as_str()].into_iter().filter(|part| !part.is_empty());
        let parts: String = parts.map(|part| format!(" · {part}")).collect();
        let message = format!("{what} {:.0} s{parts}", since.elapsed().as_secs_f64());
        if self.live {
            bar.set_message(message);
        } else if now.spoke.elapsed() > SILENCE {
            now.spoke = Instant::now();
            say(format_args!("  … {message}"));
        }
    }

    /// Nothing is going on any more: the moving line goes, what was said stays.
    pub fn idle(&self) {
        if let Some(doing) = self.now().doing.take() {
            doing.bar.finish_and_clear();
        }
    }

    fn line(&self, text: impl Display) {
        let mut now = self.now();
        now.spoke = Instant::now();
        match &now.doing {
            Some(doing) => doing.bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that has gone away is no reason to stop half-way.
fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A path as a person in the checkout would write it.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// A count with a thin structure: `12 345`.
#[must_use]
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A moment of today, to the millisecond.
#[must_use]
pub fn clock(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!([0, 12, 123, 1_234, 1_234_567].map(count), ["0", "12", "123", "1 234", "1 234 567"]);
    }

    #[test]
    fn a_moment_is_told_to_the_millisecond() {
        assert_eq!(clock("2026-11-23T10:30:00.25Z".parse().unwrap()), "10:30:00.250");
    }
}
