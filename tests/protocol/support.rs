//! The parts of the tests' rig that install Kafka's jars.
#![allow(dead_code, reason = "other test binaries use the rest")]

#[path = "../support/install.rs"]
pub mod install;
#[path = "../support/kafka_jars.rs"]
pub mod kafka_jars;
