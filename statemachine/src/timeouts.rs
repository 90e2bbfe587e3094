//! The time after which a state gives up on a function that several states invoke, in seconds. Each is longer than the function's own
//! `Timeout` in the template and a cold start; a contract test holds that.

pub(crate) const ADD_INSTANCES: u64 = 150;
pub(crate) const AWAIT_REWIND: u64 = 270;
pub(crate) const CLEAN_UP: u64 = 195;
pub(crate) const CLONE_SOURCE: u64 = 75;
pub(crate) const COMPARE_TABLES: u64 = 315;
pub(crate) const DELETE_RESTORED: u64 = 75;
pub(crate) const FENCE_SOURCE: u64 = 195;
pub(crate) const FIND_RECORDS: u64 = 75;
pub(crate) const HOLD_JOBS: u64 = 345;
pub(crate) const OPEN_SOURCE: u64 = 135;
pub(crate) const PREFLIGHT: u64 = 255;
pub(crate) const START_BACKTRACK: u64 = 75;
pub(crate) const START_RESTORE: u64 = 75;
pub(crate) const SWAP_DNS: u64 = 75;
pub(crate) const VERIFY: u64 = 915;
