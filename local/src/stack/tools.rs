//! The programs that the stack runs and does not bring: Debian packages, Python tools, our own functions' binaries.
//!
//! Each is installed or built once; what is there is only looked at.

use super::layout::Layout;
use super::process::fresh_log;
use super::progress::{Failure, Progress, doing};
use std::fs::{self, File};
use std::process::{Command, Stdio};

/// The Debian packages: installed as root, named otherwise.
///
/// # Errors
///
/// When one is missing and can't be installed.
pub fn packages(layout: &Layout, progress: &mut Progress) -> Result<(), Failure> {
    let status = Command::new(layout.root.join("local/tools/needs"))
        .stdin(Stdio::null())
        .status()
        .map_err(doing("the needed packages could not be checked"))?;
    if !status.success() {
        return Err(Failure::new("packages are missing; nothing was started"));
    }
    progress.done("packages are there");
    Ok(())
}

/// A Python tool in a virtual environment of its own, exactly as pinned in `local/tools/<name>.txt`.
///
/// # Errors
///
/// When it can't be installed; what was half installed is begun anew the next time.
pub fn venv(layout: &Layout, name: &str, progress: &mut Progress) -> Result<(), Failure> {
    let pinned = layout.root.join("local/tools").join(format!("{name}.txt"));
    let wanted = fs::read_to_string(&pinned).map_err(doing(pinned.display()))?;
    let folder = layout.tools().join(name);
    let ready = folder.join("installed.txt");
    let is_ready = || fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted);
    if is_ready() {
        return Ok(());
    }
    fs::create_dir_all(layout.tools()).map_err(doing(layout.tools().display()))?;
    // Stacks of one checkout share the tools, and may start at the same time.
    let lock = File::create(layout.tools().join("lock")).map_err(doing("the tools' lock could not be made"))?;
    lock.lock().map_err(doing("the tools' lock could not be taken"))?;
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
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "-r"]).arg(&pinned);
    run(layout, &log, &mut pip, "the pinned packages could not be installed")?;
    fs::write(&ready, wanted).map_err(doing(ready.display()))?;
    progress.done(format_args!("{name} is installed"));
    Ok(())
}

/// Our own binaries, all of them at once: one feature set, one compilation of everything shared.
///
/// # Errors
///
/// When the code does not compile.
pub fn binaries(layout: &Layout, progress: &mut Progress) -> Result<(), Failure> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--workspace", "--bins"])
        .args(if cfg!(debug_assertions) { None } else { Some("--release") })
        .current_dir(&layout.root)
        .stdin(Stdio::null())
        .status()
        .map_err(doing("cargo could not be run"))?;
    if !status.success() {
        return Err(Failure::new("the code does not compile; nothing was started"));
    }
    progress.done("functions are built");
    Ok(())
}

/// Runs a command to its end, its output in a log.
///
/// # Errors
///
/// When it can't be run or fails: the log tells why.
pub fn run(layout: &Layout, log: &str, command: &mut Command, failed: &str) -> Result<(), Failure> {
    let file = fresh_log(layout, log).map_err(doing("the log could not be written"))?;
    let copy = file.try_clone().map_err(doing("the log could not be written"))?;
    let status = command.stdin(Stdio::null()).stdout(copy).stderr(file).status().map_err(doing(failed))?;
    if status.success() { Ok(()) } else { Err(Failure::new(failed).see(layout.log(log))) }
}
