//! The user interface that terminal, chat, mail and demo share: one parser of what people type, and one rendering of what
//! they read.
//!
//! Pure: nothing here calls AWS, reads a file or knows the time.

mod args;
pub mod chat;
mod document;
mod flags;
pub mod format;
mod id;
pub mod render;
mod shorthand;
mod steps;

pub use args::{
    DecisionArgs, ListArgs, RequestArgs, RequestOptions, ResumeArgs, StartArgs, StatusArgs, UndoArgs, WindowArgs,
};
pub use document::{Document, Line};
pub use flags::{in_flags, start_command};
pub use format::Place;
pub use id::{derived_id, numbered_id, recovery_id, undo_id};
pub use rewind_statemachine::{is_plumbing, progress};
pub use steps::Steps;
