//! The login that checks run with: the plan's own for checks, or that of the fence. Checks are somebody's SQL, so they get the least
//! that there is. It runs no check.

use crate::{Access, target, writer};
use jiff::Timestamp;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{ErrorName, Plan, StepError, timeouts};
use rewind_db::{ConnectError, Credential, Server, Target, defaults};

/// The instance of a cluster that checks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedOn {
    /// One that only reads.
    Reader,
    /// The writer: there is no reader that takes connections.
    Writer,
}

impl<C: ReadClusters, S: Logins> Access<C, S> {
    /// The writer of `cluster`, with the login that the plan's checks run with; its password is that of `moment`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; an error of reading the secret is its `Failed`.
    pub async fn check_server(
        &self,
        recovery_id: &str,
        plan: &Plan,
        cluster: &Cluster,
        moment: Timestamp,
    ) -> Result<Server, ConnectError> {
        let credentials = self.check_credentials(cluster, plan, moment).await.map_err(ConnectError::Failed)?;
        let writer = writer(cluster).map_err(ConnectError::Failed)?;
        self.connect_for_checks(recovery_id, plan, &writer, &credentials)
            .await
            .map_err(|error| explained(error, plan, cluster, moment))
    }

    /// The same on a reader of `cluster`, among `instances`; on its writer only if no reader takes the connection. Clients work there,
    /// and a check must not be in their way.
    ///
    /// # Errors
    ///
    /// As [`Self::check_server`].
    pub async fn check_server_beside_clients(
        &self,
        recovery_id: &str,
        plan: &Plan,
        (cluster, instances): (&Cluster, &[Instance]),
        moment: Timestamp,
    ) -> Result<(Server, CheckedOn), ConnectError> {
        let credentials = self.check_credentials(cluster, plan, moment).await.map_err(ConnectError::Failed)?;
        let reader = self.reader_for_checks(recovery_id, plan, (cluster, instances), &credentials);
        match within(timeouts::READERS, Box::pin(reader)).await.unwrap_or_else(|OutOfTime| Ok(None)) {
            Ok(Some(server)) => return Ok((server, CheckedOn::Reader)),
            // All instances share their logins: the writer would refuse this one as well.
            Err(error) => return Err(explained(error, plan, cluster, moment)),
            Ok(None) => {}
        }
        let writer = writer(cluster).map_err(ConnectError::Failed)?;
        let server = self.connect_for_checks(recovery_id, plan, &writer, &credentials).await;
        server.map(|server| (server, CheckedOn::Writer)).map_err(|error| explained(error, plan, cluster, moment))
    }

    /// The same with the login of the fence, which sees all tables; its password is that of `moment`.
    ///
    /// # Errors
    ///
    /// As [`Self::check_server`].
    pub async fn server_beside_clients(
        &self,
        recovery_id: &str,
        plan: &Plan,
        (cluster, instances): (&Cluster, &[Instance]),
        moment: Timestamp,
    ) -> Result<Server, ConnectError> {
        let credentials = self.credentials(cluster, plan, moment).await.map_err(ConnectError::Failed)?;
        let reader = self.reader_for_checks(recovery_id, plan, (cluster, instances), &credentials);
        match within(timeouts::READERS, Box::pin(reader)).await.unwrap_or_else(|OutOfTime| Ok(None)) {
            Ok(Some(server)) => Ok(server),
            Err(error) => Err(error),
            Ok(None) => {
                let writer = writer(cluster).map_err(ConnectError::Failed)?;
                self.connect_for_checks(recovery_id, plan, &writer, &credentials).await
            }
        }
    }

