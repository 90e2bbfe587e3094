//! What is said, line by line, before it is known where: a terminal and a chat each show it in their own way.

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What the lines below are about.
    Heading(String),
    /// One of several.
    Item(String),
    /// A name and a value.
    Field(&'static str, String),
    /// What one must not overlook.
    Warning(String),
    /// What is as it should be.
    Good(String),
    /// Anything else.
    Plain(String),
}

/// Lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Line>);

impl Text {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn heading(&mut self, text: impl Into<String>) {
        self.0.push(Line::Heading(text.into()));
    }

    pub(crate) fn item(&mut self, text: impl Into<String>) {
        self.0.push(Line::Item(text.into()));
    }

    pub(crate) fn field(&mut self, name: &'static str, value: impl ToString) {
        self.0.push(Line::Field(name, value.to_string()));
    }

    pub(crate) fn warning(&mut self, text: impl Into<String>) {
        self.0.push(Line::Warning(text.into()));
    }

    pub(crate) fn good(&mut self, text: impl Into<String>) {
        self.0.push(Line::Good(text.into()));
    }

    pub(crate) fn plain(&mut self, text: impl Into<String>) {
        self.0.push(Line::Plain(text.into()));
    }

    /// Adds what another said.
    pub fn extend(&mut self, more: Text) {
        self.0.extend(more.0);
    }
}

impl std::fmt::Display for Text {
    /// As plain text, for whoever shows nothing better.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.0 {
            match line {
                Line::Heading(text) | Line::Plain(text) => writeln!(f, "{text}")?,
                Line::Item(text) => writeln!(f, "  - {text}")?,
                Line::Field(name, value) => writeln!(f, "  {name:<12} {value}")?,
                Line::Warning(text) => writeln!(f, "  ! {text}")?,
                Line::Good(text) => writeln!(f, "  + {text}")?,
            }
        }
        Ok(())
    }
}
