//! Who may do what: tokens and their roles.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// What a token allows. None includes another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Read files, watch them, and see how the cluster is.
    Read,
    /// Change files.
    Write,
    /// Change members, leader and snapshots.
    Admin,
    /// Disturb the cluster.
    Chaos,
}

/// The tokens of a server. It knows their hashes alone.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Token>);

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    /// What it is called in the logs, and whose keys are its own.
    pub(super) name: String,
    roles: Vec<Role>,
    hash: blake3::Hash,
    /// Its own limit of requests a second.
    rate: Option<u32>,
    bucket: Bucket,
}

/// Requests that may be made now; refilled steadily, up to what one second brings.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Option<Level>>);

/// How full a bucket was.
#[derive(Clone, Copy, Debug)]
struct Level {
    at: Instant,
    /// Requests, in nanoseconds of their share of a second.
    left: u128,
}

/// What is wrong with a file of tokens.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "line {line} of the tokens: {reason}; a line is NAME ROLES HASH [RATE/s], such as \
     `backup read,write blake3:0f3a… 100/s`"
)]
pub struct TokensError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Most tokens of a server.
const MAX_TOKENS: usize = 1000;

impl Role {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Role::Read),
            "write" => Some(Role::Write),
            "admin" => Some(Role::Admin),
            "chaos" => Some(Role::Chaos),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
            Role::Chaos => "chaos",
        })
    }
}

/// What stands for a token in a file of tokens: `blake3:` and what `b3sum` prints of it.
pub fn hash_token(token: &str) -> String {
    format!("blake3:{}", blake3::hash(token.as_bytes()))
}

impl Tokens {
    /// Reads a file of tokens: one a line, `NAME ROLES HASH [RATE/s]`, roles with commas between
    /// them. Empty lines and lines that begin with `#` are none.
    ///
    /// # Errors
    /// A line that is not so; two tokens of one name, or two names of one token.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens: Vec<Token> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let token = Token::parse(text).map_err(|reason| TokensError { line, reason })?;
            let wrong = |reason: String| Err(TokensError { line, reason });
            if tokens.iter().any(|other| other.name == token.name) {
                return wrong(format!("`{}` is there already", token.name));
            }
            if let Some(other) = tokens.iter().find(|other| other.hash == token.hash) {
                return wrong(format!("it is the token of `{}`", other.name));
            }
            if tokens.len() == MAX_TOKENS {
                return wrong(format!("there are more than {MAX_TOKENS}"));
            }
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// The token that was presented. Takes as long whichever it is, and however nearly it is one.
    pub(super) fn find(&self, presented: &str) -> Option<&Token> {
        let hash = blake3::hash(presented.as_bytes());
        let mut found = None;
        for token in &self.0 {
            // Hashes are compared in constant time.
            if token.hash == hash {
                found = Some(token);
            }
        }
        found
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut word = || words.next();
        let (Some(name), Some(roles), Some(hash), rate, None) =
            (word(), word(), word(), word(), word())
        else {
            return Err(format!("it has {} words", line.split_whitespace().count()));
        };
        let role = |word| Role::parse(word).ok_or_else(|| format!("`{word}` is no role"));
        let roles = roles.split(',').map(role).collect::<Result<_, _>>()?;
        let digits = hash.strip_prefix("blake3:").ok_or("the hash must begin with `blake3:`")?;
        let hash = blake3::Hash::from_hex(digits).map_err(|error| format!("the hash: {error}"))?;
        let rate = match rate {
            None => None,
            Some(rate) => {
                let number = rate.strip_suffix("/s").and_then(|number| number.parse().ok());
                let number = number.filter(|number| *number > 0);
                Some(number.ok_or_else(|| format!("`{rate}` is no rate"))?)
            }
        };
        Ok(Self { name: name.to_owned(), roles, hash, rate, bucket: Bucket::default() })
    }

    /// Whether it has the role.
    pub(super) fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Takes one request off; `false` if it made too many. `rate` holds unless it has its own.
    pub(super) fn take(&self, rate: Option<u32>, now: Instant) -> bool {
        self.rate.or(rate).is_none_or(|rate| self.bucket.take(rate, now))
    }
}

impl Bucket {
    /// Takes one request out, if it is in, of at most `rate` a second.
    pub(super) fn take(&self, rate: u32, now: Instant) -> bool {
        let full = Duration::from_secs(1).as_nanos();
        let one = full / u128::from(rate.max(1));
        // A thread that panicked here left a level behind, or none.
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = level.unwrap_or(Level { at: now, left: full });
        let gained = now.saturating_duration_since(before.at).as_nanos();
        let left = (before.left + gained).min(full);
        let taken = left >= one;
        *level =
            Some(Level { at: now.max(before.at), left: if taken { left - one } else { left } });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, roles: &str, token: &str) -> String {
        format!("{name} {roles} {}", hash_token(token))
    }

    #[test]
    fn a_token_is_found_by_its_hash_and_has_its_roles() {
        let text = format!(
            "# who may\n\n{}\n  {} 2/s\n",
            line("backup", "read", "secret"),
            line("boss", "read,write,admin", "other")
        );
        let tokens = Tokens::parse(&text).unwrap();
        let backup = tokens.find("secret").unwrap();
        assert_eq!(backup.name, "backup");
        assert!(backup.may(Role::Read) && !backup.may(Role::Write));
        let boss = tokens.find("other").unwrap();
        assert!(boss.may(Role::Admin) && !boss.may(Role::Chaos));
        assert!(tokens.find("").is_none() && tokens.find("secre").is_none());
        assert!(!format!("{tokens:?}").contains("secret"));
    }

    #[test]
    fn a_bad_line_is_named_with_what_is_wrong() {
        let good = line("a", "read", "x");
        let cases = [
            ("a read".to_owned(), "2 words"),
            (line("a", "reed", "x"), "`reed` is no role"),
            ("a read x".to_owned(), "must begin with `blake3:`"),
            ("a read blake3:12".to_owned(), "the hash"),
            (format!("{good} fast"), "`fast` is no rate"),
            (format!("{good} 0/s"), "`0/s` is no rate"),
            (format!("{good} 1/s more"), "5 words"),
            (format!("{good}\n{}", line("a", "read", "y")), "`a` is there already"),
            (format!("{good}\n{}", line("b", "read", "x")), "the token of `a`"),
        ];
        for (text, reason) in cases {
            let error = Tokens::parse(&text).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
            assert_eq!(error.line, text.lines().count());
        }
    }

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let bucket = Bucket::default();
        let start = Instant::now();
        let taken = |from: u64, to: u64| {
            (from..to).filter(|ms| bucket.take(10, start + Duration::from_millis(*ms))).count()
        };
        assert_eq!(taken(0, 1), 1);
        // What a second brings was there at first, and comes again in each second.
        assert_eq!(taken(1, 2000), 9 + 20 - 1);
        assert_eq!(taken(60_000, 60_001), 1);
        assert_eq!(
            (0..100).filter(|_| bucket.take(10, start + Duration::from_secs(90))).count(),
            10
        );
    }
}
