//! Step Functions, the table and functions in memory, for tests of what uses the client. It runs no state machine: a test
//! says what has happened.

use crate::{Deployment, RecoveryClient};
use rewind_aws::AwsResult;
use rewind_aws::executions::{Event, Execution, Executions, Started, Status, What};
use rewind_aws::fixtures::{in_place_plan, plan, recovered, recovery_record, restored, time};
use rewind_aws::invoke::{CallFunctions, Called};
use rewind_aws::recoveries::{ReadNotes, Recoveries};
use rewind_core::{
    Difference, ErrorName, FencesSeen, Finding, FindingCode, LeaseSeen, Login, Outcome, PendingApproval, Plan,
    Proposal, Recovered, RecoveryRecord, Report, StepError, Tls,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state machine of recoveries.
pub const MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:rewind";
/// The state machine that undoes them.
pub const UNDO_MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:undo";
/// The state machine that deletes what they kept.
pub const CLEAN_UP_MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:clean-up";
/// The state machine that opens what they left behind.
pub const OPEN_MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:open";
/// The moment of everything in these tests.
pub const NOW: &str = "2026-11-23T10:50:00Z";

/// AWS in memory. Clones share its state.
#[derive(Debug, Clone, Default)]
pub struct FakeAws(Arc<Mutex<State>>);

/// The state of AWS in memory.
#[derive(Debug, Default)]
pub struct State {
    /// Executions by ARN.
    pub executions: BTreeMap<String, Execution>,
    /// Histories by the executions' ARNs.
    pub events: BTreeMap<String, Vec<Event>>,
    /// The payloads of states, by the execution's ARN and the state.
    pub payloads: BTreeMap<(String, String), Value>,
    /// Records of recoveries by id.
    pub records: BTreeMap<String, RecoveryRecord>,
    /// The fences of recoveries by id.
    pub fences: BTreeMap<String, FencesSeen>,
    /// The leases of clusters.
    pub leases: BTreeMap<String, LeaseSeen>,
    /// The names and inputs with which executions were started.
    pub started: Vec<(String, Value)>,
    /// The errors with which the next descriptions of executions fail, the last one first.
    pub trouble: Vec<StepError>,
    /// The decisions that arrived, with their task tokens.
    pub decisions: Vec<(String, Value)>,
    /// Makes the next start lose its response: `Some(true)` after it started the execution, `Some(false)` before.
    pub lost_start: Option<bool>,
    /// Task tokens that have timed out: each is replaced by the next one when it is used.
    pub expired_tokens: Vec<String>,
    /// The names and payloads with which functions were called.
    pub calls: Vec<(String, Value)>,
    /// The response of every function that is called.
    pub response: Option<Called>,
    /// The responses of functions that are asked, the last one first.
    pub answers: Vec<Called>,
}

impl FakeAws {
    /// Locks the state, to look at it or to change it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // The test that poisoned the lock has failed already, and its message is the one to read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a client of it.
    pub fn client(&self) -> RecoveryClient<Self, Self, Self> {
        RecoveryClient {
            executions: self.clone(),
            recoveries: self.clone(),
            functions: self.clone(),
            deployment: Deployment {
                state_machine: MACHINE.to_owned(),
                undo_state_machine: Some(UNDO_MACHINE.to_owned()),
                set_window_function: Some("set-window".to_owned()),
                compare_tables_function: Some("compare-tables".to_owned()),
                clean_up_state_machine: Some(CLEAN_UP_MACHINE.to_owned()),
                cleans_up: Some(true),
                open_state_machine: Some(OPEN_MACHINE.to_owned()),
            },
        }
    }

    /// Adds an event to the history of an execution.
    pub fn add_event(&self, arn: &str, what: What) {
        let mut state = self.state();
        let events = state.events.entry(arn.to_owned()).or_default();
        let id = i64::try_from(events.len()).unwrap_or(i64::MAX).saturating_add(1);
        events.push(Event { id, at: time(NOW), what });
    }

    /// Adds a recovery that runs; returns its execution's ARN.
    pub fn add_running(&self, id: &str) -> String {
        let arn = Deployment::execution_arn(MACHINE, id);
        let mut state = self.state();
        state.executions.insert(arn.clone(), execution(&arn, Status::Running, json!({ "cluster": "orders" })));
        state.records.insert(id.to_owned(), record(id, &arn, "Running"));
        arn
    }

    /// Adds a recovery that waits for a decision on what its history shows; returns the hash of that.
    pub fn add_awaiting_approval(&self, id: &str) -> String {
        let login = Login { user: "u".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
        let report = Report::new(login, Vec::new(), Vec::new(), Vec::new());
        let differences = vec![Difference::new("tags", "on", "off", "look at it")];
        let plan = Plan { findings: findings(), ..plan() };
        self.add_approval(
            id,
            &Proposal { plan, restored: Some(restored()), report: Some(report), differences, comparison: None },
        )
    }

    /// Adds a recovery in place that waits for a decision on its plan alone; returns the hash of that.
    pub fn add_awaiting_approval_in_place(&self, id: &str) -> String {
        let plan = Plan { findings: findings(), ..in_place_plan() };
        self.add_approval(
            id,
            &Proposal { plan, restored: None, report: None, differences: Vec::new(), comparison: None },
        )
    }

    fn add_approval(&self, id: &str, proposal: &Proposal) -> String {
        let (arn, hash) = (self.add_running(id), proposal.hash());
        self.add_event(&arn, What::Entered("RequestApproval".to_owned()));
        // In the history, where the client reads the proposal: the record holds only its hash.
        let Proposal { plan, restored, report, differences, comparison } = proposal;
        let payload = json!({
            "recovery": { "id": id }, "plan": plan, "restored": restored, "report": report, "differences": differences,
            "comparison": comparison, "taskToken": "token",
        });
        self.state().payloads.insert((arn.clone(), "RequestApproval".to_owned()), payload);
        let mut awaiting = record(id, &arn, "AwaitingApproval");
        awaiting.approval = Some(PendingApproval {
            task_token: "token".to_owned(),
            hash: hash.clone(),
            requested_at: time("2026-11-23T10:40:00Z"),
            expires_at: time("2026-11-23T11:40:00Z"),
            last_refused: None,
        });
        self.state().records.insert(id.to_owned(), awaiting);
        hash
    }

    /// Adds a recovery that moved the traffic of `orders` and ended in `Recovered`.
    pub fn add_recovered(&self, id: &str) {
        let arn = self.add_running(id);
        let outcome = Outcome::Recovered(Box::new(Recovered { recovery_id: id.to_owned(), ..recovered() }));
        self.end(&arn, Status::Succeeded, json!(outcome));
        let mut state = self.state();
        if let Some(record) = state.records.get_mut(id) {
            record.state = "Recovered".to_owned();
            record.outcome = Some(outcome);
        }
    }

    /// Ends an execution.
    pub fn end(&self, arn: &str, status: Status, output: Value) {
        if let Some(execution) = self.state().executions.get_mut(arn) {
            execution.status = status;
            execution.output = output;
            execution.ended_at = Some(time(NOW));
        }
        // Both agree here; a test of the moment in which they do not adds the event alone.
        self.add_event(arn, What::Ended);
    }
}

fn findings() -> Vec<Finding> {
    vec![Finding::warning(FindingCode::Replication, "a replica reads from it", "set it up anew")]
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

fn record(id: &str, arn: &str, state: &str) -> RecoveryRecord {
    RecoveryRecord {
        id: id.to_owned(),
        execution_arn: arn.to_owned(),
        state: state.to_owned(),
        ..recovery_record(&plan())
    }
}

impl Executions for FakeAws {
    async fn start(&self, machine_arn: &str, name: &str, input: &Value) -> AwsResult<Started> {
        let arn = Deployment::execution_arn(machine_arn, name);
        let mut state = self.state();
        // A response can be lost before and after the execution was started: the client must bear both.
        let (lost, taken) = (state.lost_start.take(), state.executions.contains_key(&arn));
        if !taken && lost != Some(false) {
            state.started.push((name.to_owned(), input.clone()));
            state.executions.insert(arn.clone(), execution(&arn, Status::Running, input.clone()));
        }
        match lost {
            Some(_) => Err(StepError::new(ErrorName::OutcomeUnknown, "no answer came")),
            None if taken => Ok(Started::NameTaken),
            None => Ok(Started::Runs(arn)),
        }
    }

    async fn execution(&self, arn: &str) -> AwsResult<Option<Execution>> {
        let mut state = self.state();
        match state.trouble.pop() {
            Some(error) => Err(error),
            None => Ok(state.executions.get(arn).cloned()),
        }
    }

    async fn events(&self, arn: &str, after: i64) -> AwsResult<Vec<Event>> {
        let state = self.state();
        let fresh: Vec<Event> =
            state.events.get(arn).into_iter().flatten().filter(|event| event.id > after).cloned().collect();
        // As of the real one, of a long history the last part.
        Ok(fresh.get(fresh.len().saturating_sub(500)..).unwrap_or_default().to_vec())
    }

    async fn entered_before(&self, arn: &str, before: i64) -> AwsResult<Vec<Event>> {
        let is_earlier = |event: &&Event| event.id < before && matches!(event.what, What::Entered(_));
        Ok(self.state().events.get(arn).into_iter().flatten().filter(is_earlier).cloned().collect())
    }

    async fn answers(&self, arn: &str, until: &str) -> AwsResult<BTreeMap<String, Value>> {
        let mut answers = BTreeMap::new();
        for event in self.state().events.get(arn).into_iter().flatten() {
            match &event.what {
                What::Entered(state) if state == until => break,
                What::Left(state, answer) => drop(answers.insert(state.clone(), answer.clone())),
                _ => {}
            }
        }
        Ok(answers)
    }

    async fn payload(&self, arn: &str, name: &str) -> AwsResult<Option<Value>> {
        Ok(self.state().payloads.get(&(arn.to_owned(), name.to_owned())).cloned())
    }

    async fn answer(&self, task_token: &str, answer: &Value) -> AwsResult<bool> {
        let mut state = self.state();
        if state.expired_tokens.first().is_some_and(|token| token == task_token) {
            // As the state machine does each minute: a new token replaces the one that has timed out.
            state.expired_tokens.remove(0);
            let next = state.expired_tokens.first().cloned().unwrap_or_else(|| "fresh".to_owned());
            for record in state.records.values_mut() {
                if let Some(approval) = &mut record.approval {
                    approval.task_token.clone_from(&next);
                }
            }
            return Ok(false);
        }
        state.decisions.push((task_token.to_owned(), answer.clone()));
        Ok(true)
    }

    async fn definition(&self, _: &str) -> AwsResult<Value> {
        // Only the command line reads a definition, to find the table, and it has no test on this fake.
        Err(StepError::bug("nobody asks for the definition here"))
    }
}

impl Recoveries for FakeAws {
    async fn recovery(&self, id: &str) -> AwsResult<Option<RecoveryRecord>> {
        Ok(self.state().records.get(id).cloned())
    }

    async fn recoveries(&self) -> AwsResult<Vec<RecoveryRecord>> {
        Ok(self.state().records.values().cloned().collect())
    }
}

impl ReadNotes for FakeAws {
    async fn fences(&self, id: &str) -> AwsResult<FencesSeen> {
        let none = FencesSeen { source: false, restored: false, source_lifted_at: None };
        Ok(self.state().fences.get(id).copied().unwrap_or(none))
    }

    async fn lease(&self, cluster: &str) -> AwsResult<Option<LeaseSeen>> {
        Ok(self.state().leases.get(cluster).cloned())
    }
}

impl CallFunctions for FakeAws {
    async fn call(&self, function: &str, payload: &Value) -> AwsResult<Called> {
        let mut state = self.state();
        state.calls.push((function.to_owned(), payload.clone()));
        Ok(state.response.clone().unwrap_or(Called::Answered(json!({ "cluster": "orders", "changed": false }))))
    }

    /// The responses of [`State::answers`], one after the other.
    async fn ask(&self, function: &str, payload: &Value) -> AwsResult<Called> {
        let mut state = self.state();
        state.calls.push((function.to_owned(), payload.clone()));
        Ok(state.answers.pop().unwrap_or_else(|| Called::Refused("Bug".to_owned(), "no answer is left".to_owned())))
    }
}
