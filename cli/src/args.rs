//! The arguments of the command line: those that chat has too, and those that only a terminal needs.

use crate::exit::CODES;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rewind_ui::{DecisionArgs, ListArgs, RequestArgs, ResumeArgs, StartArgs, StatusArgs, UndoArgs, WindowArgs};
use std::path::PathBuf;

/// Bring an Amazon Aurora cluster back to a moment before, prove it, and move the traffic
#[derive(Debug, Parser)]
#[command(name = "rewind", version, after_help = CODES)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) options: Options,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the arguments of this process; ends it where they are wrong or ask for help.
    pub(crate) fn of_process() -> Self {
        Self::of(&Self::command().get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Takes the arguments out of what was parsed. A resource that was typed goes before a stack of the environment, and a stack before
    /// resources of the environment, which may be those of another one: a decision must not go to a stack that nobody has named.
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let options = &mut cli.options;
        if is_typed("state_machine_arn") {
            if is_typed("stack") {
                let why = "--stack and --state-machine-arn name two deployments: give one of them";
                return Err(Self::command().error(ErrorKind::ArgumentConflict, why));
            }
            options.stack = None;
        } else if options.stack.is_some() || options.state_machine_arn.is_none() {
            options.state_machine_arn = None;
            for (id, value) in [
                ("undo_state_machine_arn", &mut options.undo_state_machine_arn),
                ("set_window_function", &mut options.set_window_function),
                ("compare_tables_function", &mut options.compare_tables_function),
                ("clean_up_state_machine_arn", &mut options.clean_up_state_machine_arn),
                ("clean_up", &mut options.clean_up),
                ("open_state_machine_arn", &mut options.open_state_machine_arn),
                ("table", &mut options.table),
            ] {
                if !is_typed(id) {
                    *value = None;
                }
            }
        }
        Ok(cli)
    }
}

/// Options of every command: the stack, and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write one JSON document to standard output, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show every state of an execution and every failed attempt in full
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// The stack, by its name; without it and without STATE_MACHINE_ARN, the only stack of aurora-rewind in this account and Region
    #[arg(long, global = true, value_name = "NAME", env = "REWIND_STACK", help_heading = "Stack")]
    pub(crate) stack: Option<String>,
    /// The state machine of recoveries, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "STATE_MACHINE_ARN", help_heading = "Stack")]
    pub(crate) state_machine_arn: Option<String>,
    /// The state machine that undoes recoveries, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "UNDO_STATE_MACHINE_ARN", help_heading = "Stack")]
    pub(crate) undo_state_machine_arn: Option<String>,
    /// The function that reads and sets windows, as the stack's outputs have it
    #[arg(long, global = true, value_name = "NAME", env = "SET_WINDOW_FUNCTION", help_heading = "Stack")]
    pub(crate) set_window_function: Option<String>,
    /// The function that compares tables, as the stack's outputs have it
    #[arg(long, global = true, value_name = "NAME", env = "COMPARE_TABLES_FUNCTION", help_heading = "Stack")]
    pub(crate) compare_tables_function: Option<String>,
    /// The state machine that deletes what recoveries kept, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "CLEAN_UP_STATE_MACHINE_ARN", help_heading = "Stack")]
    pub(crate) clean_up_state_machine_arn: Option<String>,
    /// ENABLED if the stack starts the clean-up every hour, as its outputs have it
    #[arg(long, global = true, value_name = "STATE", env = "CLEAN_UP", help_heading = "Stack")]
    pub(crate) clean_up: Option<String>,
    /// The state machine that opens what recoveries left behind, as the stack's outputs have it
    #[arg(long, global = true, value_name = "ARN", env = "OPEN_STATE_MACHINE_ARN", help_heading = "Stack")]
    pub(crate) open_state_machine_arn: Option<String>,
    /// The table of recoveries; otherwise the one that the state machine writes to
    #[arg(long, global = true, value_name = "NAME", env = "REWIND_TABLE", help_heading = "Stack")]
    pub(crate) table: Option<String>,
    /// The profile of your AWS configuration, also beside keys in the environment; otherwise AWS_PROFILE
    #[arg(long, global = true, value_name = "NAME", help_heading = "Stack")]
    pub(crate) profile: Option<String>,
    /// The AWS Region; otherwise AWS_REGION, or the profile's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Stack")]
    pub(crate) region: Option<String>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a recovery would do; nothing is changed
    Plan(PlanOptions),
    /// Start a recovery, and follow it to its end
    Start(StartOptions),
    /// Start a recovery that goes on from the restored cluster of one that ended, and follow it
    Resume(ResumeOptions),
    /// Show the status of a recovery
    Status(StatusOptions),
    /// Show how many rows of each table were written on the source since the target; nothing is changed
    Diff(DiffOptions),
    /// List the recoveries, the latest first
    List(ListArgs),
    /// Approve a recovery that waits for it
    Approve(DecideOptions),
    /// Reject it: no traffic is moved, and what the recovery made is deleted if nobody uses it
    Reject(DecideOptions),
    /// Undo a recovery in whatever state it is: traffic is on the source again, and its lease is free
    Undo(UndoOptions),
    /// End a recovery that has not ended well, and undo what it has done; what is restored is kept
    Cancel(UndoOptions),
    /// Open the fenced source, or the safety clone, to one connection that only reads, from one address and for a time; or close it
    Open(OpenOptions),
    /// Show how far back a cluster can go, or set it
    Window(WindowArgs),
    /// List what recoveries made or kept and is still there, or have a cluster of it removed
    Clusters(ClustersOptions),
    /// Write the words that a shell completes
    #[command(hide = true)]
    Complete {
        /// The kind of words
        words: Words,
    },
    /// Write completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Words that a shell completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Words {
    /// The ids of the latest recoveries.
    Ids,
    /// Their clusters.
    Clusters,
    /// The clusters that recoveries made or kept, and that the clean-up can delete.
    Removable,
}

