//! Bytes that nobody meant, as a file of a recording: for `fuzz/` and for the properties.

use super::file::{Header, Records, file_of};
use super::player::{Player, Watcher};
use super::record::Record;
use crate::invariants::Fact;
use crate::raft::{Message, ServerId};

/// Has a file read: the bytes as they are; and the same as records whose sums are right. They are
/// refused, or can be replayed; nothing panics.
pub fn fuzz(bytes: &[u8]) {
    play(bytes.to_vec());
    if let Ok((record, _)) = postcard::take_from_bytes::<Record>(bytes) {
        let header = Header {
            cluster: uuid::Uuid::nil(),
            server: ServerId(1),
            number: 1,
            life: 1,
            part: 0,
            wall: 0,
            local: Default::default(),
            lost: 0,
            version: String::new(),
        };
        play(file_of(&header, &[record]));
    }
}

fn play(bytes: Vec<u8>) {
    let Ok((header, mut records)) = Records::of(bytes) else { return };
    let Some(Ok((_, Record::Checkpoint(checkpoint)))) = records.next() else { return };
    let mut player = Player::new(&header, *checkpoint);
    while let Some(Ok((_, record))) = records.next() {
        if player.play(&record, &mut Nobody).is_err() {
            return;
        }
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn tell(&mut self, _: &Fact<'_>) {}

    fn received(&mut self, _: ServerId, _: ServerId, _: &Message) {}

    fn line(&mut self, _: std::fmt::Arguments<'_>) {}
}
