//! A stand-in for Slack on the local stack: it writes each message of the chat function into a file, a line of JSON each, for people
//! and tests to read. It shows nothing, and presses no button.
//!
//! Nobody signs what is sent to it, as to Slack's own response URLs. So it takes nothing of a web page, and not more than it has room for.

use crate::rds;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn;
use axum::routing::post;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a message: Slack takes 50 blocks of 3,000 characters, and each may be escaped.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// Most bytes of all messages of a start: anybody on the machine can send some, and the disk is the developer's.
const LARGEST_FILE: usize = 256 * 1024 * 1024;

/// The file, and how many more bytes are written into it.
#[derive(Debug)]
struct Messages {
    file: File,
    room: usize,
}

/// Builds the routes: whatever is posted to any path is a message, unless a web page posts it.
///
/// # Errors
///
/// When the file can't be written to.
pub fn router(file: &Path) -> io::Result<Router> {
    routes(file, LARGEST_FILE)
}

fn routes(file: &Path, room: usize) -> io::Result<Router> {
    let file = File::options().create(true).append(true).open(file)?;
    // Slack's response URLs have a path of their own for each interaction: none can be listed beforehand.
    let routes = Router::new()
        .fallback(post(message))
        .layer(DefaultBodyLimit::max(LARGEST_MESSAGE))
        .layer(from_fn(rds::refuse_pages))
        .with_state(Arc::new(Mutex::new(Messages { file, room })));
    Ok(routes)
}

/// Writes a message into the file, with the path that it was sent to. Anything but JSON is refused, as by Slack.
async fn message(State(messages): State<Arc<Mutex<Messages>>>, uri: Uri, body: Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let line = format!("{}\n", json!({ "to": uri.path(), "message": message }));
    // One write a line under the lock: tests read the file while several messages come in.
    let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(room) = messages.room.checked_sub(line.len()) else {
        tracing::error!("a message of chat was refused: there are {LARGEST_FILE} bytes of them");
        return StatusCode::INSUFFICIENT_STORAGE;
    };
    messages.room = room;
    match messages.file.write_all(line.as_bytes()) {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::error!("a message of chat could not be written down: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Serves the routes on a port of their own until the test ends.
    async fn serve(routes: Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes).into_future());
        at
    }

    /// Posts a message with these headers; returns the status.
    async fn send(at: SocketAddr, headers: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let length = body.len();
        let request =
            format!("POST /channel HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn no_web_page_leaves_a_message() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chat.log");
        let at = serve(router(&file).unwrap()).await;
        let host = format!("host: {at}\r\n");
        assert_eq!(send(at, &host, r#"{"text":"of the function"}"#).await, 200);
        for page in [
            format!("{host}origin: https://evil.example\r\n"),
            format!("{host}sec-fetch-site: cross-site\r\n"),
            "host: evil.example:4568\r\n".to_owned(),
            "host: localhost:4568\r\n".to_owned(),
        ] {
            assert_eq!(send(at, &page, r#"{"text":"of a page"}"#).await, 403, "{page}");
        }
        let written = std::fs::read_to_string(file).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(written.contains("of the function"), "{written}");
    }

    #[tokio::test]
    async fn no_message_and_no_file_grows_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chat.log");
        let at = serve(routes(&file, LARGEST_MESSAGE + 100).unwrap()).await;
        let host = format!("host: {at}\r\n");
        // A text of JSON with its two quotes.
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert_eq!(send(at, &host, &text(LARGEST_MESSAGE + 1)).await, 413);
        assert_eq!(send(at, &host, &text(LARGEST_MESSAGE)).await, 200);
        assert_eq!(send(at, &host, &text(100)).await, 507);
        assert_eq!(send(at, &host, &text(2)).await, 200, "one that there is still room for");
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 2);
    }
}
