//! Who may connect to whom, by their certificates; over turmoil, so that nothing waits.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jangada::net::tls::{Authority, Tls, TlsError, TlsFiles, Validity};
use jangada::net::{Cargo, PeersConfig, Request, Role, Security};
use jangada::raft::ServerId;
use turmoil::Builder;

use crate::support::{CLUSTER, Diary, config, heartbeat, host, start, until};

const SECOND: Duration = Duration::from_secs(1);

fn server(id: u64) -> Role {
    Role::Server(ServerId(id))
}

fn client(name: &str) -> Role {
    Role::Client(name.to_owned())
}

/// An authority with the certificates of these.
fn authority(directory: &Path, roles: &[Role]) {
    let authority = Authority::create(directory, CLUSTER).expect("a new directory");
    for role in roles {
        authority.issue(role, &[], Validity::default()).expect("a new certificate");
    }
}

fn tls(directory: &Path, role: &Role) -> Arc<Tls> {
    let files = TlsFiles::in_directory(directory, role);
    Tls::load(files, CLUSTER, role.clone()).expect("good certificates")
}

/// Who says it is `role`, and has the certificate of `certified`.
fn secured(directory: &Path, role: Role, certified: &Role) -> PeersConfig {
    let mut config = config(role, 1);
    config.security = Security::Tls(tls(directory, certified));
    config
}

/// Whether each of these can connect to server 1 of the first.
fn connected(first: PeersConfig, others: Vec<PeersConfig>) -> Vec<bool> {
    let mut sim = Builder::new().rng_seed(1).tcp_capacity(1024).build();
    sim.host(host(1), move || {
        let first = first.clone();
        async move {
            let _peers = start(first, Diary::default()).await;
            std::future::pending().await
        }
    });
    let result = Arc::new(Mutex::new(Vec::new()));
    let results = result.clone();
    sim.client("c", async move {
        for mut config in others {
            config.listen = None;
            let to = *config.peers.keys().next().expect("one peer");
            let peers = start(config, Diary::default()).await;
            tokio::time::sleep(SECOND).await;
            let stats = peers.stats(to).expect("it is known");
            results.lock().expect("one at a time").push(stats.connected.is_some());
        }
        Ok(())
    });
    sim.run().expect("the server goes on");
    let result = result.lock().expect("the run is over");
    result.clone()
}

#[test]
fn everybody_is_who_the_certificate_says() {
    let (ours, theirs) = (directory(), directory());
    let roles = [server(1), server(2), server(3), client("ada")];
    authority(ours.path(), &roles);
    authority(theirs.path(), &roles);
    let secured = |role: Role, certified: &Role| secured(ours.path(), role, certified);
    let mut wrong_address = secured(server(2), &server(2));
    wrong_address.peers = [(ServerId(3), wrong_address.peers[&ServerId(1)].clone())].into();
    let mut plain = config(server(2), 1);
    plain.security = Security::Insecure;
    let cases = [
        ("a server with its own certificate", secured(server(2), &server(2)), true),
        ("a server with that of another", secured(server(2), &server(3)), false),
        ("a server with that of a client", secured(server(2), &client("ada")), false),
        ("a client with its own", secured(client("ada"), &client("ada")), true),
        ("a client with that of another", secured(client("eve"), &client("ada")), false),
        ("a client with that of a server", secured(client("ada"), &server(2)), false),
        ("one that meant another server", wrong_address, false),
        ("one of another authority", self::secured(theirs.path(), server(2), &server(2)), false),
        ("one without TLS", plain, false),
    ];
    let first = secured(server(1), &server(1));
    let others = cases.iter().map(|(_, config, _)| config.clone()).collect();
    for (came, (who, _, may)) in connected(first, others).into_iter().zip(&cases) {
        assert_eq!(came, *may, "{who}");
    }
}

#[test]
fn a_token_lets_a_client_in_without_a_certificate() {
    let ours = directory();
    authority(ours.path(), &[server(1)]);
    let mut first = secured(ours.path(), server(1), &server(1));
    first.admits = Some(Arc::new(|token| token == "open sesame"));
    let nameless = |token: Option<&str>| {
        let mut files = TlsFiles::in_directory(ours.path(), &client(""));
        files.own = None;
        let mut config = config(client(""), 1);
        config.token = token.map(str::to_owned);
        config.security = Security::Tls(
            Tls::load(files, CLUSTER, client("")).expect("the authority's certificate is there"),
        );
        config
    };
    let others = vec![nameless(Some("open sesame")), nameless(Some("open barley")), nameless(None)];
    assert_eq!(connected(first, others), [true, false, false]);
}

