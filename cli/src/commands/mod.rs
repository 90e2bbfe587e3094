//! The commands, one a file: each calls the client and shows its result.

mod clusters;
mod completions;
mod decide;
mod diff;
mod list;
mod open;
mod plan;
mod resume;
mod start;
mod status;
mod undo;
mod window;

use crate::args::{Cli, Command};
use crate::connect::connect;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_client::Undoing;

/// Runs a command.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<Completion, Failure> {
    // Before the connection: completions are installed on machines that have neither credentials nor a stack.
    if let Command::Completions { shell } = cli.command {
        return completions::run(shell);
    }
    let (aws, client) = connect(&cli.options).await?;
    match cli.command {
        Command::Plan(options) => plan::run(&aws, &client, output, &options).await,
        Command::Start(options) => start::run(&aws, &client, output, &options).await,
        Command::Resume(options) => resume::run(&aws, &client, output, &options).await,
        Command::Status(options) => status::run(&aws, &client, output, &options).await,
        Command::Diff(options) => diff::run(&client, output, &options).await,
        Command::List(args) => list::run(&aws, &client, output, &args).await,
        Command::Approve(options) => decide::approve(&aws, &client, output, &options).await,
        Command::Reject(options) => decide::reject(&aws, &client, output, &options).await,
        Command::Undo(options) => undo::run(&aws, &client, output, &options, Undoing::Undo).await,
        Command::Cancel(options) => undo::run(&aws, &client, output, &options, Undoing::Cancel).await,
        Command::Open(options) => open::run(&aws, &client, output, &options).await,
        Command::Window(args) => window::run(&client, output, &args).await,
        Command::Clusters(options) => clusters::run(&aws, &client, output, &options).await,
        Command::Complete { words } => completions::words(&aws, &client, words).await,
        // It has returned above; the match stays exhaustive, so that a new command cannot be forgotten here.
        Command::Completions { shell } => completions::run(shell),
    }
}
