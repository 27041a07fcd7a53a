//! What a request is about: its method and its path, as it came, taken apart once.

use actix_web::http::Method;

use super::access::Role;
use super::problem::{Code, Problem};
use crate::files::{FileName, NameError};

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// `PUT /v1/files/NAME`
    Put(FileName),
    /// `GET` or `HEAD /v1/files/NAME`
    Get(FileName),
    /// `DELETE /v1/files/NAME`
    Delete(FileName),
    /// `POST /v1/files/NAME/append`
    Append(FileName),
    /// `POST /v1/files/NAME/rename`
    Rename(FileName),
    /// `GET /v1/files/NAME/stat`
    Stat(FileName),
    /// `GET /v1/files`
    List,
    /// `GET /v1/watch`
    Watch,
    /// `GET /v1/cluster`
    Cluster,
    /// `POST /v1/cluster/members`
    Members,
    /// `POST /v1/cluster/transfer`
    Transfer,
    /// `POST /v1/cluster/snapshot`
    Snapshot,
    /// `GET /v1/cluster/why`
    Why,
    /// `POST /v1/chaos`
    Chaos,
    /// `GET /livez`
    Live,
    /// `GET /readyz`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `GET /version`
    Version,
    /// `GET /openapi.json`
    OpenApi,
}

/// Where the files are.
const FILES: &str = "/v1/files/";

impl Route {
    /// The names of all routes, as metrics have them; [`place`](Self::place) is one's place here.
    pub(super) const NAMES: [&str; 19] = [
        "put", "get", "delete", "append", "rename", "stat", "list", "watch", "cluster", "members",
        "transfer", "snapshot", "why", "chaos", "livez", "readyz", "metrics", "version", "openapi",
    ];

    /// Takes a path apart, as it stood in the request: without the query, and not decoded.
    ///
    /// # Errors
    /// There is nothing at this path, or not by this method, or the name is none.
    pub(crate) fn parse(method: &Method, path: &str) -> Result<Self, Problem> {
        if let Some(tail) = path.strip_prefix(FILES) {
            return Self::of_file(method, tail);
        }
        let (route, allowed) = match path {
            "/v1/files" => (Route::List, Method::GET),
            "/v1/watch" => (Route::Watch, Method::GET),
            "/v1/cluster" => (Route::Cluster, Method::GET),
            "/v1/cluster/members" => (Route::Members, Method::POST),
            "/v1/cluster/transfer" => (Route::Transfer, Method::POST),
            "/v1/cluster/snapshot" => (Route::Snapshot, Method::POST),
            "/v1/cluster/why" => (Route::Why, Method::GET),
            "/v1/chaos" => (Route::Chaos, Method::POST),
            "/livez" => (Route::Live, Method::GET),
            "/readyz" => (Route::Ready, Method::GET),
            "/metrics" => (Route::Metrics, Method::GET),
            "/version" => (Route::Version, Method::GET),
            "/openapi.json" => (Route::OpenApi, Method::GET),
            _ => {
                let detail = "nothing is at this path; /openapi.json says what there is";
                return Err(Problem::new(Code::NoSuchRoute, detail));
            }
        };
        let fits = *method == allowed || (allowed == Method::GET && *method == Method::HEAD);
        let named = if allowed == Method::GET { "GET, HEAD" } else { "POST" };
        if fits { Ok(route) } else { Err(Problem::allowed(named)) }
    }

    /// What is asked of a file: by the last segment, if it is one of three words as they stand
    /// there, behind a `/` that was not encoded.
    fn of_file(method: &Method, tail: &str) -> Result<Self, Problem> {
        let name = |text: &str| name(text).map_err(BadName::problem);
        let (front, last) = tail.rsplit_once('/').unwrap_or(("", tail));
        if front.is_empty() {
            return match *method {
                Method::PUT => Ok(Route::Put(name(tail)?)),
                Method::GET | Method::HEAD => Ok(Route::Get(name(tail)?)),
                Method::DELETE => Ok(Route::Delete(name(tail)?)),
                _ => Err(Problem::allowed("GET, HEAD, PUT, DELETE")),
            };
        }
        match (method, last) {
            (&Method::POST, "append") => Ok(Route::Append(name(front)?)),
            (&Method::POST, "rename") => Ok(Route::Rename(name(front)?)),
            (&(Method::GET | Method::HEAD), "stat") => Ok(Route::Stat(name(front)?)),
            (&Method::PUT, _) => Ok(Route::Put(name(tail)?)),
            (&(Method::GET | Method::HEAD), _) => Ok(Route::Get(name(tail)?)),
            (&Method::DELETE, _) => Ok(Route::Delete(name(tail)?)),
            (_, "append" | "rename") => Err(Problem::allowed("GET, HEAD, PUT, DELETE, POST")),
            _ => Err(Problem::allowed("GET, HEAD, PUT, DELETE")),
        }
    }

