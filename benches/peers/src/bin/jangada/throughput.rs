//! Closed loops of clients: opaque writes, opaque reads, appends to a file.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use jangada::actors::{Client, Consistency};
use jangada_peers::{Args, Measured, Meter, WARM_UP};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::FILE;
use crate::cluster::{
    Counter, SERVERS, applied_everywhere, digest_of, options, same_everywhere, start,
};

pub async fn writes(args: &Args, servers: u64) -> Result<Measured, String> {
    let (sandbox, leader) = start(options(servers).with_machine(|| Counter(0))).await?;
    let proposer = sandbox.proposer(leader).ok_or("the leader is gone")?;
    let content = vec![7; args.bytes as usize];
    let clients = (0..args.clients).map(|_| {
        let (proposer, content) = (proposer.clone(), content.clone());
        async move || match proposer.propose(Bytes::copy_from_slice(&content)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("a write failed: {error}")),
        }
    });
    let (measured, answered) = measure(args, clients).await?;
    applied_everywhere(&sandbox, &format!("{answered} writes"), digest_of(answered)).await?;
    Ok(measured)
}

pub async fn appends(args: &Args) -> Result<Measured, String> {
    let (sandbox, _) = start(options(SERVERS)).await?;
    let clients: Vec<Client> = (0..args.clients).map(|_| sandbox.client()).collect();
    let Some(client) = clients.first().cloned() else { return Err("no clients".into()) };
    client.load_bytes(FILE, Bytes::new()).await.map_err(|error| error.to_string())?;
    let content = vec![7; args.bytes as usize];
    let clients = clients.into_iter().map(|client| {
        let content = content.clone();
        async move || match client.append_bytes(FILE, Bytes::copy_from_slice(&content)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("an append failed: {error}")),
        }
    });
    let (measured, answered) = measure(args, clients).await?;
    same_everywhere(&sandbox, &client, answered * u64::from(args.bytes)).await?;
    Ok(measured)
}

/// Reads of a counter that a write has set to 1.
pub async fn reads(args: &Args, consistency: Consistency) -> Result<Measured, String> {
    let (sandbox, leader) = start(options(SERVERS).with_machine(|| Counter(0))).await?;
    let proposer = sandbox.proposer(leader).ok_or("the leader is gone")?;
    let write = proposer.propose(Bytes::from_static(b"one")).await;
    write.map_err(|error| format!("the write failed: {error}"))?;
    let clients = (0..args.clients).map(|_| {
        let proposer = proposer.clone();
        async move || match proposer.query(Bytes::new(), consistency).await {
            Ok(read) if *read.answer == 1_u64.to_le_bytes() => Ok(()),
            Ok(read) => Err(format!("the count is 1, and {:?} was read", read.answer)),
            Err(error) => Err(format!("a read failed: {error}")),
        }
    });
    Ok(measure(args, clients).await?.0)
}

/// Runs the clients in a closed loop, a task each. Returns what was measured after the warm-up,
/// and the number of all writes answered, before and after included.
async fn measure<W>(
    args: &Args,
    clients: impl Iterator<Item = W>,
) -> Result<(Measured, u64), String>
where
    W: AsyncFnMut() -> Result<(), String> + 'static,
{
    let (stop, answered) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let clients: Vec<JoinHandle<Result<(), String>>> = clients
        .map(|mut write| {
            let (stop, answered) = (stop.clone(), answered.clone());
            spawn_local(async move {
                while !stop.get() {
                    write().await?;
                    answered.set(answered.get() + 1);
                }
                Ok(())
            })
        })
        .collect();

    sleep(WARM_UP).await;
    let meter = Meter::start(answered.get());
    sleep(args.duration()).await;
    let measured = meter.stop(answered.get());
    stop.set(true);
    for client in clients {
        client.await.map_err(|error| format!("a client's task ended early: {error}"))??;
    }
    Ok((measured, answered.get()))
}
