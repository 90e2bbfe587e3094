//! `rewind-local demo`: loses data on the running stack, recovers it, and accounts for every write of an application that runs
//! meanwhile: by a restore beside the source, or in place by Backtrack. It judges the product from outside, with its own
//! connections and its own counts, and uses nothing but what a client of AWS could use.
//!
//! [`dns_client`] and [`database`] reach a database by name as an application does, [`writer`] keeps writing, [`recovery`]
//! starts an execution, `follow_execution` follows it, [`totals`] counts what became of each write.

mod attempt;
mod backtrack_scenario;
pub mod console;
pub mod database;
mod demo_cluster;
pub mod dns_client;
mod fenced_source;
mod follow_execution;
mod leftovers;
mod mysql_cluster;
mod names;
mod reconcile;
pub mod recovery;
mod restore_scenario;
mod scenario;
mod show;
mod tables;
pub mod totals;
pub mod writer;

use self::console::Console;
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use crate::stack::progress::shown;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The stack's directory; `.local` of the checkout unless given
    #[arg(long, env = "REWIND_STACK_DIR")]
    pub dir: Option<PathBuf>,
    /// Rewind an Aurora MySQL cluster in place, instead of restoring an Aurora PostgreSQL cluster beside itself
    #[arg(long)]
    pub in_place: bool,
}

/// Runs a scenario; fails when a step of it fails or a number does not add up.
#[must_use]
pub fn demo(args: &DemoArgs) -> ExitCode {
    let console = Console::new();
    let layout = match find(args) {
        Ok(layout) => layout,
        Err(error) => return failed(&console, &error, None),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.context("the runtime could not be started").and_then(|runtime| {
        let ended = runtime.block_on(until_interrupted(&layout, &console, args.in_place));
        // Dropping the runtime would wait for connection attempts to databases that are fenced or gone.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&console, &error, Some(&layout)),
    }
}

fn find(args: &DemoArgs) -> Result<Layout> {
    let here = std::env::current_dir().context("there is no current directory")?;
    Layout::find(&here, args.dir.as_deref())
}

async fn until_interrupted(layout: &Layout, console: &Console, in_place: bool) -> Result<()> {
    let stack = StackEnv::read(layout)?;
    let scenario = async {
        match in_place {
            true => backtrack_scenario::run(layout, &stack, console).await,
            false => restore_scenario::run(layout, &stack, console).await,
        }
    };
    tokio::select! {
        ended = scenario => ended,
        _ = tokio::signal::ctrl_c() => bail!(
            "interrupted; the stack stays up, and a recovery that was under way goes on by itself: \
             the next demo refuses its approval or waits for its end",
        ),
    }
}

fn failed(console: &Console, error: &anyhow::Error, layout: Option<&Layout>) -> ExitCode {
    console.end_activity();
    // Errors of the AWS SDK and of tokio-postgres say "service error" or "db error": the cause below has the substance.
    eprintln!("\nerror: {}", database::causes(error));
    if let Some(layout) = layout.filter(|layout| layout.logs().is_dir()) {
        eprintln!("the logs of the stack are in {}", shown(&layout.logs()));
        eprintln!("next step: the same once more, which repairs a broken stack; or make down first, for a fresh one");
    }
    ExitCode::FAILURE
}
