//! Writes the command's output: styled on a terminal, plain in a pipe, one JSON document for a script. It words nothing itself.

use crate::args::Options;
use crate::exit::Failure;
use console::Style;
use rewind_core::{printable_json, printable_lines};
use rewind_ui::{Document, in_flags, render};
use serde_json::{Value, json};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// The form of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    verbose: bool,
    /// True if the request came in a file, whose fields people know by their names.
    has_file: bool,
}

impl Output {
    /// Chooses JSON for a script, or text for a person.
    pub(crate) fn new(options: &Options) -> Self {
        Self { json: options.json, verbose: options.verbose, has_file: false }
    }

    /// The same form, for a request that came in `file` or in options alone.
    pub(crate) fn of_request(self, file: Option<&Path>) -> Self {
        Self { has_file: file.is_some(), ..self }
    }

    /// Brings a message about a request into the words in which it came.
    pub(crate) fn in_words(self, message: &str) -> String {
        if self.has_file { message.to_owned() } else { in_flags(message) }
    }

    /// True if a person wants every state and every attempt.
    pub(crate) fn is_verbose(self) -> bool {
        self.verbose
    }

    /// True for a script.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// True if a person can be asked something.
    pub(crate) fn can_ask(self) -> bool {
        // The question goes to standard error, so a person can be asked while standard output is a pipe.
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Writes the result to standard output: the JSON for a script, the document for a person.
    pub(crate) fn result(self, json: &Value, document: &Document) {
        self.script(json);
        self.more(document);
    }

    /// Writes the one document of a script; a person is told otherwise.
    pub(crate) fn script(self, json: &Value) {
        if self.json {
            to_stdout(&format!("{}\n", printable_json(json)));
        }
    }

    /// Writes a document below the result. A script does not get it: its one document has what it needs.
    pub(crate) fn more(self, document: &Document) {
        if !self.json {
            to_stdout(&render::terminal(document, console::colors_enabled(), width(&console::Term::stdout())));
        }
    }

    /// Writes a document beside the result to standard error. A script does not get it.
    pub(crate) fn note(self, document: &Document) {
        if !self.json {
            to_stderr(&for_stderr(document));
        }
    }

    /// Writes why the command failed; returns its exit code.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        if self.json {
            // On standard output: a script finds one document there however the command ends.
            self.script(&json!({ "error": failure.kind(), "message": failure.message() }));
        } else {
            let message = printable_lines(failure.message());
            to_stderr(&format!("{} {message}\n", Style::new().red().bold().for_stderr().apply_to("error:")));
        }
        failure.code()
    }
}

/// Writes to standard output. Whoever has closed the pipe has read enough: the command goes on, and its exit code is of what it did.
pub(crate) fn to_stdout(text: &str) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            to_stderr(&format!("standard output could not be written: {error}\n"));
        }
        _ => {}
    }
}

/// Writes to standard error. Where that cannot be written there is nobody to be told.
pub(crate) fn to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Renders a document for standard error, which may be a terminal where standard output is none.
pub(crate) fn for_stderr(document: &Document) -> String {
    render::terminal(document, console::colors_enabled_stderr(), width(&console::Term::stderr()))
}

/// The columns of a terminal; none for a pipe, in which no line is broken: a script reads it line by line.
pub(crate) fn width(terminal: &console::Term) -> Option<usize> {
    terminal.size_checked().map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_options_unless_the_request_came_in_a_file() {
        let output = Output { json: false, verbose: false, has_file: false };
        let cause = "`secretArn` was not found";
        assert_eq!(output.in_words(cause), "`--secret` was not found");
        let of_file = output.of_request(Some(Path::new("request.json")));
        assert_eq!(of_file.in_words(cause), cause);
        assert_eq!(of_file.of_request(None).in_words(cause), "`--secret` was not found");
    }
}
