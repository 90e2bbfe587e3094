//! Finds MariaDB on this machine, and runs nothing but `mariadbd --version`.

use crate::servers::Error;
use crate::servers::host::{Host, on_path};
use std::path::{Path, PathBuf};

/// Signal that a server gets when this process dies: no data outlives the stack, so nothing is lost by the shortest way.
pub const SERVER_DEATH_SIGNAL: &str = "KILL";

/// Finds MariaDB where Debian installs it: `/usr/sbin` is on few users' paths.
pub async fn find(stack: &Path) -> Result<Host, Error> {
    let debian = PathBuf::from("/usr/sbin/mariadbd");
    let server = if debian.is_file() { Some(debian) } else { on_path("mariadbd") };
    let bin = server
        .and_then(|server| server.parent().map(Path::to_owned))
        .ok_or_else(|| Error::Missing("no MariaDB server found: install the package mariadb-server-core".to_owned()))?;
    // "mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64 (Debian 12)"
    Host::new(stack, bin, "mysql", "mariadbd", |output| output.split_whitespace().nth(2)?.split('-').next()).await
}
