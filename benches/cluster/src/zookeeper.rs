//! A client of ZooKeeper: its binary protocol, as far as it is needed. One session, one operation
//! at a time.

use anyhow::{Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A session. It ends with its connection.
pub(crate) struct ZooKeeper {
    stream: TcpStream,
    number: i32,
    out: BytesMut,
    buffer: BytesMut,
}

/// Codes of operations and errors, as in its `ZooDefs` and `KeeperException`.
const CREATE: i32 = 1;
const GET: i32 = 4;
const SET: i32 = 5;
const SYNC: i32 = 9;
const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;
/// Longer than any measurement, in milliseconds: no session is kept alive by pings.
const SESSION: i32 = 600_000;

impl ZooKeeper {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (out, buffer) = (BytesMut::new(), BytesMut::with_capacity(4096));
        let mut client = Self { stream, number: 0, out, buffer };
        client.frame(|out| {
            out.put_i32(0);
            out.put_i64(0);
            out.put_i32(SESSION);
            out.put_i64(0);
            out.put_i32(16);
            out.put_bytes(0, 16);
            out.put_u8(0);
        });
        client.flush().await?;
        let answer = client.read().await?;
        if answer.len() < 16 || (&answer[4..8]).get_i32() <= 0 {
            bail!("no session");
        }
        Ok(client)
    }

    /// Makes a node, unless there is one.
    pub(crate) async fn create(&mut self, path: &str, value: &[u8]) -> Result<()> {
        self.ask(CREATE, |out| {
            put_bytes(out, path.as_bytes());
            put_bytes(out, value);
            // One access rule: everybody may do everything.
            out.put_i32(1);
            out.put_i32(31);
            put_bytes(out, b"world");
            put_bytes(out, b"anyone");
            out.put_i32(0);
        });
        self.flush().await?;
        match self.answer().await? {
            (0 | NODE_EXISTS, _) => Ok(()),
            (error, _) => bail!("ZooKeeper: error {error}"),
        }
    }

    pub(crate) async fn set(&mut self, path: &str, value: &[u8]) -> Result<()> {
        self.ask(SET, |out| {
            put_bytes(out, path.as_bytes());
            put_bytes(out, value);
            out.put_i32(-1);
        });
        self.flush().await?;
        match self.answer().await? {
            (0, _) => Ok(()),
            (error, _) => bail!("ZooKeeper: error {error}"),
        }
    }

    /// The value; behind a sync, unless this server's own state is enough.
    pub(crate) async fn get(&mut self, path: &str, sync: bool) -> Result<Option<Bytes>> {
        if sync {
            self.ask(SYNC, |out| put_bytes(out, path.as_bytes()));
        }
        self.ask(GET, |out| {
            put_bytes(out, path.as_bytes());
            out.put_u8(0);
        });
        self.flush().await?;
        if sync {
            match self.answer().await? {
                (0, _) => {}
                (error, _) => bail!("ZooKeeper: error {error}"),
            }
        }
        match self.answer().await? {
            (0, mut answer) if answer.len() >= 4 => {
                let length = answer.get_i32().max(0) as usize;
                Ok(Some(answer.split_to(length.min(answer.len())).freeze()))
            }
            (NO_NODE, _) => Ok(None),
            (error, _) => bail!("ZooKeeper: error {error}"),
        }
    }

    fn ask(&mut self, operation: i32, write: impl FnOnce(&mut BytesMut)) {
        self.number = self.number.wrapping_add(1).max(1);
        let number = self.number;
        self.frame(|out| {
            out.put_i32(number);
            out.put_i32(operation);
            write(out);
        });
    }

    fn frame(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let start = self.out.len();
        self.out.put_i32(0);
        write(&mut self.out);
        let length = (self.out.len() - start - 4) as i32;
        self.out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// The error code of an answer, and what comes after its head.
    async fn answer(&mut self) -> Result<(i32, BytesMut)> {
        let mut answer = self.read().await?;
        if answer.len() < 16 {
            bail!("ZooKeeper: an answer without a head");
        }
        answer.advance(12);
        Ok((answer.get_i32(), answer))
    }

    async fn read(&mut self) -> Result<BytesMut> {
        loop {
            if self.buffer.len() >= 4 {
                let length = (&self.buffer[..4]).get_i32() as usize;
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    return Ok(self.buffer.split_to(length));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("ZooKeeper closed the connection");
            }
        }
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

/// Whether the server leads; asked by one of its four-letter words.
pub(crate) async fn leads(address: &str) -> Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"srvr").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("Mode: leader"))
}
