//! The records of one recovery's fences, in memory, for tests.

use super::{FenceRecords, HeldLease, is_raised_once, lifted, lifted_already, not_held};
use crate::AwsResult;
use crate::fence_periods::{FencePeriod, FencePeriods};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Records of fences by their names, and the holder of the lease; any holder while nobody is named.
#[derive(Debug, Clone, Default)]
pub struct FakeFenceRecords {
    records: Arc<Mutex<BTreeMap<String, Value>>>,
    holder: Arc<Mutex<Option<String>>>,
    periods: Arc<Mutex<Vec<FencePeriod>>>,
}

impl FakeFenceRecords {
    /// The record `name`.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.records().get(name).cloned()
    }

    /// Gives the lease to `holder`.
    pub fn lease_to(&self, holder: &str) {
        *self.holder.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(holder.to_owned());
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl FenceRecords for FakeFenceRecords {
    async fn fence_record(&self, _: &str, name: &str) -> AwsResult<Option<Value>> {
        Ok(self.get(name))
    }

    async fn record_fence(&self, _: &str, name: &str, value: &Value, lease: HeldLease<'_>) -> AwsResult<Value> {
        let holder = self.holder.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if holder.is_some_and(|holder| holder != lease.holder) {
            return Err(not_held(lease));
        }
        if is_raised_once(name) && self.records().contains_key(&lifted(name)) {
            return Err(lifted_already(lease.holder));
        }
        Ok(self.records().entry(name.to_owned()).or_insert_with(|| value.clone()).clone())
    }

    async fn replace_fence_record(&self, _: &str, name: &str, value: &Value) -> AwsResult<()> {
        self.records().insert(name.to_owned(), value.clone());
        Ok(())
    }

    async fn mark_fence_lifted(&self, _: &str, name: &str, at: Timestamp) -> AwsResult<()> {
        let mut records = self.records();
        if records.remove(name).is_some() {
            records.insert(lifted(name), Value::from(at.to_string()));
        }
        Ok(())
    }
}

impl FencePeriods for FakeFenceRecords {
    async fn begin(&self, _: &str, recovery_id: &str, at: Timestamp) -> AwsResult<()> {
        let mut periods = self.periods.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(period) = periods.iter_mut().find(|period| period.recovery == recovery_id) {
            period.until = None;
        } else {
            periods.push(FencePeriod { recovery: recovery_id.to_owned(), from: at, until: None });
        }
        Ok(())
    }

    async fn end(&self, _: &str, recovery_id: &str, at: Timestamp) -> AwsResult<()> {
        let mut periods = self.periods.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        periods.iter_mut().filter(|period| period.recovery == recovery_id).for_each(|period| period.until = Some(at));
        Ok(())
    }

    async fn periods(&self, _: &str) -> AwsResult<Vec<FencePeriod>> {
        Ok(self.periods.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
    }
}
