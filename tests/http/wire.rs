//! HTTP by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::{Cluster, PATIENCE};

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The code of the problem that it is: all of it is as docs/http.md says.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        let text = |key: &str| problem[key].as_str().expect("a text").to_owned();
        assert_eq!(problem["status"], self.status, "{problem}");
        let code = text("code");
        assert_eq!(text("type"), format!("urn:jangada:problem:{code}"));
        assert_eq!(text("title"), code.replace('_', " "));
        assert!(text("detail").len() > 10, "{problem}");
        code
    }

    /// It is a success.
    pub(crate) fn good(self) -> Self {
        let text = String::from_utf8_lossy(&self.body);
        assert!((200..300).contains(&self.status), "{} {text}", self.status);
        self
    }
}

/// A connection to a server.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    address: String,
    /// What came and was not asked for yet.
    rest: Vec<u8>,
    /// The server has said that it closes the connection.
    closed: bool,
}

impl Wire {
    pub(crate) fn to(cluster: &Cluster, id: u64) -> Self {
        let address = cluster.http(id);
        Self { stream: connect(&address), address, rest: Vec::new(), closed: false }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // It may have been closed: then the answer says why, or there is none.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Asks, with more headers (`Name: value`) and a body; on another connection if this one was
    /// closed.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Answer {
        if self.closed {
            *self = Self {
                stream: connect(&self.address),
                address: self.address.clone(),
                rest: Vec::new(),
                closed: false,
            };
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for header in headers {
            head = head + header + "\r\n";
        }
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat());
        self.answer_to(method).expect("an answer")
    }

    /// The next answer; `None` if the connection is closed instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    pub(crate) fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = loop {
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                break self.rest.drain(..end + 4).collect::<Vec<_>>();
            }
            if !self.more() {
                return None;
            }
        };
        let head = String::from_utf8(head).expect("headers are text");
        let mut lines = head.trim_end().split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        if status == 100 {
            return self.answer_to(method);
        }
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_lowercase(), value.trim().to_owned())
        };
        let headers = lines.map(pair).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        self.closed = answer.header("connection") == Some("close");
        let bare = method == "HEAD" || status == 204 || status == 304;
        if bare {
            return Some(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
            return Some(answer);
        }
        let length: usize = answer.header("content-length")?.parse().expect("a length");
        answer.body = self.take(length)?;
        Some(answer)
    }

    /// The next chunk of a body; `None` at its end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.trim(), 16).expect("the size of a chunk");
        let chunk = self.take(size)?;
        self.take(2)?;
        (size > 0).then_some(chunk)
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.rest, b"\n") {
                let line = self.rest.drain(..=end).collect();
                return Some(String::from_utf8(line).expect("text"));
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// So many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.rest.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.rest.drain(..count).collect())
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.rest.extend(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came within {PATIENCE:?}: {error}"),
        }
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Asks on a connection of its own.
pub(crate) fn ask(
    cluster: &Cluster,
    id: u64,
    method: &str,
    target: &str,
    headers: &[&str],
    body: &[u8],
) -> Answer {
    Wire::to(cluster, id).ask(method, target, headers, body)
}

pub(crate) fn get(cluster: &Cluster, id: u64, target: &str) -> Answer {
    ask(cluster, id, "GET", target, &[], b"")
}
