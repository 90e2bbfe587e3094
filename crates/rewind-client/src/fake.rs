//! Step Functions, the table and functions in memory, for tests of what stands at the client. It runs no state machine: a
//! test says what has happened.

use crate::{Places, RecoveryClient};
use rewind_aws::Answer;
use rewind_aws::executions::{Event, Execution, Executions, Started, Status, What};
use rewind_aws::fixtures::{in_place_plan, plan, restored, time};
use rewind_aws::invoke::{CallFunctions, Called};
use rewind_aws::recoveries::{Approval, Record, Recoveries};
use rewind_core::{ErrorName, Login, Report, StepError, Tls, shown_hash};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state machine of recoveries.
pub const MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:rewind";
/// The one that takes them back.
pub const UNDO_MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:undo";
/// When everything in these tests happens.
pub const NOW: &str = "2026-11-23T10:50:00Z";

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct FakeAws(Arc<Mutex<Held>>);

/// What it holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Executions by ARN.
    pub executions: BTreeMap<String, Execution>,
    /// Their histories.
    pub events: BTreeMap<String, Vec<Event>>,
    /// The table.
    pub records: BTreeMap<String, Record>,
    /// The names and inputs with which executions were started.
    pub started: Vec<(String, Value)>,
    /// The decisions that arrived, with their tokens.
    pub decided: Vec<(String, Value)>,
    /// Whether the next start is done and its answer lost (`Some(true)`), or neither (`Some(false)`).
    pub lost: Option<bool>,
    /// Tokens that nobody waits with any more: each is replaced by the next one when it is used.
    pub gone: Vec<String>,
    /// What functions were called with.
    pub called: Vec<(String, Value)>,
    /// What they answer.
    pub answer: Option<Called>,
}

impl FakeAws {
    /// What it holds, to look at or to change.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client in front of it.
    pub fn client(&self) -> RecoveryClient<Self, Self, Self> {
        RecoveryClient {
            executions: self.clone(),
            recoveries: self.clone(),
            functions: self.clone(),
            places: Places {
                machine: MACHINE.to_owned(),
                undo_machine: Some(UNDO_MACHINE.to_owned()),
                set_window: Some("set-window".to_owned()),
            },
        }
    }

    /// Something happens in an execution.
    pub fn happens(&self, arn: &str, what: What) {
        let mut held = self.held();
        let events = held.events.entry(arn.to_owned()).or_default();
        let id = i64::try_from(events.len()).unwrap_or(i64::MAX).saturating_add(1);
        events.push(Event { id, at: time(NOW), what });
    }

    /// A recovery that runs.
    pub fn runs(&self, id: &str) -> String {
        let arn = Places::execution(MACHINE, id);
        let mut held = self.held();
        held.executions.insert(arn.clone(), execution(&arn, Status::Running, json!({ "cluster": "orders" })));
        held.records.insert(id.to_owned(), record(id, &arn, "Running"));
        arn
    }

