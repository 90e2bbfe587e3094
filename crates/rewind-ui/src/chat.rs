//! Parses a line of chat as the command line parses its arguments: `/rewind my-aurora-cluster 5m ago` is a plan.

use crate::args::{DecisionArgs, ListArgs, RequestArgs, ResumeArgs, StartArgs, StatusArgs, UndoArgs, WindowArgs};
use clap::{CommandFactory, Parser, Subcommand};

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatInput {
    /// A command.
    Command(Box<ChatCommand>),
    /// A request for help, with the text that answers it.
    Help(String),
}

/// A command of chat.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ChatCommand {
    /// Show what a recovery would do; nothing is changed
    Plan(RequestArgs),
    /// Start a recovery
    Start(StartArgs),
    /// Start a recovery that goes on from the restored cluster of one that ended
    Resume(ResumeArgs),
    /// Show the status of a recovery
    Status(StatusArgs),
    /// List the recoveries, the latest first
    List(ListArgs),
    /// Approve a recovery that waits for it
    Approve(DecisionArgs),
    /// Reject it: no traffic is moved, and what the recovery made is deleted if nobody uses it
    Reject(DecisionArgs),
    /// Undo a recovery in whatever state it is: traffic is on the source again, and its lease is free
    Undo(UndoArgs),
    /// End a recovery that has not ended well, and undo what it has done; what is restored is kept
    Cancel(UndoArgs),
    /// Show how far back a cluster can go, or set it
    Window(WindowArgs),
}

/// Bring an Amazon Aurora cluster back to a moment before, prove it, and move the traffic
///
/// A cluster and a time alone are a plan: /rewind my-aurora-cluster 5m ago
#[derive(Debug, Parser)]
#[command(name = "/rewind", no_binary_name = true, disable_version_flag = true)]
struct Chat {
    #[command(subcommand)]
    command: ChatCommand,
}

/// The commands that a terminal alone has.
const OF_TERMINAL: [&str; 3] = ["clusters", "open", "diff"];

/// The longest line that is parsed, in bytes: a request with many checks is no line of chat.
const LINE_MAX: usize = 4_000;

/// Parses a line.
///
/// # Errors
///
/// An explanation of what is wrong and what would be right, for the person who typed it.
pub fn parse(line: &str) -> Result<ChatInput, String> {
    if line.len() > LINE_MAX {
        return Err(format!(
            "that is longer than {LINE_MAX} characters: use the command line, with a request in a file"
        ));
    }
    let mut words = split(line)?;
    // From the list of clap itself, so that a command that is added is known here as well.
    let known = words.first().is_some_and(|first| has(first));
    match words.first().map(String::as_str) {
        Some(first) if OF_TERMINAL.contains(&first) => {
            return Err(format!(
                "chat has no {first}: it may not reach what that reads; type rewind {first} at a terminal"
            ));
        }
        Some(first) if !known && first != "help" && !first.starts_with('-') && words.len() == 1 => {
            return Err(format!(
                "{first} is no command, and a cluster needs a time for a plan: /rewind {first} 5m ago; /rewind help lists the commands"
            ));
        }
        None => words.push("help".to_owned()),
        Some(first) if !known && first != "help" && !first.starts_with('-') => words.insert(0, "plan".to_owned()),
        _ => {}
    }
    match Chat::try_parse_from(&words) {
        Ok(chat) => Ok(ChatInput::Command(Box::new(chat.command))),
        // clap treats a request for help as an error.
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => Ok(ChatInput::Help(error.to_string())),
        Err(error) => Err(message(&error)),
    }
}

/// True if chat has the command of that name.
pub(crate) fn has(verb: &str) -> bool {
    Chat::command().get_subcommands().any(|known| verb == known.get_name())
}

/// Formats clap's message without its own "error:".
fn message(error: &clap::Error) -> String {
    error.to_string().trim_start_matches("error: ").trim_end().to_owned()
}

