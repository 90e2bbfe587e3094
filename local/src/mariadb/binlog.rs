//! Finds the end of a transaction in a binary log, and the statements in words. It reads headers and interprets no row.
//!
//! The format: <https://mariadb.com/kb/en/replication-protocol/>; every event begins with 19 bytes: time (4), type (1), server (4),
//! length (4), end (4), flags (2).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The magic number before the first event.
pub(super) const START: u64 = 4;
const HEADER: u64 = 19;

/// `ROLLBACK` and the checksum.
const TAIL: u64 = 12;

const QUERY: u8 = 2;
const XID: u8 = 16;
const XA_PREPARE: u8 = 38;
const GTID: u8 = 162;
/// After sequence number (8) and domain (4) in a GTID event: one event follows, with no commit after it.
const FLAGS: u64 = HEADER + 12;
const STANDALONE: u8 = 1;

/// Finds the end of the last whole transaction that ends by `limit`, an offset in the file.
pub(super) fn boundary(path: &Path, limit: u64) -> io::Result<u64> {
    // From the beginning: events carry no mark to find one by from the middle. A log is written while it is read, and a big
    // transaction takes several writes, so its file may end inside one.
    let file = File::open(path)?;
    let (mut at, mut whole) = (START, START);
    // Inside a transaction: what ends it.
    let mut until: Option<End> = None;
    let mut header = [0; HEADER as usize];
    while at + HEADER <= limit {
        file.read_exact_at(&mut header, at)?;
        let [_, _, _, _, kind, _, _, _, _, a, b, c, d, ..] = header;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let next = at + length;
        // A length below a header's is no event: the rest of the file is not written yet, or zeroes.
        if length < HEADER || next > limit {
            break;
        }
        until = match (until, kind) {
            (_, GTID) => {
                let mut flags = [0];
                file.read_exact_at(&mut flags, at + FLAGS)?;
                let [flags] = flags;
                Some(if flags & STANDALONE == 0 { End::Commit } else { End::Statement })
            }
            (Some(End::Statement), QUERY) | (Some(End::Commit), XID | XA_PREPARE) => None,
            (Some(End::Commit), QUERY) if ends_transaction(&file, at, length)? => None,
            (until, _) => until,
        };
        at = next;
        if until.is_none() {
            whole = at;
        }
    }
    Ok(whole)
}

/// Calls `each` with every statement in words from `from` on, after the database that it was said in.
pub(super) fn statements(path: &Path, from: u64, mut each: impl FnMut(&str, &str)) -> io::Result<()> {
    let file = File::open(path)?;
    let (mut at, end) = (from, file.metadata()?.len());
    let mut header = [0; HEADER as usize];
    while at + HEADER <= end {
        file.read_exact_at(&mut header, at)?;
        let [_, _, _, _, kind, _, _, _, _, a, b, c, d, ..] = header;
        let length = u32::from_le_bytes([a, b, c, d]);
        let next = at + u64::from(length);
        if u64::from(length) < HEADER || next > end {
            break;
        }
        if kind == QUERY {
            let mut event = vec![0; length as usize];
            file.read_exact_at(&mut event, at)?;
            if let Some((database, text)) = statement(&event) {
                each(&String::from_utf8_lossy(database), &String::from_utf8_lossy(text));
            }
        }
        at = next;
    }
    Ok(())
}

/// The database and the text. After the header: thread (4), duration (4), length of the database's name (1), error (2), length of the
/// variables (2), the variables, the name, a zero byte, the text, the checksum (4).
fn statement(event: &[u8]) -> Option<(&[u8], &[u8])> {
    let (fixed, rest) = event.get(HEADER as usize..)?.split_at_checked(13)?;
    let &[_, _, _, _, _, _, _, _, database, _, _, low, high] = fixed else { return None };
    let (_, rest) = rest.split_at_checked(u16::from_le_bytes([low, high]).into())?;
    let (database, rest) = rest.split_at_checked(database.into())?;
    let [0, text @ .., _, _, _, _] = rest else { return None };
    Some((database, text))
}

#[derive(Debug, Clone, Copy)]
enum End {
    Statement,
    Commit,
}

/// Tables that know no transactions are logged with a `COMMIT` in words; four bytes of checksum come after them.
fn ends_transaction(file: &File, at: u64, length: u64) -> io::Result<bool> {
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, at + length - TAIL)?;
    // The database's name is before the statement, ended by a zero byte: a SAVEPOINT called COMMIT has other text before it.
    let [text @ .., _, _, _, _] = tail;
    Ok(text.ends_with(b"\0COMMIT") || text == *b"ROLLBACK")
}
