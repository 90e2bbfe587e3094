//! Publishes messages for people to an SNS topic.

use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};

/// Publishes messages for people.
pub trait Notify: Send + Sync {
    /// Publishes a message. A subject of SNS has 100 characters of ASCII at most: it is cut here.
    fn notify(&self, subject: &str, message: &str) -> impl Future<Output = AwsResult<()>> + Send;

    /// True if the topic has a confirmed subscription.
    fn is_heard(&self) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// The client of the topic.
#[derive(Debug, Clone)]
pub struct Topic {
    client: aws_sdk_sns::Client,
    arn: String,
}

impl Topic {
    /// The client at the environment's endpoint, for the topic `REWIND_TOPIC_ARN`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        let arn = crate::environment::required("REWIND_TOPIC_ARN")?;
        Ok(Self { client: aws_sdk_sns::Client::new(&aws.config("SNS")), arn })
    }
}

impl Notify for Topic {
    /// IAM: `sns:Publish`.
    async fn notify(&self, subject: &str, message: &str) -> AwsResult<()> {
        // SNS refuses the whole message for a subject with a newline or a 101st character; the message says it all anyway.
        let subject: String = subject.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(100).collect();
        self.client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(message)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, "sns:Publish"))?;
        Ok(())
    }

    /// IAM: `sns:GetTopicAttributes`.
    async fn is_heard(&self) -> AwsResult<bool> {
        let topic = self
            .client
            .get_topic_attributes()
            .topic_arn(&self.arn)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "sns:GetTopicAttributes"))?;
        // <https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html>
        let confirmed = topic.attributes().and_then(|all| all.get("SubscriptionsConfirmed"));
        // An attribute that is missing is no reason to page: only a zero is known to reach nobody.
        Ok(confirmed.is_none_or(|confirmed| confirmed != "0"))
    }
}
