//! Rebuilds the data as it was: a base copy, and over it the log up to a position, applied by a server's own replication code. It
//! touches neither the running servers nor the history.
//!
//! Not `mariadb-binlog | mariadb`: a statement that failed in part (`CREATE USER new, existing`) is logged with its error, and only
//! replication knows to expect that.

use super::admin::LoginAs;
use super::binlog::{self, START};
use super::config::{Identity, Role};
use super::events::{self, Off};
use super::history::{Position, RestorePoint, log_file};
use super::server::Server;
use crate::servers::Error;
use crate::servers::error::file;
use crate::servers::host::Host;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// The identity of the server that replays. No server that logged anything has this number: replication skips events of its own.
pub(super) const SCRATCH: Identity<'static> = Identity { id: u32::MAX, name: "scratch", port: 0 };
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Copies a data directory.
pub(super) async fn copy(host: &Host, from: &Path, to: &Path) -> Result<(), Error> {
    host.run("cp", |command| command.args(["-a", "--reflink=auto", "--"]).arg(from).arg(to)).await.map(drop)
}

/// Rebuilds the data of `point` below `dir`, as `data`. Returns the position of the log that is in it.
pub(super) async fn rebuild(host: &Host, password: &str, point: &RestorePoint, dir: &Path) -> Result<Position, Error> {
    host.make_dir(dir)?;
    let scratch = Server::new(dir.to_owned(), dir.join("s"));
    copy(host, &point.base.dir, &scratch.data()).await?;
    let to = last_whole_transaction(point)?;
    if to <= point.base.at {
        return Ok(point.base.at);
    }
    // The log is put where a replica would have stored what its source sent: no connection to the writer is needed, and the
    // writer may be down.
    let relay = scratch.relay();
    host.make_dir(&relay)?;
    let first = point.base.at.file.max(1);
    let (mut index, mut relays) = (String::new(), Vec::new());
    for number in first..=to.file {
        let (from, name) = (log_file(&point.log, number), relay.join(format!("relay.{number:06}")));
        copy(host, &from, &name).await?;
        if number == to.file {
            let log = std::fs::OpenOptions::new().write(true).open(&name).map_err(file(&name))?;
            // Replication has no "stop at this offset" that survives a file's end: the copy simply ends there.
            log.set_len(to.offset).map_err(file(&name))?;
        }
        index.push_str(&format!("{}\n", name.display()));
        relays.push(name);
    }
    host.write(&relay.join("relay.index"), &index)?;
    let applied = async {
        scratch.start(host, SCRATCH, Role::Scratch { relay: &relay }, None).await?;
        let offset = point.base.at.offset.max(START);
        let mut off = Off::of(&scratch.run(host, LoginAs::Admin(password), events::LIST).await?);
        let mut from = offset;
        for relay in &relays {
            binlog::statements(relay, from, |database, text| off.follow(database, text)).map_err(file(relay))?;
            from = START;
        }
        apply(host, &scratch, password, first, offset).await?;
        scratch.run(host, LoginAs::Admin(password), &off.statements()).await.map(drop)
    }
    .await;
    applied.and(scratch.stop().await)?;
    Ok(to)
}

async fn apply(host: &Host, scratch: &Server, password: &str, first: u32, offset: u64) -> Result<(), Error> {
    let who = LoginAs::Admin(password);
    let begin = format!(
        "CHANGE MASTER TO MASTER_HOST = 'nobody', MASTER_USE_GTID = no, RELAY_LOG_FILE = 'relay.{first:06}', \
         RELAY_LOG_POS = {offset};
         START SLAVE SQL_THREAD;"
    );
    scratch.run(host, who, &begin).await?;
    loop {
        let status = scratch.run(host, who, "SHOW SLAVE STATUS\\G").await?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        if field("Slave_SQL_Running") == "No" {
            return Err(Error::Replay(field("Last_SQL_Error")));
        }
        // The state that says that nothing is left; the positions in the status lag behind what was applied.
        if field("Slave_SQL_Running_State").starts_with("Slave has read all relay log") {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    // The rebuilt data must not remember that it was a replica: a writer on it would try to go on.
    scratch.run(host, who, "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL gtid_slave_pos = '';").await.map(drop)
}

/// Moves the position back to the end of the last whole transaction.
fn last_whole_transaction(point: &RestorePoint) -> Result<Position, Error> {
    let Position { file: number, offset } = point.to;
    if number == 0 {
        return Ok(point.to);
    }
    let path = log_file(&point.log, number);
    let offset = binlog::boundary(&path, offset).map_err(file(&path))?;
    Ok(Position { file: number, offset })
}
