//! `jangada init` and `jangada join`.

use crate::process::run;

/// The uuid of a cluster.
const UUID: &str = "176832c1-8c8f-4703-a65b-f2e73aea0b4e";

#[test]
fn a_directory_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path");
    let init = ["init", "--id", "1", "--data", data, "--voters", "1,2,3", "--cluster", UUID];
    let (code, said, _) = run(&init);
    assert_eq!(code, 0);
    assert!(said.ends_with(&format!("is S1 of cluster {UUID}, founded by S1, S2, S3\n")), "{said}");
    let (code, _, error) = run(&init);
    assert_eq!(code, 3);
    assert!(error.contains("already"), "{error}");
    let (code, _, error) = run(&["join", "--id", "1", "--data", data, "--cluster", UUID]);
    assert_eq!(code, 3, "{error}");
    let (code, _, error) =
        run(&["join", "--id", "1", "--data", data, "--cluster", UUID, "--damaged"]);
    assert_eq!(code, 3, "what is sound is not given up: {error}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path");
    let refused = |more: &[&str]| {
        let (code, _, error) = run(&[&["init", "--data", data][..], more].concat());
        assert_eq!(code, 2, "{error}");
        assert!(!std::path::Path::new(data).exists());
        error
    };
    assert!(refused(&["--id", "4", "--voters", "1,2,3"]).contains("S4 founds the cluster"));
    assert!(refused(&["--id", "1", "--voters", "1,1"]).contains("S1 is named twice"));
    assert!(refused(&["--id", "0", "--voters", "1"]).contains("from 1 to 99"));
    assert!(refused(&["--id", "1", "--voters", "1", "--cluster", "x"]).contains("--cluster"));
}

/// A server starts only from its own directory.
#[test]
fn another_servers_directory_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path");
    let serve = |more: &[&str]| {
        let serve = ["serve", "--data", data, "--insecure", "--listen", "127.0.0.1:0"];
        let (code, _, error) = run(&[&serve[..], more].concat());
        assert_eq!(code, 3, "{error}");
        error
    };
    assert!(serve(&["--id", "1"]).contains("is no data directory"));
    run(&["init", "--id", "1", "--data", data, "--voters", "1", "--cluster", UUID]);
    assert!(serve(&["--id", "2"]).contains("and this is"));
    let other = "00000000-0000-4000-8000-000000000000";
    assert!(serve(&["--id", "1", "--cluster", other]).contains(UUID));
}