    /// The role that it takes; `None` if anybody may.
    pub(super) fn role(&self) -> Option<Role> {
        match self {
            Route::Live | Route::Ready | Route::Version | Route::OpenApi => None,
            Route::Get(_)
            | Route::Stat(_)
            | Route::List
            | Route::Watch
            | Route::Cluster
            | Route::Why
            | Route::Metrics => Some(Role::Read),
            Route::Put(_) | Route::Delete(_) | Route::Append(_) | Route::Rename(_) => {
                Some(Role::Write)
            }
            Route::Members | Route::Transfer | Route::Snapshot => Some(Role::Admin),
            Route::Chaos => Some(Role::Chaos),
        }
    }

    /// Whether it is answered however much there is to do: whoever looks after the server asks.
    pub(super) fn is_vital(&self) -> bool {
        matches!(self, Route::Live | Route::Ready | Route::Metrics | Route::Version)
    }

    /// Its place in [`NAMES`](Self::NAMES).
    pub(super) fn place(&self) -> usize {
        match self {
            Route::Put(_) => 0,
            Route::Get(_) => 1,
            Route::Delete(_) => 2,
            Route::Append(_) => 3,
            Route::Rename(_) => 4,
            Route::Stat(_) => 5,
            Route::List => 6,
            Route::Watch => 7,
            Route::Cluster => 8,
            Route::Members => 9,
            Route::Transfer => 10,
            Route::Snapshot => 11,
            Route::Why => 12,
            Route::Chaos => 13,
            Route::Live => 14,
            Route::Ready => 15,
            Route::Metrics => 16,
            Route::Version => 17,
            Route::OpenApi => 18,
        }
    }
}

/// Why part of a path is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadName {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a `%` must have two hexadecimal digits behind it (`%25` is a `%`)")]
    Percent,
    /// What it stands for is no UTF-8.
    #[error("decoded, the name is not UTF-8")]
    Encoding,
    /// What it stands for is no name.
    #[error("that is no file name: {0}")]
    Name(NameError),
}

impl BadName {
    fn problem(self) -> Problem {
        Problem::new(Code::BadName, self.to_string())
    }
}

/// The name that this part of a path stands for: percent-decoded once. An encoded `/` is one.
pub(crate) fn name(encoded: &str) -> Result<FileName, BadName> {
    let decoded = decode(encoded)?;
    FileName::new(&decoded).map_err(BadName::Name)
}

/// Percent-decodes once.
pub(crate) fn decode(encoded: &str) -> Result<String, BadName> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(BadName::Percent);
        };
        decoded.push((high << 4 | low) as u8);
    }
    String::from_utf8(decoded).map_err(|_| BadName::Encoding)
}

