//! Versions of files as ETags, and the conditions of requests (RFC 9110, section 13).

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use uuid::Uuid;

use super::problem::{Code, Problem};
use crate::files::{Command, MAX_VERSIONS};

/// One state of one file: its uuid and its revision. As an ETag, `"UUID.REVISION"`.
pub(crate) type Version = (Uuid, u64);

/// Which versions a header names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Versions {
    /// `*`: any.
    Any,
    /// These. Tags that no file of ours can have are left out.
    These(Vec<Version>),
}

/// What must hold for a request to be carried out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Preconditions {
    if_match: Option<Versions>,
    if_none_match: Option<Versions>,
}

/// The ETag of a version.
pub(super) fn etag((uuid, revision): Version) -> String {
    format!("\"{uuid}.{revision}\"")
}

impl Versions {
    /// Reads the value of `If-Match` or `If-None-Match`: `*`, or ETags with commas between them.
    /// `None` if it is neither. A weak tag (`W/…`) counts as the version that it names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Versions::Any);
        }
        let mut versions = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Some(Versions::These(versions));
            }
            let tag = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
            let (tag, behind) = tag.split_once('"')?;
            rest = behind;
            if !rest.is_empty() && !rest.starts_with([' ', '\t', ',']) {
                return None;
            }
            versions.extend(version(tag));
        }
    }

    fn include(&self, found: Option<Version>) -> bool {
        match (self, found) {
            (Versions::Any, found) => found.is_some(),
            (Versions::These(versions), Some(found)) => versions.contains(&found),
            (Versions::These(_), None) => false,
        }
    }
}

/// The version that a tag names, without its quotes.
fn version(tag: &str) -> Option<Version> {
    let (uuid, revision) = tag.split_once('.')?;
    Some((Uuid::try_parse(uuid).ok()?, revision.parse().ok()?))
}

impl Preconditions {
    /// The conditions among the headers.
    ///
    /// # Errors
    /// One that cannot be read: nobody may take it for fulfilled.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let versions = |name: HeaderName| -> Result<Option<Versions>, Problem> {
            let mut all = None;
            for value in headers.get_all(&name) {
                let bad = || {
                    let detail = format!(
                        "`{name}` must be * or ETags in quotes, {MAX_VERSIONS} at the most"
                    );
                    Problem::new(Code::BadHeader, detail)
                };
                let read = value.to_str().ok().and_then(Versions::parse).ok_or_else(bad)?;
                all = match (all, read) {
                    (None, read) => Some(read),
                    (Some(Versions::These(mut all)), Versions::These(more)) => {
                        all.extend(more);
                        Some(Versions::These(all))
                    }
                    (Some(_), _) => return Err(bad()),
                };
                if matches!(&all, Some(Versions::These(all)) if all.len() > MAX_VERSIONS) {
                    return Err(bad());
                }
            }
            Ok(all)
        };
        Ok(Self { if_match: versions(IF_MATCH)?, if_none_match: versions(IF_NONE_MATCH)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The command, to be carried out only if the conditions hold for the file then.
    pub(super) fn around(self, file: &str, mut command: Command) -> Command {
        let mut wrap = |versions: Versions, is| {
            let versions = match versions {
                Versions::Any => Vec::new(),
                // Of tags that no file has, one stands for all: none of our files has it either.
                Versions::These(versions) if versions.is_empty() => vec![(Uuid::nil(), 0)],
                Versions::These(versions) => versions,
            };
            let inner = std::mem::replace(&mut command, Command::Discard { upload: Uuid::nil() });
            command = inner.if_version(file, versions, is);
        };
        if let Some(versions) = self.if_none_match {
            wrap(versions, false);
        }
        if let Some(versions) = self.if_match {
            wrap(versions, true);
        }
        command
    }

    /// Whether a file of this version may be read.
    ///
    /// # Errors
    /// `If-Match` does not hold.
    pub(super) fn permit(&self, found: Version) -> Result<Permission, Problem> {
        if self.if_match.as_ref().is_some_and(|versions| !versions.include(Some(found))) {
            let detail = format!("the file is now {}, which `If-Match` does not name", etag(found));
            return Err(Problem::new(Code::PreconditionFailed, detail));
        }
        let known = self.if_none_match.as_ref();
        let known = known.is_some_and(|versions| versions.include(Some(found)));
        Ok(if known { Permission::NotModified } else { Permission::Granted })
    }
}

/// What the conditions say to a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Permission {
    Granted,
    /// The client has what it asks for.
    NotModified,
}

