//! The user interface that terminal, chat, mail and demo share: one parser of what people type, and one rendering of what
//! they read.
//!
//! Pure: nothing here calls AWS, reads a file or knows the time.

mod args;
pub mod chat;
mod document;
pub mod format;
mod id;
pub mod render;
mod shorthand;

pub use args::{
    DecisionArgs, ListArgs, RequestArgs, RequestOptions, ResumeArgs, StartArgs, StatusArgs, UndoArgs, WindowArgs,
};
pub use document::{Document, Line};
pub use id::{derived_id, recovery_id, undo_id};
pub use rewind_statemachine::progress;
