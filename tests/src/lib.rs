//! Shared by the tests beside it.