/// A cluster to remove; without one, all are listed.
#[derive(Debug, Args)]
pub(crate) struct ClustersOptions {
    /// End the time of this cluster and start the clean-up, which deletes it into a final snapshot if nobody uses it; asks first
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) remove: Option<String>,
    /// The cluster's name again, to confirm that it shall be removed now
    #[arg(long, value_name = "CLUSTER", requires = "remove")]
    pub(crate) confirm: Option<String>,
}

/// A request, in arguments or in a file.
#[derive(Debug, Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) args: RequestArgs,
    /// A file with the request as JSON, or - for standard input; arguments override the file
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
}

/// A request, in arguments or in a file, and options of the start.
#[derive(Debug, Args)]
pub(crate) struct StartOptions {
    #[command(flatten)]
    pub(crate) args: StartArgs,
    /// A file with the request as JSON, or - for standard input; arguments override the file
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
    /// Start it without following it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A recovery to resume, with the fields that shall differ, and options of the start.
#[derive(Debug, Args)]
pub(crate) struct ResumeOptions {
    #[command(flatten)]
    pub(crate) args: ResumeArgs,
    /// A file with the fields that shall differ as JSON, or - for standard input; arguments override the file
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Option<PathBuf>,
    /// Start it without following it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A recovery, and an option to follow it.
#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) args: StatusArgs,
    /// Follow it to its end
    #[arg(long)]
    pub(crate) follow: bool,
}

/// A recovery whose two clusters are compared, table by table.
#[derive(Debug, Args)]
pub(crate) struct DiffOptions {
    /// The recovery, which has restored a cluster: it may wait for an approval, or have ended
    pub(crate) id: String,
    /// The tables to compare, as they are written there: orders, public.orders or shop.public.orders; otherwise all
    // No option: --table names the table of recoveries in every command.
    #[arg(value_name = "TABLE")]
    pub(crate) compared: Vec<String>,
}

/// A decision, and an option to follow the recovery.
#[derive(Debug, Args)]
pub(crate) struct DecideOptions {
    #[command(flatten)]
    pub(crate) args: DecisionArgs,
    /// Follow the recovery to its end
    #[arg(long)]
    pub(crate) follow: bool,
}

/// A recovery to undo, and an option not to follow the undo.
#[derive(Debug, Args)]
pub(crate) struct UndoOptions {
    #[command(flatten)]
    pub(crate) args: UndoArgs,
    /// Start it without following it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A recovery, and the one who shall read what it left behind.
#[derive(Debug, Args)]
pub(crate) struct OpenOptions {
    /// The recovery that left the cluster behind
    pub(crate) id: String,
    /// The only address that is let in, such as 203.0.113.7, as the cluster's network sees it
    #[arg(long, value_name = "ADDRESS", required_unless_present = "close", conflicts_with = "close")]
    pub(crate) from: Option<String>,
    /// The time until it is closed, from 1m to 8h, and not longer than the cluster is kept
    #[arg(long = "for", value_name = "LENGTH", default_value = "1h", conflicts_with = "close")]
    pub(crate) length: String,
    /// The database to read, where the cluster has several
    #[arg(long, value_name = "NAME", conflicts_with = "close")]
    pub(crate) database: Option<String>,
    /// Close it now: the session that reads there ends
    #[arg(long)]
    pub(crate) close: bool,
    /// The name of the cluster to open, to confirm that it shall be opened now
    #[arg(long, value_name = "CLUSTER", conflicts_with = "close")]
    pub(crate) confirm: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_ui::chat;

    fn options(words: &[&str]) -> Result<Options, clap::Error> {
        let matches = Cli::command().try_get_matches_from([&["rewind"][..], words].concat())?;
        Ok(Cli::of(&matches)?.options)
    }

    #[test]
    fn a_resource_that_was_typed_is_the_one_that_is_used_wherever_it_stands() {
        for words in [["--table", "t", "list"], ["list", "--table", "t"]] {
            assert_eq!(options(&words).unwrap().table.as_deref(), Some("t"), "{words:?}");
        }
        let both = options(&["list", "--stack", "a", "--state-machine-arn", "arn"]).unwrap_err();
        assert!(both.to_string().contains("name two deployments"), "{both}");
    }

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn terminal_and_chat_have_the_same_commands() {
        let chat = match chat::parse("help").unwrap() {
            chat::ChatInput::Help(help) => help,
            chat::ChatInput::Command(command) => panic!("{command:?}"),
        };
        // A shell completes words, chat does not. What is left over costs money and wakes nobody, and the function of chat has
        // no permission to read or tag clusters. Every other command has to be in both: people who have only a phone at
        // night need each of them.
        // Whoever reads needs a terminal anyway, and chat has no permission to open. It may not call compare-tables either, which logs
        // in as the master user.
        let own = ["completions", "complete", "clusters", "open", "diff"];
        for verb in Cli::command().get_subcommands().map(clap::Command::get_name).filter(|verb| !own.contains(verb)) {
            assert!(chat.contains(&format!("\n  {verb} ")), "chat has no {verb}:\n{chat}");
        }
    }
}
