//! A line of chat, read as the command line reads its words: `/rewind my-aurora-cluster 5m ago` is a plan.

use crate::args::{DecisionWords, ListWords, RequestWords, StartWords, StatusWords, UndoWords, WindowWords};
use clap::{CommandFactory, Parser, Subcommand};

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something to do.
    Do(Box<Command>),
    /// They asked for help, and this is it.
    Help(String),
}

/// The words of chat.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show what a recovery would do; nothing is changed
    Plan(RequestWords),
    /// Start a recovery
    Start(StartWords),
    /// Say how a recovery stands
    Status(StatusWords),
    /// List the recoveries, the latest first
    List(ListWords),
    /// Say yes to a recovery that waits for it
    Approve(DecisionWords),
    /// Say no: no traffic is moved, and what the recovery made is deleted
    Reject(DecisionWords),
    /// Move traffic back to the source after a recovery
    Undo(UndoWords),
    /// Say how far back a cluster can go, or set it
    Window(WindowWords),
}

/// Bring an Amazon Aurora cluster back to a moment before, prove it, and move the traffic
///
/// A cluster and a time alone are a plan: /rewind my-aurora-cluster 5m ago
#[derive(Debug, Parser)]
#[command(name = "/rewind", no_binary_name = true, disable_version_flag = true)]
struct Chat {
    #[command(subcommand)]
    command: Command,
}

/// The longest line that is read: a request with many checks is no line of chat.
const LINE_MAX: usize = 4_000;

/// Reads a line.
///
/// # Errors
///
/// What is wrong with it and what would be right, for the one who typed it.
pub fn read(line: &str) -> Result<Said, String> {
    if line.len() > LINE_MAX {
        return Err(format!(
            "that is longer than {LINE_MAX} characters: use the command line, with a request in a file"
        ));
    }
    let mut words = split(line)?;
    let known = Chat::command().get_subcommands().any(|verb| words.first().is_some_and(|w| w == verb.get_name()));
    match words.first().map(String::as_str) {
        None => words.push("help".to_owned()),
        Some(first) if !known && first != "help" && !first.starts_with('-') => words.insert(0, "plan".to_owned()),
        _ => {}
    }
    match Chat::try_parse_from(&words) {
        Ok(chat) => Ok(Said::Do(Box::new(chat.command))),
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => Ok(Said::Help(error.to_string())),
        Err(error) => Err(plain(&error)),
    }
}

/// clap's message without its own "error:" and the usage line's length.
fn plain(error: &clap::Error) -> String {
    error.to_string().trim_start_matches("error: ").trim_end().to_owned()
}

/// Splits a line into words as a shell would, as far as chat needs it: quotes keep words together. Chat programs write
/// typographic quotes and dashes for the plain ones.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        let c = match c {
            '\u{201c}' | '\u{201d}' | '\u{201e}' => '"',
            '\u{2018}' | '\u{2019}' => '\'',
            other => other,
        };
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            // An apostrophe within a word is one.
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

    fn done(line: &str) -> Command {
        match read(line).unwrap() {
            Said::Do(command) => *command,
            Said::Help(help) => panic!("{line} asks for help: {help}"),
        }
    }

    #[test]
    fn a_cluster_and_a_time_are_a_plan() {
        let plan = |line| match done(line) {
            Command::Plan(words) => words,
            other => panic!("{other:?}"),
        };
        let words = plan("my-aurora-cluster 5m ago");
        assert_eq!((words.cluster.as_deref(), words.to.join(" ").as_str()), (Some("my-aurora-cluster"), "5m ago"));
        assert_eq!(plan("plan my-aurora-cluster 5m ago"), words);
        // A cluster that is called like a word is reached by saying the word first.
        assert_eq!(plan("plan status 5m ago").cluster.as_deref(), Some("status"));
    }

    #[test]
    fn the_quotes_and_dashes_of_chat_programs_are_read_as_those_of_a_keyboard() {
        let expected = done("start orders latest --check \"d: SELECT 'a' => a\"");
        assert_eq!(done("start orders latest \u{2014}check \u{201c}d: SELECT 'a' => a\u{201d}"), expected);
    }

    #[test]
    fn a_comment_needs_no_quotes() {
        let Command::Reject(words) = done("reject r-1 it's not for  the sale --hash 3fa9c1") else { panic!() };
        assert_eq!((words.id.as_str(), words.hash.as_deref()), ("r-1", Some("3fa9c1")));
        assert_eq!(words.comment().as_deref(), Some("it's not for the sale"));
    }

    #[test]
    fn nothing_said_is_a_question_for_help() {
        for line in ["", "  ", "help", "--help", "help start"] {
            assert!(matches!(read(line), Ok(Said::Help(_))), "{line:?}");
        }
        let Ok(Said::Help(help)) = read("help") else { panic!() };
        for word in ["plan", "start", "status", "list", "approve", "reject", "undo", "window"] {
            assert!(help.contains(word), "{help}\nlacks {word}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_reason() {
        for (line, said) in [
            ("approve", "<ID>"),
            ("start orders latest --colour red", "--colour"),
            ("plan 'orders", "a quote is opened"),
            ("list --limit many", "many"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(said) && !error.starts_with("error"), "{error}\nlacks {said}");
        }
        assert!(read(&"a ".repeat(LINE_MAX)).unwrap_err().contains("longer than"));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC*") {
            let _ = read(&line);
        }

        #[test]
        fn words_of_chat_in_any_order_are_read_or_refused_with_a_reason(
            words in prop::collection::vec(prop::sample::select(vec![
                "plan", "start", "status", "list", "approve", "reject", "undo", "window", "help", "--check", "--hash",
                "--dns", "--name", "--in-place", "orders", "5m", "ago", "latest", "\"", "'", "\u{2014}", "--", "-", "=",
            ]), 0..8)
        ) {
            if let Err(reason) = read(&words.join(" ")) {
                prop_assert!(!reason.trim().is_empty());
            }
        }

        #[test]
        fn quoted_words_come_through_as_they_are(word in "[^\"\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}]{0,40}") {
            prop_assert_eq!(split(&format!("\"{word}\"")), Ok(vec![word]));
        }
    }
}
