//! Finds PostgreSQL on this machine, and runs nothing but `postgres --version`.

use crate::servers::Error;
use crate::servers::host::{Host, on_path};
use std::path::{Path, PathBuf};

/// Signal that a server gets when this process dies: on SIGQUIT a postmaster ends its children and itself at once.
pub const SERVER_DEATH_SIGNAL: &str = "QUIT";

/// Finds the newest PostgreSQL.
pub async fn find(stack: &Path) -> Result<Host, Error> {
    let bin = newest_bin()
        .ok_or_else(|| Error::Missing("no PostgreSQL server found: install the package postgresql".to_owned()))?;
    // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
    Host::new(stack, bin, "postgres", "postgres", |output| output.split_whitespace().nth(2)).await
}

fn newest_bin() -> Option<PathBuf> {
    // Debian keeps the server's programs off the path, in a folder for each major version.
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().filter_map(|entry| {
        let bin = entry.path().join("bin");
        let major: u32 = entry.file_name().to_str()?.parse().ok()?;
        bin.join("initdb").exists().then_some((major, bin))
    });
    let newest = debian.max_by_key(|(major, _)| *major).map(|(_, bin)| bin);
    newest.or_else(|| on_path("initdb")?.parent().map(Path::to_owned))
}
