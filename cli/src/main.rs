//! `rewind`, the command for people at a terminal: it parses the arguments, calls the client, and ends with an exit code
//! that scripts can tell apart.

mod args;
mod ask;
mod commands;
mod connect;
mod exit;
mod follow;
mod output;
mod request_file;

use args::Cli;
use exit::Failure;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let output = Output::new(&cli.options);
    // One thread is enough: the command waits for AWS, one call at a time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&Failure::Error(format!("the command could not start: {error}"))),
    };
    match runtime.block_on(commands::run(cli, &output)) {
        Ok(completion) => completion.code(),
        Err(failure) => output.failure(&failure),
    }
}
