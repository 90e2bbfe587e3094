//! Reads the hosted zones from Route 53, with a cache short enough to see a change at once. It never writes.

use super::zone::{RecordSet, Zone, Zones};
use aws_sdk_route53::Client;
use aws_sdk_route53::error::DisplayErrorContext;
use aws_sdk_route53::types::HostedZone;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Longest age of zones: long enough to serve the several questions of one connection attempt by one read.
const CACHE: Duration = Duration::from_millis(100);
/// Longest time of a read: the asker must get its SERVFAIL before it gives up by itself.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// The zones could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Route 53 could not be read: {0}")]
pub struct Unreadable(String);

/// The account's hosted zones.
#[derive(Debug)]
pub struct Route53Zones {
    client: Client,
    last: Mutex<Option<(Instant, Arc<Zones>)>>,
}

impl Route53Zones {
    /// Reads with `client` from now on.
    pub fn new(client: Client) -> Self {
        Self { client, last: Mutex::new(None) }
    }

    /// The zones as they are now, give or take [`CACHE`].
    ///
    /// # Errors
    ///
    /// When Route 53 does not answer, or with an error: old zones are then worth nothing.
    pub async fn read(&self) -> Result<Arc<Zones>, Unreadable> {
        // Questions that arrive during a read wait for it and share its result: a pool that
        // connects again asks dozens at once.
        let mut last = self.last.lock().await;
        if let Some((read_at, zones)) = last.as_ref()
            && read_at.elapsed() < CACHE
        {
            return Ok(Arc::clone(zones));
        }
        let zones = tokio::time::timeout(READ_TIMEOUT, self.list())
            .await
            .map_err(|_| Unreadable(format!("no answer within {} s", READ_TIMEOUT.as_secs())))??;
        let zones = Arc::new(zones);
        *last = Some((Instant::now(), Arc::clone(&zones)));
        Ok(zones)
    }

    async fn list(&self) -> Result<Zones, Unreadable> {
        let mut zones = Vec::new();
        let mut pages = self.client.list_hosted_zones().into_paginator().send();
        while let Some(page) = pages.next().await {
            for zone in page.map_err(unreadable)?.hosted_zones {
                match self.zone(&zone).await? {
                    Ok(zone) => zones.push(zone),
                    // One zone that can't be served must not take the others with it.
                    Err(error) => tracing::warn!(zone = zone.name, %error, "a hosted zone is left out"),
                }
            }
        }
        Ok(Zones::new(zones))
    }

    async fn zone(&self, zone: &HostedZone) -> Result<Result<Zone, super::zone::ZoneError>, Unreadable> {
        let mut sets = Vec::new();
        let mut next = (None, None, None);
        loop {
            let (name, kind, identifier) = next;
            let page = self
                .client
                .list_resource_record_sets()
                .hosted_zone_id(&zone.id)
                .set_start_record_name(name)
                .set_start_record_type(kind)
                .set_start_record_identifier(identifier)
                .send()
                .await
                .map_err(unreadable)?;
            sets.extend(page.resource_record_sets.into_iter().map(|set| RecordSet {
                name: set.name,
                kind: set.r#type.as_str().to_owned(),
                ttl: set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or_default(),
                values: set.resource_records.unwrap_or_default().into_iter().map(|record| record.value).collect(),
                weight: set.weight.and_then(|weight| u64::try_from(weight).ok()),
            }));
            // By hand: the SDK has no paginator for this call, which goes on from a name, a type and an identifier together.
            if !page.is_truncated {
                break;
            }
            next = (page.next_record_name, page.next_record_type, page.next_record_identifier);
        }
        let private = zone.config.as_ref().is_some_and(|config| config.private_zone);
        Ok(Zone::new(&zone.name, private, sets))
    }
}

// The SDK's own Display says "service error" or "dispatch failure" and keeps the cause below.
fn unreadable(error: impl std::error::Error) -> Unreadable {
    Unreadable(DisplayErrorContext(error).to_string())
}
