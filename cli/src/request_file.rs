//! The request in a file, or on standard input.

use crate::exit::Failure;
use serde_json::Value;
use std::path::Path;

/// Reads the request in a file; `-` is standard input. Without a file it is an empty request.
pub(crate) fn read_request(path: Option<&Path>) -> Result<Value, Failure> {
    let Some(path) = path else { return Ok(Value::Object(serde_json::Map::new())) };
    let name = path.display();
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Failure::Usage(format!("{name} could not be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))
}
