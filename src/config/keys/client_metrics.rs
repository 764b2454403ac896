//! Rows: keys of a client metrics subscription. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Items};
use super::super::key::Support::Works;
use super::super::key::Type::{Int, List};
use super::super::key::Update::Dynamic;
use super::super::key::{ANY, Key, key};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("interval.ms", Int, "300000", Any, Dynamic, Works, "how often matching clients push their metrics"),
    key("match", List, "", Items(ANY), Dynamic, Works, "which clients match, as selector=pattern"),
    key("metrics", List, "", Items(ANY), Dynamic, Works, "prefixes of the metrics that are asked for; * for all"),
];
