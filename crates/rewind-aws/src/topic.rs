//! Messages to people, by SNS.

use crate::classify::{Call, classify};
use crate::{Answer, Aws};

/// Tells people.
pub trait Tell: Send + Sync {
    /// Publishes a message. A subject of SNS has 100 characters of ASCII at most: it is cut here.
    fn tell(&self, subject: &str, message: &str) -> impl Future<Output = Answer<()>> + Send;

    /// True where somebody has confirmed a subscription.
    fn is_heard(&self) -> impl Future<Output = Answer<bool>> + Send;
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
    pub fn from_env(aws: &Aws) -> Answer<Self> {
        let arn = crate::environment::required("REWIND_TOPIC_ARN")?;
        Ok(Self { client: aws_sdk_sns::Client::new(&aws.config("SNS")), arn })
    }
}

impl Tell for Topic {
    /// IAM: `sns:Publish`.
    async fn tell(&self, subject: &str, message: &str) -> Answer<()> {
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
    async fn is_heard(&self) -> Answer<bool> {
        let topic = self
            .client
            .get_topic_attributes()
            .topic_arn(&self.arn)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "sns:GetTopicAttributes"))?;
        // <https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html>
        let confirmed = topic.attributes().and_then(|all| all.get("SubscriptionsConfirmed"));
        Ok(confirmed.is_none_or(|confirmed| confirmed != "0"))
    }
}
