//! Asks how far back a cluster can go, or sets it.

use crate::{Answer, ClientError, RecoveryClient};
use rewind_aws::invoke::{CallFunctions, Called};
use rewind_ui::WindowWords;
use serde_json::{Map, Value};

impl<E, R, F: CallFunctions> RecoveryClient<E, R, F> {
    /// What set-window answers.
    ///
    /// # Errors
    ///
    /// Refused, with its own words; what AWS answers.
    pub async fn window(&self, words: &WindowWords) -> Answer<Value> {
        let Some(function) = &self.places.set_window else {
            return Err(ClientError::Refused(
                "it is not known which function reads and sets windows; nothing was changed; next step: set \
                 SET_WINDOW_FUNCTION, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        let mut payload = Map::from_iter([("cluster".to_owned(), Value::from(words.cluster.as_str()))]);
        for (field, value) in [("window", &words.window), ("confirm", &words.confirm)] {
            payload.extend(value.as_deref().map(|value| (field.to_owned(), Value::from(value))));
        }
        match self.functions.call(function, &Value::Object(payload)).await? {
            Called::Answered(answer) => Ok(answer),
            Called::Refused(name, message) => Err(ClientError::Refused(format!("{message} [{name}]"))),
        }
    }
}
