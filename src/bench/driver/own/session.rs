//! A fetch session (KIP-227): after the first request a broker is told only what has changed, and answers only where there is something.

use std::collections::BTreeMap;

/// The session with one broker.
#[derive(Debug, Default)]
pub struct Session {
    /// The broker's name for it; 0: none.
    id: i32,
    /// Number of the next request; 0: a whole one.
    epoch: i32,
    /// What the broker has been told: partition (its place in the run) and offset.
    told: BTreeMap<u32, i64>,
}

/// What a request says.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The session's name.
    pub id: i32,
    /// Number of the request in the session.
    pub epoch: i32,
    /// Partitions that are new or have another offset.
    pub changed: Vec<(u32, i64)>,
    /// Partitions that are no longer wanted.
    pub forgotten: Vec<u32>,
}

impl Session {
    /// The next request, if all of `wanted` is to be read.
    pub fn next(&mut self, wanted: &[(u32, i64)]) -> Told {
        if self.epoch == 0 || self.id == 0 {
            self.told = wanted.iter().copied().collect();
            return Told { id: 0, epoch: 0, changed: wanted.to_vec(), forgotten: Vec::new() };
        }
        let changed: Vec<(u32, i64)> =
            wanted.iter().filter(|(place, offset)| self.told.get(place) != Some(offset)).copied().collect();
        let is_wanted = |place: &u32| wanted.binary_search_by_key(place, |(place, _)| *place).is_ok();
        let forgotten: Vec<u32> = self.told.keys().filter(|place| !is_wanted(place)).copied().collect();
        self.told.extend(changed.iter().copied());
        for place in &forgotten {
            self.told.remove(place);
        }
        Told { id: self.id, epoch: self.epoch, changed, forgotten }
    }

    /// The broker answered; `id` is its name for the session.
    pub fn answered(&mut self, id: i32) {
        self.id = id;
        self.epoch = if id == 0 { 0 } else { self.epoch.checked_add(1).unwrap_or(1) };
    }

    /// The broker knows of no session (any more).
    pub fn end(&mut self) {
        *self = Session::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_told_after_the_first_request() {
        let mut session = Session::default();
        let first = session.next(&[(1, 10), (2, 20)]);
        assert_eq!(first, Told { id: 0, epoch: 0, changed: vec![(1, 10), (2, 20)], forgotten: vec![] });
        session.answered(7);
        let second = session.next(&[(1, 15), (2, 20), (3, 0)]);
        assert_eq!(second, Told { id: 7, epoch: 1, changed: vec![(1, 15), (3, 0)], forgotten: vec![] });
        session.answered(7);
        assert_eq!(session.next(&[(3, 0)]), Told { id: 7, epoch: 2, changed: vec![], forgotten: vec![1, 2] });
        session.end();
        assert_eq!(session.next(&[(3, 0)]).epoch, 0);
        session.answered(0);
        assert_eq!(session.next(&[(3, 5)]), Told { id: 0, epoch: 0, changed: vec![(3, 5)], forgotten: vec![] });
    }
}