#[test]
fn messages_and_calls_pass() {
    let ours = directory();
    authority(ours.path(), &[server(1), server(2)]);
    let mut sim = Builder::new().rng_seed(2).tcp_capacity(1024).build();
    let diary = Diary::default();
    let (first, listening) = (secured(ours.path(), server(1), &server(1)), diary.clone());
    sim.host(host(1), move || {
        let (first, diary) = (first.clone(), listening.clone());
        async move {
            let _peers = start(first, diary).await;
            std::future::pending().await
        }
    });
    let second = secured(ours.path(), server(2), &server(2));
    let heard = diary.clone();
    sim.client(host(2), async move {
        let peers = start(second, heard.clone()).await;
        let to = ServerId(1);
        let there = || peers.stats(to).is_some_and(|stats| stats.connections == 2);
        until("connected", SECOND, there).await;
        peers.send(to, heartbeat(1), Cargo::Nothing);
        peers.call(to, 5, Request::Write(vec![1; 1000].into())).expect("it is connected");
        until("heard", SECOND, || heard.count("AppendEntries") == 1).await;
        until("answered", SECOND, || heard.count("call 5: Ok(1000)") == 1).await;
        Ok(())
    });
    sim.run().expect("the servers go on");
}

/// A cluster goes over to another authority while it runs: first all trust both, then each gets
/// its new certificate, and what is connected stays so.
#[test]
fn certificates_are_read_again_without_a_restart() {
    let (ours, next) = (directory(), directory());
    authority(ours.path(), &[server(1), server(2)]);
    authority(next.path(), &[server(1), server(2)]);
    let of = |role: &Role| tls(ours.path(), role);
    let (one, two) = (of(&server(1)), of(&server(2)));
    let copy = |name: &str| {
        std::fs::copy(next.path().join(name), ours.path().join(name)).expect("it can be copied");
    };
    let secured = |id: u64, tls: &Arc<Tls>| {
        let mut config = config(server(id), 1);
        config.security = Security::Tls(tls.clone());
        config
    };
    assert_eq!(connected(secured(1, &one), vec![secured(2, &two)]), [true]);

    copy("server2.pem");
    let refused = two.reload().expect_err("the key is another's").to_string();
    assert!(refused.contains("server2.pem cannot be used"), "{refused}");
    assert_eq!(connected(secured(1, &one), vec![secured(2, &two)]), [true]);

    let both = ["ca.pem"; 2].map(|name| [ours.path(), next.path()].map(|it| it.join(name)));
    let both = both[0].iter().map(|path| std::fs::read_to_string(path).expect("it is there"));
    std::fs::write(ours.path().join("ca.pem"), both.collect::<String>()).expect("it is there");
    copy("server2.key");
    two.reload().expect("both fit, and the authority is trusted");
    assert_eq!(connected(secured(1, &one), vec![secured(2, &two)]), [false]);
    one.reload().expect("nothing is wrong");
    assert_eq!(connected(secured(1, &one), vec![secured(2, &two)]), [true]);
}

#[test]
fn wrong_files_are_named() {
    let (ours, theirs) = (directory(), directory());
    authority(ours.path(), &[server(1), client("ada")]);
    authority(theirs.path(), &[server(1)]);
    let load = |files: TlsFiles, role: Role| {
        Tls::load(files, CLUSTER, role).expect_err("something is wrong").to_string()
    };
    let files = |role| TlsFiles::in_directory(ours.path(), &role);
    let said = load(files(server(7)), server(7));
    assert!(said.contains("server7.pem: ") && said.contains("jangada cert"), "{said}");
    let said = load(files(client("ada")), server(1));
    assert!(said.contains("client-ada.pem is not for server1."), "{said}");
    assert!(said.contains("`jangada cert server 1`"), "{said}");
    let mut mixed = files(server(1));
    mixed.authority = theirs.path().join("ca.pem");
    let said = load(mixed, server(1));
    assert!(said.contains("server1.pem cannot be used: invalid peer certificate"), "{said}");
    let mut exchanged = files(server(1));
    exchanged.authority = ours.path().join("ca.key");
    let said = load(exchanged, server(1));
    assert!(said.contains("ca.key holds no certificate in PEM form"), "{said}");
    let other_cluster = Tls::load(files(server(1)), uuid::Uuid::from_u128(5), server(1));
    assert!(matches!(other_cluster, Err(TlsError::Name { .. })));
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for this test")
}
