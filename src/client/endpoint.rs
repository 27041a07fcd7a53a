//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// Where the servers of a cluster on this machine are, unless it is said: those of
/// `scripts/cluster`.
pub const DEFAULT_ENDPOINTS: &str = "http://127.0.0.1:3001,http://127.0.0.1:3002,\
    http://127.0.0.1:3003,http://127.0.0.1:3004,http://127.0.0.1:3005";

/// The address of a server's HTTP: `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    secure: bool,
    authority: String,
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no address of a server: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// Whether it is asked over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The server that a `Location` leads to, if it is asked like this one.
    pub(super) fn led_to(&self, location: &str) -> Option<Self> {
        let rest = location.find("://")? + 3;
        let end = location[rest..].find('/').map_or(location.len(), |at| rest + at);
        let other: Self = location[..end].parse().ok()?;
        // Whoever asks over TLS asks nobody else without it.
        (other.secure == self.secure).then_some(other)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |reason| EndpointError { text: text.escape_debug().to_string(), reason };
        let bare = text.trim().trim_end_matches('/');
        let (secure, authority) = match bare.split_once("://") {
            Some(("http", authority)) => (false, authority),
            Some(("https", authority)) => (true, authority),
            Some(_) => return Err(wrong("it must begin with `http://` or `https://`")),
            None => (false, bare),
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err(wrong("it must be `http://HOST:PORT` and no more"));
        }
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| wrong("it lacks the port"))?;
        if port.parse::<u16>().is_ok_and(|port| port > 0) && !host.is_empty() {
            let visible = host.bytes().all(|byte| byte.is_ascii_graphic());
            let closed = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
            if visible && closed {
                return Ok(Self { secure, authority: authority.to_owned() });
            }
            return Err(wrong("its host is no name and no address (IPv6 goes in brackets)"));
        }
        Err(wrong("it must be `http://HOST:PORT`, with a port from 1 to 65535"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, shown) in [
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001"),
            (" localhost:80/ ", "http://localhost:80"),
            ("https://files.example.org:443", "https://files.example.org:443"),
            ("[::1]:3001", "http://[::1]:3001"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in ["", "a", "ftp://a:1", "a:0", "a:70000", "http://a:1/v1", "::1:80", "u@a:1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_led_away_from_tls() {
        let secure: Endpoint = "https://a:1".parse().unwrap();
        assert_eq!(
            secure.led_to("https://b:2/v1/x?y=http://c:3").unwrap().to_string(),
            "https://b:2"
        );
        assert_eq!(secure.led_to("http://b:2/v1/x"), None);
        assert_eq!(secure.led_to("/v1/x"), None);
    }
}
