//! The document model: lines of text with a meaning, before it is known where they are shown. `format` makes documents,
//! `render` turns them into text for a terminal, a mail or Slack. Names and values that others chose are made printable here, so
//! that none can forge a line.

use rewind_core::printable;

/// One line of a document. The text never holds markup: the renderers add it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The title of the lines below it.
    Heading(String),
    /// One step of several, numbered from 1 in the order in which they happen.
    Step(usize, String),
    /// One entry of a list.
    Item(String),
    /// A value and its name.
    Field(&'static str, String),
    /// A sentence about the value above it, which is there to be copied without it.
    Below(String),
    /// A fact that a person must not overlook.
    Warning(String),
    /// A fact that is as it should be.
    Good(String),
    /// A sentence.
    Plain(String),
}

impl Line {
    /// The fact that the line states, without any markup: every rendering contains it.
    pub fn text(&self) -> &str {
        // No wildcard: a new kind of line has to name its fact, or the tests of the renderers would not look for it.
        match self {
            Self::Heading(text)
            | Self::Step(_, text)
            | Self::Item(text)
            | Self::Field(_, text)
            | Self::Below(text)
            | Self::Warning(text)
            | Self::Good(text)
            | Self::Plain(text) => text,
        }
    }
}

/// Lines in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document(Vec<Line>);

impl Document {
    /// Makes an empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a document of sentences, one a line.
    pub fn of_lines(text: &str) -> Self {
        Self(text.lines().map(|line| Line::Plain(printable(line))).collect())
    }

    /// The lines, in order.
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.0.push(Line::Heading(printable(&text.into())));
    }

    /// Adds a list of numbered steps.
    pub fn steps<'a>(&mut self, steps: impl IntoIterator<Item = &'a String>) {
        // Numbered here, so that people in chat and at a terminal speak of the same step 3.
        self.0.extend(steps.into_iter().zip(1..).map(|(text, number)| Line::Step(number, printable(text))));
    }

    /// Adds an entry of a list.
    pub fn item(&mut self, text: impl Into<String>) {
        self.0.push(Line::Item(printable(&text.into())));
    }

    /// Adds a named value.
    pub fn field(&mut self, name: &'static str, value: impl ToString) {
        self.0.push(Line::Field(name, printable(&value.to_string())));
    }

    /// Adds a command that people copy, with its name, and a sentence about it on the next line: copied with a line, the sentence would
    /// be words of the command.
    pub fn command(&mut self, name: &'static str, command: impl ToString, about: impl Into<String>) {
        self.field(name, command);
        self.0.push(Line::Below(printable(&about.into())));
    }

    /// Adds a warning.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.0.push(Line::Warning(printable(&text.into())));
    }

    /// Adds a fact that is as it should be.
    pub fn good(&mut self, text: impl Into<String>) {
        self.0.push(Line::Good(printable(&text.into())));
    }

    /// Adds a sentence.
    pub fn plain(&mut self, text: impl Into<String>) {
        self.0.push(Line::Plain(printable(&text.into())));
    }

    /// Adds the lines of another document.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}
