//! The command line of the local stack: it parses and dispatches, and does nothing by itself.

use clap::{Parser, Subcommand};
use rewind_local::serve::{self, ServeArgs};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "rewind-local", version, about = "A local AWS around real databases")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the RDS control plane and the DNS server in the foreground until a signal
    Serve(ServeArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::main(args),
    }
}