    /// The first reader that lets the login in; none where no reader takes the connection.
    async fn reader_for_checks(
        &self,
        recovery_id: &str,
        plan: &Plan,
        (cluster, instances): (&Cluster, &[Instance]),
        credentials: &[Credential],
    ) -> Result<Option<Server>, ConnectError> {
        for endpoint in reader_endpoints(cluster, instances) {
            match self.connect_for_checks(recovery_id, plan, &target(cluster, endpoint), credentials).await {
                Ok(server) => return Ok(Some(server)),
                Err(error @ ConnectError::LoginRefused(_)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// The logins that checks may run with, the likeliest first.
    async fn check_credentials(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        moment: Timestamp,
    ) -> Result<Vec<Credential>, StepError> {
        let Some(arn) = &plan.check_secret_arn else { return self.credentials(cluster, plan, moment).await };
        let logins = self.secrets.logins(arn, moment).await?;
        let credentials: Vec<Credential> = logins
            .into_iter()
            // The master user, which stands in for a name that is missing elsewhere, is the one that this login is not.
            .filter_map(|login| Some(Credential { user: login.user?, password: login.password, label: login.version }))
            .collect();
        if credentials.is_empty() {
            return Err(StepError::new(ErrorName::VerificationFailed, format!("the secret {arn} names no user"))
                .advice("write `username` and `password` of the check login into it"));
        }
        Ok(credentials)
    }

    /// Logs in to the first database that lets the login in: one that may only read has no business in most of them.
    async fn connect_for_checks(
        &self,
        recovery_id: &str,
        plan: &Plan,
        target: &Target,
        credentials: &[Credential],
    ) -> Result<Server, ConnectError> {
        let network = self.network_of(recovery_id, plan);
        let mut databases = vec![defaults(target.engine).maintenance_database];
        databases.extend(plan.checks.iter().map(|check| check.database.as_str()));
        let mut last = None;
        for (at, database) in databases.iter().enumerate() {
            if databases.iter().take(at).any(|earlier| earlier == database) {
                continue;
            }
            match Server::connect(&network, target, credentials, database).await {
                Ok((server, session)) => {
                    session.close().await;
                    return Ok(server);
                }
                Err(
                    error @ (ConnectError::NotAllowed(_)
                    | ConnectError::DatabaseMissing(_)
                    | ConnectError::DatabaseInvalid(_)),
                ) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Failed(StepError::bug("no database was tried"))))
    }
}

/// The endpoints of the readers that take connections.
fn reader_endpoints<'a>(cluster: &'a Cluster, instances: &'a [Instance]) -> impl Iterator<Item = &'a str> {
    let writer = cluster.members.iter().find(|member| member.writer).map(|member| &member.instance);
    instances
        .iter()
        .filter(move |instance| Some(&instance.name) != writer && instance.status == "available")
        .filter_map(|instance| instance.endpoint.as_deref())
}

/// Adds which login was refused, and of which moment the cluster's logins are: both are easily taken for the master's and today's.
fn explained(error: ConnectError, plan: &Plan, cluster: &Cluster, moment: Timestamp) -> ConnectError {
    match (error, &plan.check_secret_arn) {
        (ConnectError::LoginRefused(why), Some(arn)) => ConnectError::LoginRefused(format!(
            "the check login of {arn} does not get into {}, whose logins and passwords are those of {moment}: {why}",
            cluster.name
        )),
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{instances, plan, source, time};

    #[test]
    fn only_instances_that_are_up_and_do_not_write_are_readers() {
        let mut up: Vec<Instance> = instances().into_iter().map(|(_, instance)| instance).collect();
        let endpoint = |name: &str| format!("{name}.x.us-east-1.rds.amazonaws.com");
        for instance in &mut up {
            (instance.status, instance.endpoint) = ("available".to_owned(), Some(endpoint(&instance.name)));
        }
        let of = |instances: &[Instance]| -> Vec<String> {
            reader_endpoints(&source(), instances).map(ToOwned::to_owned).collect()
        };
        assert_eq!(of(&up), [endpoint("orders-2")]);
        for instance in &mut up {
            instance.status = "rebooting".to_owned();
        }
        assert_eq!(of(&up), [""; 0]);
    }

    #[test]
    fn a_refused_check_login_is_told_with_its_secret_and_its_moment() {
        let refused = || ConnectError::LoginRefused("password authentication failed".to_owned());
        let moment = time("2026-11-23T10:30:00Z");
        let own = Plan { check_secret_arn: Some("arn:reader".to_owned()), ..plan() };
        let text = explained(refused(), &own, &source(), moment).to_string();
        let expected = "the check login of arn:reader does not get into orders, whose logins and passwords are those of \
                        2026-11-23T10:30:00Z: password";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(explained(refused(), &plan(), &source(), moment), refused());
    }
}
