//! The programs that the stack runs and does not contain: Debian packages, Python tools, our own functions' binaries.
//!
//! Each is installed or built once; what is there is only checked.

use super::layout::Layout;
use super::process::fresh_log;
use super::progress::{Logged, Progress};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::process::{Command, Stdio};

/// Checks the Debian packages: installs them as root, names them otherwise.
///
/// # Errors
///
/// When one is missing and can't be installed.
pub fn packages(layout: &Layout, progress: &mut Progress) -> Result<()> {
    let status = Command::new(layout.root.join("local/tools/needs"))
        .stdin(Stdio::null())
        .status()
        .context("the needed packages could not be checked")?;
    if !status.success() {
        bail!("packages are missing; nothing was started");
    }
    progress.done("packages are there");
    Ok(())
}

/// Installs a Python tool in a virtual environment of its own, exactly as pinned in `local/tools/<name>.txt`.
///
/// # Errors
///
/// When it can't be installed; the next call starts the installation anew.
pub fn venv(layout: &Layout, name: &str, progress: &mut Progress) -> Result<()> {
    let pinned = layout.root.join("local/tools").join(format!("{name}.txt"));
    let wanted = fs::read_to_string(&pinned).with_context(|| pinned.display().to_string())?;
    let folder = layout.tools().join(name);
    let ready = folder.join("installed.txt");
    // The whole list, not a flag: another version in the list, or a cut-short installation, is not what was asked for.
    let is_ready = || fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted);
    if is_ready() {
        return Ok(());
    }
    fs::create_dir_all(layout.tools()).with_context(|| layout.tools().display().to_string())?;
    // Stacks of one checkout share the tools, and may start at the same time.
    let lock = File::create(layout.tools().join("lock")).context("the tools' lock could not be made")?;
    lock.lock().context("the tools' lock could not be taken")?;
    // Another stack may have installed it while this one waited for the lock.
    if is_ready() {
        return Ok(());
    }
    println!("          installing {name} (once)");
    let log = format!("tool-{name}");
    // --clear: what an interrupted installation left is not to be trusted.
    let mut python = Command::new("python3");
    run(
        layout,
        &log,
        python.args(["-m", "venv", "--clear"]).arg(&folder),
        "the virtual environment could not be made",
    )?;
    // --no-deps: the list names every dependency with its version, and pip must not resolve to newer ones. --require-hashes: what
    // is published under a version today is what it was when the list was made.
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--require-hashes",
        "-r",
    ])
    .arg(&pinned);
    run(layout, &log, &mut pip, "the pinned packages could not be installed")?;
    fs::write(&ready, wanted).with_context(|| ready.display().to_string())?;
    progress.done(format_args!("{name} is installed"));
    Ok(())
}

/// Builds our own binaries.
///
/// # Errors
///
/// When the code does not compile.
pub fn binaries(layout: &Layout, progress: &mut Progress) -> Result<()> {
    let status = Command::new("cargo")
        // All at once: Cargo unifies features over what it builds together, so each -p on its own would compile the shared
        // dependencies again.
        .args(["build", "--locked", "--quiet", "--workspace", "--bins"])
        .args(if cfg!(debug_assertions) { None } else { Some("--release") })
        .current_dir(&layout.root)
        .stdin(Stdio::null())
        .status()
        .context("cargo could not be run")?;
    if !status.success() {
        bail!("the code does not compile; nothing was started");
    }
    progress.done("functions are built");
    Ok(())
}

/// Runs a command to its end, with its output in a log.
///
/// # Errors
///
/// When it can't be run or fails: the log tells why.
fn run(layout: &Layout, log: &str, command: &mut Command, failed: &'static str) -> Result<()> {
    let file = fresh_log(layout, log).context("the log could not be written")?;
    let copy = file.try_clone().context("the log could not be written")?;
    let status = command.stdin(Stdio::null()).stdout(copy).stderr(file).status().context(failed)?;
    if !status.success() {
        bail!(Logged::new(failed, layout.log(log)));
    }
    Ok(())
}
