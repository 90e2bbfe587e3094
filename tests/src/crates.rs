//! The graph of the crates: functions are leaves.

use crate::files;
use crate::functions::Function;

/// A function that another crate builds on can no longer be changed, deployed or read alone; shared code belongs in `crates/`.
#[test]
fn no_crate_depends_on_a_function() {
    let functions: Vec<String> = Function::all().into_iter().map(|function| function.stem).collect();
    let manifests = files::all(".", "Cargo.toml");
    // A search that finds no manifest would let everything pass.
    assert!(manifests.len() > functions.len() + 8, "the manifests were not found: {manifests:?}");
    for path in manifests {
        let manifest = files::read(&path);
        for stem in &functions {
            let named = manifest.lines().find(|line| {
                // A dependency by name, or by path whatever its name; `name = "…"` and `members` are none.
                let key = line.split(['=', '.']).next().unwrap_or_default().trim();
                key == stem
                    || line.contains(&format!("path = \"functions/{stem}\""))
                    || line.contains(&format!("../{stem}\""))
            });
            assert_eq!(named, None, "{path} depends on the function {stem}");
        }
    }
}
