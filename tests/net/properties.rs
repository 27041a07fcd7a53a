//! Whatever the bytes are, they are read or refused, and what is read can be sent again.

use bytes::Bytes;
use jangada::net::frame::{Frames, MAX_FRAME, put};
use jangada::net::handshake::{Hello, decode_reply};
use jangada::net::packet::Frame;
use proptest::prelude::*;

/// What the fuzz target `wire` checks too.
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

fn golden() -> Vec<Bytes> {
    let hex = |line: &str| -> Bytes {
        let (_, hex) = line.split_once(' ').expect("a name and bytes");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
    };
    include_str!("../golden/wire/v1.txt").lines().map(hex).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes.into());
    }

    #[test]
    fn damaged_frames_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let golden = golden();
        let mut bytes = which.get(&golden).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check(&bytes.clone().into());
        bytes.truncate(cut.index(bytes.len()));
        check(&bytes.into());
    }

    /// Frames come out whole however the stream was cut.
    #[test]
    fn a_stream_is_cut_into_its_frames(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10),
        pieces in prop::collection::vec(1_usize..50, 1..50),
    ) {
        let mut stream = Vec::new();
        for frame in &frames {
            put(&mut stream, |out| out.extend(frame));
        }
        let (mut cutter, mut came) = (Frames::new(MAX_FRAME), Vec::new());
        let mut sizes = pieces.iter().cycle();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().expect("a cycle")));
            rest = behind;
            cutter.feed(piece);
            while let Some(frame) = cutter.cut().expect("none is too large") {
                came.push(frame.to_vec());
            }
        }
        prop_assert_eq!(came, frames);
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_is_there() {
    let mut frames = Frames::new(1000);
    frames.feed(&1001_u32.to_be_bytes());
    assert!(frames.cut().is_err());
    let mut frames = Frames::new(1000);
    frames.feed(b"GET / HTTP/1.1\r\n\r\n");
    assert!(frames.cut().is_err());
}

/// A payload is a view of the frame's memory.
#[test]
fn payloads_are_not_copied() {
    let golden = include_str!("../golden/wire/v1.txt");
    let line = golden.lines().position(|line| line.starts_with("write ")).expect("it is there");
    let bytes = self::golden().swap_remove(line);
    let Ok(Frame::Packet(jangada::net::packet::Packet::Call { request, .. })) =
        Frame::decode(&bytes)
    else {
        panic!("a call");
    };
    let jangada::net::Request::Write(command) = request else { panic!("a write") };
    assert!(bytes.as_ptr_range().contains(&command.as_ptr()));
}
