//! Bytes that nobody meant, as a snapshot: for `fuzz/` and for the properties.

use bytes::Bytes;
use uuid::Uuid;

use super::RestoreError;
use crate::files::{Command, FileStore, Limits, Query, Request, open_session};

/// Has a store rebuilt from chunks: from sound ones with some of their bytes changed, or from bytes
/// as they come. They are refused, or make a store that works; none makes it panic.
pub fn snapshot(data: &[u8]) {
    match data.split_first() {
        Some((mode, edits)) if mode % 2 == 0 => restore(&edited(edits)),
        Some((_, bytes)) => restore(&cut(bytes)),
        None => restore(&sound()),
    }
}

/// A store with some of everything, as chunks.
fn sound() -> Vec<Bytes> {
    let mut store = FileStore::new(Limits::default());
    store.apply(1, &open_session());
    let mut index = 1;
    let mut ask = |command: Command, data: &[u8]| {
        index += 1;
        let request = Request { session: 1, serial: index, acknowledged: 1, command };
        store.apply(index, &request.encode(data));
    };
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (uuid, name) in [(first, "a"), (second, "b/c")] {
        let create =
            Command::Create { uuid, name: name.to_owned(), size: 3, upload: None, replace: false };
        ask(create, b"abc");
    }
    ask(Command::Append { file: "a".to_owned() }, &[7; 100]);
    ask(Command::Rename { file: "b/c".to_owned(), name: "d".to_owned() }, b"");
    ask(Command::Stage { upload: Uuid::from_u128(3), offset: 0, onto: None }, &[9; 50]);
    let mut frozen = store.freeze();
    // Nothing was let go: there is no chunk store.
    std::iter::from_fn(|| frozen.next_chunk()).filter_map(|(_, chunk)| chunk).collect()
}

/// Sound chunks, of which bytes were changed: which chunk, where, and to what, three bytes each.
fn edited(edits: &[u8]) -> Vec<Bytes> {
    let mut chunks: Vec<Vec<u8>> = sound().iter().map(|chunk| chunk.to_vec()).collect();
    let count = chunks.len();
    for edit in edits.chunks_exact(3) {
        let chunk = &mut chunks[usize::from(edit[0]) % count];
        let at = usize::from(edit[1]) % chunk.len();
        chunk[at] = edit[2];
    }
    chunks.into_iter().map(Bytes::from).collect()
}

/// Chunks of the lengths that stand before them.
fn cut(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (chunk, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        chunks.push(Bytes::copy_from_slice(chunk));
        bytes = rest;
    }
    chunks
}

fn rebuilt(chunks: &[Bytes]) -> Result<FileStore, RestoreError> {
    let mut restore = FileStore::default().restore();
    for chunk in chunks {
        restore.feed(blake3::hash(chunk).into(), chunk)?;
    }
    restore.finish(100)
}

fn restore(chunks: &[Bytes]) {
    let Ok(mut store) = rebuilt(chunks) else { return };
    store.query(&Query::List { after: None, limit: 10 }.encode());
    let command = Command::Append { file: "a".to_owned() };
    let request = Request { session: 1, serial: 1000, acknowledged: 1, command };
    store.apply(101, &request.encode(b"more"));
    let mut frozen = store.freeze();
    while frozen.next_chunk().is_some() {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sound_chunks_make_the_store_that_they_were_taken_of() {
        assert!(rebuilt(&sound()).is_ok());
        // One byte of one of them is enough to be noticed.
        assert!(rebuilt(&edited(&[1, 40, 0xee])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_snapshot_or_refused(
            data in proptest::collection::vec(any::<u8>(), 0..60)
        ) {
            snapshot(&data);
        }
    }
}
