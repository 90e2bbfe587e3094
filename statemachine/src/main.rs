//! Writes what is made from the declaration: the definitions, the stages for the tests, and the pictures:
//! `cargo run --locked -p rewind-statemachine`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for machine in rewind_statemachine::machines() {
        std::fs::write(folder.join(machine.file), machine.definition())?;
    }
    std::fs::write(folder.join("stages.json"), rewind_statemachine::stages())?;
    std::fs::write(folder.join("../docs/statemachine.md"), rewind_statemachine::page())
}
