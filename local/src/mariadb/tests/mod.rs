//! Real servers, rewound: what a client sees of them is compared with what it saw before.

mod access;
mod histories;
mod moments;
mod stack;
