//! At all times only voters lead, and of all configurations that may decide no two have quorums
//! without a common server (section 6).
//!
//! The second is seen to where a configuration is appended. It follows one that is committed; its
//! quorums meet those of that one, and those of every other one that some log has in its place. So
//! joint consensus passes, and one server more or less does not, as soon as two leaders do it side
//! by side (Ongaro on raft-dev, July 2015).

use std::sync::Arc;

use super::cluster::{Cluster, Vote};
use super::configurations::quorums_meet;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Configuration, Index, ServerId};

/// A server leads now: a voter of the latest configuration in its log or, as long as it does not
/// know that one to be committed, of the one before (thesis 4.2.2).
pub(super) fn elected(cluster: &Cluster, server: &Server) -> Check {
    let (id, Vote { term, .. }) = (server.id, server.vote);
    let (at, configuration) = &server.configuration;
    let leaves = || {
        let (_, before) = server.configuration_before(*at, &cluster.configurations);
        *at > server.commit_index && before.is_voter(id)
    };
    Property::Configuration.holds(configuration.is_voter(id) || leaves(), || {
        format!("{id} leads term {term} and is no voter of the {configuration} of {at}")
    })
}

/// The server at `place` has appended a configuration.
pub(super) fn appended(
    cluster: &mut Cluster,
    place: usize,
    at: Index,
    configuration: &Configuration,
) -> Check {
    let property = Property::Configuration;
    let server = &cluster.servers[place];
    let id = server.id;
    let Some(link) = server.link(at).filter(|_| at > Index(0)) else {
        let last = server.last();
        return property.holds(false, || {
            format!("{id} goes by {configuration} of {at}, but its log ends at {last}")
        });
    };
    if let Some(known) = cluster.configurations.get(at, link.chain) {
        property.holds(known == configuration, || {
            format!("{id} goes by {configuration} of {at}, where others have {known}")
        })?;
    } else {
        let (before, earlier) = server.configuration_before(at, &cluster.configurations);
        let chain = server.link(before).map(|link| link.chain);
        let committed = cluster.committed(before) == chain || !cluster.sees_all();
        property.holds(committed, || {
            format!("{id} appends {configuration} at {at}, but that of {before} is not committed")
        })?;
        let after = (before, chain.unwrap_or_default());
        let others = cluster.configurations.right_behind(after);
        for other in others.map(|seen| &seen.configuration).chain([&earlier]) {
            property.holds(quorums_meet(configuration, other), || {
                format!(
                    "{id} appends {configuration} at {at}, but without a common server a quorum \
                     of {other} can decide, too"
                )
            })?;
        }
        cluster.configurations.add((at, link.chain), after, Arc::new(configuration.clone()));
    }
    cluster.servers[place].configure(&cluster.configurations);
    Ok(())
}

/// A server has a snapshot up to `index`, and with it this configuration: the one that holds
/// there, or it was lost. Who has never been in the cluster knows none.
pub(super) fn snapshotted(
    cluster: &Cluster,
    server: ServerId,
    index: Index,
    (at, configuration): (Index, &Configuration),
) -> Check {
    let joins = index == Index(0) && *configuration == Configuration::default();
    let (there, holds) = cluster.configuration_at(index);
    let same = (there, &*holds) == (at, configuration);
    Property::Configuration.holds(joins || same, || {
        format!(
            "{server} has {configuration} of {at} in its snapshot up to {index}, but it is {holds} \
             of {there} that was committed"
        )
    })
}
