//! Deadlines by name: setting one again moves it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::wire::RandomState;

/// Named deadlines in milliseconds of the monotonic clock, each with what is to be done then.
#[derive(Debug)]
pub struct Timers<K, V> {
    deadlines: HashMap<K, (i64, u64), RandomState>,
    due: BTreeMap<(i64, u64), (K, V)>,
    arrivals: u64,
}

impl<K, V> Default for Timers<K, V> {
    fn default() -> Self {
        Timers { deadlines: HashMap::default(), due: BTreeMap::new(), arrivals: 0 }
    }
}

impl<K: Hash + Eq + Clone, V> Timers<K, V> {
    /// Sets a deadline, in the place of the one of this name.
    pub fn schedule(&mut self, key: K, at_ms: i64, action: V) {
        self.cancel(&key);
        self.arrivals += 1;
        let place = (at_ms, self.arrivals);
        self.deadlines.insert(key.clone(), place);
        self.due.insert(place, (key, action));
    }

    /// Takes a deadline back.
    pub fn cancel(&mut self, key: &K) {
        if let Some(place) = self.deadlines.remove(key) {
            self.due.remove(&place);
        }
    }

    /// The next deadline.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.due.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes the first deadline that has passed.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<(K, V)> {
        let ((at_ms, _), _) = self.due.first_key_value()?;
        if *at_ms > now_ms {
            return None;
        }
        let (_, (key, action)) = self.due.pop_first()?;
        self.deadlines.remove(&key);
        Some((key, action))
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        assert_eq!(self.deadlines.len(), self.due.len());
        self.due.len()
    }

    /// Whether a deadline of this name is set.
    pub fn contains(&self, key: &K) -> bool {
        self.deadlines.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_move() {
        let mut timers = Timers::default();
        timers.schedule("a", 10, 1);
        timers.schedule("b", 5, 2);
        timers.schedule("c", 10, 3);
        assert_eq!(timers.next_deadline_ms(), Some(5));
        timers.schedule("b", 20, 4);
        timers.cancel(&"c");
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(10), Some(("a", 1)));
        assert_eq!(timers.pop_due(10), None);
        assert!(timers.contains(&"b") && !timers.contains(&"a"));
        assert_eq!(timers.pop_due(30), Some(("b", 4)));
        assert_eq!(timers.next_deadline_ms(), None);
    }
}
