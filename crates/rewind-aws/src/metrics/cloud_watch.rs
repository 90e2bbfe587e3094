//! `GetMetricData` of CloudWatch: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>.
//!
//! Called in CloudWatch's JSON protocol, with the parts that the SDK's other crates are made of: its own crate speaks CBOR, for which it
//! brings twelve crates, and another version of two that are there.

use super::ReadMetrics;
use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_types::sdk_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use rewind_core::{ErrorName, Measured, StepError};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The action, for errors.
const ACTION: &str = "cloudwatch:GetMetricData";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The seconds of one value.
const PERIOD: i64 = 300;
/// The age up to which a value stands for now: the present period is measured a minute or two late.
const NOW: SignedDuration = SignedDuration::from_mins(15);

/// The client of CloudWatch.
#[derive(Debug, Clone)]
pub struct CloudWatch(SdkConfig);

impl CloudWatch {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws.config("CLOUDWATCH"))
    }

    /// Sends one call, signed.
    async fn get_metric_data(&self, input: &Value) -> AwsResult<Value> {
        let config = &self.0;
        let region = config.region().map_or("", AsRef::as_ref);
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let on_aws = format!("https://monitoring.{region}.amazonaws.com{suffix}");
        let endpoint = config.endpoint_url().unwrap_or(&on_aws).trim_end_matches('/').to_owned();
        let signed = self.signed(&endpoint, region, input.to_string()).await?;
        let (Some(http), Some(sleep)) = (config.http_client(), config.sleep_impl()) else {
            return Err(StepError::bug(format!("{ACTION}: there is no HTTP client")));
        };
        let mut call = Operation::builder()
            .service_name("CloudWatch")
            .operation_name("GetMetricData")
            .endpoint_url(&endpoint)
            .http_client(http)
            .sleep_impl(sleep)
            // The request is signed already.
            .no_auth()
            .no_retry()
            .serializer(request)
            .deserializer(answer);
        if let Some(timeouts) = config.timeout_config() {
            call = call.timeout_config(timeouts.clone());
        }
        call.build().invoke(signed).await.map_err(|error| classify(&error, Call::Read, ACTION))
    }

    /// Signs the body of a call.
    async fn signed(&self, endpoint: &str, region: &str, body: String) -> AwsResult<Signed> {
        let bug = |error: BoxError| StepError::bug(format!("{ACTION}: the call could not be signed: {error}"));
        let (Some(provider), Some(clock)) = (self.0.credentials_provider(), self.0.time_source()) else {
            return Err(bug("there are no credentials, or no clock".into()));
        };
        let credentials = provider.provide_credentials().await.map_err(|error| {
            StepError::new(ErrorName::RewindFailed, format!("{ACTION}: no AWS credentials: {error}"))
        })?;
        let identity = Identity::from(credentials);
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("monitoring")
            .time(clock.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| bug(error.into()))?
            .into();
        let given = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let body_to_sign = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", format!("{endpoint}/"), given.into_iter(), body_to_sign)
            .map_err(|error| bug(error.into()))?;
        let (signature, _) = sign(signable, &params).map_err(|error| bug(error.into()))?.into_parts();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let headers = given.into_iter().chain(signature.headers()).map(owned).collect();
        Ok(Signed { headers, body })
    }
}

/// A signed call.
#[derive(Debug)]
struct Signed {
    headers: Vec<(String, String)>,
    body: String,
}

fn request(signed: Signed) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(signed.body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    for (name, value) in signed.headers {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// Reads a response: the output, or the service's error.
fn answer(response: &HttpResponse) -> Result<Value, OrchestratorError<Refused>> {
    let read: Result<Value, _> = serde_json::from_slice(response.body().bytes().unwrap_or_default());
    if response.status().is_success() {
        return read.map_err(|error| OrchestratorError::response(error.into()));
    }
    let read = read.unwrap_or_default();
    let text = |names: [&str; 2]| names.iter().find_map(|name| read.get(name)?.as_str()).map(ToOwned::to_owned);
    // `com.amazonaws.cloudwatch#InvalidParameterValueException`, as it may stand there.
    let code = text(["__type", "code"]).map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
    let metadata = ErrorMetadata::builder()
        .code(code.unwrap_or_else(|| format!("HTTP {}", response.status().as_u16())))
        .message(text(["message", "Message"]).unwrap_or_default());
    Err(OrchestratorError::operation(Refused(metadata.build())))
}

/// An error that the service answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(ErrorMetadata);

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

impl ReadMetrics for CloudWatch {
    /// IAM: `cloudwatch:GetMetricData`, which AWS authorises on no resource.
    async fn measured(&self, cluster: &str, instances: &[String], now: Timestamp) -> AwsResult<Measured> {
        let from = now.checked_sub(DAY).unwrap_or(now);
        let mut input = json!({
            "MetricDataQueries": queries(cluster, instances), "ScanBy": "TimestampDescending",
            "StartTime": from.as_second(), "EndTime": now.as_second(),
        });
        let mut found = Series::new();
        loop {
            let read = self.get_metric_data(&input).await?;
            collect(&mut found, &read);
            match read.get("NextToken").filter(|page| !page.is_null()) {
                Some(page) => {
                    let page = page.clone();
                    if let Some(fields) = input.as_object_mut() {
                        fields.insert("NextToken".to_owned(), page);
                    }
                }
                None => return Ok(derive(&found, now)),
            }
        }
    }
}

/// The values of each query by its id: the second and the value, in the order of the response.
type Series = BTreeMap<String, Vec<(i64, f64)>>;

/// Builds the queries: of one cluster they are few enough for one call, which takes 500.
fn queries(cluster: &str, instances: &[String]) -> Vec<Value> {
    let query = |id: String, metric: &str, stat: &str, (dimension, value): (&str, &str)| {
        json!({
            "Id": id,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/RDS", "MetricName": metric,
                    "Dimensions": [{ "Name": dimension, "Value": value }],
                },
                "Period": PERIOD,
                "Stat": stat,
            },
        })
    };
    let of_instances = instances.iter().enumerate().flat_map(|(n, instance)| {
        let of = ("DBInstanceIdentifier", instance.as_str());
        [
            query(format!("connections{n}"), "DatabaseConnections", "Maximum", of),
            query(format!("capacity{n}"), "ServerlessDatabaseCapacity", "Average", of),
        ]
    });
    let stored = query("stored".into(), "VolumeBytesUsed", "Average", ("DBClusterIdentifier", cluster));
    of_instances.chain([stored]).collect()
}

