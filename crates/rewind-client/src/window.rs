//! Reads or sets how far back a cluster can go, by the function set-window.

use crate::{ClientError, ClientResult, RecoveryClient};
use rewind_aws::invoke::{CallFunctions, Called};
use rewind_ui::WindowArgs;
use serde_json::{Map, Value};

impl<E, R, F: CallFunctions> RecoveryClient<E, R, F> {
    /// Calls set-window; returns its output, as `docs/steps.md` documents it.
    ///
    /// # Errors
    ///
    /// `Refused` with the function's own message; errors of AWS.
    pub async fn window(&self, args: &WindowArgs) -> ClientResult<Value> {
        let Some(function) = &self.deployment.set_window_function else {
            return Err(ClientError::Refused(
                "it is not known which function reads and sets windows; nothing was changed; next step: set \
                 SET_WINDOW_FUNCTION, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        let mut payload = Map::from_iter([("cluster".to_owned(), Value::from(args.cluster.as_str()))]);
        for (field, value) in [("window", &args.window), ("confirm", &args.confirm)] {
            // What was not given is left out: set-window refuses an empty text.
            payload.extend(value.as_deref().map(|value| (field.to_owned(), Value::from(value))));
        }
        match self.functions.call(function, &Value::Object(payload)).await? {
            Called::Answered(output) => Ok(output),
            Called::Refused(name, message) => Err(ClientError::Refused(format!("{message} [{name}]"))),
        }
    }
}
