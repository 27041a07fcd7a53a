//! Who comes, by which name, from which page, with which token; and whether he may.

use std::net::IpAddr;

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, HeaderValue, ORIGIN,
};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use super::access::Token;
use super::problem::{Code, Problem};
use super::route::Route;
use super::worker::Shared;

/// Whoever makes a request.
pub(super) struct Visitor<'a> {
    token: Option<&'a Token>,
    /// The page of another site that asks, if it may.
    pub(super) origin: Option<HeaderValue>,
}

impl<'a> Visitor<'a> {
    /// Looks at a request before anything else does.
    ///
    /// # Errors
    /// It called the server by a name that is not its own, comes from a page of another site, or
    /// with a token that is none.
    pub(super) fn of(request: &HttpRequest, shared: &'a Shared) -> Result<Self, Problem> {
        let host = host_of(request)?;
        if let Some(host) = host
            && !is_own_name(name_of(host), &shared.config.hosts)
        {
            let detail = format!(
                "`{}` is no name of this server; start it with that name among its hosts, or use \
                 its address",
                host.escape_debug()
            );
            return Err(Problem::new(Code::HostRefused, detail));
        }
        let origin = request.headers().get(ORIGIN);
        let own = origin.is_some_and(|origin| is_own_page(origin, host));
        let origin = origin.filter(|_| !own).cloned();
        if let Some(origin) = &origin
            && !shared.config.origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
        {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            let detail = format!("pages of {} may not ask here", origin.escape_debug());
            return Err(Problem::new(Code::OriginRefused, detail));
        }
        let token = match (&shared.config.tokens, presented(request)) {
            (Some(tokens), Some(token)) => {
                let unknown = || Problem::new(Code::Unauthorized, "this token is not known here");
                Some(tokens.find(token).ok_or_else(unknown)?)
            }
            _ => None,
        };
        Ok(Self { token, origin })
    }

    /// Whether he may do this.
    ///
    /// # Errors
    /// It takes a token, or a role that his does not have.
    pub(super) fn may(&self, route: &Route, shared: &Shared) -> Result<(), Problem> {
        let Some(role) = route.role() else { return Ok(()) };
        match self.token {
            Some(token) if token.may(role) => Ok(()),
            Some(token) => {
                let detail = format!("the token `{}` lacks the role `{role}`", token.name);
                Err(Problem::new(Code::Forbidden, detail))
            }
            None if shared.config.tokens.is_none() => Ok(()),
            None => {
                let detail = format!(
                    "this takes a token with the role `{role}`: send `Authorization: Bearer TOKEN`"
                );
                Err(Problem::new(Code::Unauthorized, detail))
            }
        }
    }

    /// Takes one request off those that he may make.
    ///
    /// # Errors
    /// He made too many.
    pub(super) fn take(&self, shared: &Shared) -> Result<(), Problem> {
        let (rate, now) = (shared.config.limits.rate, Instant::now());
        let taken = match self.token {
            Some(token) => token.take(rate, now),
            None => rate.is_none_or(|rate| shared.everybody.take(rate, now)),
        };
        let detail = "more requests a second than may be made";
        if taken { Ok(()) } else { Err(Problem::new(Code::TooManyRequests, detail)) }
    }

    /// Whose keys are his own.
    pub(super) fn owner(&self) -> &str {
        self.token.map_or("", |token| &token.name)
    }

    /// Whether a browser asks what a page may ask.
    pub(super) fn is_preflight(&self, request: &HttpRequest) -> bool {
        let asks = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        self.origin.is_some() && asks && *request.method() == Method::OPTIONS
    }

    /// What it may.
    pub(super) fn preflight(&self) -> HttpResponse {
        let headers = "authorization, content-type, idempotency-key, if-match, if-none-match, \
                       if-range, range, last-event-id";
        HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, POST, DELETE"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "600"))
            .finish()
    }
}

/// The token that a request brings.
fn presented(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// By which host, and perhaps port, the server was called. What is before it may say what it likes
/// of others: only the request itself counts.
fn host_of(request: &HttpRequest) -> Result<Option<&str>, Problem> {
    if let Some(authority) = request.uri().authority() {
        return Ok(Some(authority.as_str()));
    }
    let mut hosts = request.headers().get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => match host.to_str() {
            Ok(host) => Ok(Some(host)),
            Err(_) => Err(Problem::new(Code::HostRefused, "the host is not ASCII")),
        },
        (Some(_), Some(_)) => Err(Problem::new(Code::BadHeader, "there is more than one `Host`")),
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// An address is nobody's name: a page cannot have made it lead here.
fn is_own_name(name: &str, known: &[String]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a page is one of the server's own, by the name that it was called by.
fn is_own_page(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, page)), Some(host)) => page.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("localhost:3001", "localhost"),
            ("127.0.0.1:3001", "127.0.0.1"),
            ("[::1]:3001", "::1"),
            ("[::1]", "::1"),
            ("evil@localhost", "localhost"),
            ("localhost@evil:1", "evil"),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }

    #[test]
    fn addresses_and_known_names_are_its_own() {
        let known = ["files.example.org".to_owned()];
        for own in ["127.0.0.1", "10.0.0.7", "::1", "LocalHost", "localhost.", "Files.Example.ORG"]
        {
            assert!(is_own_name(own, &known), "{own}");
        }
        for other in ["evil.example", "localhost.evil", "", "files.example.org.evil", "127.1.evil"]
        {
            assert!(!is_own_name(other, &known), "{other}");
        }
    }

    #[test]
    fn a_page_is_own_if_it_came_from_there() {
        let own = |origin: &str, host| is_own_page(&HeaderValue::from_str(origin).unwrap(), host);
        assert!(own("http://localhost:3001", Some("localhost:3001")));
        assert!(own("https://Localhost:3001", Some("localhost:3001")));
        assert!(!own("http://localhost:3002", Some("localhost:3001")), "another port");
        assert!(!own("null", Some("localhost:3001")));
        assert!(!own("http://localhost:3001", None));
    }
}
