//! The control plane's own statements: by the `mariadb` client, over a server's socket, which lies in a directory that no other user
//! can enter.

use super::accounts::ADMIN;
use crate::servers::Error;
use crate::servers::host::{Host, last_lines};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

const PROGRAM: &str = "mariadb";
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// The account that runs statements.
#[derive(Debug, Clone, Copy)]
pub(super) enum LoginAs<'a> {
    /// The control plane, with its password.
    Admin(&'a str),
    /// The account that a fresh installation has, and that is gone after the first statements.
    Installer,
}

/// Runs statements one after the other until one fails; returns the output: names of columns, then rows, separated by tabs.
pub(super) async fn run(host: &Host, socket: &Path, who: LoginAs<'_>, statements: &str) -> Result<String, Error> {
    let mut command = host.command(PROGRAM, "KILL");
    let (user, password) = match who {
        LoginAs::Admin(password) => (ADMIN, password),
        LoginAs::Installer => ("root", ""),
    };
    // --raw: with escapes, names and values would have to be unescaped again.
    command.args(["--no-defaults", "--batch", "--raw", "--user", user]).arg("--socket").arg(socket);
    // On the command line every user of the machine could read it.
    command.env("MYSQL_PWD", password);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = |source| Error::Start { program: PROGRAM.to_owned(), source };
    let mut child = command.spawn().map_err(start)?;
    let input = child.stdin.take();
    // Fed while its output is read: with both pipes full each side would wait for the other.
    let feed = async {
        if let Some(mut input) = input {
            // A client that has given up says why on its error output.
            let _ = input.write_all(statements.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command { program: PROGRAM.to_owned(), output: last_lines(&String::from_utf8_lossy(&output.stderr), 2) })
}

/// True when a server greets on its socket: then it takes logins.
pub(super) async fn greets(socket: &Path) -> bool {
    let greeted = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.read_u8().await
    };
    matches!(timeout(GREETING_TIMEOUT, greeted).await, Ok(Ok(_)))
}
