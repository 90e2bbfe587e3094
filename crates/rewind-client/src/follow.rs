//! Follows an execution by its history, and says what is new. It changes nothing: who stops following leaves the
//! execution as it is.

use crate::look::ended;
use crate::{Answer, ClientError, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::executions::{Execution, Executions, Status, What};
use rewind_ui::Ending;
use serde_json::Value;

/// Something new.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A state began.
    Entered {
        /// Which.
        state: String,
        /// When.
        at: Timestamp,
    },
    /// It ended.
    Left {
        /// Which.
        state: String,
        /// When.
        at: Timestamp,
        /// When it had begun.
        since: Timestamp,
        /// What it answered.
        answer: Value,
    },
    /// An attempt at a step failed; the state machine decides what follows.
    Failed {
        /// The error's name.
        error: String,
        /// Its cause.
        cause: String,
    },
    /// The execution has ended.
    Ended {
        /// How.
        ending: Ending,
        /// The whole of it.
        execution: Box<Execution>,
    },
}

/// How far one has read.
#[derive(Debug, Clone)]
pub struct Follow {
    arn: String,
    seen: i64,
    /// The state that was entered last, and when.
    last: Option<(String, Timestamp)>,
    over: bool,
}

impl Follow {
    /// From the beginning, or from as far back as a long history is read.
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), seen: 0, last: None, over: false }
    }

    /// What has happened since the last look.
    ///
    /// # Errors
    ///
    /// What AWS answers.
    pub async fn news<E: Executions, R, F>(&mut self, client: &RecoveryClient<E, R, F>) -> Answer<Vec<News>> {
        let mut news = Vec::new();
        for event in client.executions.events(&self.arn, self.seen).await? {
            self.seen = event.id;
            match event.what {
                What::Entered(state) => {
                    self.last = Some((state.clone(), event.at));
                    news.push(News::Entered { state, at: event.at });
                }
                What::Left(state, answer) => {
                    let since = self.last.as_ref().filter(|(last, _)| *last == state).map_or(event.at, |(_, at)| *at);
                    news.push(News::Left { state, at: event.at, since, answer });
                }
                What::Failed(error, cause) => news.push(News::Failed { error, cause }),
                What::Ended => self.over = true,
            }
        }
        if self.over {
            let execution = client.executions.execution(&self.arn).await?;
            let execution = execution.ok_or_else(|| ClientError::Unknown(self.arn.clone()))?;
            // The history may be ahead of the description by a moment.
            if execution.status != Status::Running {
                let ending = ended(&execution, self.last.as_ref().map(|(state, _)| state.as_str()));
                news.push(News::Ended { ending, execution: Box::new(execution) });
            }
        }
        Ok(news)
    }
}
