//! `Idempotency-Key`: what makes a request that is made again the same request.

use actix_web::http::header::HeaderMap;
use uuid::Uuid;

use super::problem::{Code, Problem};
use crate::files::Key;

/// The header.
pub(super) const HEADER: &str = "idempotency-key";

/// No key is longer, in bytes.
const MAX_BYTES: usize = 256;

/// Who asks, and under which number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    client: u64,
    serial: u64,
}

/// What is asked for, hashed piece by piece, so that a key that comes again with something else is
/// noticed.
#[derive(Default)]
pub(super) struct Fingerprint(blake3::Hasher);

impl Caller {
    /// Reads the header: `CLIENT:NUMBER`, of a program that has a uuid and counts what it asks, or
    /// any other text, of whoever draws one for each request. May stand in quotes. Keys of different
    /// `owners` never meet.
    pub(crate) fn parse(text: &str, owner: &str) -> Option<Self> {
        let text = text.trim();
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = inner.unwrap_or(text);
        let fits = (1..=MAX_BYTES).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
            return None;
        }
        let numbered = text.rsplit_once(':').and_then(|(client, serial)| {
            let digits = serial.bytes().all(|byte| byte.is_ascii_digit());
            Some((Uuid::try_parse(client).ok()?, serial.parse().ok().filter(|_| digits)?))
        });
        let number = |kind: &str, bytes: &[u8]| {
            let mut hasher = blake3::Hasher::new();
            for part in [kind.as_bytes(), owner.as_bytes(), bytes] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            first_word(&hasher)
        };
        Some(match numbered {
            Some((client, serial)) => Self { client: number("client", client.as_bytes()), serial },
            None => Self { client: number("request", text.as_bytes()), serial: 0 },
        })
    }

    /// Who asks, by the headers, if they say so.
    ///
    /// # Errors
    /// The key cannot be read, or there are several.
    pub(super) fn of(headers: &HeaderMap, owner: &str) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER);
        let (value, more) = (values.next(), values.next());
        let Some(value) = value else { return Ok(None) };
        let caller = value.to_str().ok().and_then(|text| Self::parse(text, owner));
        match (caller, more) {
            (Some(caller), None) => Ok(Some(caller)),
            _ => {
                let detail = format!(
                    "`Idempotency-Key` must be CLIENT-UUID:NUMBER or up to {MAX_BYTES} visible \
                     ASCII characters, once"
                );
                Err(Problem::new(Code::BadHeader, detail))
            }
        }
    }

    /// The key of a request with this fingerprint.
    pub(super) fn key(self, fingerprint: &Fingerprint) -> Key {
        let Self { client, serial } = self;
        Key { client, serial, fingerprint: first_word(&fingerprint.0) }
    }
}

impl Fingerprint {
    /// Adds something: its length counts, too.
    pub(super) fn add(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }
}

fn first_word(hasher: &blake3::Hasher) -> u64 {
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: &str = "4f4c0f3a-0000-4000-8000-000000000001";

    fn parse(text: &str) -> Option<Caller> {
        Caller::parse(text, "")
    }

    #[test]
    fn a_numbered_key_has_its_client_and_its_number() {
        let one = parse(&format!("{CLIENT}:1")).unwrap();
        let two = parse(&format!("\"{}:2\"", CLIENT.to_uppercase())).unwrap();
        assert_eq!((one.client, one.serial, two.serial), (two.client, 1, 2));
        assert_ne!(one.client, Caller::parse(&format!("{CLIENT}:1"), "backup").unwrap().client);
    }

    #[test]
    fn any_other_key_is_a_client_of_its_own() {
        let texts = [
            "order-17".to_owned(),
            "order:17".to_owned(),
            format!("{CLIENT}:+1"),
            format!("{CLIENT}:"),
            CLIENT.to_owned(),
            format!("{CLIENT}:99999999999999999999"),
        ];
        let mut clients: Vec<_> = texts.iter().map(|text| parse(text).unwrap().client).collect();
        assert!(texts.iter().all(|text| parse(text).unwrap().serial == 0));
        clients.sort_unstable();
        clients.dedup();
        assert_eq!(clients.len(), texts.len());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "\"\"", "a b", "é", "\"a", &"x".repeat(MAX_BYTES + 1)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn fingerprints_tell_parts_apart() {
        let of = |parts: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            for part in parts {
                fingerprint.add(part.as_bytes());
            }
            parse("x").unwrap().key(&fingerprint).fingerprint
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["ab", ""]));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_refused(text in "[0-9a-f:\"-]{0,60}|\\PC{0,300}") {
            let _ = parse(&text);
        }
    }
}
