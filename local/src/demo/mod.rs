//! `rewind-local demo`: the whole story on the running stack, told as it happens: beside the source, or in place. It judges
//! the product from outside, with its own connections and its own counts, and uses nothing but what a client of AWS could use.
//!
//! Pieces that other code may reuse: [`names`] and [`database`] reach a database by name as an application does,
//! [`writer`] keeps writing, [`recovery`] starts and follows an execution, [`accounting`] says what became of each write.

pub mod accounting;
mod beside;
pub mod database;
pub mod fenced;
mod follow;
mod in_place;
mod leftovers;
mod made;
pub mod names;
mod reckoning;
pub mod recovery;
pub mod scene;
mod show;
pub mod stop;
pub mod story;
mod tale;
pub mod writer;

use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use stop::{Because, Stop};
use story::Story;

/// What `demo` is told.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The stack's directory; `.local` of the checkout unless given
    #[arg(long, env = "REWIND_STACK_DIR")]
    pub dir: Option<PathBuf>,
    /// Rewind an Aurora MySQL cluster in place, instead of restoring an Aurora PostgreSQL cluster beside itself
    #[arg(long)]
    pub in_place: bool,
}

/// Tells the story; fails when a step of it fails or a number does not add up.
#[must_use]
pub fn demo(args: &DemoArgs) -> ExitCode {
    let story = Story::begin();
    let layout = match find(args) {
        Ok(layout) => layout,
        Err(stop) => return stopped(&story, &stop, None),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let told = runtime.because("the runtime could not be started").and_then(|runtime| {
        let told = runtime.block_on(until_interrupted(&layout, &story, args.in_place));
        // Nothing that is still waiting for a database holds up the end.
        runtime.shutdown_background();
        told
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stopped(&story, &stop, Some(&layout)),
    }
}

fn find(args: &DemoArgs) -> Result<Layout, Stop> {
    let here = std::env::current_dir().because("there is no current directory")?;
    Layout::find(&here, args.dir.as_deref()).map_err(Stop::new)
}

async fn until_interrupted(layout: &Layout, story: &Story, in_place: bool) -> Result<(), Stop> {
    let stack = StackEnv::read(layout).map_err(Stop::new)?;
    let telling = async {
        match in_place {
            true => in_place::tell(layout, &stack, story).await,
            false => beside::tell(layout, &stack, story).await,
        }
    };
    tokio::select! {
        told = telling => told,
        _ = tokio::signal::ctrl_c() => Err(Stop::new(
            "interrupted; the stack stays up, and a recovery that was under way goes on by itself: \
             the next demo refuses its approval or waits for its end",
        )),
    }
}

fn stopped(story: &Story, stop: &Stop, layout: Option<&Layout>) -> ExitCode {
    story.idle();
    eprintln!("\nerror: {stop}");
    if let Some(layout) = layout.filter(|layout| layout.logs().is_dir()) {
        eprintln!("the logs of the stack are in {}", story::shown(&layout.logs()));
        eprintln!("next step: the same once more, which repairs a broken stack; or make down first, for a fresh one");
    }
    ExitCode::FAILURE
}
