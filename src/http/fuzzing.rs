//! Bytes that nobody meant, as parts of a request: for `fuzz/` and for the properties.

use actix_web::http::Method;
use serde::de::DeserializeOwned;

use super::admin::ChangeMembers;
use super::cluster::HandOver;
use super::condition::{Versions, etag};
use super::files::NewName;
use super::key::Caller;
use super::parameters::{self, Change, Get, List, Nothing, Put, Watch, Why, Wish};
use super::problem::{Details, Problem};
use super::range::Wanted;
use super::route::{self, Route};
use crate::files::FileName;

/// Has a path with its query, and the values of headers, read by whatever reads them. Each is read
/// or refused as the client's mistake; a name that is read says the same when it is written again.
pub fn http_path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE] {
        match Route::parse(&method, path) {
            Ok(route) => drop(route.role()),
            Err(problem) => check(&problem),
        }
    }
    if let Ok(name) = route::name(path) {
        assert_eq!(route::name(&route::encode(name.as_str())), Ok(name));
    }
    read::<Put>(query);
    read::<Get>(query);
    read::<Change>(query);
    read::<List>(query);
    read::<Watch>(query);
    read::<Why>(query);
    read::<Wish>(query);
    read::<Nothing>(query);
    for size in [0, 1, 10, u64::MAX] {
        if let Some(range) = Wanted::parse(query).and_then(|wanted| wanted.within(size)) {
            assert!(range.start < range.end && range.end <= size);
        }
    }
    if let Some(Versions::These(versions)) = Versions::parse(query) {
        let again: Vec<_> = versions.iter().map(|version| etag(*version)).collect();
        assert_eq!(Versions::parse(&again.join(",")), Some(Versions::These(versions)));
    }
    assert_eq!(Caller::parse(query, "a"), Caller::parse(query, "a"));
}

/// Has a small body read as every JSON that there is.
pub fn http_body(data: &[u8]) {
    body::<ChangeMembers>(data);
    body::<HandOver>(data);
    if let Some(NewName { to }) = body(data)
        && let Ok(name) = FileName::new(&to)
    {
        assert_eq!(name.as_str(), to);
    }
}

fn read<T: DeserializeOwned>(query: &str) {
    if let Err(problem) = parameters::parse::<T>(query) {
        check(&problem);
    }
}

fn body<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    parameters::json(data).map_err(|problem| check(&problem)).ok()
}

/// A problem is the client's mistake, and is told whole.
fn check(problem: &Problem) {
    assert!((400..500).contains(&problem.status), "{problem}");
    let told = serde_json::to_vec(problem).expect("invariant: problems serialize");
    let told: Details = serde_json::from_slice(&told).expect("invariant: what is told can be read");
    assert_eq!((told.code, &told.detail), (problem.code, &problem.detail));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            http_path(&data);
        }

        #[test]
        fn any_path_that_looks_like_one_is_read_or_refused(
            data in "/(v1|livez)(/files|/cluster|/watch)?(/([a-z.]{0,3}|%[0-9a-fA-F]{2}|%)){0,4}\
                     (/append|/stat|/rename)?(\\?[a-z]{1,6}=[\"a-z0-9%,.*-]{0,40})?"
        ) {
            http_path(data.as_bytes());
        }

        #[test]
        fn any_body_is_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            http_body(&data);
        }

        #[test]
        fn any_body_that_looks_like_one_is_read_or_refused(
            data in "\\{(\"(to|add|id|remove|voters|if|learner)\":[\\[{\"]{0,2}[0-9a-z./\\\\]{0,20}\
                     [\\]}\"]{0,2},?){0,3}\\}"
        ) {
            http_body(data.as_bytes());
        }
    }
}
