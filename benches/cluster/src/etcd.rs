//! A client of etcd: its own gRPC protocol, of which these are the few messages that are needed.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

/// A client over a connection that others may share.
#[derive(Clone)]
pub(crate) struct Etcd {
    grpc: Grpc<Channel>,
}

impl Etcd {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        Ok(Self { grpc: Grpc::new(endpoint.connect().await?) })
    }

    async fn call<Q, A>(&mut self, path: &'static str, question: Q) -> Result<A>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        let answer = self.grpc.unary(Request::new(question), path, codec).await;
        answer.map(Response::into_inner).context("etcd")
    }

    pub(crate) async fn put(&mut self, key: &str, value: Bytes) -> Result<()> {
        let key = Bytes::copy_from_slice(key.as_bytes());
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", PutRequest { key, value }).await?;
        Ok(())
    }

    /// The value; linearizable, unless this server's own state is enough.
    pub(crate) async fn get(&mut self, key: &str, serializable: bool) -> Result<Option<Bytes>> {
        let key = Bytes::copy_from_slice(key.as_bytes());
        let range = RangeRequest { key, serializable };
        let RangeResponse { kvs } = self.call("/etcdserverpb.KV/Range", range).await?;
        Ok(kvs.into_iter().next().map(|found| found.value))
    }

    /// Whether the server leads.
    pub(crate) async fn leads(&mut self) -> Result<bool> {
        let path = "/etcdserverpb.Maintenance/Status";
        let status: StatusResponse = self.call(path, StatusRequest {}).await?;
        Ok(status.header.is_some_and(|own| own.member_id == status.leader))
    }
}
