//! Plain text: for mail, for pipes, and for wherever nothing better can be shown.

use super::terminal;
use crate::document::Document;
use std::fmt;

impl fmt::Display for Document {
    /// Renders the document as plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(self))
    }
}

/// Renders a document as plain text, each line ended by a newline.
pub fn plain(document: &Document) -> String {
    terminal(document, false, None)
}
