//! Shows what is said: coloured on a terminal, plain in a pipe, one JSON document for a script. It words nothing itself.

use crate::exit::Failure;
use console::Style;
use rewind_ui::{Line, Text};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::process::ExitCode;

/// How to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    json: bool,
}

impl Show {
    /// For a script, or for a person.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a script reads.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person can be asked something.
    pub(crate) fn can_ask(self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// The answer: the document for a script, the text for a person.
    pub(crate) fn answer(self, document: &Value, text: &Text) {
        if self.json {
            println!("{document}");
        } else {
            print!("{}", styled(text));
        }
    }

    /// Something beside the answer: a script does not see it.
    pub(crate) fn aside(self, text: &Text) {
        if !self.json {
            eprint!("{}", styled(text));
        }
    }

    /// Why it was not done.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        if self.json {
            println!("{}", json!({ "error": failure.kind(), "message": failure.message() }));
        } else {
            eprintln!("{} {}", Style::new().red().bold().for_stderr().apply_to("error:"), failure.message());
        }
        failure.code()
    }
}

/// The lines as a terminal shows them; without a terminal the styles are empty.
pub(crate) fn styled(text: &Text) -> String {
    let (bold, dim) = (Style::new().bold(), Style::new().dim());
    let (red, green) = (Style::new().yellow(), Style::new().green());
    let mut said = String::new();
    for line in &text.0 {
        let shown = match line {
            Line::Heading(text) => bold.apply_to(text).to_string(),
            Line::Item(text) => format!("  - {text}"),
            Line::Field(name, value) => format!("  {} {value}", dim.apply_to(format!("{name:<12}"))),
            Line::Warning(text) => format!("  {}", red.apply_to(format!("! {text}"))),
            Line::Good(text) => format!("  {}", green.apply_to(format!("+ {text}"))),
            Line::Plain(text) => text.clone(),
        };
        said.push_str(&shown);
        said.push('\n');
    }
    said
}
