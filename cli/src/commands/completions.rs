//! `rewind completions`: what a shell needs to complete the words.

use crate::args::Cli;
use crate::exit::{Done, Failure};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Writes them to standard output.
pub(crate) fn run(shell: Shell) -> Result<Done, Failure> {
    generate(shell, &mut Cli::command(), "rewind", &mut std::io::stdout());
    Ok(Done::Answered)
}
