//! The tables against those who know better: Kafka's own specification field by field, Kafka's own classes and
//! the crate `kafka-protocol` byte by byte, and bytes that real nodes wrote.

mod catalog;
mod differential;
mod golden;
mod java;
mod random;
mod specification;
mod support;
