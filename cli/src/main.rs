//! `rewind`, the command for people at a terminal: it reads what was typed, does it at the client, and ends with a code that
//! scripts can tell apart.

mod args;
mod ask;
mod commands;
mod connect;
mod exit;
mod follow;
mod show;

use args::Cli;
use clap::Parser;
use exit::Failure;
use show::Show;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let show = Show::new(cli.options.json);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return show.failure(&Failure::Trouble(format!("the command could not begin: {error}"))),
    };
    match runtime.block_on(commands::run(cli, &show)) {
        Ok(ended) => ended.code(),
        Err(failure) => show.failure(&failure),
    }
}
