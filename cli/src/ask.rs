//! Questions to the person at the terminal.

use crate::exit::Failure;
use std::io::Write;

/// Asks, and answers what was typed.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let trouble = |error| Failure::Trouble(format!("the terminal could not be read: {error}; nothing was changed"));
    eprint!("{question} ");
    std::io::stderr().flush().map_err(trouble)?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(trouble)?;
    Ok(typed.trim().to_owned())
}