/// A name as part of a path: everything but letters, digits and `-._~` percent-encoded, so that
/// nothing on its way takes any of it for something else.
pub(crate) fn encode(name: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(method: &str, path: &str) -> Result<Route, Code> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Route::parse(&method, path).map_err(|problem| problem.code)
    }

    fn file(text: &str) -> FileName {
        FileName::new(text).unwrap()
    }

    #[test]
    fn a_name_is_decoded_once() {
        for (path, expected) in [
            ("notes.txt", "notes.txt"),
            ("a/b/c", "a/b/c"),
            ("a%2Fb", "a/b"),
            ("%61", "a"),
            ("%2561", "%61"),
            ("100%25", "100%"),
            ("a+b", "a+b"),
            ("%C3%A9", "é"),
            ("é", "é"),
            ("e%CC%81", "e\u{301}"),
        ] {
            assert_eq!(parse("GET", &format!("/v1/files/{path}")), Ok(Route::Get(file(expected))));
        }
    }

    #[test]
    fn what_is_no_name_never_gets_further() {
        let long = "x".repeat(1025);
        for path in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "%2e%2e/a",
            "%2E%2E",
            "a%2F..%2Fb",
            "..%2f..%2fetc%2fpasswd",
            "a%00",
            "a%0Ab",
            "a%7F",
            "%ff",
            "%",
            "%2",
            "%zz",
            "%C3",
            "a%c0%afb",
            &long,
        ] {
            for method in ["GET", "PUT", "DELETE"] {
                let found = parse(method, &format!("/v1/files/{path}"));
                assert_eq!(found, Err(Code::BadName), "{method} {path:?}");
            }
        }
        assert_eq!(parse("POST", "/v1/files/..%2fa/append"), Err(Code::BadName));
    }

    #[test]
    fn a_last_segment_is_a_word_only_where_one_is_expected_and_as_it_stands() {
        assert_eq!(parse("POST", "/v1/files/a/b/append"), Ok(Route::Append(file("a/b"))));
        assert_eq!(parse("POST", "/v1/files/a/rename"), Ok(Route::Rename(file("a"))));
        assert_eq!(parse("GET", "/v1/files/a/stat"), Ok(Route::Stat(file("a"))));
        assert_eq!(parse("HEAD", "/v1/files/a/stat"), Ok(Route::Stat(file("a"))));
        assert_eq!(parse("GET", "/v1/files/a%2Fstat"), Ok(Route::Get(file("a/stat"))));
        assert_eq!(parse("GET", "/v1/files/stat"), Ok(Route::Get(file("stat"))));
        assert_eq!(parse("PUT", "/v1/files/a/append"), Ok(Route::Put(file("a/append"))));
        assert_eq!(parse("DELETE", "/v1/files/a/stat"), Ok(Route::Delete(file("a/stat"))));
        assert_eq!(parse("POST", "/v1/files/a"), Err(Code::MethodNotAllowed));
        assert_eq!(parse("POST", "/v1/files/a%2Fappend"), Err(Code::MethodNotAllowed));
        assert_eq!(parse("PATCH", "/v1/files/a/append"), Err(Code::MethodNotAllowed));
    }

    #[test]
    fn paths_are_as_they_are_written() {
        assert_eq!(parse("GET", "/v1/files"), Ok(Route::List));
        assert_eq!(parse("POST", "/v1/files"), Err(Code::MethodNotAllowed));
        for path in ["/", "/v1", "/v2/files/a", "/v1/%66iles/a", "//v1/files", "/V1/files", "*"] {
            assert_eq!(parse("GET", path), Err(Code::NoSuchRoute), "{path}");
        }
    }

    #[test]
    fn every_route_has_a_name_of_its_own() {
        let mut places = std::collections::BTreeSet::new();
        for (method, path) in super::super::openapi::operations() {
            let path = path.replace("{name}", "a");
            let route = Route::parse(&method, &path);
            let route = route.unwrap_or_else(|_| panic!("{method} {path} is documented"));
            places.insert(route.place());
        }
        assert_eq!(
            places.into_iter().collect::<Vec<_>>(),
            (0..Route::NAMES.len()).collect::<Vec<_>>()
        );
    }

    proptest! {
        /// Whatever comes, and whatever it is decoded from, is refused or is a name that says the
        /// same when it is encoded again.
        #[test]
        fn any_path_is_a_name_or_refused(path in "\\PC{0,40}|[%0-9a-f./]{0,30}") {
            if let Ok(found) = name(&path) {
                prop_assert_eq!(name(&encode(found.as_str())), Ok(found));
            }
        }

        #[test]
        fn every_name_survives_its_path(text in "\\PC{1,60}") {
            if let Ok(file) = FileName::new(&text) {
                let path = format!("{FILES}{}", encode(&text));
                prop_assert_eq!(Route::parse(&Method::GET, &path).ok(), Some(Route::Get(file)));
            }
        }
    }
}
