//! The commands, one a file: each asks the client, and shows what it says.

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
use crate::exit::{Done, Failure};
use crate::show::Show;
use serde_json::Value;
use std::path::Path;

/// Does what was typed.
pub(crate) async fn run(cli: Cli, show: &Show) -> Result<Done, Failure> {
    if let Command::Completions { shell } = cli.command {
        return completions::run(shell);
    }
    let (aws, client) = connect(&cli.options).await?;
    match cli.command {
        Command::Plan(args) => plan::run(&client, show, &args).await,
        Command::Start(args) => start::run(&client, show, &args).await,
        Command::Status(args) => status::run(&client, show, &args).await,
        Command::List(words) => list::run(&client, show, &words).await,
        Command::Approve(args) => decide::approve(&aws, &client, show, &args).await,
        Command::Reject(args) => decide::reject(&aws, &client, show, &args).await,
        Command::Undo(args) => undo::run(&aws, &client, show, &args).await,
        Command::Window(words) => window::run(&client, show, &words).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// The request of a file, or an empty one.
fn file(path: Option<&Path>) -> Result<Value, Failure> {
    let Some(path) = path else { return Ok(Value::Object(serde_json::Map::new())) };
    let name = path.display();
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Failure::Usage(format!("{name} could not be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))
}