/// Splits a line into words as a shell would, as far as chat needs it: quotes keep words together.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        // Chat programs replace plain quotes and dashes by typographic ones while people type.
        let c = match c {
            '\u{201c}' | '\u{201d}' | '\u{201e}' => '"',
            '\u{2018}' | '\u{2019}' => '\'',
            other => other,
        };
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            // An apostrophe within a word opens no quote: people write "it's" in comments.
            (None, '"') | (None, '\'') if c == '"' || word.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\u{2014}' | '\u{2013}') if word.is_none() => word = Some("--".to_owned()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is opened and not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(line: &str) -> ChatCommand {
        match parse(line).unwrap() {
            ChatInput::Command(command) => *command,
            ChatInput::Help(help) => panic!("{line} asks for help: {help}"),
        }
    }

    #[test]
    fn one_word_that_is_no_command_is_not_taken_for_a_request() {
        for (line, advice) in [
            ("open r-1", "type rewind open at a terminal"),
            ("clusters", "chat has no clusters"),
            ("bogus", "bogus is no command, and a cluster needs a time for a plan: /rewind bogus 5m ago"),
        ] {
            let refused = parse(line).unwrap_err();
            assert!(refused.contains(advice), "{line}: {refused}");
        }
    }

    #[test]
    fn a_cluster_and_a_time_are_a_plan() {
        let plan = |line| match command(line) {
            ChatCommand::Plan(args) => args,
            other => panic!("{other:?}"),
        };
        let args = plan("my-aurora-cluster 5m ago");
        assert_eq!((args.cluster.as_deref(), args.to.join(" ").as_str()), (Some("my-aurora-cluster"), "5m ago"));
        assert_eq!(plan("plan my-aurora-cluster 5m ago"), args);
        // A cluster that is called like a word is reached by saying the word first.
        assert_eq!(plan("plan status 5m ago").cluster.as_deref(), Some("status"));
    }

    #[test]
    fn typographic_quotes_and_dashes_are_parsed_as_plain_ones() {
        let expected = command("start orders latest --check \"d: SELECT 'a' => a\"");
        assert_eq!(command("start orders latest \u{2014}check \u{201c}d: SELECT 'a' => a\u{201d}"), expected);
    }

    #[test]
    fn a_comment_needs_no_quotes() {
        let ChatCommand::Reject(args) = command("reject r-1 it's not for  the sale --hash 3fa9c1") else { panic!() };
        assert_eq!((args.id.as_str(), args.hash.as_deref()), ("r-1", Some("3fa9c1")));
        assert_eq!(args.comment().as_deref(), Some("it's not for the sale"));
    }

    #[test]
    fn an_empty_line_asks_for_help() {
        for line in ["", "  ", "help", "--help", "help start"] {
            assert!(matches!(parse(line), Ok(ChatInput::Help(_))), "{line:?}");
        }
        let Ok(ChatInput::Help(help)) = parse("help") else { panic!() };
        for word in ["plan", "start", "resume", "status", "list", "approve", "reject", "undo", "cancel", "window"] {
            assert!(help.contains(word), "{help}\nlacks {word}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_refused_with_a_reason() {
        for (line, expected) in [
            ("approve", "<ID>"),
            ("start orders latest --colour red", "--colour"),
            ("plan 'orders", "a quote is opened"),
            ("list --limit many", "many"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expected) && !error.starts_with("error"), "{error}\nlacks {expected}");
        }
        assert!(parse(&"a ".repeat(LINE_MAX)).unwrap_err().contains("longer than"));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "\\PC*") {
            let _ = parse(&line);
        }

        #[test]
        fn words_of_chat_in_any_order_are_parsed_or_refused_with_a_reason(
            words in prop::collection::vec(prop::sample::select(vec![
                "plan", "start", "resume", "status", "list", "approve", "reject", "undo", "cancel", "window", "help", "--check", "--hash",
                "--dns", "--name", "--in-place", "orders", "5m", "ago", "latest", "\"", "'", "\u{2014}", "--", "-", "=",
            ]), 0..8)
        ) {
            if let Err(reason) = parse(&words.join(" ")) {
                prop_assert!(!reason.trim().is_empty());
            }
        }

        #[test]
        fn quoted_words_come_through_as_they_are(word in "[^\"\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}]{0,40}") {
            prop_assert_eq!(split(&format!("\"{word}\"")), Ok(vec![word]));
        }
    }
}
