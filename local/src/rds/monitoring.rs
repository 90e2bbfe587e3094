//! Performance Insights and enhanced monitoring, of clusters and of instances, read from requests.

use super::error::ApiError;
use super::query::Params;
use super::resource_names::{ACCOUNT, region};

/// Performance Insights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Insights {
    pub enabled: bool,
    pub kms_key: Option<String>,
    /// Days.
    pub retention: Option<u32>,
}

/// Enhanced monitoring.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Monitoring {
    /// Seconds; 0 is off.
    pub interval: u32,
    pub role: Option<String>,
}

/// Reads enhanced monitoring: an interval needs a role, and 0 turns it off.
pub fn read_monitoring(present: &mut Monitoring, params: &Params) -> Result<(), ApiError> {
    if let Some(interval) = params.number::<u32>("MonitoringInterval", 0..=60)? {
        if ![0, 1, 5, 10, 15, 30, 60].contains(&interval) {
            return Err(ApiError::value(format!(
                "Invalid MonitoringInterval: {interval}. Valid values are 0, 1, 5, 10, 15, 30, 60"
            )));
        }
        present.interval = interval;
    }
    if let Some(role) = params.text("MonitoringRoleArn").filter(|role| !role.is_empty()) {
        present.role = Some(role);
    }
    if present.interval == 0 {
        present.role = None;
    } else if present.role.is_none() {
        return Err(ApiError::combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        ));
    }
    Ok(())
}

/// Reads Performance Insights.
pub fn read_insights(present: &mut Insights, params: &Params) -> Result<(), ApiError> {
    if let Some(enabled) = params.boolean("EnablePerformanceInsights")? {
        present.enabled = enabled;
    }
    let key = params.text("PerformanceInsightsKMSKeyId");
    let retention = params.number("PerformanceInsightsRetentionPeriod", 7..=731_u32)?;
    if !present.enabled {
        if key.is_some() || retention.is_some() {
            return Err(ApiError::combination(
                "You can set Performance Insights options only when Performance Insights is enabled.",
            ));
        }
        *present = Insights::default();
        return Ok(());
    }
    present.kms_key = key
        .or(present.kms_key.take())
        // AWS uses its own key then, which has an ARN like any other.
        .or_else(|| Some(format!("arn:aws:kms:{}:{ACCOUNT}:key/insights", region())));
    present.retention = retention.or(present.retention).or(Some(7));
    Ok(())
}
