//! The secret with the password of a login that one person reads with: made when the cluster is opened, deleted when it is closed.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::secrets::Secrets;
use aws_sdk_secretsmanager::types::Tag;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{ErrorName, StepError};
use serde_json::Value;

/// Keeps the logins of openings.
pub trait OpeningSecrets: Send + Sync {
    /// Keeps `login`, JSON with a `password`, in a new secret of that name, and returns its ARN. One that is there already is deleted first,
    /// whoever made it: whoever knows the name beforehand would know the password as well.
    fn keep_opening_login(
        &self,
        name: &str,
        recovery_id: &str,
        login: &Value,
    ) -> impl Future<Output = AwsResult<String>> + Send;
    /// Deletes the secret at once; false where there is none.
    fn delete_opening_login(&self, name: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

impl OpeningSecrets for Secrets {
    /// IAM: `secretsmanager:CreateSecret`, `secretsmanager:TagResource`, `secretsmanager:DeleteSecret`.
    async fn keep_opening_login(&self, name: &str, recovery_id: &str, login: &Value) -> AwsResult<String> {
        for may_be_there in [true, false] {
            let created = self
                .0
                .create_secret()
                .name(name)
                .description("A login of aurora-rewind that reads for a time in a cluster that was left behind.")
                .tags(Tag::builder().key(RECOVERY_TAG).value(recovery_id).build())
                .secret_string(login.to_string())
                .send()
                .await;
            match created {
                Ok(created) => {
                    return created
                        .arn
                        .ok_or_else(|| StepError::bug(format!("the secret {name} was made without an ARN")));
                }
                // An earlier run's, whose password nobody was given; or somebody's, with their policy and their key on it.
                Err(e) if may_be_there && code(&e) == Some("ResourceExistsException") => {
                    self.delete_opening_login(name).await?;
                }
                // The name is free some time after a deletion, and is refused by either until then.
                Err(e) if matches!(code(&e), Some("ResourceExistsException" | "InvalidRequestException")) => break,
                Err(e) => return Err(classify(&e, Call::Change, &format!("secretsmanager:CreateSecret of {name}"))),
            }
        }
        Err(StepError::new(ErrorName::Unavailable, format!("the secret {name} is there already, or is being deleted"))
            .changed("nobody was let in")
            .advice("find out who makes secrets of that name, and open the cluster again"))
    }

    /// IAM: `secretsmanager:DeleteSecret`.
    async fn delete_opening_login(&self, name: &str) -> AwsResult<bool> {
        // Without days to recover it: the login is gone, and its name is of this opening alone.
        match self.0.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await {
            Ok(_) => Ok(true),
            Err(e) if code(&e) == Some("ResourceNotFoundException") => Ok(false),
            Err(e) => Err(classify(&e, Call::Change, &format!("secretsmanager:DeleteSecret of {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aws;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    const NAME: &str = "aurora-rewind/open/r-1-open";

    /// The operations that were sent, each with its body.
    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    /// A Secrets Manager that gives these answers in turn, each with its status.
    #[derive(Debug, Clone)]
    struct Wire(Arc<Mutex<VecDeque<(u16, Value)>>>, Seen);

    impl HttpConnector for Wire {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let operation = request.headers().get("x-amz-target").unwrap().split_once('.').unwrap().1.to_owned();
            let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            self.1.lock().unwrap().push((operation, body));
            let (status, answer) = self.0.lock().unwrap().pop_front().unwrap();
            let answer = SdkBody::from(answer.to_string());
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), answer)))
        }
    }

    fn answering(answers: &[(u16, Value)]) -> (Secrets, Seen) {
        let seen = Seen::default();
        let wire = Wire(Arc::new(Mutex::new(answers.to_vec().into())), seen.clone());
        (Secrets::new(&Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(wire.clone())))), seen)
    }

    fn exists() -> (u16, Value) {
        (400, json!({"__type": "ResourceExistsException", "Message": "it is there"}))
    }

    fn made() -> (u16, Value) {
        (200, json!({"ARN": "arn:ours", "Name": NAME}))
    }

    async fn keep(secrets: &Secrets) -> AwsResult<String> {
        secrets.keep_opening_login(NAME, "r-1", &json!({"password": "ours"})).await
    }

    fn operations(seen: &Seen) -> Vec<String> {
        seen.lock().unwrap().iter().map(|(operation, _)| operation.clone()).collect()
    }

    #[tokio::test]
    async fn a_secret_that_was_there_before_is_not_believed_but_replaced() {
        let (secrets, seen) = answering(&[exists(), (200, json!({"ARN": "arn:planted"})), made()]);
        assert_eq!(keep(&secrets).await, Ok("arn:ours".to_owned()));
        assert_eq!(operations(&seen), ["CreateSecret", "DeleteSecret", "CreateSecret"]);
        let seen = seen.lock().unwrap();
        assert_eq!(seen[1].1["SecretId"], NAME);
        assert_eq!(seen[1].1["ForceDeleteWithoutRecovery"], true);
        assert_eq!(seen[2].1["SecretString"], "{\"password\":\"ours\"}");
        assert_eq!(seen[2].1["Tags"][0]["Value"], "r-1");
    }

    #[tokio::test]
    async fn a_name_that_is_not_free_lets_nobody_in_and_is_asked_for_again() {
        let scheduled = (400, json!({"__type": "InvalidRequestException", "Message": "scheduled for deletion"}));
        let deleted = (200, json!({"ARN": "arn:planted"}));
        for answers in
            [vec![exists(), deleted.clone(), exists()], vec![exists(), deleted, scheduled.clone()], vec![scheduled]]
        {
            let (secrets, _) = answering(&answers);
            let error = keep(&secrets).await.unwrap_err();
            assert!(error.name == ErrorName::Unavailable && error.to_string().contains("nobody was let in"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_our_role_may_not_delete_lets_nobody_in() {
        let denied = (400, json!({"__type": "AccessDeniedException", "Message": "no tag"}));
        let (secrets, seen) = answering(&[exists(), denied]);
        assert!(keep(&secrets).await.unwrap_err().to_string().contains("secretsmanager:DeleteSecret"));
        assert_eq!(operations(&seen), ["CreateSecret", "DeleteSecret"]);
    }
}
