//! Signs and verifies plans, and their approvals, with keys of KMS that never leave it.
//!
//! KMS takes messages of up to 4,096 bytes, so it gets the digest of a plan and not the plan.

use crate::classify::{Call, classify, code};
use crate::environment::required;
use crate::{Aws, AwsResult};
use aws_sdk_kms::types::MacAlgorithmSpec;
use aws_smithy_types::{Blob, base64};
use rewind_core::{JsonDigest, SignApprovals, SignPlans, StepError, VerifyApprovals, VerifyPlans};

/// The client of the key that plans are signed with.
#[derive(Debug, Clone)]
pub struct PlanKey {
    client: aws_sdk_kms::Client,
    key: String,
}

impl PlanKey {
    /// Creates the client at the environment's endpoint, for the key `REWIND_PLAN_KEY`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        Ok(Self::new(aws, required("REWIND_PLAN_KEY")?))
    }

    fn new(aws: &Aws, key: impl Into<String>) -> Self {
        Self { client: aws_sdk_kms::Client::new(&aws.config("KMS")), key: key.into() }
    }
}

impl SignPlans for PlanKey {
    /// IAM: `kms:GenerateMac`.
    async fn sign_plan(&self, digest: &JsonDigest) -> AwsResult<String> {
        let signed = self
            .client
            .generate_mac()
            .key_id(&self.key)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(digest.as_slice()))
            .send()
            .await
            // It changes nothing, so it may be repeated.
            .map_err(|e| classify(&e, Call::Read, "kms:GenerateMac"))?;
        let mac = signed.mac.ok_or_else(|| StepError::bug("kms:GenerateMac answered no MAC"))?;
        Ok(base64::encode(mac))
    }
}

impl VerifyPlans for PlanKey {
    /// IAM: `kms:VerifyMac`.
    async fn verify_plan(&self, digest: &JsonDigest, signature: &str) -> AwsResult<bool> {
        // KMS refuses an empty MAC as a malformed call.
        let Some(mac) = base64::decode(signature).ok().filter(|mac| !mac.is_empty()) else { return Ok(false) };
        let verified = self
            .client
            .verify_mac()
            .key_id(&self.key)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(digest.as_slice()))
            .mac(Blob::new(mac))
            .send()
            .await;
        match verified {
            Ok(verified) => Ok(verified.mac_valid),
            // A MAC that is not valid is an error of the call, and never an answer.
            // <https://docs.aws.amazon.com/kms/latest/APIReference/API_VerifyMac.html>
            Err(e) if code(&e) == Some("KMSInvalidMacException") => Ok(false),
            Err(e) => Err(classify(&e, Call::Read, "kms:VerifyMac")),
        }
    }
}

/// The client of the key that approvals are signed with: another one, so that whoever signs them signs no plan.
#[derive(Debug, Clone)]
pub struct ApprovalKey(PlanKey);

impl ApprovalKey {
    /// Creates the client at the environment's endpoint, for the key `REWIND_APPROVAL_KEY`.
    ///
    /// # Errors
    ///
    /// `Bug` where the variable is not set: the template sets it.
    pub fn from_env(aws: &Aws) -> AwsResult<Self> {
        Ok(Self(PlanKey::new(aws, required("REWIND_APPROVAL_KEY")?)))
    }
}

impl SignApprovals for ApprovalKey {
    /// IAM: `kms:GenerateMac`.
    async fn sign_approval(&self, digest: &JsonDigest) -> AwsResult<String> {
        self.0.sign_plan(digest).await
    }
}

impl VerifyApprovals for ApprovalKey {
    /// IAM: `kms:VerifyMac`.
    async fn verify_approval(&self, digest: &JsonDigest, signature: &str) -> AwsResult<bool> {
        self.0.verify_plan(digest, signature).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use rewind_core::ErrorName;

    const VALID: &str = "bWFj";

    /// The other end of the wire: KMS with one answer.
    #[derive(Debug, Clone)]
    struct Wire(u16, &'static str);

    impl HttpConnector for Wire {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Ok(HttpResponse::new(self.0.try_into().unwrap(), SdkBody::from(self.1))))
        }
    }

    fn key(status: u16, body: &'static str) -> PlanKey {
        let http = http_client_fn(move |_, _| SharedHttpConnector::new(Wire(status, body)));
        PlanKey::new(&Aws::for_test(http), "key")
    }

    async fn verified(status: u16, body: &'static str) -> AwsResult<bool> {
        key(status, body).verify_plan(&[7; 32], VALID).await
    }

    #[tokio::test]
    async fn only_a_mac_that_kms_calls_valid_is() {
        assert_eq!(verified(200, r#"{"KeyId":"key","MacValid":true,"MacAlgorithm":"HMAC_SHA_256"}"#).await, Ok(true));
        // An answer without the field, from whatever answers in the place of KMS.
        assert_eq!(verified(200, "{}").await, Ok(false));
        assert_eq!(verified(400, r#"{"__type":"KMSInvalidMacException","message":"no"}"#).await, Ok(false));
    }

    #[tokio::test]
    async fn what_is_no_signature_is_not_even_asked_about() {
        for signature in ["", "not base64!"] {
            let verified = key(500, "").verify_plan(&[7; 32], signature).await;
            assert_eq!(verified, Ok(false), "{signature}");
        }
    }

    #[tokio::test]
    async fn without_an_answer_of_kms_nobody_knows_and_it_is_tried_again() {
        let error = verified(500, r#"{"__type":"KMSInternalException","message":"no"}"#).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Unavailable);
        // A key that is disabled or deleted stays so.
        let error = verified(400, r#"{"__type":"DisabledException","message":"no"}"#).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed);
    }
}