    /// A recovery that waits for a decision on what its history shows; answers its hash.
    pub fn awaits(&self, id: &str) -> String {
        let login = Login { user: "u".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
        let report = Report::new(login, Vec::new(), Vec::new(), Vec::new());
        let answers = [
            ("ValidateWindow", json!(plan())),
            ("StartRestore", json!(restored())),
            ("AddInstances", json!({ "instances": [], "differences": [] })),
            ("Verify", json!(report)),
        ];
        self.asks(id, &answers, shown_hash(&plan(), Some(&restored()), Some(&report), &restored().differences))
    }

    /// A recovery in place that waits for a decision on its plan alone; answers its hash.
    pub fn awaits_in_place(&self, id: &str) -> String {
        let plan = in_place_plan();
        self.asks(id, &[("ValidateWindow", json!(plan))], shown_hash(&plan, None, None, &[]))
    }

    fn asks(&self, id: &str, answers: &[(&str, Value)], hash: String) -> String {
        let arn = self.runs(id);
        for (state, answer) in answers {
            self.happens(&arn, What::Entered((*state).to_owned()));
            self.happens(&arn, What::Left((*state).to_owned(), answer.clone()));
        }
        self.happens(&arn, What::Entered("RequestApproval".to_owned()));
        let mut awaiting = record(id, &arn, "AwaitingApproval");
        awaiting.approval = Some(Approval {
            task_token: "token".to_owned(),
            hash: hash.clone(),
            requested_at: time("2026-11-23T10:40:00Z"),
            expires_at: time("2026-11-23T11:40:00Z"),
        });
        self.held().records.insert(id.to_owned(), awaiting);
        hash
    }

    /// A recovery that moved the traffic of `orders` and has ended well.
    pub fn recovered(&self, id: &str) {
        let arn = self.runs(id);
        let outcome = json!({
            "outcome": "Recovered", "strategy": "restore", "cluster": "orders", "newCluster": "orders-r",
            "dns": [{ "name": "db.example.com", "from": "orders.x", "to": "orders-r.x", "ttl": 5 }],
        });
        self.ends(&arn, Status::Succeeded, outcome.clone());
        let mut held = self.held();
        if let Some(record) = held.records.get_mut(id) {
            record.state = "Recovered".to_owned();
            record.outcome = outcome;
        }
    }

    /// An execution ends.
    pub fn ends(&self, arn: &str, status: Status, output: Value) {
        if let Some(execution) = self.held().executions.get_mut(arn) {
            execution.status = status;
            execution.output = output;
            execution.ended_at = Some(time(NOW));
        }
        self.happens(arn, What::Ended);
    }
}

fn execution(arn: &str, status: Status, input: Value) -> Execution {
    Execution {
        arn: arn.to_owned(),
        status,
        started_at: time("2026-11-23T10:35:00Z"),
        ended_at: None,
        input,
        output: Value::Null,
        error: None,
        cause: None,
    }
}

fn record(id: &str, arn: &str, state: &str) -> Record {
    Record {
        id: id.to_owned(),
        execution_arn: arn.to_owned(),
        state: state.to_owned(),
        cluster: "orders".to_owned(),
        new_cluster: Some("orders-r".to_owned()),
        started_at: time("2026-11-23T10:35:00Z"),
        ended_at: None,
        plan: json!(plan()),
        approval: None,
        decision: Value::Null,
        undo: Value::Null,
        clean_up: Value::Null,
        outcome: Value::Null,
        error: None,
        cause: None,
    }
}

impl Executions for FakeAws {
    async fn start(&self, machine_arn: &str, name: &str, input: &Value) -> Answer<Started> {
        let arn = Places::execution(machine_arn, name);
        let mut held = self.held();
        let (lost, taken) = (held.lost.take(), held.executions.contains_key(&arn));
        if !taken && lost != Some(false) {
            held.started.push((name.to_owned(), input.clone()));
            held.executions.insert(arn.clone(), execution(&arn, Status::Running, input.clone()));
        }
        match lost {
            Some(_) => Err(StepError::new(ErrorName::OutcomeUnknown, "no answer came")),
            None if taken => Ok(Started::NameTaken),
            None => Ok(Started::Runs(arn)),
        }
    }

    async fn execution(&self, arn: &str) -> Answer<Option<Execution>> {
        Ok(self.held().executions.get(arn).cloned())
    }

    async fn events(&self, arn: &str, after: i64) -> Answer<Vec<Event>> {
        let held = self.held();
        Ok(held.events.get(arn).into_iter().flatten().filter(|event| event.id > after).cloned().collect())
    }

    async fn answers(&self, arn: &str, until: &str) -> Answer<BTreeMap<String, Value>> {
        let mut answers = BTreeMap::new();
        for event in self.held().events.get(arn).into_iter().flatten() {
            match &event.what {
                What::Entered(state) if state == until => break,
                What::Left(state, answer) => drop(answers.insert(state.clone(), answer.clone())),
                _ => {}
            }
        }
        Ok(answers)
    }

    async fn answer(&self, task_token: &str, answer: &Value) -> Answer<bool> {
        let mut held = self.held();
        if held.gone.first().is_some_and(|gone| gone == task_token) {
            held.gone.remove(0);
            let next = held.gone.first().cloned().unwrap_or_else(|| "fresh".to_owned());
            for record in held.records.values_mut() {
                if let Some(approval) = &mut record.approval {
                    approval.task_token.clone_from(&next);
                }
            }
            return Ok(false);
        }
        held.decided.push((task_token.to_owned(), answer.clone()));
        Ok(true)
    }

    async fn definition(&self, _: &str) -> Answer<Value> {
        Err(StepError::bug("nobody asks for the definition here"))
    }
}

impl Recoveries for FakeAws {
    async fn recovery(&self, id: &str) -> Answer<Option<Record>> {
        Ok(self.held().records.get(id).cloned())
    }

    async fn recoveries(&self) -> Answer<Vec<Record>> {
        Ok(self.held().records.values().cloned().collect())
    }
}

impl CallFunctions for FakeAws {
    async fn call(&self, function: &str, payload: &Value) -> Answer<Called> {
        let mut held = self.held();
        held.called.push((function.to_owned(), payload.clone()));
        Ok(held.answer.clone().unwrap_or(Called::Answered(json!({ "cluster": "orders", "changed": false }))))
    }
}
