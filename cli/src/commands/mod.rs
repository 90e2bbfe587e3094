//! The commands, one a file: each calls the client and shows its result.

mod completions;
mod decide;
mod list;
mod plan;
mod start;
mod status;
mod undo;
mod window;

use crate::args::{Cli, Command};
use crate::connect::connect;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use serde_json::Value;
use std::path::Path;

/// Runs a command.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<Completion, Failure> {
    if let Command::Completions { shell } = cli.command {
        return completions::run(shell);
    }
    let (aws, client) = connect(&cli.options).await?;
    match cli.command {
        Command::Plan(options) => plan::run(&client, output, &options).await,
        Command::Start(options) => start::run(&client, output, &options).await,
        Command::Status(options) => status::run(&client, output, &options).await,
        Command::List(args) => list::run(&client, output, &args).await,
        Command::Approve(options) => decide::approve(&aws, &client, output, &options).await,
        Command::Reject(options) => decide::reject(&aws, &client, output, &options).await,
        Command::Undo(options) => undo::run(&aws, &client, output, &options).await,
        Command::Window(args) => window::run(&client, output, &args).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Reads the request in a file; without a file, an empty one.
fn read_request(path: Option<&Path>) -> Result<Value, Failure> {
    let Some(path) = path else { return Ok(Value::Object(serde_json::Map::new())) };
    let name = path.display();
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Failure::Usage(format!("{name} could not be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))
}
