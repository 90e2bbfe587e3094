//! The port of measurements of clusters, by the metrics in
//! <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html>.

#[cfg(feature = "chain")]
mod cloud_watch;

#[cfg(feature = "chain")]
pub use cloud_watch::CloudWatch;

use crate::AwsResult;
use jiff::Timestamp;
use rewind_core::Measured;

/// Reads measurements of clusters.
pub trait ReadMetrics: Send + Sync {
    /// Reads the measurements of a cluster and its `instances` in the 24 hours before `now`.
    ///
    /// # Errors
    ///
    /// The error of AWS. Metrics that have no values are no error.
    fn measured(
        &self,
        cluster: &str,
        instances: &[String],
        now: Timestamp,
    ) -> impl Future<Output = AwsResult<Measured>> + Send;
}
