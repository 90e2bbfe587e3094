//! The words that people type and read: one parser and one set of sayings for terminal and chat.
//!
//! Pure: nothing here calls AWS, reads a file or knows the time.

mod args;
pub mod chat;
mod check;
mod id;
mod recovery;
pub mod say;
mod text;

pub use args::{DecisionWords, ListWords, RequestWords, StartWords, StatusWords, UndoWords, WindowWords};
pub use id::{derived_id, id_of, undo_id};
pub use recovery::{Awaited, Ending, Recovery};
pub use text::{Line, Text};
