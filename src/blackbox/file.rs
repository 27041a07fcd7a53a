//! A file of a recording, byte by byte: format 1. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `jangabox` |
//! | 4 | format: 1 |
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
//! Then records, each of
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length |
//! | 4 | CRC-32 of the record's number (8 bytes, from 0 on), the length and the record, begun with the file's own sum |
//! | length | the record (`record.rs`); the first is a checkpoint |

use crc32fast::Hasher;
use serde::Serialize;
use uuid::Uuid;

use super::record::{Checkpoint, Record};
use crate::raft::{ServerId, Time};

const MAGIC: [u8; 8] = *b"jangabox";
const FORMAT: u32 = 1;
const VERSION_BYTES: usize = 16;
pub(super) const HEADER_BYTES: usize = 104;
/// Before a record.
const HEAD: usize = 8;

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

/// What the records of one file are sealed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Seal(u32);

/// Why a file, or a part of it, cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is no recording of jangada's")]
    Foreign,
    #[error("its format is {0}; this version reads format {FORMAT}")]
    Format(u32),
    #[error("its header is damaged")]
    Header,
    #[error("it ends in the middle of record {0}")]
    Torn(u64),
    #[error("record {0} is damaged: its checksum is wrong")]
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

impl Seal {
    fn sum(self, number: u64, length: u32, record: &[u8]) -> u32 {
        let mut sum = Hasher::new_with_initial(self.0);
        let mut head = [0; 12];
        head[..8].copy_from_slice(&number.to_le_bytes());
        head[8..].copy_from_slice(&length.to_le_bytes());
        sum.update(&head);
        sum.update(record);
        sum.finalize()
    }

    /// Adds a record, the file's `number`th, to the end of `out`.
    pub(super) fn write(self, out: &mut Vec<u8>, number: u64, record: &Record) {
        self.seal(out, number, record);
    }

    /// Adds the checkpoint that a file begins with.
    pub(super) fn write_checkpoint(self, out: &mut Vec<u8>, checkpoint: Box<Checkpoint>) {
        self.seal(out, 0, &Record::Checkpoint(checkpoint));
    }

    fn seal(self, out: &mut Vec<u8>, number: u64, record: &impl Serialize) {
        let start = out.len();
        out.extend([0; HEAD]);
        postcard::to_io(record, &mut *out)
            .expect("invariant: numbers and lists can be written to memory");
        let length = (out.len() - start - HEAD) as u32;
        let sum = self.sum(number, length, &out[start + HEAD..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The records of a file, up to the first that cannot be used.
pub(super) struct Records {
    bytes: Vec<u8>,
    at: usize,
    /// The number of the next.
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
        Ok((header, Self { bytes, at: HEADER_BYTES, number: 0, seal }))
    }

    /// The next one, with its number; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be used; then neither can what is behind it.
    pub(super) fn next(&mut self) -> Option<Result<(u64, Record), Fault>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let number = self.number;
        match self.read(rest) {
            Ok((record, length)) => {
                self.at += HEAD + length;
                self.number += 1;
                Some(Ok((number, record)))
            }
            Err(fault) => {
                self.at = self.bytes.len();
                Some(Err(fault))
            }
        }
    }

    fn read(&self, rest: &[u8]) -> Result<(Record, usize), Fault> {
        let number = self.number;
        let torn = || Fault::Torn(number);
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
        let (sum, rest) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
        let length = u32::from_le_bytes(*length);
        let record = rest.get(..length as usize).ok_or_else(torn)?;
        if self.seal.sum(number, length, record) != u32::from_le_bytes(*sum) {
            return Err(Fault::Sum(number));
        }
        let senseless = Fault::Senseless(number);
        match postcard::take_from_bytes::<Record>(record) {
            Ok((Record::Checkpoint(it), [])) if !it.is_sound() => Err(senseless),
            Ok((Record::Checkpoint(it), [])) if number == 0 => {
                Ok((Record::Checkpoint(it), length as usize))
            }
            // A file begins with the one that it has.
            Ok((Record::Checkpoint(_), _)) => Err(senseless),
            Ok((record, [])) if number > 0 => Ok((record, length as usize)),
            _ => Err(senseless),
        }
    }
}

impl Checkpoint {
    /// Whether its parts fit together.
    fn is_sound(&self) -> bool {
        self.hashes.fit(&self.node) && self.durable <= self.writes
    }
}
