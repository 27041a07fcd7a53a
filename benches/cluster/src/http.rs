//! A client of an HTTP server: one connection that is kept, one request at a time.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Http {
    stream: TcpStream,
    host: String,
    out: Vec<u8>,
    buffer: BytesMut,
}

impl Http {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (host, out, buffer) = (address.to_owned(), Vec::new(), BytesMut::with_capacity(8192));
        Ok(Self { stream, host, out, buffer })
    }

    /// Makes a request; answers the status and the body.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<(u16, BytesMut)> {
        self.begin(method, path, body.map(|body| body.len() as u64));
        self.out.extend_from_slice(body.unwrap_or_default());
        self.stream.write_all(&self.out).await?;
        self.answer().await
    }

    /// Sends a body piece by piece, as it is read from a file.
    pub(crate) async fn upload(
        &mut self,
        path: &str,
        file: &mut impl std::io::Read,
        size: u64,
    ) -> Result<(u16, BytesMut)> {
        self.begin("PUT", path, Some(size));
        self.stream.write_all(&self.out).await?;
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return self.answer().await;
            }
            self.stream.write_all(&piece[..count]).await?;
        }
    }

    fn begin(&mut self, method: &str, path: &str, length: Option<u64>) {
        use std::io::Write;
        self.out.clear();
        let _ = write!(self.out, "{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        if let Some(length) = length {
            let _ = write!(self.out, "content-length: {length}\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    async fn answer(&mut self) -> Result<(u16, BytesMut)> {
        loop {
            if let Some((head, status, length)) = parse(&self.buffer)? {
                while self.buffer.len() < head + length {
                    self.more().await?;
                }
                self.buffer.advance(head);
                return Ok((status, self.buffer.split_to(length)));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("{} closed the connection", self.host);
        }
        Ok(())
    }
}

/// The length of the head, the status, and the length of the body; `None` if the head is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(usize, u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let length = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some(length) => std::str::from_utf8(length.value)?.trim().parse()?,
        None => 0,
    };
    Ok(Some((head, response.code.context("an answer without a status")?, length)))
}
