//! The bytes of one simulated file: what processes see, what is on the device, and what is on its way there.
//!
//! Every write leaves a *version* of the sectors it touched. What a sync covers becomes durable; after a power loss each sector of
//! the rest is as durable as before or as any version left it, whatever became of its neighbours.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::chance::Chance;

/// Bytes of a block, the unit of the page cache.
pub const BLOCK: usize = 4096;
const SECTOR: usize = 512;
const SECTORS: usize = BLOCK / SECTOR;
const ALL_SECTORS: u8 = 0xff;

/// A block; `None` is all zeroes.
type Block = Option<Rc<[u8; BLOCK]>>;

const ZEROES: [u8; BLOCK] = [0; BLOCK];

/// What a power loss does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is gone.
    Lost,
    /// All of it is there.
    Kept,
    /// Any part of it is there, in sectors of 512 bytes.
    Torn,
    /// The same in blocks of 4096 bytes.
    TornBlocks,
}

/// How some sectors of a block looked after a write.
#[derive(Clone, Debug)]
struct Version {
    block: Block,
    sectors: u8,
    /// For what a truncation zeroed: the number of its change of the length, from 1.
    truncation: usize,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Content {
    len: u64,
    blocks: Vec<Block>,
    durable_len: u64,
    durable: Vec<Block>,
    /// Per block, oldest first.
    dirty: BTreeMap<usize, Vec<Version>>,
    /// Lengths since the last sync.
    lengths: Vec<u64>,
}

fn bytes(block: &Block) -> &[u8; BLOCK] {
    block.as_deref().unwrap_or(&ZEROES)
}

fn sectors_of(from: usize, to: usize) -> u8 {
    (from / SECTOR..to.div_ceil(SECTOR)).fold(0, |mask, sector| mask | 1 << sector)
}

fn slot(blocks: &mut Vec<Block>, at: usize) -> &mut Block {
    if blocks.len() <= at {
        blocks.resize(at + 1, None);
    }
    &mut blocks[at]
}

/// Copies sectors of `from` into `to`.
fn copy_sectors(to: &mut Block, from: &Block, sectors: u8) {
    if sectors == ALL_SECTORS {
        *to = from.clone();
        return;
    }
    if to.is_none() && from.is_none() {
        return;
    }
    let mut mixed = *bytes(to);
    for sector in (0..SECTORS).filter(|sector| sectors & (1 << sector) != 0) {
        let range = sector * SECTOR..(sector + 1) * SECTOR;
        mixed[range.clone()].copy_from_slice(&bytes(from)[range]);
    }
    *to = Some(Rc::new(mixed));
}

impl Content {
    /// Length in bytes, as processes see it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Copies bytes out; returns how many there are.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> usize {
        let count = self.len.saturating_sub(position).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = position as usize + done;
            let within = at % BLOCK;
            let len = (BLOCK - within).min(count - done);
            let block = self.blocks.get(at / BLOCK).unwrap_or(&None);
            buffer[done..done + len].copy_from_slice(&bytes(block)[within..within + len]);
            done += len;
        }
        count
    }

    /// Writes bytes; `chosen` says which of the touched sectors the write reaches (all of them, unless it is torn).
    pub fn write(&mut self, position: u64, data: &[u8], mut chosen: impl FnMut() -> bool) {
        let (start, end) = (position as usize, position as usize + data.len());
        for block in start / BLOCK..end.div_ceil(BLOCK) {
            let (from, to) = (start.max(block * BLOCK), end.min((block + 1) * BLOCK));
            let touched = sectors_of(from % BLOCK, from % BLOCK + (to - from));
            let sectors = (0..SECTORS)
                .filter(|sector| touched & (1 << sector) != 0)
                .fold(0u8, |mask, sector| if chosen() { mask | 1 << sector } else { mask });
            for sector in (0..SECTORS).filter(|sector| sectors & (1 << sector) != 0) {
                let at = block * BLOCK + sector * SECTOR;
                let (from, to) = (from.max(at), to.min(at + SECTOR));
                self.put(block, from % BLOCK, &data[from - start..to - start]);
            }
            if sectors != 0 {
                let last = block * BLOCK + (u8::BITS - sectors.leading_zeros()) as usize * SECTOR;
                self.grow(last.min(to) as u64);
                self.note_version(block, sectors);
            }
        }
    }

    fn put(&mut self, block: usize, within: usize, data: &[u8]) {
        let target = slot(&mut self.blocks, block);
        if target.is_some() || data.iter().any(|byte| *byte != 0) {
            let changed = Rc::make_mut(target.get_or_insert_with(|| Rc::new(ZEROES)));
            changed[within..within + data.len()].copy_from_slice(data);
        }
    }

    fn note_version(&mut self, block: usize, sectors: u8) {
        let now = self.blocks[block].clone();
        let versions = self.dirty.entry(block).or_default();
        match versions.last_mut() {
            // More sectors of the same page.
            Some(last) if last.truncation == 0 && last.sectors & sectors == 0 => {
                copy_sectors(&mut last.block, &now, sectors);
                last.sectors |= sectors;
            }
            _ => versions.push(Version { block: now, sectors, truncation: 0 }),
        }
    }

    fn grow(&mut self, len: u64) {
        if len > self.len {
            self.len = len;
            self.lengths.push(len);
        }
    }

    /// Cuts or extends with zeroes.
    pub fn set_len(&mut self, len: u64) {
        if len == self.len {
            return;
        }
        let before = self.len;
        self.len = len;
        self.lengths.push(len);
        if len > before {
            return;
        }
        let truncation = self.lengths.len();
        for block in (len as usize / BLOCK)..self.blocks.len() {
            let kept = (len as usize).saturating_sub(block * BLOCK);
            if kept >= BLOCK {
                continue;
            }
            let target = &mut self.blocks[block];
            if kept == 0 {
                *target = None;
            } else if let Some(block) = target {
                Rc::make_mut(block)[kept..].fill(0);
            }
            let version = Version { block: target.clone(), sectors: sectors_of(kept, BLOCK), truncation };
            self.dirty.entry(block).or_default().push(version);
        }
        self.blocks.truncate((len as usize).div_ceil(BLOCK));
    }

    /// Makes everything durable.
    pub fn sync(&mut self) {
        for block in std::mem::take(&mut self.dirty).into_keys() {
            *slot(&mut self.durable, block) = self.blocks.get(block).cloned().unwrap_or(None);
        }
        self.durable_len = self.len;
        self.lengths.clear();
    }

    /// Makes the length and the sectors of a range durable.
    pub fn sync_range(&mut self, position: u64, len: usize) {
        self.commit_length(self.lengths.len());
        let (start, end) = (position as usize, position as usize + len);
        for block in start / BLOCK..end.div_ceil(BLOCK) {
            let from = start.saturating_sub(block * BLOCK).min(BLOCK);
            let to = (end - block * BLOCK).min(BLOCK);
            let sectors = sectors_of(from, to);
            let now = self.blocks.get(block).cloned().unwrap_or(None);
            copy_sectors(slot(&mut self.durable, block), &now, sectors);
            self.forget_versions(block, sectors);
        }
    }

    fn forget_versions(&mut self, block: usize, sectors: u8) {
        if let Some(versions) = self.dirty.get_mut(&block) {
            versions.iter_mut().for_each(|version| version.sectors &= !sectors);
            versions.retain(|version| version.sectors != 0);
            if versions.is_empty() {
                self.dirty.remove(&block);
            }
        }
    }

    /// The first `count` changes of the length are durable, with what they cut off; the later ones are forgotten.
    fn commit_length(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1) {
            self.durable_len = self.lengths[last];
        }
        self.lengths.clear();
        let touched: Vec<usize> = self.dirty.keys().copied().collect();
        for block in touched {
            let versions = self.dirty.remove(&block).unwrap_or_default();
            let mut kept: Vec<Version> = Vec::new();
            for version in versions {
                match version.truncation {
                    0 => kept.push(version),
                    number if number <= count => {
                        copy_sectors(slot(&mut self.durable, block), &version.block, version.sectors);
                        kept.iter_mut().for_each(|older| older.sectors &= !version.sectors);
                    }
                    _ => {}
                }
            }
            kept.retain(|version| version.sectors != 0);
            if !kept.is_empty() {
                self.dirty.insert(block, kept);
            }
        }
    }

    /// What is on its way to the device gets there or doesn't; afterwards nothing is on its way any more. Processes still see what
    /// they saw.
    fn settle(&mut self, unsynced: Unsynced, chance: &mut Chance) {
        let count = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept => self.lengths.len(),
            Unsynced::Torn | Unsynced::TornBlocks => chance.below(self.lengths.len() as u64 + 1) as usize,
        };
        self.commit_length(count);
        for (block, versions) in std::mem::take(&mut self.dirty) {
            let durable = slot(&mut self.durable, block);
            let whole = chance.below(versions.len() as u64 + 1) as usize;
            for sector in 0..SECTORS {
                let mask = 1 << sector;
                let applied = match unsynced {
                    Unsynced::Lost => 0,
                    Unsynced::Kept => versions.len(),
                    Unsynced::TornBlocks => whole,
                    Unsynced::Torn => chance.below(versions.len() as u64 + 1) as usize,
                };
                let last = versions[..applied].iter().rev().find(|version| version.sectors & mask != 0);
                if let Some(version) = last {
                    copy_sectors(durable, &version.block, mask);
                }
            }
        }
    }

    /// A sync failed: what was on its way got to the device or didn't, and counts as written in either case. Processes still see what
    /// they saw, until the pages are forgotten. The length is the file system's, and it still knows that it has changed.
    pub fn fail_sync(&mut self, chance: &mut Chance) {
        self.settle(Unsynced::Torn, chance);
        if self.durable_len != self.len {
            self.lengths.push(self.len);
        }
    }

    /// Forgets the pages from `position` on that count as clean: processes see what the device has.
    pub fn forget_clean(&mut self, position: u64) {
        for block in position as usize / BLOCK..self.blocks.len() {
            if !self.dirty.contains_key(&block) {
                self.blocks[block] = self.durable.get(block).cloned().unwrap_or(None);
            }
        }
    }

    /// The power is gone and back: processes see what was on the device.
    pub fn power_loss(&mut self, unsynced: Unsynced, chance: &mut Chance) {
        self.settle(unsynced, chance);
        let len = self.durable_len as usize;
        self.durable.truncate(len.div_ceil(BLOCK));
        if !len.is_multiple_of(BLOCK)
            && let Some(Some(last)) = self.durable.get_mut(len / BLOCK)
        {
            Rc::make_mut(last)[len % BLOCK..].fill(0);
        }
        self.len = self.durable_len;
        self.blocks = self.durable.clone();
    }

    /// Turns a byte of the device and of the page cache around, as bad memory does.
    pub fn damage(&mut self, position: u64) {
        let (block, within) = (position as usize / BLOCK, position as usize % BLOCK);
        let mut byte = [0];
        self.read(position, &mut byte);
        self.misdirect(block, within, &[byte[0] ^ 0x5a]);
    }

    /// Puts bytes into a block of the device and of the page cache, as a write does that was meant for another place.
    pub fn misdirect(&mut self, block: usize, within: usize, bytes: &[u8]) {
        let versions = self.dirty.get_mut(&block).into_iter().flatten().map(|version| &mut version.block);
        for target in [slot(&mut self.blocks, block), slot(&mut self.durable, block)].into_iter().chain(versions) {
            let changed = Rc::make_mut(target.get_or_insert_with(|| Rc::new(ZEROES)));
            changed[within..within + bytes.len()].copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; content.len() as usize];
        content.read(0, &mut bytes);
        bytes
    }

    fn written(parts: &[(u64, u8, usize)]) -> Content {
        let mut content = Content::default();
        for (position, byte, len) in parts {
            content.write(*position, &vec![*byte; *len], || true);
        }
        content
    }

    #[test]
    fn only_what_was_synced_is_sure_to_survive() {
        let mut content = written(&[(0, 1, 6000)]);
        content.sync();
        content.write(5000, &[2; 6000], || true);
        let mut lost = content.clone();
        lost.power_loss(Unsynced::Lost, &mut Chance::new(1));
        assert_eq!(all(&lost), [1; 6000]);
        content.power_loss(Unsynced::Kept, &mut Chance::new(1));
        assert_eq!(all(&content), [vec![1; 5000], vec![2; 6000]].concat());
    }

    #[test]
    fn torn_write_leaves_whole_sectors_of_either() {
        for seed in 0..50 {
            let mut content = written(&[(0, 1, 8192)]);
            content.sync();
            content.write(0, &[2; 8192], || true);
            content.power_loss(Unsynced::Torn, &mut Chance::new(seed));
            for sector in all(&content).chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]) && (1..=2).contains(&sector[0]));
            }
        }
    }

    #[test]
    fn pages_of_a_failed_sync_count_as_clean() {
        for seed in 0..50 {
            let mut content = written(&[(0, 1, 8192)]);
            content.sync();
            content.write(0, &[2; 12288], || true);
            content.fail_sync(&mut Chance::new(seed));
            assert_eq!(all(&content), [2; 12288]);
            content.sync();
            let mut lost = content.clone();
            lost.power_loss(Unsynced::Kept, &mut Chance::new(1));
            content.forget_clean(0);
            assert_eq!(all(&content), all(&lost), "what a sync that went well did not write again");
        }
    }

    #[test]
    fn synced_range_survives_what_was_written_before_it() {
        for seed in 0..50 {
            let mut content = written(&[(0, 1, 8192)]);
            content.write(512, &[2; 1024], || true);
            content.sync_range(512, 1024);
            content.power_loss(Unsynced::Torn, &mut Chance::new(seed));
            let bytes = all(&content);
            assert_eq!(bytes.len(), 8192);
            assert_eq!(bytes[512..1536], [2; 1024]);
        }
    }

    #[test]
    fn truncation_is_durable_as_a_whole_or_not_at_all() {
        for seed in 0..50 {
            let mut content = written(&[(0, 1, 8192)]);
            content.sync();
            content.set_len(1000);
            content.write(3000, &[3; 10], || true);
            content.power_loss(Unsynced::Torn, &mut Chance::new(seed));
            let bytes = all(&content);
            match bytes.len() {
                8192 => assert!(bytes[..2560] == [1; 2560] && bytes[3584..] == [1; 4608]),
                1000 => assert_eq!(bytes, [1; 1000]),
                3010 => assert!(bytes[1000..2560] == [0; 1560] && bytes[..1000] == [1; 1000]),
                other => panic!("a length of {other}"),
            }
        }
    }
}
