//! `jangada cert`, as a person starts it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::fs;
use std::path::Path;
use std::process::Command;

const CLUSTER: &str = "6a616e67-6164-6100-0000-000000000001";

/// The exit status, and what was said.
fn cert(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jangada"));
    let output = command.current_dir(directory).arg("cert").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Does what must work, and returns what was said.
fn good(directory: &Path, arguments: &[&str]) -> String {
    let (code, said) = cert(directory, arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

/// Does what must fail, and returns why.
fn bad(directory: &Path, arguments: &[&str]) -> String {
    let (code, said) = cert(directory, arguments);
    assert_eq!(code, 1, "{arguments:?}: {said}");
    said
}

#[test]
fn a_cluster_gets_its_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let said = good(directory, &["ca", "certs", "--cluster", CLUSTER]);
    assert!(said.contains(&format!("the authority of cluster {CLUSTER} is in certs")), "{said}");
    let hosts = ["--host", "one.example", "--host", "10.0.0.1"];
    let said = good(directory, &[&["server", "1", "--dir", "certs"][..], &hosts].concat());
    assert_eq!(said, "S1: certs/server1.pem and certs/server1.key\n");
    let said = good(directory, &["client", "ada", "--dir", "certs", "--days", "30"]);
    assert!(said.contains("certs/client-ada.pem and certs/client-ada.key"), "{said}");

    let said = good(directory, &["show", "certs/ca.pem"]);
    assert!(said.contains(&format!("subject     jangada cluster {CLUSTER} (an authority)")));
    let said = good(directory, &["show", "certs/server1.pem"]);
    let names = format!("names       server1.{CLUSTER}.jangada, one.example, 10.0.0.1\n");
    assert!(said.contains(&names), "{said}");
    assert!(said.contains(&format!("issued by   jangada cluster {CLUSTER}\n")), "{said}");
    assert!(said.contains("(1824 days left)") || said.contains("(1825 days left)"), "{said}");
    let said = good(directory, &["show", "certs/client-ada.pem"]);
    assert!(said.contains(&format!("ada.client.{CLUSTER}.jangada")), "{said}");
    assert!(said.contains("(29 days left)") || said.contains("(30 days left)"), "{said}");
}

#[test]
fn a_new_cluster_gets_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["a", "b"].map(|name| good(directory.path(), &["ca", name]));
    let [one, other] = names.map(|said| said.split(' ').nth(4).unwrap().to_owned());
    assert!(uuid::Uuid::parse_str(&one).is_ok(), "{one}");
    assert_ne!(one, other);
}

#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    good(directory, &["ca", "certs"]);
    good(directory, &["server", "2", "--dir", "certs"]);
    let content = |name: &str| fs::read(directory.join("certs").join(name)).unwrap();
    let before = ["ca.pem", "ca.key", "server2.pem", "server2.key"].map(content);
    let said = bad(directory, &["ca", "certs"]);
    assert!(said.contains("certs/ca.pem exists, and nothing is ever overwritten"), "{said}");
    bad(directory, &["server", "2", "--dir", "certs"]);
    assert_eq!(["ca.pem", "ca.key", "server2.pem", "server2.key"].map(content), before);
    // Not even half of it.
    fs::remove_file(directory.join("certs/server2.pem")).unwrap();
    let said = bad(directory, &["server", "2", "--dir", "certs"]);
    assert!(said.contains("certs/server2.key exists"), "{said}");
    assert!(!directory.join("certs/server2.pem").exists());
}

#[cfg(unix)]
#[test]
fn keys_are_their_owner_s() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    good(directory, &["ca", "certs"]);
    good(directory, &["server", "3", "--dir", "certs"]);
    let mode =
        |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("certs"), 0o700);
    assert_eq!(mode("certs/ca.key"), 0o600);
    assert_eq!(mode("certs/server3.key"), 0o600);
}

#[test]
fn what_is_wrong_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let said = bad(directory, &["server", "1", "--dir", "nowhere"]);
    assert!(said.contains("cannot read nowhere/ca.pem"), "{said}");
    assert!(said.contains("`jangada cert ca nowhere`"), "{said}");
    good(directory, &["ca", "certs"]);
    for id in ["0", "100"] {
        let said = bad(directory, &["server", id, "--dir", "certs"]);
        assert!(said.contains("numbered from 1 to 99"), "{said}");
    }
    for name in ["Ada", "a b", "-a", "", "../../ca", "ä"] {
        let said = bad(directory, &["client", "--dir", "certs", "--", name]);
        assert!(said.contains("cannot be the name of a client"), "{name}: {said}");
    }
    let said = bad(directory, &["server", "1", "--dir", "certs", "--host", "a/b"]);
    assert!(said.contains("\"a/b\" is neither the name of a host nor an address"), "{said}");
    let said = bad(directory, &["show", "certs/ca.key"]);
    assert!(said.contains("certs/ca.key holds no certificate"), "{said}");
    fs::write(directory.join("certs/ca.pem"), fs::read(directory.join("certs/ca.key")).unwrap())
        .unwrap();
    let said = bad(directory, &["server", "1", "--dir", "certs"]);
    assert!(said.contains("not the certificate of an authority"), "{said}");
}
