//! Servers whose doings are not all told: what depends on them is believed, and nothing else.

use super::*;

impl Run {
    fn unseen(&mut self, server: ServerId) {
        self.tell(Fact::Unseen { server });
    }
}

/// The disks of the others may have what has not been told yet.
#[test]
fn what_others_did_may_be_told_later() {
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.monitor.believe(true);
    assert!(!run.monitor.sees_all());
    run.commit(S1, 3);
    run.append(S2, 3, &[1]);
    run.monitor.believe(false);
    run.append(S1, 4, &[1]);
    assert_eq!(run.found, Ok(()));
    run.commit(S1, 4);
    run.violates(Property::LeaderCompleteness, "S1 commits 4, which is on 1 of 3 disks");
}

/// Entry 3, of term 2, is committed in term 4, as in figure 8: the leader of term 3 lacks it, that
/// of term 5 must not.
#[test]
fn a_commit_that_is_believed_binds_the_terms_behind_it() {
    let mut run = Run::settled();
    run.unseen(S3);
    run.lead(S1, 2);
    run.append(S1, 3, &[2]);
    run.lead(S1, 4);
    run.commit(S1, 3);
    run.lead(S2, 3);
    assert_eq!(run.found, Ok(()));
    run.lead(S2, 5);
    run.violates(Property::LeaderCompleteness, "S2 leads term 5 without entry 3");
}

/// It may have had anything: leaders may count that until it has recovered.
#[test]
fn what_was_on_a_disk_that_was_lost_unseen_is_not_known() {
    let nobody = Configuration::default();
    let mut run = Run::settled();
    run.unseen(S3);
    run.begin(S3, joining(&nobody));
    run.append(S1, 3, &[1]);
    run.commit(S1, 3);
    run.recover(S3);
    run.sync(S3);
    run.append(S1, 4, &[1]);
    assert_eq!(run.found, Ok(()));
    run.commit(S1, 4);
    run.violates(Property::LeaderCompleteness, "S1 commits 4, which is on 1 of 3 disks");

    // It has gone on meanwhile.
    let mut run = Run::settled();
    run.unseen(S3);
    run.begin(S3, Disk { term: 1, log: &stamps(&[1]), recovering: true, ..Disk::default() });
    run.holds();
}

/// Who applied first was not seen.
#[test]
fn a_state_of_which_nobody_told_is_believed() {
    let restored = |unseen: bool| {
        let mut run = Run::settled();
        run.commit(S2, 2);
        if unseen {
            run.unseen(S1);
        }
        run.install(S3, at(1, 2), 0, &founding());
        run.commit(S3, 2);
        run.restore(S3, 2, 1);
        run
    };
    restored(true).holds();
    restored(false).violates(Property::StateHash, "nobody has applied more than 0");
}
