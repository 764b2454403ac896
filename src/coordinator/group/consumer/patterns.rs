//! Subscriptions by pattern: which topics match is found out aside from heartbeats, is on record, and found out again when
//! topics were made and every `group.consumer.regex.refresh.interval.ms`.

use std::collections::BTreeSet;

use super::member::ConsumerMember;
use super::subscription::topics_hash;
use super::{Change, ConsumerGroup, Refusal, View, re2};
use crate::protocol::ErrorCode;
use crate::wire::KafkaString;

/// Least time between two matches of all patterns of a group.
const MATCH_INTERVAL_MS: i64 = 10_000;

/// The topics that a pattern matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Their names.
    pub topics: BTreeSet<KafkaString>,
    /// The version of the metadata.
    pub version: i64,
    /// When it was found out.
    pub timestamp_ms: i64,
}

/// When the patterns of a group were matched last; since a load, or as their records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    at_ms: i64,
    version: i64,
}

/// What became of a member's pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternStep {
    /// Nothing.
    Same,
    /// It is another one, and not known yet what it matches.
    Changed,
    /// It is another one, and known what it matches; or none any more.
    ChangedAndKnown,
}

impl ConsumerGroup {
    /// A member may have another pattern than before: records of that, and whether all patterns must be matched soon.
    pub(super) fn follow_pattern(
        &self,
        before: &ConsumerMember,
        after: &ConsumerMember,
        view: &View<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(PatternStep, bool), Refusal> {
        let (mut step, mut is_new) = (PatternStep::Same, false);
        if before.told.pattern != after.told.pattern {
            step = PatternStep::Changed;
            if let Some(old) = before.told.pattern()
                && self.subscribers_of_pattern(old) == 1
            {
                changes.push(Change::PatternGone(old.clone()));
            }
            match after.told.pattern() {
                Some(new) if self.subscribers_of_pattern(new) == 0 => {
                    re2::compile(new).map_err(|reason| {
                        let message =
                            format!("SubscribedTopicRegex `{new}` is not a valid regular expression: {reason}.");
                        Refusal::new(ErrorCode::InvalidRegularExpression, message)
                    })?;
                    is_new = true;
                }
                Some(new) if self.resolved.contains_key(new) => step = PatternStep::ChangedAndKnown,
                Some(_) => {}
                None if before.told.pattern().is_some() => step = PatternStep::ChangedAndKnown,
                None => {}
            }
        }
        Ok((step, self.must_match(before, after, is_new, view)))
    }

    fn must_match(&self, before: &ConsumerMember, after: &ConsumerMember, is_new: bool, view: &View<'_>) -> bool {
        if !is_new && self.patterns.is_empty() {
            return false;
        }
        let patterns = self.patterns_after(&[(&before.told, Some(&after.told))]);
        let last = self.last_matched();
        if patterns.is_empty() || last.is_some_and(|last| !view.now.is_past(last.at_ms, MATCH_INTERVAL_MS)) {
            return false;
        }
        let is_old = |last: Matched| {
            last.version < view.cluster.version()
                || view.now.is_past(last.at_ms, view.settings.consumer.pattern_refresh_interval_ms)
        };
        is_new || patterns.len() != self.resolved.len() || last.is_none_or(is_old)
    }

    /// When the patterns were matched last.
    fn last_matched(&self) -> Option<Matched> {
        let recorded = || {
            let resolved = self.resolved.values().next()?;
            Some(Matched { at_ms: resolved.timestamp_ms, version: resolved.version })
        };
        self.matched.or_else(recorded)
    }

    /// Matches all patterns with all topics.
    pub(super) fn match_patterns(&self, view: &View<'_>) -> Vec<Change> {
        let topics = view.cluster.topic_names();
        let (version, timestamp_ms) = (view.cluster.version(), view.now.wall_ms);
        let refresh_ms = view.settings.consumer.pattern_refresh_interval_ms;
        let is_due = self.last_matched().is_none_or(|last| view.now.is_past(last.at_ms, refresh_ms));
        let mut changes = Vec::new();
        let mut resolved = self.resolved.clone();
        let mut bump = false;
        for pattern in self.patterns.keys() {
            let mut matching = BTreeSet::new();
            match re2::compile(pattern) {
                Ok(compiled) => matching.extend(topics.iter().filter(|topic| compiled.is_match(topic)).map(super::own)),
                Err(reason) => {
                    tracing::warn!(group = %self.id, %pattern, reason, "a pattern of the log can't be read: it matches nothing");
                }
            }
            let known = self.resolved.get(pattern);
            let differs = known.map(|known| &known.topics).unwrap_or(&BTreeSet::new()) != &matching;
            bump |= differs;
            if differs || is_due || known.is_none() {
                let found = Resolved { topics: matching, version, timestamp_ms };
                resolved.insert(pattern.clone(), found.clone());
                changes.push(Change::Pattern(pattern.clone(), found));
            }
        }
        let mut names: BTreeSet<&KafkaString> = self.names.keys().collect();
        names.extend(resolved.values().flat_map(|resolved| &resolved.topics));
        let metadata_hash = topics_hash(names.into_iter(), view.cluster);
        if bump || metadata_hash != self.metadata_hash {
            changes.push(Change::Epoch { epoch: self.epoch.saturating_add(1), metadata_hash });
        }
        changes
    }

    /// The patterns were matched.
    pub(super) fn note_match(&mut self, view: &View<'_>) {
        self.matched = Some(Matched { at_ms: view.now.wall_ms, version: view.cluster.version() });
    }
}
