//! The command line: the words that chat has too, and what only a terminal needs.

use crate::exit::CODES;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use rewind_ui::{DecisionWords, ListWords, RequestWords, StartWords, StatusWords, UndoWords, WindowWords};
use std::path::PathBuf;

/// Bring an Amazon Aurora cluster back to a moment before, prove it, and move the traffic
#[derive(Debug, Parser)]
#[command(name = "rewind", version, after_help = CODES)]
pub(crate) struct Cli {
    /// Where to, and how to answer.
    #[command(flatten)]
    pub(crate) options: Options,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where to, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Answer one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The state machine of recoveries, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "STATE_MACHINE_ARN", help_heading = "Where to")]
    pub(crate) state_machine_arn: Option<String>,
    /// The state machine that takes recoveries back, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "UNDO_STATE_MACHINE_ARN", help_heading = "Where to")]
    pub(crate) undo_state_machine_arn: Option<String>,
    /// The function that reads and sets windows, as the stack's outputs have it
    #[arg(long, global = true, value_name = "NAME", env = "SET_WINDOW_FUNCTION", help_heading = "Where to")]
    pub(crate) set_window_function: Option<String>,
    /// The table of recoveries; otherwise the one that the state machine writes to
    #[arg(long, global = true, value_name = "NAME", env = "REWIND_TABLE", help_heading = "Where to")]
    pub(crate) table: Option<String>,
    /// The profile of your AWS configuration; otherwise AWS_PROFILE
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where to")]
    pub(crate) profile: Option<String>,
    /// The AWS Region; otherwise AWS_REGION, or the profile's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where to")]
    pub(crate) region: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a recovery would do; nothing is changed
    Plan(PlanArgs),
    /// Start a recovery, and follow it to its end
    Start(StartArgs),
    /// Say how a recovery stands
    Status(StatusArgs),
    /// List the recoveries, the latest first
    List(ListWords),
    /// Say yes to a recovery that waits for it
    Approve(DecideArgs),
    /// Say no: no traffic is moved, and what the recovery made is deleted
    Reject(DecideArgs),
    /// Move traffic back to the source after a recovery
    Undo(UndoArgs),
    /// Say how far back a cluster can go, or set it
    Window(WindowWords),
    /// Write completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A request, in words or in a file.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) words: RequestWords,
    /// A file with the request as JSON, or - for standard input; what is said beside it goes first
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
}

/// A request, in words or in a file, and what to do once it is started.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) words: StartWords,
    /// A file with the request as JSON, or - for standard input; what is said beside it goes first
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
    /// Start it, and leave it alone
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Which recovery, and whether to stay.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) words: StatusWords,
    /// Follow it to its end
    #[arg(long)]
    pub(crate) follow: bool,
}

/// A decision, and whether to stay.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    pub(crate) words: DecisionWords,
    /// Follow the recovery to its end
    #[arg(long)]
    pub(crate) follow: bool,
}

/// What is undone, and whether to stay.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    pub(crate) words: UndoWords,
    /// Start it, and leave it alone
    #[arg(long)]
    pub(crate) detach: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use rewind_ui::chat;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn terminal_and_chat_have_the_same_words() {
        let chat = match chat::read("help").unwrap() {
            chat::Said::Help(help) => help,
            chat::Said::Do(command) => panic!("{command:?}"),
        };
        for verb in Cli::command().get_subcommands().map(clap::Command::get_name).filter(|verb| *verb != "completions")
        {
            assert!(chat.contains(&format!("\n  {verb} ")), "chat has no {verb}:\n{chat}");
        }
    }
}
