//! What answers in chat are sent to on the local stack, in place of Slack: it writes down what came, a line of JSON each, for
//! people and tests to read. It shows nothing, and presses no button.

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

/// The routes: whatever is posted anywhere is a message.
///
/// # Errors
///
/// When the file can't be written to.
pub fn router(file: &Path) -> io::Result<Router> {
    let file = File::options().create(true).append(true).open(file)?;
    Ok(Router::new().fallback(post(said)).with_state(Arc::new(Mutex::new(file))))
}

/// Writes a message down, with the path that it was sent to. What is no message Slack would not take either.
async fn said(State(file): State<Arc<Mutex<File>>>, uri: Uri, body: Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
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
