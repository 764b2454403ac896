//! The broker over TCP: bad input, limits, wrong configurations, stops and kills.

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod bench;
mod bench_driver;
mod bench_stall;
mod bench_targets;
mod calls;
mod capture;
mod compaction;
mod config;
mod consumer_groups;
mod containers;
mod corruption;
mod crash;
mod dashboards;
mod doctor;
mod faults;
mod groups;
mod lags;
mod limits;
mod log_command;
mod rest;
mod restart;
mod rolling_restart;
mod storage;
mod supervision;
mod telemetry;
mod transactions;
mod ui;
mod wal;
