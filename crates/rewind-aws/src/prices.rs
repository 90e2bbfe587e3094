//! The port of list prices.

use crate::AwsResult;
use rewind_core::Engine;

/// A thing that AWS bills.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Billed {
    /// An instance of a class, by the hour.
    Instance(String),
    /// A capacity unit of Serverless v2, by the hour.
    CapacityUnit,
    /// A GB of storage, by the month.
    Storage,
}

/// A thing that AWS bills, of an Aurora cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priced {
    /// The engine.
    pub engine: Engine,
    /// True where the cluster's storage is I/O-Optimized (`aurora-iopt1`), which has prices of its own.
    pub io_optimized: bool,
    /// The thing.
    pub billed: Billed,
}

/// Reads list prices.
pub trait ReadPrices: Send + Sync {
    /// Reads the price on demand in USD, in the Region of the client.
    ///
    /// # Errors
    ///
    /// Errors of AWS; `RewindFailed` where the price list has none, or several.
    fn price(&self, of: &Priced) -> impl Future<Output = AwsResult<f64>> + Send;
}
