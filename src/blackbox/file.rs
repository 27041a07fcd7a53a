//! A file of a recording, byte by byte: format 2. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `jangabox` |
//! | 4 | format: 2 |
//! | 4 | CRC-32 of the 88 bytes that follow |
//! | 16 | cluster |
//! | 8 | server |
//! | 8 | number of the file |
//! | 8 | the life of the server: another number each time it starts |
//! | 8 | which file of that life, from 0 on |
//! | 8 | when it begins, in nanoseconds of Unix time |
//! | 8 | the same moment by the server's own clock |
//! | 8 | records that were lost between the file before and this one |
//! | 16 | the version that wrote it, and zeros |
//!
//! Then blocks, each of
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length |
//! | 4 | CRC-32 of the block's number (8 bytes, from 0 on) and the length, begun with the file's own sum |
//! | 4 | CRC-32 of the records, begun with the one before |
//! | length | records (`record.rs`), one behind the other; the first block is a checkpoint |
//!
//! A block is what was handed to the disk together: its sums are made there, and not where the
//! server runs.

use crc32fast::Hasher;
use uuid::Uuid;

use super::record::{Checkpoint, Record};
use crate::raft::{ServerId, Time};

const MAGIC: [u8; 8] = *b"jangabox";
const FORMAT: u32 = 2;
const VERSION_BYTES: usize = 16;
pub(super) const HEADER_BYTES: usize = 104;
/// Before the records of a block.
const HEAD: usize = 12;

/// How a file begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) cluster: Uuid,
    pub(super) server: ServerId,
    pub(super) number: u64,
    pub(super) life: u64,
    pub(super) part: u64,
    /// Unix time in nanoseconds.
    pub(super) wall: u64,
    pub(super) local: Time,
    pub(super) lost: u64,
    pub(super) version: String,
}

/// What the blocks of one file are sealed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seal(u32);

/// Records on their way into a file.
#[derive(Debug)]
pub(super) struct Block {
    /// Begins with room for the head.
    bytes: Vec<u8>,
    /// How many records there are.
    pub(super) count: u64,
}

/// Why a file, or a part of it, cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is no recording of jangada's")]
    Foreign,
    #[error(
        "its format is {0}, and this version reads format {FORMAT} alone: replay it with the version \
         that recorded it"
    )]
    Format(u32),
    #[error("its header is damaged")]
    Header,
    #[error("it ends in the middle of record {0} or of one soon after it")]
    Torn(u64),
    #[error("record {0} or one soon after it is damaged: the checksum is wrong")]
    Sum(u64),
    #[error("record {0} makes no sense")]
    Senseless(u64),
}

impl Header {
    /// The bytes of the header, and what its records are sealed with.
    pub(super) fn encode(&self) -> (Vec<u8>, Seal) {
        let mut rest = Vec::with_capacity(HEADER_BYTES);
        rest.extend(self.cluster.as_bytes());
        let local = self.local.as_nanos();
        for number in
            [self.server.0, self.number, self.life, self.part, self.wall, local, self.lost]
        {
            rest.extend(number.to_le_bytes());
        }
        let version = self.version.as_bytes();
        let mut padded = [0; VERSION_BYTES];
        let length = version.len().min(VERSION_BYTES);
        padded[..length].copy_from_slice(&version[..length]);
        rest.extend(padded);
        let sum = crc32fast::hash(&rest);
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(sum.to_le_bytes());
        bytes.extend(rest);
        (bytes, Seal(sum))
    }

    /// The header at the beginning of a file.
    ///
    /// # Errors
    /// If none stands there.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Seal), Fault> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            let known = bytes.starts_with(&MAGIC) || MAGIC.starts_with(bytes);
            return Err(if known { Fault::Header } else { Fault::Foreign });
        };
        let mut fields = Fields(head);
        if fields.take::<8>() != MAGIC {
            return Err(Fault::Foreign);
        }
        let format = u32::from_le_bytes(fields.take());
        if format != FORMAT {
            return Err(Fault::Format(format));
        }
        let sum = u32::from_le_bytes(fields.take());
        if crc32fast::hash(fields.0) != sum {
            return Err(Fault::Header);
        }
        let header = Self {
            cluster: Uuid::from_bytes(fields.take()),
            server: ServerId(fields.number()),
            number: fields.number(),
            life: fields.number(),
            part: fields.number(),
            wall: fields.number(),
            local: Time::from_nanos(fields.number()),
            lost: fields.number(),
            version: String::from_utf8_lossy(&fields.take::<VERSION_BYTES>())
                .trim_end_matches('\0')
                .to_owned(),
        };
        Ok((header, Seal(sum)))
    }
}

/// A header that is read from the front; there is enough of it.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("invariant: a header is all there");
        self.0 = rest;
        *field
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

