//! `rewind completions`: the script with which a shell completes commands and options.

use crate::args::Cli;
use crate::exit::{Completion, Failure};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Writes the script to standard output.
pub(crate) fn run(shell: Shell) -> Result<Completion, Failure> {
    generate(shell, &mut Cli::command(), "rewind", &mut std::io::stdout());
    Ok(Completion::Done)
}
