//! A stand-in for Slack on the local stack: it writes each message of the chat function into a file, a line of JSON each, for people
//! and tests to read. It shows nothing, and presses no button.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Builds the routes: whatever is posted to any path is a message.
///
/// # Errors
///
/// When the file can't be written to.
pub fn router(file: &Path) -> io::Result<Router> {
    let file = File::options().create(true).append(true).open(file)?;
    // Slack's response URLs have a path of their own for each interaction: none can be listed beforehand.
    Ok(Router::new().fallback(post(message)).with_state(Arc::new(Mutex::new(file))))
}

/// Writes a message into the file, with the path that it was sent to. Anything but JSON is refused, as by Slack.
async fn message(State(file): State<Arc<Mutex<File>>>, uri: Uri, body: Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    // One write a line under the lock: tests read the file while several messages come in.
    let line = format!("{}\n", json!({ "to": uri.path(), "message": message }));
    let written = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    match written {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::error!("a message of chat could not be written down: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