impl Default for Block {
    fn default() -> Self {
        Self { bytes: vec![0; HEAD], count: 0 }
    }
}

impl Block {
    /// Where records go.
    pub(super) fn records(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Its bytes, with the head.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD
    }

    /// Takes back what was written since it was so long.
    pub(super) fn cut(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Empties it, and keeps its memory. Returns how many records there were.
    pub(super) fn clear(&mut self) -> u64 {
        self.bytes.truncate(HEAD);
        std::mem::take(&mut self.count)
    }

    /// Memory that it holds.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Seal {
    /// The sums of the length and of the records.
    fn sums(self, number: u64, length: [u8; 4], records: &[u8]) -> [u32; 2] {
        let mut sum = Hasher::new_with_initial(self.0);
        sum.update(&number.to_le_bytes());
        sum.update(&length);
        let of_length = sum.finalize();
        let mut sum = Hasher::new_with_initial(of_length);
        sum.update(records);
        [of_length, sum.finalize()]
    }

    /// The bytes of a block, the file's `number`th.
    pub(super) fn seal(self, number: u64, block: &mut Block) -> &[u8] {
        let (head, records) = block.bytes.split_at_mut(HEAD);
        let length = (records.len() as u32).to_le_bytes();
        let [of_length, of_records] = self.sums(number, length, records);
        head[..4].copy_from_slice(&length);
        head[4..8].copy_from_slice(&of_length.to_le_bytes());
        head[8..].copy_from_slice(&of_records.to_le_bytes());
        &block.bytes
    }
}

/// A file of these records, the first of which has a block of its own.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn file_of(header: &Header, records: &[Record]) -> Vec<u8> {
    let (mut bytes, seal) = header.encode();
    let (first, others) = records.split_at(records.len().min(1));
    for (number, records) in (0..).zip([first, others]) {
        let mut block = Block::default();
        records.iter().for_each(|it| super::encode::record(block.records(), it));
        if !block.is_empty() {
            bytes.extend(seal.seal(number, &mut block));
        }
    }
    bytes
}

/// The records of a file, up to the first that cannot be used.
pub(super) struct Records {
    bytes: Vec<u8>,
    at: usize,
    /// Where the block ends that is read.
    end: usize,
    /// The number of the next block.
    block: u64,
    /// The number of the next record.
    number: u64,
    seal: Seal,
}

impl Records {
    /// Those of a file, all of which is `bytes`.
    ///
    /// # Errors
    /// If it has no header.
    pub(super) fn of(bytes: Vec<u8>) -> Result<(Header, Self), Fault> {
        let (header, seal) = Header::decode(&bytes)?;
        let (at, end) = (HEADER_BYTES, HEADER_BYTES);
        Ok((header, Self { bytes, at, end, block: 0, number: 0, seal }))
    }

    /// The next one, with its number; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be used; then neither can what is behind it.
    pub(super) fn next(&mut self) -> Option<Result<(u64, Record), Fault>> {
        if self.at == self.bytes.len() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.at = self.bytes.len();
        }
        Some(read)
    }

    fn read(&mut self) -> Result<(u64, Record), Fault> {
        if self.at == self.end {
            let length = self.open(&self.bytes[self.at..])?;
            self.at += HEAD;
            self.end = self.at + length;
            self.block += 1;
        }
        let number = self.number;
        let (record, rest) = postcard::take_from_bytes::<Record>(&self.bytes[self.at..self.end])
            .map_err(|_| Fault::Senseless(number))?;
        // A file begins with a checkpoint, and has no other.
        let makes_sense = match &record {
            Record::Checkpoint(checkpoint) => number == 0 && checkpoint.is_sound(),
            _ => number > 0,
        };
        if !makes_sense {
            return Err(Fault::Senseless(number));
        }
        self.at = self.end - rest.len();
        self.number += 1;
        Ok((number, record))
    }

    /// The length of the block that begins here.
    fn open(&self, rest: &[u8]) -> Result<usize, Fault> {
        let number = self.number;
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else {
            return Err(Fault::Torn(number));
        };
        let mut fields = Fields(head);
        let length: [u8; 4] = fields.take();
        let [of_length, of_records] = [(); 2].map(|()| u32::from_le_bytes(fields.take()));
        let records = rest.get(..u32::from_le_bytes(length) as usize);
        let sums = self.seal.sums(self.block, length, records.unwrap_or_default());
        if sums[0] != of_length {
            return Err(Fault::Sum(number));
        }
        let records = records.ok_or(Fault::Torn(number))?;
        // Of no records nothing can be read.
        if sums[1] != of_records || records.is_empty() {
            return Err(Fault::Sum(number));
        }
        Ok(records.len())
    }
}

impl Checkpoint {
    /// Whether its parts fit together.
    fn is_sound(&self) -> bool {
        self.hashes.fit(&self.node) && self.durable <= self.writes
    }
}
