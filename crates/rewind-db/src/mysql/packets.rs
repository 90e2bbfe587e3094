//! Messages of the MySQL protocol: their parts on the wire, errors, rows as text. It knows no order of messages.

use crate::engine::Row;
use crate::error::DatabaseError;
use mysql_common::io::ParseBuf;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A part of a message that is this long is not its last.
const FULL: usize = 0xff_ffff;
/// No message may be larger, whatever a server says: it would fill the function's memory.
pub(super) const LARGEST: usize = 64 << 20;

/// Why a message is of no use.
#[derive(Debug)]
pub(super) enum ProtocolError {
    /// The server refused; the connection goes on.
    Refused(DatabaseError),
    /// The TLS handshake failed.
    Tls(std::io::Error),
    /// The connection is of no use any more.
    Broken(String),
}

impl From<std::io::Error> for ProtocolError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The server's message, named by `what`, is not what the protocol allows here.
pub(super) fn malformed(what: &str) -> ProtocolError {
    ProtocolError::Broken(format!("the server's {what} makes no sense"))
}

/// Reads one message, whatever its number of parts; `sequence` becomes the number of the next.
pub(super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    sequence: &mut u8,
) -> Result<Vec<u8>, ProtocolError> {
    let mut message = Vec::new();
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [a, b, c, number] = head;
        let (start, length) = (message.len(), u32::from_le_bytes([a, b, c, 0]) as usize);
        if start + length > LARGEST {
            return Err(ProtocolError::Broken(format!("the server's answer is larger than {} MiB", LARGEST >> 20)));
        }
        message.resize(start + length, 0);
        stream.read_exact(message.get_mut(start..).unwrap_or_default()).await?;
        // The numbers of both sides run in one sequence; a server drops a client that breaks it.
        *sequence = number.wrapping_add(1);
        if length < FULL {
            return Ok(message);
        }
    }
}

/// A message in its parts, each with its length and number.
pub(super) fn framed(message: &[u8], sequence: &mut u8) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    let mut part = |part: &[u8]| {
        framed.extend((part.len() as u32).to_le_bytes().into_iter().take(3));
        framed.push(*sequence);
        framed.extend_from_slice(part);
        *sequence = sequence.wrapping_add(1);
    };
    message.chunks(FULL).for_each(&mut part);
    // The reader waits for a part that is not full: after a message of exactly that length it is an empty one.
    if message.len().is_multiple_of(FULL) {
        part(&[]);
    }
    framed
}

/// Returns the message, unless it is an error.
pub(super) fn unless_refused(message: &[u8]) -> Result<&[u8], ProtocolError> {
    let [0xff, low, high, text @ ..] = message else { return Ok(message) };
    // The state is there once both sides have agreed on it, which some errors come too early for.
    let text = match text {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Err(ProtocolError::Refused(DatabaseError {
        code: u16::from_le_bytes([*low, *high]).to_string(),
        message: String::from_utf8_lossy(text).into_owned(),
    }))
}

/// Reads a row of `columns` values; none where the message ends too early.
pub(super) fn row(message: &[u8], columns: u64) -> Option<Row> {
    let mut message = ParseBuf(message);
    (0..columns)
        .map(|_| {
            if message.0.first() == Some(&0xfb) {
                message.checked_eat_u8()?;
                return Some(None);
            }
            Some(Some(text(message.checked_eat_lenenc_str()?)))
        })
        .collect()
}

/// A value as text; one that is none in hexadecimal, as the server would write it.
fn text(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(
        |_| value.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02X}")),
        ToOwned::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_of_any_length_arrives_as_it_was_sent() {
        for length in [0, 1, FULL - 1, FULL, FULL + 1] {
            let message = vec![7; length];
            let mut sent = 3;
            let framed = framed(&message, &mut sent);
            let mut received = 0;
            assert_eq!(receive(&mut framed.as_slice(), &mut received).await.unwrap(), message);
            assert_eq!(sent, received, "{length}");
        }
    }

    #[tokio::test]
    async fn a_message_without_an_end_is_not_waited_for() {
        let part = [&[0xff, 0xff, 0xff, 0][..], &vec![0; FULL]].concat();
        let endless = part.repeat(5);
        let error = receive(&mut endless.as_slice(), &mut 0).await.unwrap_err();
        assert!(matches!(error, ProtocolError::Broken(why) if why.contains("64 MiB")));
    }

    #[test]
    fn an_error_is_read_with_and_without_its_state() {
        for message in [&b"\xff\x15\x04#28000no"[..], b"\xff\x15\x04no"] {
            let Err(ProtocolError::Refused(refusal)) = unless_refused(message) else { panic!("{message:?}") };
            assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("1045", "no"));
        }
        assert!(unless_refused(b"\x00fine").is_ok());
    }

    #[test]
    fn a_row_that_ends_too_early_is_none() {
        assert_eq!(row(b"\x01a\xfb\x00", 3), Some(vec![Some("a".to_owned()), None, Some(String::new())]));
        assert_eq!(row(b"\x05a", 1), None);
        assert_eq!(row(b"\x01a", 2), None);
        assert_eq!(row(b"\x02\xff\x01", 1), Some(vec![Some("0xFF01".to_owned())]));
    }
}
