//! Opens what a recovery left behind to one person who reads there, and closes it. A state machine does the work; this starts it, and
//! waits until the record says how to connect.

use crate::{ClientError, ClientResult, RecoveryClient, StartedExecution};
use jiff::SignedDuration;
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{
    Clock, Ending, OPEN_FOR_LEAST, OPEN_FOR_MOST, Opening, RecoveryRecord, Strategy, format_time, one_address, timeouts,
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

    /// Opens what a recovery left behind, and waits until somebody can connect.
    ///
    /// # Errors
    ///
    /// `Refused` where it cannot be opened, `asked` is wrong or `confirm` is not the cluster's name; errors of AWS.
    pub async fn open_left_behind(
        &self,
        id: &str,
        asked: &AskedOpening,
        (confirm, by): (Option<&str>, &str),
        clock: &impl Clock,
    ) -> ClientResult<OpenedNow> {
        let from = one_address(&asked.from).map_err(|why| ClientError::Refused(format!("{why}; nobody was let in")))?;
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
        loop {
            // The execution first: one that has failed leaves no record.
            let execution = self.opening_execution(&started).await?;
            let record = self.recoveries.recovery(id).await?;
            let opening = record.and_then(|record| record.opening).filter(|opening| opening.id == started.id);
            match (execution.status, opening) {
                (Status::Running, Some(opening)) if opening.at.is_some() => {
                    return Ok(OpenedNow::Open(Box::new(opening)));
                }
                (Status::Running, _) => clock.sleep(timeouts::POLL_SHORTEST).await,
                // It was closed before anybody saw it open.
                (Status::Succeeded, _) => return Ok(OpenedNow::Closed),
                (Status::Failed | Status::Stopped, _) => return Err(ended(&started, &execution)),
            }
        }
    }

    /// Closes what a recovery left behind, and waits until it is closed. What is open to nobody counts as closed.
    ///
    /// # Errors
    ///
    /// `Refused` where it could not be closed; errors of AWS.
    pub async fn close_left_behind(&self, id: &str, by: &str, clock: &impl Clock) -> ClientResult<OpenedNow> {
        let recovery = self.recovery(id).await?;
        if recovery.opening.is_none() {
            return Ok(OpenedNow::Closed);
        }
        let started = self.start_numbered(id, "close", &json!({ "recovery": id, "by": by, "close": true })).await?;
        loop {
            let execution = self.opening_execution(&started).await?;
            match execution.status {
                Status::Running => clock.sleep(timeouts::POLL_SHORTEST).await,
                Status::Succeeded => return Ok(OpenedNow::Closed),
                Status::Failed | Status::Stopped => return Err(ended(&started, &execution)),
            }
        }
    }

    /// Starts an execution of the machine under the next name that is free.
    async fn start_numbered(&self, id: &str, what: &str, input: &Value) -> ClientResult<StartedExecution> {
        let Some(state_machine) = &self.deployment.open_state_machine else {
            return Err(ClientError::Refused(
                "it is not known which state machine opens what recoveries left behind; nothing was changed; next step: set \
                 OPEN_STATE_MACHINE_ARN, which the stack's outputs have"
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
    use rewind_core::OpenedAt;

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
        aws.client().open_left_behind("r-1", asked, (confirm, "ann"), &Turns).await.map_err(|error| error.to_string())
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
        assert_eq!(aws.client().close_left_behind("r-1", "ben", &Turns).await, Ok(OpenedNow::Closed));
        assert_eq!(aws.state().started, []);
        aws.state().records.get_mut("r-1").unwrap().opening = Some(opening("r-1-open"));
        let client = aws.client();
        let (closed, ()) = futures_util::future::join(client.close_left_behind("r-1", "ben", &Turns), async {
            while aws.state().started.is_empty() {
                tokio::task::yield_now().await;
            }
            aws.end(&Deployment::execution_arn(OPEN_MACHINE, "r-1-close"), Status::Succeeded, Value::Null);
        })
        .await;
        assert_eq!(closed, Ok(OpenedNow::Closed));
        assert_eq!(aws.state().started[0].1, json!({ "recovery": "r-1", "by": "ben", "close": true }));
    }
}
