//! The stack's own certificate authority and the servers' certificates; it never touches the system's trust store.
