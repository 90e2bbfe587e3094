//! Questions to the person at the terminal.

use crate::exit::Failure;
use crate::output::{to_stderr, width};
use rewind_core::printable;
use rewind_ui::render;

/// Asks a question; returns what was typed, without the blanks around it.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let unreadable = |error| Failure::Error(format!("the terminal could not be read: {error}; nothing was changed"));
    // On standard error: standard output may be a pipe, and holds the result alone.
    let lines = render::broken(&printable(question), width(&console::Term::stderr()), 0, 2);
    to_stderr(&format!("{} ", lines.join("\n  ")));
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(unreadable)?;
    // The newline of the terminal, and blanks that a paste brings, are no part of a hash or of a name.
    Ok(typed.trim().to_owned())
}
