//! A local AWS around real databases, for the parts of it that no emulator ships; it never runs in an account.

pub mod chat;
pub mod demo;
pub mod dns;
pub mod mariadb;
pub mod postgres;
pub mod private;
pub mod rds;
pub mod serve;
pub mod servers;
pub mod stack;
pub mod tls;
