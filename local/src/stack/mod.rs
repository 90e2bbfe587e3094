//! The start and stop of the whole local stack: ministack, the RDS control plane, DNS, the deployed template, a first cluster.
//!
//! A stack keeps no data: each start is a fresh one. Everything that it writes lies in its directory (`.local`).

mod clients;
pub mod env;
mod health;
pub mod layout;
mod network;
mod process;
pub(crate) mod progress;
pub mod seed;
mod tools;
mod up;

use anyhow::{Context, Result, bail};
use clap::Args;
pub use env::StackEnv;
use layout::Layout;
use progress::{Progress, print_error, shown};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
pub use up::UpArgs;

/// Arguments of `down` and `status`.
#[derive(Debug, Clone, Args)]
pub struct DirArgs {
    /// The stack's directory; `.local` of the checkout unless given
    #[arg(long, env = "REWIND_STACK_DIR")]
    pub dir: Option<PathBuf>,
}

/// `rewind-local up`.
#[must_use]
pub fn up(args: &UpArgs) -> ExitCode {
    run(args.dir.as_deref(), async |layout| {
        let _lock = lock(layout)?;
        up::up(layout, args).await
    })
}

/// `rewind-local down`: no process and no state of the stack is left; its logs, its build and the tools stay.
#[must_use]
pub fn down(args: &DirArgs) -> ExitCode {
    run(args.dir.as_deref(), async |layout| {
        let _lock = lock(layout)?;
        let mut progress = Progress::begin();
        up::clear(layout, &mut progress)?;
        progress.end("the stack is down");
        Ok(())
    })
}

/// `rewind-local status`: prints the processes of the stack, and fails unless all of it answers.
#[must_use]
pub fn status(args: &DirArgs) -> ExitCode {
    run(args.dir.as_deref(), async |layout| {
        // Processes first: a half-dead stack is looked at by them.
        for process in process::alive(&layout.dir) {
            println!("{:>8}  {}", process.pid, process.command);
        }
        match up::healthy(layout).await {
            Some(_) => println!("the stack is up: {}", shown(&layout.env_file())),
            None => bail!("the stack is not up; next step: make up"),
        }
        Ok(())
    })
}

/// Arguments of `tools`.
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    /// Names of the lists in `local/tools`, such as `lint` for `lint.txt`
    #[arg(required = true)]
    pub names: Vec<String>,
}

/// `rewind-local tools`: installs the Python tools of those names, each in its venv below `.local/tools`.
#[must_use]
pub fn tools(args: &ToolsArgs) -> ExitCode {
    run(None, async |layout| {
        let mut progress = Progress::begin();
        args.names.iter().try_for_each(|name| tools::venv(layout, name, &mut progress))
    })
}

fn run(dir: Option<&Path>, work: impl AsyncFnOnce(&Layout) -> Result<()>) -> ExitCode {
    let result = open(dir).and_then(|layout| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("the runtime could not be started")?.block_on(work(&layout))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Finds the layout around here, and creates the stack's directory.
fn open(dir: Option<&Path>) -> Result<Layout> {
    let here = std::env::current_dir().context("there is no current directory")?;
    let mut layout = Layout::find(&here, dir)?;
    let asked = layout.dir.clone();
    let unusable = || format!("{} can't be used", asked.display());
    fs::create_dir_all(&layout.dir).with_context(unusable)?;
    // Processes are marked with this path and found by it: a symbolic link must not give a stack two names.
    layout.dir = fs::canonicalize(&layout.dir).with_context(unusable)?;
    for private in [layout.logs(), layout.deploy()] {
        fs::create_dir_all(&private).with_context(unusable)?;
        // Of one that an earlier version made as well: logs tell of data.
        fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).with_context(unusable)?;
    }
    Ok(layout)
}

/// Takes the lock of starts and stops, and waits for another one to end.
fn lock(layout: &Layout) -> Result<File> {
    // Of the operating system: the lock of a process that was killed is free at once.
    let file = File::create(layout.lock()).with_context(|| layout.lock().display().to_string())?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        println!("          waiting for another start or stop of this stack to end");
        file.lock().with_context(|| layout.lock().display().to_string())?;
    }
    Ok(file)
}
