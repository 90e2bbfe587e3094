//! Starts a database's programs on this machine: as the database's user, in a clean environment, bound to the life of this process. It
//! does not know what they are for.

use super::error::{Error, file};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Signal that a command gets when this process dies: it works on files that nobody will use.
const COMMAND_DEATH_SIGNAL: &str = "KILL";

/// One database's programs on this machine, and the user they run as.
#[derive(Debug, Clone)]
pub struct Host {
    bin: PathBuf,
    version: String,
    setpriv: bool,
    user: Option<User>,
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
    /// Somebody's home is on the way to the stack's directory: without this capability the user can't pass it.
    pass_closed_directories: bool,
}

impl Host {
    /// Finds the programs in `bin`; they run as the user `name` when this process is root, whom databases refuse. `version` finds the
    /// version in the output of `program --version`.
    pub async fn new(
        stack: &Path,
        bin: PathBuf,
        name: &str,
        program: &str,
        version: impl FnOnce(&str) -> Option<&str>,
    ) -> Result<Self, Error> {
        let setpriv = on_path("setpriv").is_some();
        let user = if rustix::process::geteuid().is_root() {
            if !setpriv {
                return Err(Error::Missing("running as root needs setpriv (package util-linux)".to_owned()));
            }
            let mut user = user(name).await?;
            user.pass_closed_directories = !traversable(stack);
            Some(user)
        } else {
            None
        };
        let mut host = Self { bin, version: String::new(), setpriv, user };
        let output = host.run(program, |command| command.arg("--version")).await?;
        host.version = version(&output).unwrap_or_default().to_owned();
        Ok(host)
    }

    /// The server's version, such as `15.20`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
    }

    /// A command that runs as the database's user, in a clean environment, and gets `signal` when this process dies.
    pub fn command(&self, program: &str, signal: &str) -> Command {
        // `cp` and the like are not the database's own and come from the path.
        let inside = self.bin.join(program);
        let program = if inside.exists() { inside } else { PathBuf::from(program) };
        let mut command = if self.setpriv {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", signal]);
            if let Some(user) = self.user {
                command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid)).arg("--clear-groups");
                if user.pass_closed_directories {
                    // access(2) asks without the capabilities of anybody but root, unless this bit is set; MariaDB asks it.
                    command.args(["--securebits=+no_setuid_fixup", "--inh-caps=+dac_read_search,+dac_override"]);
                    command.args(["--ambient-caps=+dac_read_search,+dac_override"]);
                }
            }
            command.arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        // Without setpriv nothing ends a server when this process is killed: the next start finds it by its data directory.
        let path = std::env::var_os("PATH").unwrap_or_default();
        // PGOPTIONS, MYSQL_HOST and the like of whoever started the stack must not reach the servers; a terminal's
        // interrupt must not either, hence a process group of their own.
        command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir("/").process_group(0);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end; returns its standard output.
    pub async fn run<F>(&self, program: &str, arguments: F) -> Result<String, Error>
    where
        F: FnOnce(&mut Command) -> &mut Command,
    {
        let mut command = self.command(program, COMMAND_DEATH_SIGNAL);
        arguments(&mut command);
        let output = command.output().await.map_err(|source| Error::Start { program: program.to_owned(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(Error::Command { program: program.to_owned(), output: last_lines(&text, 4) })
    }

    /// Makes a directory that belongs to the database's user and to nobody else.
    pub fn make_dir(&self, path: &Path) -> Result<(), Error> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(file(path))?;
        self.own(path)
    }

    /// Writes a file that belongs to the database's user, replacing it in one step.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        // Owner and mode are set before it has its name: a server that reloads meanwhile refuses a key that others can read. The
        // mode from the first moment on: what is written may be a password.
        let temporary = path.with_extension("new");
        let mut written = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(file(&temporary))?;
        written.write_all(text.as_bytes()).map_err(file(&temporary))?;
        self.own(&temporary)?;
        std::fs::rename(&temporary, path).map_err(file(path))
    }

    fn own(&self, path: &Path) -> Result<(), Error> {
        match self.user {
            Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).map_err(file(path)),
            None => Ok(()),
        }
    }
}

/// Joins the last lines of a log that are not blank.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines.join(" | ")
}

/// Finds a program on the path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

// getent instead of /etc/passwd: users may come from a directory service.
async fn user(name: &str) -> Result<User, Error> {
    let ids = Command::new("getent").args(["passwd", name]).output().await;
    let line = ids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut fields = line.trim().split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok(User { uid, gid, pass_closed_directories: false }),
        _ => {
            Err(Error::Missing(format!("a database refuses to run as root, and there is no user {name} to run it as")))
        }
    }
}

// Others need the x bit on every directory above the stack; a home is usually 0700.
fn traversable(path: &Path) -> bool {
    path.ancestors()
        .filter(|dir| dir.as_os_str() != OsStr::new(""))
        .all(|dir| std::fs::metadata(dir).map(|metadata| metadata.mode() & 0o001 != 0).unwrap_or(true))
}
