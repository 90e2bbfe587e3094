//! The command line of the local stack: it parses and dispatches, and does nothing by itself.

use clap::{Parser, Subcommand};
use rewind_local::demo::{self, DemoArgs};
use rewind_local::serve::{self, ServeArgs};
use rewind_local::stack::{self, DirArgs, ToolsArgs, UpArgs};
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
    /// Start the whole stack, or check that it is up
    Up(UpArgs),
    /// End every process of the stack and remove its state
    Down(DirArgs),
    /// Run a scenario on the running stack: a DELETE without WHERE, and the recovery from it
    Demo(DemoArgs),
    /// List the processes of the stack, and check that all of it answers
    Status(DirArgs),
    /// Install Python tools as pinned in local/tools, once
    Tools(ToolsArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::main(args),
        Command::Up(args) => stack::up(&args),
        Command::Down(args) => stack::down(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Status(args) => stack::status(&args),
        Command::Tools(args) => stack::tools(&args),
    }
}
