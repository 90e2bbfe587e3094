//! Real servers, rewound: what a client sees of them is compared with what it saw before.

mod access;
mod moments;
mod stack;
