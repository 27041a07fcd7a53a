//! The parameters of a query, and small bodies in JSON.

use actix_web::HttpRequest;
use actix_web::web::Query;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};
use crate::actors::Consistency;

/// What a read may miss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    #[default]
    Linearizable,
    Lease,
    Stale,
}

/// What NAME is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// A name.
    #[default]
    Name,
    /// A name, else a uuid, else the first digits of one.
    Any,
}

/// Of `PUT`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Put {
    pub(super) replace: bool,
    pub(super) redirect: bool,
}

/// Of `append`, `rename` and `DELETE`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Change {
    pub(super) by: By,
    pub(super) redirect: bool,
}

/// Of `GET` and `stat`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Get {
    pub(super) at: Option<u64>,
    pub(super) consistency: Reading,
    pub(super) by: By,
    pub(super) redirect: bool,
}

/// Of the list of files.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct List {
    pub(super) after: Option<String>,
    pub(super) limit: Option<u64>,
    pub(super) consistency: Reading,
    pub(super) redirect: bool,
}

/// Of `watch`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Watch {
    pub(super) from: Option<u64>,
    pub(super) prefix: String,
}

/// Of `why`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    pub(super) q: String,
}

/// Of what an operator wishes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wish {
    pub(super) redirect: bool,
}

/// Of everything else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Default for Put {
    fn default() -> Self {
        Self { replace: true, redirect: false }
    }
}

impl From<Reading> for Consistency {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Linearizable => Consistency::Linearizable,
            Reading::Lease => Consistency::Lease,
            Reading::Stale => Consistency::Stale,
        }
    }
}

/// The parameters of a request.
///
/// # Errors
/// One is unknown, given twice, or not what it should be: a slip of the pen must not change what
/// is done.
pub(super) fn of<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    parse(request.query_string())
}

pub(super) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let bad = |error| Problem::new(Code::BadParameter, format!("the query `?{query}`: {error}"));
    Query::<T>::from_query(query).map(Query::into_inner).map_err(bad)
}

/// A body in JSON.
///
/// # Errors
/// It is something else.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::BadBody, format!("the body: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::ChangeMembers;

    #[test]
    fn parameters_are_known_and_given_once() {
        assert!(parse::<Put>("").unwrap().replace);
        assert!(!parse::<Put>("replace=false").unwrap().replace);
        let list: List = parse("after=a%2Fb&limit=7&consistency=stale").unwrap();
        assert_eq!((list.after.as_deref(), list.limit), (Some("a/b"), Some(7)));
        assert_eq!(list.consistency, Reading::Stale);
        for bad in ["replce=false", "replace=no", "replace=false&replace=true", "replace"] {
            assert_eq!(parse::<Put>(bad).unwrap_err().code, Code::BadParameter, "{bad}");
        }
        assert!(parse::<Nothing>("x=1").is_err());
        assert!(parse::<Get>("at=-1").is_err());
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "[a-z=&%0-9]{0,40}|\\PC{0,40}") {
            let _ = (parse::<Put>(&query), parse::<Get>(&query), parse::<List>(&query));
            let _ = (parse::<Watch>(&query), parse::<Why>(&query), parse::<Nothing>(&query));
            let _ = parse::<Wish>(&query);
        }

        #[test]
        fn any_body_is_read_or_refused(body in "[{}\\[\\]\":,a-z0-9]{0,60}|\\PC{0,60}") {
            let _ = json::<ChangeMembers>(body.as_bytes());
        }
    }
}
