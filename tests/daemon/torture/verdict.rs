//! What is there in the end.

use std::collections::BTreeMap;
use std::fmt;

use jangada::actors::Consistency;
use jangada::client::{self, Client, FileInfo};

use super::clients::{Ledgers, client_of, content, endpoint};
use crate::process::{Cluster, run};

/// What was found.
pub(super) struct Kept {
    servers: usize,
    files: usize,
    acknowledged: usize,
    /// Lines of which no client knew whether they are there, and are.
    unknown: usize,
}

/// Compares every server with the others and with what clients were told, and panics with what is
/// not as it should be. Ends the cluster.
pub(super) fn judge(cluster: &mut Cluster, ledgers: &Ledgers) -> Kept {
    cluster.leader();
    let servers = cluster.running();
    let endpoints: Vec<_> = servers.iter().map(|id| endpoint(cluster, *id)).collect();
    let contents = client::run(async {
        let all = client_of(endpoints.clone());
        let files = list(&all, Consistency::Linearizable).await.expect("a list");
        for (id, endpoint) in servers.iter().zip(&endpoints) {
            let own = client_of(vec![endpoint.clone()]);
            // It may lack the latest for a while.
            let deadline = std::time::Instant::now() + crate::process::PATIENCE;
            loop {
                let seen = list(&own, Consistency::Stale).await.expect("a list");
                if seen == files {
                    break;
                }
                let late = std::time::Instant::now() > deadline;
                let other = files.iter().find(|file| !seen.contains(file));
                let count = (seen.len(), files.len());
                assert!(!late, "S{id} has {count:?} files, and not all of them: {other:?}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            for file in &files {
                let bytes = content(&own, &file.name, Consistency::Stale).await.expect("a content");
                let hash = blake3::hash(&bytes).to_string();
                assert_eq!(Some(&hash), file.hash.as_ref(), "S{id}, {}", file.name);
            }
        }
        let mut contents = BTreeMap::new();
        for file in files {
            let bytes = content(&all, &file.name, Consistency::Linearizable).await;
            contents.insert(file.name, bytes.expect("a content"));
        }
        contents
    });
    let files = contents.len();
    let (acknowledged, unknown) = count(contents, ledgers);
    for id in &servers {
        cluster.signal(*id, "TERM");
    }
    for id in &servers {
        let (ended, _) = cluster.wait(*id);
        assert_eq!(ended.code(), Some(0), "S{id}: {}", cluster.log(*id));
        let data = cluster.data(*id);
        let verify = ["log", "verify", data.to_str().expect("a path")];
        let (code, said, error) = run(&verify);
        assert_eq!(code, 0, "S{id}: {said}{error}");
    }
    Kept { servers: servers.len(), files, acknowledged, unknown }
}

/// Every line that was acknowledged is there once; no other line is there twice.
fn count(contents: BTreeMap<String, Vec<u8>>, ledgers: &Ledgers) -> (usize, usize) {
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (name, content) in contents {
        let content = String::from_utf8(content).expect("clients write text");
        for line in content.split_inclusive('\n') {
            *found.entry((name.clone(), line.to_owned())).or_default() += 1;
        }
    }
    let (mut acknowledged, mut unknown) = (0, 0);
    for (line, (ledger, done)) in &ledgers.lines {
        let times = found.remove(&(ledger.clone(), line.clone())).unwrap_or(0);
        match (done, times) {
            (true, 1) => acknowledged += 1,
            (false, 0) => {}
            (false, 1) => unknown += 1,
            _ => panic!("{line:?} is in {ledger} {times} times; acknowledged: {done}"),
        }
    }
    let stranger = found.keys().find(|(name, _)| name.ends_with("ledger"));
    assert_eq!(stranger, None, "nobody was told that it may be there");
    (acknowledged, unknown)
}

async fn list(client: &Client, consistency: Consistency) -> Result<Vec<FileInfo>, client::Error> {
    let (mut files, mut pages) = (Vec::new(), client.list("", consistency));
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(files);
        }
        files.extend(page);
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, files, acknowledged, unknown } = self;
        write!(
            f,
            "{files} files, the same on {servers} servers; {acknowledged} acknowledged lines are \
             there once, and {unknown} of which nobody knew"
        )
    }
}

/// What a ledger holds is held against what clients were told.
#[cfg(test)]
mod tests {
    use super::*;

    fn judged(content: &str, acknowledged: bool) -> (usize, usize) {
        let mut ledgers = Ledgers::default();
        let told = ("0/ledger".to_owned(), acknowledged);
        ledgers.lines.insert("1.1\n".to_owned(), told);
        let contents = BTreeMap::from([("0/ledger".to_owned(), content.as_bytes().to_vec())]);
        count(contents, &ledgers)
    }

    #[test]
    fn a_line_is_there_as_often_as_it_may_be() {
        assert_eq!(judged("1.1\n", true), (1, 0));
        assert_eq!(judged("1.1\n", false), (0, 1));
        assert_eq!(judged("", false), (0, 0));
    }

    #[test]
    #[should_panic(expected = "0 times; acknowledged: true")]
    fn a_lost_line_is_found() {
        judged("", true);
    }

    #[test]
    #[should_panic(expected = "2 times; acknowledged: true")]
    fn a_doubled_line_is_found() {
        judged("1.1\n1.1\n", true);
    }

    #[test]
    #[should_panic(expected = "nobody was told")]
    fn a_line_from_nowhere_is_found() {
        judged("1.1\n2.2\n", true);
    }
}