/// Adds the values of a response. Those of a query may go on in the next one.
fn collect(found: &mut Series, read: &Value) {
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for result in list(read, "MetricDataResults") {
        let Some(id) = result.get("Id").and_then(Value::as_str) else { continue };
        let points = list(&result, "Timestamps").into_iter().zip(list(&result, "Values"));
        let read = points.filter_map(|(at, value)| Some((at.as_f64()? as i64, value.as_f64()?)));
        found.entry(id.to_owned()).or_default().extend(read);
    }
}

/// Derives the measurements: values come newest first.
fn derive(found: &Series, now: Timestamp) -> Measured {
    let of = |prefix: &'static str| {
        found.iter().filter(move |(id, values)| id.starts_with(prefix) && !values.is_empty()).map(|(_, values)| values)
    };
    let recent = now.checked_sub(NOW).unwrap_or(now).as_second();
    let newest = of("connections").filter_map(|values| values.first()).filter(|(at, _)| *at >= recent);
    let at_once: BTreeMap<i64, f64> = of("connections").flatten().fold(BTreeMap::new(), |mut sums, (at, value)| {
        *sums.entry(*at).or_default() += value;
        sums
    });
    let average = |values: &Vec<(i64, f64)>| {
        values.iter().map(|(_, value)| value).sum::<f64>() / values.iter().map(|_| 1.0).sum::<f64>()
    };
    let sum = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>());
    Measured {
        connections_now: sum(newest.map(|(_, value)| *value).collect()).map(whole),
        connections_in_a_day: at_once.into_values().reduce(f64::max).map(whole),
        capacity: sum(of("capacity").map(average).collect()),
        stored: of("stored").find_map(|values| values.first()).map(|(_, value)| *value),
    }
}

fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-23T10:50:00Z";

    fn measured(results: Value) -> Measured {
        let mut found = Series::new();
        collect(&mut found, &json!({ "MetricDataResults": results }));
        derive(&found, AT.parse().unwrap())
    }

    fn series(id: &str, points: &[(i64, f64)]) -> Value {
        let now = AT.parse::<Timestamp>().unwrap().as_second();
        let times: Vec<i64> = points.iter().map(|(minutes, _)| now - minutes * 60).collect();
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        json!({ "Id": id, "StatusCode": "Complete", "Timestamps": times, "Values": values })
    }

    #[test]
    fn connections_to_all_instances_are_added_up_at_each_time() {
        let all = measured(json!([
            series("connections0", &[(5, 1.0), (10, 7.0), (15, 2.0)]),
            series("connections1", &[(5, 2.0), (10, 0.0), (15, 6.0)]),
            series("connections2", &[]),
        ]));
        assert_eq!((all.connections_now, all.connections_in_a_day), (Some(3), Some(8)));
        assert_eq!((all.capacity, all.stored), (None, None));
    }

    #[test]
    fn a_value_that_is_old_is_none_of_now() {
        let stopped = measured(json!([series("connections0", &[(120, 4.0)])]));
        assert_eq!((stopped.connections_now, stopped.connections_in_a_day), (None, Some(4)));
        let nobody = measured(json!([series("connections0", &[(5, 0.0)])]));
        assert_eq!((nobody.connections_now, nobody.connections_in_a_day), (Some(0), Some(0)));
    }

    #[test]
    fn capacity_is_an_average_and_storage_the_newest() {
        let used = measured(json!([
            series("capacity0", &[(5, 1.0), (10, 3.0)]),
            series("capacity1", &[(5, 0.5)]),
            series("stored", &[(5, 2048.0), (10, 1024.0)]),
        ]));
        assert_eq!((used.capacity, used.stored), (Some(2.5), Some(2048.0)));
    }

    #[test]
    fn the_queries_of_the_largest_cluster_fit_into_one_call() {
        let instances: Vec<String> = (0..16).map(|n| format!("orders-{n}")).collect();
        let queries = queries("orders", &instances);
        let ids: std::collections::BTreeSet<&str> = queries.iter().filter_map(|query| query["Id"].as_str()).collect();
        assert_eq!((ids.len(), queries.len()), (33, 33));
    }
}
