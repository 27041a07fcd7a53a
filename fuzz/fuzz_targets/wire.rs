//! Frames and greetings: whatever the bytes are, they are read or refused, and what is read can be
//! sent again. `tests/net/properties.rs` has the same for CI; `tests/golden/wire/` has seeds.
#![no_main]

use bytes::Bytes;
use jangada::net::frame::{Frames, MAX_FRAME};
use jangada::net::handshake::{Hello, decode_reply};
use jangada::net::packet::Frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(&Bytes::copy_from_slice(bytes));
    // The same bytes as a stream of frames, in two pieces.
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let mut frames = Frames::new(MAX_FRAME);
    for piece in [one, other] {
        frames.feed(piece);
        while let Ok(Some(frame)) = frames.cut() {
            check(&frame);
        }
    }
});

fn check(bytes: &Bytes) {
    if let Ok(frame) = Frame::decode(bytes) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert_eq!(Frame::decode(&out.into()), Ok(frame));
    }
    let _ = decode_reply(bytes);
    if let Ok((hello, _)) = Hello::decode(bytes) {
        let mut out = Vec::new();
        hello.encode(&mut out);
        assert_eq!(Hello::decode(&out.into()), Ok((hello, 1)));
    }
}
