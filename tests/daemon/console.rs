//! The console on a cluster of processes.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::process::{Cluster, jangada};

fn console(arguments: &[&str], lines: &str) -> (i32, String, String) {
    let mut child = jangada(&[&["console"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A console that ends early reads no further.
    let _ = child.stdin.take().expect("piped").write_all(lines.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    (status.code().expect("it exits"), text(stdout), text(stderr))
}

#[test]
fn a_cluster_is_used_and_operated_from_the_prompt() {
    let founding =
        crate::process::Founding { servers: 3, tls: false, flags: &["--chaos"], small_disk: None };
    let cluster = Cluster::found(founding);
    let old = cluster.leader();
    let next = old % 3 + 1;
    // One address is enough: the others are found.
    let connect = ["--connect", &cluster.http(old)];
    let (code, said, complained) = console(
        &connect,
        &format!(
            "load Cargo.toml as f\nappend f \"more\\n\"\nlist\nstatus\nmembers\n\
             transfer {next}\nexpect leader {next} within 10s\n\
             partition {next}\nexpect leader within 10s\nappend f again\nheal\n\
             expect files equal within 10s\nexpect linearizable\n"
        ),
    );
    assert_eq!((code, complained.as_str()), (0, ""), "{said}");
    assert!(said.contains("appended 5 B to `f`"), "{said}");
    assert!(said.contains("S1") && said.contains("S2") && said.contains("S3"), "{said}");
    assert_ne!(cluster.leader(), next);
}

#[test]
fn what_only_those_can_do_who_run_the_servers_is_said() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let connect = ["--keep-going", "--connect", &cluster.http(1)];
    let (code, _, complained) =
        console(&connect, "crash leader\nstart 1\npause 1\nlog 1\npartition 1\nclock-rate 1 2\n");
    assert_eq!(code, 1);
    for instead in ["`kill -9 PID`", "`jangada serve`", "`kill -STOP PID`", "`jangada log dump"] {
        assert!(complained.contains(instead), "{instead}: {complained}");
    }
    assert!(complained.contains("without --chaos"), "{complained}");
    assert!(complained.contains("the clock of this machine"), "{complained}");
}

/// Over TLS the console shows a certificate; without one it is told what it lacks.
#[test]
fn a_cluster_with_certificates_asks_for_one() {
    let cluster = Cluster::start(1);
    cluster.leader();
    let (code, _, complained) = console(&["--connect", &cluster.http(1)], "status\n");
    assert_eq!(code, 1);
    assert!(complained.contains("--tls DIR"), "{complained}");
    let certs = cluster.certs();
    let certs = certs.to_str().expect("a path");
    cluster.cert(&["client", "console", "--dir", certs]);
    let connect = ["--connect", &cluster.http(1), "--tls", certs];
    let (code, said, complained) = console(&connect, "load Cargo.toml as f\nlist\n");
    assert_eq!((code, complained.as_str()), (0, ""));
    assert!(said.contains("loaded `f`"), "{said}");
}

#[test]
fn nobody_there_is_said() {
    let (code, _, complained) = console(&["--connect", "http://127.0.0.1:1"], "status\n");
    assert_eq!(code, 1);
    assert!(complained.contains("jangada: ") && complained.contains("127.0.0.1:1"), "{complained}");
}
