//! Data directories: made, opened, refused, put aside.

mod crashes;
mod golden;
mod real;

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::raft::{Configuration, Entries, Entry, Index, Payload, Term};
use crate::storage::{Durable, FileId};

fn identity() -> Identity {
    Identity { cluster: Uuid::from_u128(7), server: ServerId(2) }
}

fn founding() -> Persistent {
    Persistent::founding(Configuration::new([1, 2, 3].map(ServerId)))
}

/// A data directory that was just made, in a folder that goes with the first value.
fn made() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    DataDir::create(&path, &identity(), &founding()).unwrap();
    (folder, path)
}

fn open(path: &Path) -> Result<DataDir, DirectoryError> {
    DataDir::open(path, Expected::default(), Box::new(|| {}))
}

fn entries(texts: &[&str]) -> Entries {
    let payload = |text: &&str| Payload::Command(Bytes::copy_from_slice(text.as_bytes()));
    texts.iter().map(|text| Entry { term: Term(1), payload: payload(text) }).collect()
}

/// Waits for all that was written.
fn flush(storage: &mut dyn Storage) -> Durable {
    let now = Time::default();
    let kept = storage.load().persistent;
    let write = storage.save_vote(kept.current_term, kept.voted_for);
    loop {
        storage.sync(now);
        let durable = storage.durable(now).unwrap();
        if durable.write >= write {
            return durable;
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_was_durable_is_there_when_it_is_opened_again() {
    let (_folder, path) = made();
    let directory = open(&path).unwrap();
    assert_eq!(directory.identity(), identity());
    let mut storage = directory.storage();
    storage.save_vote(Term(1), Some(ServerId(3)));
    storage.append(Index(1), entries(&["set", "sail"]));
    assert_eq!(flush(&mut *storage).last, Index(2));
    drop((directory, storage));
    let directory = open(&path).unwrap();
    let kept = directory.storage().load();
    assert_eq!((kept.persistent.current_term, kept.torn), (Term(1), None));
    assert_eq!(directory.storage().read(Index(0), Index(9), u64::MAX), entries(&["set", "sail"]));
}

#[test]
fn it_is_for_its_owner_alone() {
    let (_folder, path) = made();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(LOG))), (0o700, 0o700));
    assert_eq!(mode(&path.join(LOG).join(FileId::Log(1).to_string())), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let refused = open(&path).err().unwrap();
    assert_eq!(refused, DirectoryError::Open { path: path.clone(), mode: 0o750 });
    assert!(refused.to_string().contains("(mode 750)"), "{refused}");
}

#[test]
fn two_cannot_have_it_at_once() {
    let (_folder, path) = made();
    let first = open(&path).unwrap();
    let storage = first.storage();
    drop(first);
    // A storage holds it, too.
    let refused = open(&path).err().unwrap().to_string();
    let expected = format!("in use by another process (pid {})", std::process::id());
    assert!(refused.contains(&expected), "{refused}");
    let refused = DataDir::reformat_joining(&path, None).err().unwrap().to_string();
    assert!(refused.contains(&expected), "{refused}");
    drop(storage);
    open(&path).unwrap();
}

#[test]
fn whose_it_is_and_its_format_are_checked() {
    let (_folder, path) = made();
    let other = Uuid::from_u128(8);
    for (cluster, server, right) in [
        (None, None, true),
        (Some(identity().cluster), Some(ServerId(2)), true),
        (Some(other), None, false),
        (None, Some(ServerId(3)), false),
    ] {
        let opened = DataDir::open(&path, Expected { cluster, server }, Box::new(|| {}));
        match opened {
            Ok(_) => assert!(right),
            Err(DirectoryError::Foreign { found, expected, .. }) => {
                assert!(!right && found == identity() && expected != found);
            }
            Err(error) => panic!("{error}"),
        }
    }
    let label = path.join(label::LABEL);
    let text = fs::read_to_string(&label).unwrap();
    assert_eq!(text, format!("format 1\ncluster {}\nserver 2\n", identity().cluster));
    fs::write(&label, text.replace("format 1", "format 2")).unwrap();
    let format = DirectoryError::Format { path: path.clone(), found: 2, reads: 1 };
    assert_eq!(open(&path).err(), Some(format));
    fs::write(&label, text.replace("server", "sever")).unwrap();
    let unreadable = DirectoryError::Unreadable { path: label, what: "server" };
    assert_eq!(open(&path).err(), Some(unreadable));
}

#[test]
fn nothing_is_made_over_what_is_there() {
    let (folder, path) = made();
    let refused = DataDir::create(&path, &identity(), &founding()).err().unwrap();
    assert!(matches!(refused, DirectoryError::NotEmpty { .. }), "{refused}");
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letters"), "dear").unwrap();
    let refused = DataDir::create(&other, &identity(), &founding()).err();
    let entry = "letters".to_owned();
    assert_eq!(refused, Some(DirectoryError::NotEmpty { path: other, entry }));
    let missing = folder.path().join("missing");
    assert_eq!(open(&missing).err(), Some(DirectoryError::NotMade { path: missing.clone() }));
    assert!(!missing.exists());
}

/// Wherever making a directory is cut short, it can be made, and nothing can be opened before.
#[test]
fn an_attempt_that_was_cut_short_is_begun_anew() {
    for done in 0..3 {
        let (_folder, path) = made();
        fs::rename(path.join(LOG), path.join(NEW_LOG)).unwrap();
        if done < 2 {
            fs::rename(path.join(label::LABEL), path.join(label::NEW_LABEL)).unwrap();
        }
        if done < 1 {
            fs::remove_file(path.join(NEW_LOG).join("00000001.log")).unwrap();
        }
        assert!(open(&path).is_err());
        DataDir::create(&path, &identity(), &founding()).unwrap();
        open(&path).unwrap();
    }
    // A log that is gone was in use.
    let (_folder, path) = made();
    fs::remove_dir_all(path.join(LOG)).unwrap();
    let refused = DataDir::create(&path, &identity(), &founding()).err().unwrap();
    assert!(matches!(refused, DirectoryError::NotEmpty { .. }), "{refused}");
    let refused = open(&path).err().unwrap();
    assert!(matches!(refused, DirectoryError::Storage { .. }), "{refused}");
}

#[test]
fn a_damaged_log_is_put_aside_and_made_anew() {
    let (_folder, path) = made();
    let sound = DataDir::reformat_joining(&path, None).err();
    assert_eq!(sound, Some(DirectoryError::Sound { path: path.clone() }));
    for number in 1..3 {
        let file = path.join(LOG).join("00000001.log");
        let mut bytes = fs::read(&file).unwrap();
        bytes[150] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let refused = open(&path).err().unwrap();
        assert!(matches!(refused, DirectoryError::Storage { .. }), "{refused}");
        let aside = DataDir::reformat_joining(&path, None).unwrap();
        assert_eq!(aside, Some(path.join(format!("damaged-{number}"))));
        assert_eq!(fs::read(aside.unwrap().join("00000001.log")).unwrap(), bytes);
        assert_eq!(open(&path).unwrap().storage().load().persistent, Persistent::joining());
    }
    // Another cluster may be joined with a log that is sound.
    let other = Uuid::from_u128(8);
    DataDir::reformat_joining(&path, Some(other)).unwrap();
    assert_eq!(open(&path).unwrap().identity(), Identity { cluster: other, ..identity() });
}
