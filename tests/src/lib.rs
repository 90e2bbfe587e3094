//! Tests that no crate can hold alone: the state machine, the template, the functions, the error names and the pages
//! about them agree with each other, in both directions. They read files and never run anything.
//!
//! The suites of pytest are beside this crate: `paths`, `e2e`, `rds`, `expressions` and `tools`.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod iam;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod install;
#[cfg(test)]
mod language;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod preflight;
#[cfg(test)]
mod specification;
#[cfg(test)]
mod template;
#[cfg(test)]
mod timeouts;

#[cfg(test)]
mod files {
    //! Reads the project's files by their path from its root.

    use std::path::{Path, PathBuf};

    pub(crate) fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    pub(crate) fn read(path: impl AsRef<Path>) -> String {
        let path = root().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Paths of all files below `folder` whose names end in `ending`; what is hidden or built is skipped.
    pub(crate) fn all(folder: &str, ending: &str) -> Vec<String> {
        let mut found = Vec::new();
        for name in names_in(folder).into_iter().filter(|name| name != "target") {
            let path = if folder == "." { name } else { format!("{folder}/{name}") };
            if root().join(&path).is_dir() {
                found.extend(all(&path, ending));
            } else if path.ends_with(ending) {
                found.push(path);
            }
        }
        found
    }

    /// The names in a folder, sorted.
    pub(crate) fn names_in(folder: &str) -> Vec<String> {
        let path = root().join(folder);
        let entries = std::fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|n| !n.starts_with('.'))
            .collect();
        // Each file system lists in an order of its own, and generated pages must not depend on it.
        names.sort_unstable();
        names
    }
}
