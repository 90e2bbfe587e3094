//! The document model: lines of text with a meaning, before it is known where they are shown. `format` makes documents,
//! `render` turns them into text for a terminal, a mail or Slack.

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
        match self {
            Self::Heading(text)
            | Self::Step(_, text)
            | Self::Item(text)
            | Self::Field(_, text)
            | Self::Warning(text)
            | Self::Good(text)
            | Self::Plain(text) => text,
        }
    }
}

/// Lines in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document(pub Vec<Line>);

impl Document {
    /// Makes an empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.0.push(Line::Heading(text.into()));
    }

    /// Adds a list of numbered steps.
    pub fn steps<'a>(&mut self, steps: impl IntoIterator<Item = &'a String>) {
        self.0.extend(steps.into_iter().zip(1..).map(|(text, number)| Line::Step(number, text.clone())));
    }

    /// Adds an entry of a list.
    pub fn item(&mut self, text: impl Into<String>) {
        self.0.push(Line::Item(text.into()));
    }

    /// Adds a named value.
    pub fn field(&mut self, name: &'static str, value: impl ToString) {
        self.0.push(Line::Field(name, value.to_string()));
    }

    /// Adds a warning.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.0.push(Line::Warning(text.into()));
    }

    /// Adds a fact that is as it should be.
    pub fn good(&mut self, text: impl Into<String>) {
        self.0.push(Line::Good(text.into()));
    }

    /// Adds a sentence.
    pub fn plain(&mut self, text: impl Into<String>) {
        self.0.push(Line::Plain(text.into()));
    }

    /// Adds the lines of another document.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}