/// Whether a `Range` counts for this version, which it does not if `If-Range` names another.
pub(super) fn range_counts(headers: &HeaderMap, found: Version) -> bool {
    headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag(found).as_bytes())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const A: Version = (Uuid::from_u128(0xa), 3);
    const B: Version = (Uuid::from_u128(0xb), 1);

    #[test]
    fn etags_are_read_as_they_are_written() {
        let (a, b) = (etag(A), etag(B));
        let these = |versions: &[Version]| Some(Versions::These(versions.to_vec()));
        assert_eq!(Versions::parse(&a), these(&[A]));
        assert_eq!(Versions::parse(&format!(" {a} ,\t{b},")), these(&[A, B]));
        assert_eq!(Versions::parse(&format!("W/{a}")), these(&[A]));
        assert_eq!(Versions::parse("\"foreign\", \"1.2\""), these(&[]));
        assert_eq!(Versions::parse(" * "), Some(Versions::Any));
        for bad in ["x", "\"x", "x\"", "*, \"a\"", "\"a\"\"b\"", "'a'"] {
            assert_eq!(Versions::parse(bad), None, "{bad}");
        }
    }

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_read_is_permitted_refused_or_not_needed() {
        let permit = |name, value: &str| {
            let conditions = Preconditions::of(&headers(&[(name, value)])).unwrap();
            conditions.permit(A).map_err(|problem| problem.status)
        };
        let (a, b) = (etag(A), etag(B));
        assert_eq!(permit(IF_MATCH, &a), Ok(Permission::Granted));
        assert_eq!(permit(IF_MATCH, "*"), Ok(Permission::Granted));
        assert_eq!(permit(IF_MATCH, &b), Err(412));
        assert_eq!(permit(IF_MATCH, "\"foreign\""), Err(412));
        assert_eq!(permit(IF_NONE_MATCH, &a), Ok(Permission::NotModified));
        assert_eq!(permit(IF_NONE_MATCH, "*"), Ok(Permission::NotModified));
        assert_eq!(permit(IF_NONE_MATCH, &b), Ok(Permission::Granted));
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_refused_and_not_ignored() {
        let many = vec![etag(A); MAX_VERSIONS + 1].join(",");
        for value in ["x", "", many.as_str()] {
            let found = Preconditions::of(&headers(&[(IF_MATCH, value)]));
            match value {
                "" => assert!(found.is_ok(), "no tag at all never matches"),
                _ => assert_eq!(found.unwrap_err().code, Code::BadHeader, "{value}"),
            }
        }
        let several = headers(&[(IF_MATCH, "*"), (IF_MATCH, "*")]);
        assert_eq!(Preconditions::of(&several).unwrap_err().code, Code::BadHeader);
    }

    #[test]
    fn a_range_counts_for_the_version_that_it_was_meant_for() {
        assert!(range_counts(&headers(&[]), A));
        assert!(range_counts(&headers(&[(IF_RANGE, &etag(A))]), A));
        assert!(!range_counts(&headers(&[(IF_RANGE, &etag(B))]), A));
        assert!(!range_counts(&headers(&[(IF_RANGE, "Mon, 23 Nov 2026 00:00:00 GMT")]), A));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(text in "[*\"W/, a-f0-9.-]{0,60}|\\PC{0,60}") {
            let _ = Versions::parse(&text);
        }

        #[test]
        fn every_etag_survives(uuid in any::<u128>(), revision in any::<u64>()) {
            let version = (Uuid::from_u128(uuid), revision);
            prop_assert_eq!(Versions::parse(&etag(version)), Some(Versions::These(vec![version])));
        }
    }
}
