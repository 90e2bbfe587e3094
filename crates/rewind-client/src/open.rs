//! Opens what a recovery left behind to one person who reads there, and closes it. A state machine does the work; this starts it, and
//! waits until the record says how to connect.

use crate::{ClientError, ClientResult, RecoveryClient, StartedExecution};
use jiff::{SignedDuration, Timestamp};
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{
    Clock, Ending, MayPass, OPEN_FOR_LEAST, OPEN_FOR_MOST, Opening, RecoveryRecord, Strategy, format_time, one_address,
    timeouts,
};
use rewind_ui::numbered_id;
use serde_json::{Value, json};

/// The number of openings of one recovery, and of its closings, failed ones included: each has a name of its own.
const ATTEMPTS: usize = 100;

/// An opening that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedOpening {
    /// The only address that is let in.
    pub from: String,
    /// The time until it is closed.
    pub length: SignedDuration,
    /// The database; none: the only one that there is.
    pub database: Option<String>,
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenedNow {
    /// It is open.
    Open(Box<Opening>),
    /// It is closed.
    Closed,
}

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads the record of a recovery that left a cluster behind, and the cluster's name.
    ///
    /// # Errors
    ///
    /// `Refused` where it left none that can be opened; errors of AWS.
    pub async fn left_behind(&self, id: &str) -> ClientResult<(RecoveryRecord, String)> {
        let recovery = self.recovery(id).await?;
        let refused = |why: &str| {
            Err(ClientError::Refused(format!(
                "what {id} left behind cannot be opened: {why}; nobody was let in; next step: rewind status {id} shows how its \
                 clusters stand"
            )))
        };
        if recovery.state != Ending::Recovered.name() {
            return refused(&format!("it is {}, and a cluster is left behind fenced after Recovered", recovery.state));
        }
        if recovery.clean_up.is_some() {
            return refused("it is being deleted");
        }
        match &recovery.plan {
            Some(plan) if plan.strategy == Strategy::Backtrack => {
                let clone = plan.new_cluster.clone();
                Ok((recovery, clone))
            }
            Some(plan) if !plan.dns.is_empty() => {
                let source = plan.cluster.clone();
                Ok((recovery, source))
            }
            Some(plan) => {
                refused(&format!("it moved no traffic, so {} is not fenced: log in there as ever", plan.cluster))
            }
            None => refused("its record has no plan that can be read"),
        }
    }

    /// Reads the record of a recovery whose cluster can be opened now as it is asked for, and the cluster's name.
    ///
    /// # Errors
    ///
    /// `Refused` where it cannot be opened, or `asked` is wrong; errors of AWS.
    pub async fn openable(&self, id: &str, asked: &AskedOpening) -> ClientResult<(RecoveryRecord, String)> {
        one_address(&asked.from).map_err(|why| ClientError::Refused(format!("{why}; nobody was let in")))?;
        if asked.length < OPEN_FOR_LEAST || asked.length > OPEN_FOR_MOST {
            return Err(ClientError::Refused(
                "a cluster is opened for 1m to 8h; nobody was let in; next step: give --for 1h".to_owned(),
            ));
        }
        let (recovery, cluster) = self.left_behind(id).await?;
        if let Some(Opening { by, from, until, .. }) = &recovery.opening {
            return Err(ClientError::Refused(format!(
                "{cluster} is open already, to {by} from {from} until {}; one person reads there at a time; next step: rewind \
                 open {id} --close closes it",
                format_time(*until)
            )));
        }
        Ok((recovery, cluster))
    }

    /// Opens what a recovery left behind, and waits until somebody can connect. `begun` is called once the execution works on it.
    ///
    /// # Errors
    ///
    /// `Refused` where it cannot be opened, `asked` is wrong or `confirm` is not the cluster's name; errors of AWS.
    pub async fn open_left_behind(
        &self,
        id: &str,
        asked: &AskedOpening,
        (confirm, by): (Option<&str>, &str),
        begun: impl FnOnce(&StartedExecution),
        clock: &impl Clock,
    ) -> ClientResult<OpenedNow> {
        let from = one_address(&asked.from).map_err(|why| ClientError::Refused(format!("{why}; nobody was let in")))?;
        let (_, cluster) = self.openable(id, asked).await?;
        // The last refusal: people are asked for the name only of what can be opened.
        if confirm != Some(cluster.as_str()) {
            return Err(ClientError::Refused(format!(
                "{cluster} would be open for reading to {from} now; nothing was changed; next step: say the cluster's name with \
                 --confirm {cluster}"
            )));
        }
        let mut input = json!({
            "recovery": id, "by": by, "from": from.to_string(), "seconds": asked.length.as_secs(),
        });
        if let (Some(database), Some(fields)) = (&asked.database, input.as_object_mut()) {
            fields.insert("database".to_owned(), json!(database));
        }
        let started = self.start_numbered(id, "open", &input).await?;
        begun(&started);
        let mut passing = Passing::default();
        loop {
            if let Some(Some(end)) = passing.tolerates(self.opened_yet(id, &started).await, clock)? {
                return Ok(end);
            }
            clock.sleep(timeouts::POLL_SHORTEST).await;
        }
    }

    /// The end of an opening; none while the machine works on it.
    async fn opened_yet(&self, id: &str, started: &StartedExecution) -> ClientResult<Option<OpenedNow>> {
        // The execution first: one that has failed leaves no record.
        let execution = self.opening_execution(started).await?;
        let record = self.recoveries.recovery(id).await?;
        let is_ours = |opening: &Opening| opening.id == started.id;
        let opening = record.as_ref().and_then(|record| record.opening.clone()).filter(is_ours);
        // The machine goes on to wait for the time that it had, whoever has closed it.
        let is_closed = record.and_then(|record| record.last_opening).as_ref().is_some_and(is_ours);
        match (execution.status, opening) {
            (Status::Running, Some(opening)) if opening.at.is_some() => Ok(Some(OpenedNow::Open(Box::new(opening)))),
            // Closed before anybody saw it open.
            (Status::Running, None) if is_closed => Ok(Some(OpenedNow::Closed)),
            (Status::Running, _) => Ok(None),
            (Status::Succeeded, _) => Ok(Some(OpenedNow::Closed)),
            (Status::Failed | Status::Stopped, _) => Err(ended(started, &execution)),
        }
    }

    /// Closes what a recovery left behind, and waits until it is closed. What is open to nobody counts as closed.
    ///
    /// # Errors
    ///
    /// `Refused` where it could not be closed; errors of AWS.
    pub async fn close_left_behind(
        &self,
        id: &str,
        by: &str,
        begun: impl FnOnce(&StartedExecution),
        clock: &impl Clock,
    ) -> ClientResult<OpenedNow> {
        let recovery = self.recovery(id).await?;
        if recovery.opening.is_none() {
            return Ok(OpenedNow::Closed);
        }
        let started = self.start_numbered(id, "close", &json!({ "recovery": id, "by": by, "close": true })).await?;
        begun(&started);
        let mut passing = Passing::default();
        loop {
            if let Some(execution) = passing.tolerates(self.opening_execution(&started).await, clock)? {
                match execution.status {
                    Status::Running => {}
                    Status::Succeeded => return Ok(OpenedNow::Closed),
                    Status::Failed | Status::Stopped => return Err(ended(&started, &execution)),
                }
            }
            clock.sleep(timeouts::POLL_SHORTEST).await;
        }
    }

    /// Starts an execution of the machine under the next name that is free.
    async fn start_numbered(&self, id: &str, what: &str, input: &Value) -> ClientResult<StartedExecution> {
        let Some(state_machine) = &self.deployment.open_state_machine else {
            return Err(ClientError::Refused(
                "it is not known which state machine opens what recoveries left behind; nothing was changed; next step: name the stack \
                 (--stack), or set OPEN_STATE_MACHINE_ARN, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        for n in 0..ATTEMPTS {
            let name = numbered_id(id, what, n);
            let started = self.start_execution(state_machine, &name, input).await?;
            // One of before has ended, or is somebody else's at this moment: whoever is second is refused by the machine.
            if let Some(started) = started.filter(|started| !started.started_before) {
                return Ok(started);
            }
        }
        Err(ClientError::Refused(format!(
            "{id} was opened {ATTEMPTS} times; nothing was changed; next step: start an execution of {state_machine} by hand"
        )))
    }

    async fn opening_execution(&self, started: &StartedExecution) -> ClientResult<Execution> {
        let found = self.executions.execution(&started.arn).await?;
        found.ok_or_else(|| {
            ClientError::Refused(format!(
                "the execution {} cannot be seen; next step: rewind status shows whether it is open",
                started.id
            ))
        })
    }
}

/// The time for which errors of AWS that may pass are tolerated: the machine goes on whether somebody sees it or not.
const ERRORS_TOLERATED: SignedDuration = SignedDuration::from_mins(15);

/// Errors of AWS, one after the other, while an execution works.
#[derive(Debug, Default)]
struct Passing {
    since: Option<Timestamp>,
}

impl Passing {
    /// The value that was read; none after an error that may be gone at the next call.
    fn tolerates<T>(&mut self, read: ClientResult<T>, clock: &impl Clock) -> ClientResult<Option<T>> {
        match read {
            Ok(value) => {
                self.since = None;
                Ok(Some(value))
            }
            Err(error) if error.may_pass() => {
                let now = clock.now();
                let since = *self.since.get_or_insert(now);
                if now.duration_since(since) < ERRORS_TOLERATED { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

fn ended(started: &StartedExecution, execution: &Execution) -> ClientError {
    let cause = execution
        .cause
        .as_deref()
        .unwrap_or("it was ended from outside; next step: rewind status shows whether it is open");
    ClientError::Refused(format!("{}: {cause}", started.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deployment;
    use crate::fake::{FakeAws, OPEN_MACHINE};
    use rewind_aws::fixtures::{in_place_plan, plan, time};
    use rewind_core::{ErrorName, OpenedAt, StepError};

    /// A clock that lets others go on, and takes no time.
    struct Turns;

    impl Clock for Turns {
        fn now(&self) -> jiff::Timestamp {
            time("2026-11-23T12:00:00Z")
        }

        async fn sleep(&self, _: std::time::Duration) {
            tokio::task::yield_now().await;
        }
    }

    fn asked() -> AskedOpening {
        AskedOpening { from: "203.0.113.7/32".to_owned(), length: SignedDuration::from_hours(1), database: None }
    }

    fn recovered(edit: impl FnOnce(&mut RecoveryRecord)) -> FakeAws {
        let aws = FakeAws::default();
        aws.add_recovered("r-1");
        let mut record = aws.state().records.get("r-1").cloned().unwrap();
        record.plan = Some(plan());
        edit(&mut record);
        aws.state().records.insert("r-1".to_owned(), record);
        aws
    }

    fn opening(id: &str) -> Opening {
        let at = OpenedAt {
            cluster: "orders".to_owned(),
            engine: "aurora-postgresql".to_owned(),
            host: "orders.cluster-x".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "rewind_open_1".to_owned(),
            secret: "arn:secret".to_owned(),
            network: String::new(),
            unread: Vec::new(),
        };
        Opening {
            id: id.to_owned(),
            by: "ann".to_owned(),
            from: "203.0.113.7".to_owned(),
            until: time("2026-11-23T13:00:00Z"),
            database: None,
            at: Some(at),
        }
    }

    async fn open(aws: &FakeAws, asked: &AskedOpening, confirm: Option<&str>) -> Result<OpenedNow, String> {
        let client = aws.client();
        let opened = client.open_left_behind("r-1", asked, (confirm, "ann"), |_| {}, &Turns).await;
        opened.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn nothing_is_started_before_the_cluster_is_named() {
        let aws = recovered(|_| {});
        for confirm in [None, Some("other")] {
            let refused = open(&aws, &asked(), confirm).await.unwrap_err();
            assert!(refused.contains("--confirm orders") && refused.contains("203.0.113.7"), "{refused}");
        }
        for (from, length) in [("203.0.113.0/24", 3600), ("203.0.113.7", 59), ("203.0.113.7", 8 * 3600 + 1)] {
            let asked = AskedOpening { from: from.to_owned(), length: SignedDuration::from_secs(length), ..asked() };
            assert!(open(&aws, &asked, Some("orders")).await.unwrap_err().contains("nobody was let in"));
        }
        assert_eq!(aws.state().started, []);
    }

    #[tokio::test]
    async fn only_what_a_recovery_left_behind_fenced_is_opened() {
        type Edit = fn(&mut RecoveryRecord);
        let cases: [(Edit, &str); 4] = [
            (|record| record.state = "Undone".to_owned(), "it is Undone"),
            (|record| record.plan.as_mut().unwrap().dns.clear(), "log in there as ever"),
            (|record| record.plan = None, "no plan"),
            (|record| record.opening = Some(opening("r-1-open")), "open already, to ann"),
        ];
        for (edit, why) in cases {
            let aws = recovered(edit);
            let refused = open(&aws, &asked(), Some("orders")).await.unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(aws.state().started, []);
        }
        // In place it is the safety clone.
        let aws = recovered(|record| record.plan = Some(in_place_plan()));
        let (_, cluster) = aws.client().left_behind("r-1").await.unwrap();
        assert_eq!(cluster, in_place_plan().new_cluster);
    }

    #[tokio::test]
    async fn it_is_open_once_the_record_shows_how_to_connect_and_a_failure_is_shown() {
        let aws = recovered(|_| {});
        let started = "r-1-open";
        let arn = Deployment::execution_arn(OPEN_MACHINE, started);
        let (opened, ()) = futures_util::future::join(open(&aws, &asked(), Some("orders")), async {
            while aws.state().started.is_empty() {
                tokio::task::yield_now().await;
            }
            aws.state().records.get_mut("r-1").unwrap().opening = Some(opening(started));
        })
        .await;
        assert_eq!(opened, Ok(OpenedNow::Open(Box::new(opening(started)))));
        let (name, input) = aws.state().started[0].clone();
        assert_eq!(name, started);
        assert_eq!(input, json!({ "recovery": "r-1", "by": "ann", "from": "203.0.113.7", "seconds": 3600 }));
        aws.end(&arn, Status::Failed, Value::Null);
        // The next one has another name, and hears what became of it.
        aws.state().records.get_mut("r-1").unwrap().opening = None;
        let (refused, ()) = futures_util::future::join(open(&aws, &asked(), Some("orders")), async {
            while aws.state().started.len() < 2 {
                tokio::task::yield_now().await;
            }
            let arn = Deployment::execution_arn(OPEN_MACHINE, "r-1-open-2");
            aws.state().executions.get_mut(&arn).unwrap().cause = Some("the table was away".to_owned());
            aws.end(&arn, Status::Failed, Value::Null);
        })
        .await;
        assert_eq!(refused, Err("r-1-open-2: the table was away".to_owned()));
    }

    #[tokio::test]
    async fn what_is_open_to_nobody_is_closed_without_an_execution() {
        let aws = recovered(|_| {});
        let begun = |_: &StartedExecution| panic!("what is open to nobody needs no execution");
        assert_eq!(aws.client().close_left_behind("r-1", "ben", begun, &Turns).await, Ok(OpenedNow::Closed));
        assert_eq!(aws.state().started, []);
        aws.state().records.get_mut("r-1").unwrap().opening = Some(opening("r-1-open"));
        let client = aws.client();
        let (closed, ()) = futures_util::future::join(client.close_left_behind("r-1", "ben", |_| {}, &Turns), async {
            while aws.state().started.is_empty() {
                tokio::task::yield_now().await;
            }
            aws.end(&Deployment::execution_arn(OPEN_MACHINE, "r-1-close"), Status::Succeeded, Value::Null);
        })
        .await;
        assert_eq!(closed, Ok(OpenedNow::Closed));
        assert_eq!(aws.state().started[0].1, json!({ "recovery": "r-1", "by": "ben", "close": true }));
    }

    #[tokio::test]
    async fn one_that_somebody_closes_before_it_was_seen_open_ends_the_command_while_its_execution_runs() {
        let aws = recovered(|_| {});
        let (opened, ()) = futures_util::future::join(open(&aws, &asked(), Some("orders")), async {
            while aws.state().started.is_empty() {
                tokio::task::yield_now().await;
            }
            aws.state().records.get_mut("r-1").unwrap().last_opening = Some(opening("r-1-open"));
        })
        .await;
        assert_eq!(opened, Ok(OpenedNow::Closed));
        // One of before is no sign of this one.
        let aws = recovered(|record| record.last_opening = Some(opening("r-1-open-0")));
        let (opened, ()) = futures_util::future::join(open(&aws, &asked(), Some("orders")), async {
            while aws.state().started.is_empty() {
                tokio::task::yield_now().await;
            }
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            aws.state().records.get_mut("r-1").unwrap().opening = Some(opening("r-1-open"));
        })
        .await;
        assert_eq!(opened, Ok(OpenedNow::Open(Box::new(opening("r-1-open")))));
    }

    #[tokio::test]
    async fn an_error_that_passes_ends_no_wait_and_one_that_stays_does() {
        let unavailable = || StepError::new(ErrorName::Unavailable, "AWS could not be reached");
        let aws = recovered(|_| {});
        let mut begun = None;
        let (client, asked_for) = (aws.client(), asked());
        let noted = |started: &StartedExecution| {
            begun = Some(started.id.clone());
            aws.state().trouble = vec![unavailable(), unavailable()];
            aws.state().records.get_mut("r-1").unwrap().opening = Some(opening("r-1-open"));
        };
        let opened = client.open_left_behind("r-1", &asked_for, (Some("orders"), "ann"), noted, &Turns).await;
        assert_eq!(opened, Ok(OpenedNow::Open(Box::new(opening("r-1-open")))));
        assert_eq!((begun.as_deref(), aws.state().trouble.len()), (Some("r-1-open"), 0));
        let mut passing = Passing { since: Some(time("2026-11-23T11:45:00Z")) };
        let error = || Err::<(), _>(ClientError::Aws(unavailable()));
        assert_eq!(passing.tolerates(error(), &Turns), Err(ClientError::Aws(unavailable())));
        assert_eq!(passing.tolerates(Ok(()), &Turns), Ok(Some(())));
        assert_eq!(passing.tolerates(error(), &Turns), Ok(None));
        let denied = || ClientError::Aws(StepError::new(ErrorName::RewindFailed, "AccessDenied"));
        assert_eq!(passing.tolerates(Err::<(), _>(denied()), &Turns), Err(denied()));
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_refused_before_anybody_is_asked() {
        let aws = recovered(|record| record.opening = Some(opening("r-1-open")));
        let refused = aws.client().openable("r-1", &asked()).await.unwrap_err().to_string();
        assert!(refused.contains("open already, to ann"), "{refused}");
        let aws = recovered(|_| {});
        let long = AskedOpening { length: SignedDuration::from_hours(9), ..asked() };
        let refused = aws.client().openable("r-1", &long).await.unwrap_err().to_string();
        assert!(refused.contains("for 1m to 8h"), "{refused}");
        assert_eq!(aws.client().openable("r-1", &asked()).await.unwrap().1, "orders");
    }
}
