//! Failures that a test asks for, through `/_local/faults`: the RDS API itself knows nothing of them, and never lies.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The clusters whose next backtrack fails.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeSet<String>>);

impl Faults {
    /// Makes the next backtrack of a cluster fail.
    pub fn plan(&self, cluster: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.to_ascii_lowercase());
    }

    /// Returns true when this backtrack is to fail, and forgets it: the next one succeeds.
    pub fn take(&self, cluster: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster)
    }
}
