//! The runs of the simulated disks, on the file system.

use super::*;
use crate::storage::tests::{Bench, Run, founding, identity};
use crate::storage::{DiskFault, DiskSpeed};

const SMALL: Options = Options {
    segment_bytes: 64 << 10,
    backlog_bytes: 64 << 20,
    pack_bytes: 256 << 10,
    chunk_backlog_bytes: 64 << 20,
    spare_bytes: 1 << 20,
};

/// A data directory that is opened by one server after the other.
struct Real {
    folder: TempDir,
    seed: u64,
    open: Option<DataDir>,
}

impl Bench for Real {
    fn start(&mut self) -> Box<dyn Storage> {
        let Identity { cluster, server } = identity(self.seed);
        let expected = Expected { cluster: Some(cluster), server: Some(server) };
        let path = self.folder.path();
        let opened = DataDir::open_with(path, expected, Box::new(|| {}), SMALL);
        self.open.insert(opened.expect("a crash is no damage")).storage()
    }

    fn suffer(&mut self, _: DiskFault) {}

    fn set_speed(&mut self, _: DiskSpeed) {}

    fn ended(&mut self, orderly: bool, _: Time) {
        if let (Some(directory), true) = (self.open.take(), orderly) {
            directory.close().unwrap();
        }
    }

    fn keeps_terms(&self) -> bool {
        false
    }
}

#[test]
fn real_files_keep_what_was_durable() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        DataDir::create_with(folder.path(), &identity(seed), &founding(), SMALL).unwrap();
        let mut run = Run::new(seed, Real { folder, seed, open: None });
        for _ in 0..150 {
            run.step();
        }
        run.end(true);
        let inspection = inspect(run.disk.folder.path(), |_| {}).unwrap();
        assert_eq!((inspection.damage, inspection.survey.torn), (None, None));
    }
}
