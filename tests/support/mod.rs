//! What the tests that run real programs share: the broker under test and its peer, the installed
//! tools, waiting for conditions, and free ports.
#![allow(dead_code, reason = "every test binary uses its own part of the rig")]

pub mod bench;
pub mod http;
pub mod install;
pub mod kafka_jars;
pub mod node;
pub mod ports;
pub mod process;
pub mod seccomp;
pub mod stub_broker;
pub mod wait;
pub mod wire;
