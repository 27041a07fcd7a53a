//! Where streams of bytes come from: TCP, or what a test puts in its place.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A future in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of bytes in both directions.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Makes streams. All else is the same over each kind of them.
pub trait Transport: Debug + Send + Sync {
    /// Connects to `host:port`. The name is looked up each time.
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Wire>>>;

    /// Listens at `host:port`.
    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>>;
}

/// Takes connections in.
pub trait Listener: Send {
    /// The next connection, and where it comes from.
    fn accept(&mut self) -> Boxed<'_, io::Result<(Box<dyn Wire>, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not know.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// TCP, without delay for small packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Wire>>> {
        Box::pin(async move { wire(TcpStream::connect(address).await?) })
    }

    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(
            async move { Ok(Box::new(TcpListener::bind(address).await?) as Box<dyn Listener>) },
        )
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> Boxed<'_, io::Result<(Box<dyn Wire>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            Ok((wire(stream)?, from))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

fn wire(stream: TcpStream) -> io::Result<Box<dyn Wire>> {
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
