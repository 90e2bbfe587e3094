//! The demo's output: headings, lines, and a line for what is going on right now. On a terminal that line moves; elsewhere
//! there are only lines. It decides nothing, and shows no percentages: nobody knows how long RDS takes.

use console::style;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest silence where there is no moving line: a log of CI that stands still looks like a hang.
const SILENCE: Duration = Duration::from_secs(15);

/// Prints to standard output.
#[derive(Debug)]
pub struct Console {
    state: Mutex<State>,
    is_terminal: bool,
    began: Instant,
}

#[derive(Debug)]
struct State {
    activity: Option<Activity>,
    last_line: Instant,
}

/// The line for what is going on.
#[derive(Debug)]
struct Activity {
    name: String,
    note: String,
    since: Instant,
    bar: ProgressBar,
}

impl Console {
    /// A console with nothing printed yet.
    #[must_use]
    pub fn new() -> Self {
        let began = Instant::now();
        let state = Mutex::new(State { activity: None, last_line: began });
        Self { state, is_terminal: console::Term::stdout().is_term(), began }
    }

    /// The time since it was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Prints the title of a part.
    pub fn heading(&self, title: &str) {
        self.line(format_args!("\n{}", style(title).bold()));
    }

    /// Prints a line.
    pub fn print(&self, text: impl Display) {
        self.line(format_args!("  {text}"));
    }

    /// Prints a line of less weight.
    pub fn note(&self, text: impl Display) {
        self.line(format_args!("  {}", style(text).dim()));
    }

    /// Prints a line that a person must not overlook.
    pub fn warn(&self, text: impl Display) {
        self.line(format_args!("  {} {text}", style("!").yellow().bold()));
    }

    /// Prints a result that is as expected.
    pub fn success(&self, text: impl Display) {
        self.line(format_args!("  {} {text}", style("ok").green()));
    }

    /// Prints a name and a value, in columns.
    pub fn field(&self, name: &str, value: impl Display) {
        self.line(format_args!("  {}{value}", style(format!("{name:<20}")).dim()));
    }

    /// Prints a step that has ended, with the seconds that it took.
    pub fn step_done(&self, seconds: f64, step: &str, note: &str) {
        self.line(format_args!("  {} {step:<16} {}", style(format!("{seconds:>5.1} s")).cyan(), style(note).dim()));
    }

    /// Shows what is being done from now on, and what that means.
    pub fn start_activity(&self, name: &str, note: &str) {
        self.end_activity();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
            bar.set_style(style);
        }
        // A spinner that turns by itself shows that the demo is alive while it waits for a call.
        bar.enable_steady_tick(Duration::from_millis(100));
        self.state().activity =
            Some(Activity { name: name.to_owned(), note: note.to_owned(), since: Instant::now(), bar });
        self.tick("");
    }

    /// Updates the line for what is going on; `meanwhile` is what else happens.
    pub fn tick(&self, meanwhile: &str) {
        let mut state = self.state();
        let Some(Activity { name, note, since, bar }) = &state.activity else { return };
        // The longest part last: a narrow terminal cuts it off.
        let parts = [meanwhile, note.as_str()].into_iter().filter(|part| !part.is_empty());
        let parts: String = parts.map(|part| format!(" · {part}")).collect();
        let message = format!("{name} {:.0} s{parts}", since.elapsed().as_secs_f64());
        if self.is_terminal {
            bar.set_message(message);
        } else if state.last_line.elapsed() > SILENCE {
            state.last_line = Instant::now();
            write_line(format_args!("  … {message}"));
        }
    }

    /// Removes the line for what is going on; printed lines stay.
    pub fn end_activity(&self) {
        if let Some(activity) = self.state().activity.take() {
            activity.bar.finish_and_clear();
        }
    }

    fn line(&self, text: impl Display) {
        let mut state = self.state();
        state.last_line = Instant::now();
        match &state.activity {
            // Without suspending it the bar's next frame would overwrite the line.
            Some(activity) => activity.bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

fn write_line(text: impl Display) {
    // println! panics when its reader has gone away (`make demo | head`), and a recovery would be left half-watched.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Formats a count with groups of three digits: `12,345`.
#[must_use]
pub fn count(number: usize) -> String {
    // As a text: HumanCount ignores the width of columns.
    HumanCount(u64::try_from(number).unwrap_or(u64::MAX)).to_string()
}

/// Formats the time of day to the millisecond, in UTC.
#[must_use]
pub fn clock(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_grouped_and_keep_their_column() {
        assert_eq!([0, 123, 1_234, 1_234_567].map(count), ["0", "123", "1,234", "1,234,567"]);
        assert_eq!(format!("{:>9}", count(1_234)), "    1,234");
    }

    #[test]
    fn a_moment_is_formatted_to_the_millisecond() {
        assert_eq!(clock("2026-11-23T10:30:00.25Z".parse().unwrap()), "10:30:00.250");
    }
}
