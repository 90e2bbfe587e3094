//! The paths of a stack. It writes nothing, and reads only to find the checkout.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The paths of one stack.
///
/// `run` holds the state, and is removed with the stack; `logs` stays to be read, `deploy` so that the next start has less to do;
/// `tools` is shared by all stacks of the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The root of the checkout.
    pub root: PathBuf,
    /// The stack's own directory: `.local`, unless told otherwise.
    pub dir: PathBuf,
}

impl Layout {
    /// Finds the stack in `dir` of the checkout around `start`.
    ///
    /// # Errors
    ///
    /// When `start` is in no checkout.
    pub fn find(start: &Path, dir: Option<&Path>) -> Result<Self> {
        // A file that only this project has: another repository around the checkout has a Cargo.toml and a .git as well.
        let root = start
            .ancestors()
            .find(|folder| folder.join("local/tools/ministack.txt").is_file())
            .with_context(|| {
                let start = start.display();
                format!(
                    "{start} is in no checkout of aurora-rewind; nothing was started; next step: run it from the checkout"
                )
            })?
            .to_owned();
        // Relative to where the person stands, not to the checkout: that is what they typed.
        let dir = dir.map_or_else(|| root.join(".local"), |dir| start.join(dir));
        Ok(Self { root, dir })
    }

    /// The state: it lives as long as the stack.
    pub fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The output of the processes, of this start and the one before.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The log of a process, by the name of what writes it.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// The build as `cargo lambda` would lay it out, with the template beside it.
    pub fn deploy(&self) -> PathBuf {
        self.dir.join("deploy")
    }

    /// The Python tools, shared by all stacks of the checkout.
    pub fn tools(&self) -> PathBuf {
        // Of the checkout, not of the stack: installing them takes minutes, and they are the same for every stack.
        self.root.join(".local/tools")
    }

    /// The path of a program of one of the tools.
    pub fn tool(&self, venv: &str, program: &str) -> PathBuf {
        self.tools().join(venv).join("bin").join(program)
    }

    /// The variables that a shell reads to use the stack. Written last, removed first: where the file is, the stack was up.
    pub fn env_file(&self) -> PathBuf {
        self.dir.join("stack.env")
    }

    /// The deployed template's outputs.
    pub fn outputs(&self) -> PathBuf {
        self.run().join("outputs.json")
    }

    /// The lock of starts and stops.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_found_from_any_folder_in_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let layout = Layout::find(&here.join("src/stack"), None).unwrap();
        assert_eq!(Some(layout.root.as_path()), here.parent());
        assert_eq!(layout.dir, layout.root.join(".local"));
    }

    #[test]
    fn outside_a_checkout_it_is_refused_with_the_reason() {
        let error = Layout::find(Path::new("/"), None).unwrap_err();
        assert!(error.to_string().contains("in no checkout"), "{error}");
    }

    #[test]
    fn a_stack_of_ones_own_shares_the_tools() {
        let layout = Layout::find(Path::new(env!("CARGO_MANIFEST_DIR")), Some(Path::new("/x/test"))).unwrap();
        assert_eq!(layout.run(), Path::new("/x/test/run"));
        assert_eq!(layout.tools(), layout.root.join(".local/tools"));
    }
}
