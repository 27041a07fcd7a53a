//! The life of a server's process, from its data directory to its exit code.

use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::chaos::{self, Disturbance};
use super::config::{ConfigError, Settings};
use super::control::{Control, Links};
use super::failure::Failure;
use super::logging;
use super::metrics::Counts;
use super::pulse::Pulse;
use super::signals::{Signals, Told};
use super::why;
use crate::actors::{ClockKind, Door, EventKind, Recorder, Standalone, StandaloneOptions, run};
use crate::blackbox::{self, BlackBox};
use crate::files::{FileStore, HistoryLimits};
use crate::http::{self, Http, HttpError, Https, Tokens};
use crate::net::tls::{Tls, name_of};
use crate::net::{Advertise, Peers, PeersConfig, Role, Security};
use crate::raft::Options;
use crate::storage::{DataDir, Expected};

/// Serves until the process is told to stop, or cannot go on.
///
/// # Errors
/// Why it could not start or go on; [`Failure::exit_code`] says what to exit with.
pub fn serve(settings: Settings) -> Result<(), Failure> {
    let main = run(ClockKind::Real, live(settings));
    main.map_err(|error| Failure::System { what: "a runtime", error })?
}

async fn live(settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let (process, Inlets { failed, disturbances, askers }) = Process::start(settings).await?;
    process.announce();
    let signal = tokio::select! {
        failure = failed => return Err(failure.unwrap_or_else(|_| ended())),
        () = process.pulse() => return Err(ended()),
        () = chaos::carry_out(&process.server, disturbances) => return Err(ended()),
        () = why::tell(process.server.events(), askers) => return Err(ended()),
        signal = stop_signal(&mut signals, process.tls.as_deref()) => signal,
    };
    log::info!(signal; "stopping: told by a signal");
    tokio::select! {
        result = process.stop() => result,
        again = stop_signal(&mut signals, None) => {
            log::warn!(signal = again; "ending at once: told twice");
            std::process::exit(128 + i32::from(again));
        }
    }
}

fn ended() -> Failure {
    Failure::Assertion("its actors ended, and nobody knows why".to_owned())
}

/// Minds the signals until one says to stop, and returns its number.
async fn stop_signal(signals: &mut Signals, tls: Option<&Tls>) -> u8 {
    loop {
        match signals.next().await {
            Told::Stop(number) => return number,
            // What was read is in use on success; so is what was before, otherwise.
            Told::Reload => {
                if let Some(Err(error)) = tls.map(Tls::reload) {
                    log::error!("the certificates stay as they are: {error}");
                }
            }
        }
    }
}

/// All that runs.
struct Process {
    settings: Settings,
    directory: DataDir,
    server: Standalone,
    peers: Peers,
    http: Http,
    tls: Option<Arc<Tls>>,
    links: Arc<OnceLock<Links>>,
    pulse: Pulse,
    stopping: watch::Sender<bool>,
}

/// What is told to the thread of the server.
struct Inlets {
    /// Why the process cannot go on.
    failed: oneshot::Receiver<Failure>,
    disturbances: mpsc::Receiver<Disturbance>,
    /// Who wants to know what has happened.
    askers: mpsc::Receiver<oneshot::Sender<Vec<String>>>,
}

/// What a server remembers of the past: some 10 MiB of small files that were replaced.
const HISTORY: HistoryLimits = HistoryLimits { changes: 16_384, bytes: 256 << 20 };
/// Of the time for a stop, this is left for what comes after the hand-over.
const FOR_THE_REST: Duration = Duration::from_millis(2500);
/// Of that, this is left for the disk.
const FOR_THE_DISK: Duration = Duration::from_millis(1000);

impl Process {
    /// Starts everything.
    async fn start(settings: Settings) -> Result<(Self, Inlets), Failure> {
        let began = Instant::now();
        let seed = Uuid::new_v4().as_u64_pair().0;
        let door = Arc::new(OnceLock::<Door>::new());
        let woken = door.clone();
        let wake = move || {
            if let Some(door) = woken.get() {
                door.wake();
            }
        };
        let expected = Expected { cluster: settings.cluster, server: Some(settings.id) };
        let directory = DataDir::open(&settings.data, expected, Box::new(wake))?;
        let cluster = directory.identity().cluster;
        let (id, data) = (settings.id, settings.data.display().to_string());
        log::info!(server = id.0, cluster:% = cluster, data, seed; "{id} starts");
        if let Some(tail) = directory.torn() {
            log::warn!(server = id.0; "{id} cut off {tail}");
        }
        let tls = settings.tls.clone();
        let tls = tls.map(|files| Tls::load(files, cluster, Role::Server(id))).transpose()?;
        let security = tls.clone().map_or(Security::Insecure, Security::Tls);
        let black_box = start_recording(&settings, cluster, seed);
        let counts = Counts::new(black_box.as_ref().map(BlackBox::counters));
        let server = Standalone::start(StandaloneOptions {
            id,
            cluster,
            seed,
            raft: Options {
                timing: settings.timing,
                leases: settings.leases,
                ..Options::default()
            },
            snapshots: settings.snapshots,
            storage: directory.storage(),
            machine: Rc::new(|| Box::new(FileStore::default().with_history(HISTORY))),
            meter: Some(Rc::new(counts.clone())),
            black_box,
        });
        logging::follow(server.events());
        counts.follow(server.events());
        let failed = watch_failures(server.events(), &directory);
        let (disturber, disturbances) = mpsc::channel(chaos::MAX_WAITING);
        let (asker, askers) = mpsc::channel(why::MAX_WAITING);
        // Nobody else sets it.
        let _ = door.set(server.door());

        let (stopping, stops) = watch::channel(false);
        let (pulse, links) = (Pulse::default(), Arc::new(OnceLock::new()));
        let control = Arc::new(Control {
            cluster,
            door: server.door(),
            registry: counts.registry(pulse.clone(), links.clone()),
            links: links.clone(),
            pulse: pulse.clone(),
            began,
            disturber: settings.chaos.then_some(disturber),
            asker,
            stopping: stops,
        });
        let secure = tls.as_ref().filter(|_| settings.serving.secure);
        let secure = secure.map(|tls| https(tls.clone(), cluster));
        let own_name = name_of(&Role::Server(id), cluster);
        let http = start_http(&settings, (secure, own_name), server.door(), control).await?;
        let own_http = http.addresses().first().map(ToString::to_string);
        let own_http = settings.advertise_http.clone().or(own_http).unwrap_or_default();
        let mut config = PeersConfig::new(cluster, Role::Server(id), security);
        config.listen = Some(settings.listen.clone());
        let (peers, http_too) = (settings.advertise.clone(), Some(own_http.clone()));
        config.advertise = Advertise { peers, http: http_too };
        config.peers = settings.peers.0.clone();
        config.seed = seed;
        let inbound = server.door();
        let peers = Peers::start(config, move |delivery| inbound.deliver(delivery)).await?;
        server.connect(Arc::new(peers.clone()));
        let own_peer = peers.local_address().map(|address| address.to_string());
        let own_peer = settings.advertise.clone().or(own_peer).unwrap_or_default();
        let known = Links { peers: peers.clone(), http: own_http, peer: own_peer };
        // Nobody else sets it.
        let _ = links.set(known);
        let process =
            Self { settings, directory, server, peers, http, tls, links, pulse, stopping };
        Ok((process, Inlets { failed, disturbances, askers }))
    }

    /// Tells everybody who waits for it that the server serves: systemd, and whoever reads the one
    /// line on standard output.
    fn announce(&self) {
        let Some(links) = self.links.get() else { return };
        let id = self.settings.id;
        let (peers, http) = (&links.peer, &links.http);
        log::info!(server = id.0, peers, http; "{id} serves");
        let line = serde_json::json!({
            "event": "serving",
            "id": id.0,
            "cluster": self.directory.identity().cluster.to_string(),
            "peers": self.peers.local_address().map(|address| address.to_string()),
            "http": self.http.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "pid": std::process::id(),
        });
        // Nobody has to read it.
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        notify(&[NotifyState::Ready]);
    }

    /// Looks at the server again and again, until it has ended.
    async fn pulse(&self) {
        let watched = sd_notify::watchdog_enabled().is_some();
        let beat = || {
            if watched {
                notify(&[NotifyState::Watchdog]);
            }
        };
        self.pulse.clone().keep(self.server.door(), &self.directory, beat).await;
    }

    /// Ends in good order, within the time that the settings leave.
    async fn stop(self) -> Result<(), Failure> {
        notify(&[NotifyState::Stopping]);
        // Whoever listens to it ends its answers.
        self.stopping.send_replace(true);
        let patience = self.settings.shutdown_timeout;
        self.server.leave(patience.saturating_sub(FOR_THE_REST)).await;
        let rest = patience.min(FOR_THE_REST).saturating_sub(FOR_THE_DISK);
        if tokio::time::timeout(rest, self.http.stop()).await.is_err() {
            log::warn!("some HTTP requests were not answered in time");
        }
        self.server.end(FOR_THE_DISK).await;
        drop(self.server);
        self.directory.close()?;
        Ok(())
    }
}

/// The recording of what enters the core. A server serves without it, too.
fn start_recording(settings: &Settings, cluster: Uuid, life: u64) -> Option<BlackBox> {
    let folder = settings.data.join(blackbox::FOLDER);
    let opened = BlackBox::open(&folder, cluster, life, settings.black_box?);
    let failed = |error| log::warn!("no recording in {}: {error}", folder.display());
    opened.map_err(failed).ok()
}

/// Tells systemd, where it listens.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd could not be told: {error}");
    }
}

/// What ends the process of a server with these events.
fn watch_failures(recorder: &Recorder, directory: &DataDir) -> oneshot::Receiver<Failure> {
    let (fail, failed) = oneshot::channel();
    let mut fail = Some(fail);
    let (data, identity) = (directory.path().to_owned(), directory.identity());
    recorder.watch(move |event| {
        let failure = match &event.kind {
            EventKind::Failed { error, .. } => {
                let (data, error) = (data.clone(), Box::new(error.clone()));
                Failure::Storage { data, identity, error }
            }
            EventKind::Violated(violation) => Failure::Assertion(violation.to_string()),
            _ => return,
        };
        if let Some(fail) = fail.take() {
            // If nobody waits, the process ends already.
            let _ = fail.send(failure);
        }
    });
    failed
}

fn https(tls: Arc<Tls>, cluster: Uuid) -> Https {
    Https {
        server: tls.https(),
        client: Box::new(move || tls.https_client()),
        name: Box::new(move |server| name_of(&Role::Server(server), cluster)),
    }
}

async fn start_http(
    settings: &Settings,
    (https, own_name): (Option<Https>, String),
    door: Door,
    control: Arc<Control>,
) -> Result<Http, Failure> {
    let failure = |error| Failure::Http { address: settings.http.clone(), error };
    let listen: Vec<_> = tokio::net::lookup_host(&settings.http).await.map_err(failure)?.collect();
    let Some(first) = listen.first().copied() else {
        let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(failure(error));
    };
    let mut config = http::Config::new(settings.id, first);
    // Any port would be another one for each address.
    config.listen = if first.port() == 0 { vec![first] } else { listen };
    config.tls = https;
    config.hosts.push(own_name);
    let own_name = settings.advertise_http.as_deref().and_then(|name| name.rsplit_once(':'));
    config.hosts.extend(own_name.map(|(host, _)| host.to_owned()));
    let serving = settings.serving.clone();
    config.hosts.extend(serving.hosts);
    (config.open, config.origins) = (serving.open, serving.origins);
    config.workers = serving.workers as usize;
    let limits = &mut config.limits;
    (limits.connections, limits.rate) = (serving.connections as usize, serving.rate);
    (limits.body, limits.silence) = (serving.body, serving.silence);
    limits.header_time = serving.headers_timeout;
    if let Some(path) = &settings.tokens {
        config.tokens = Some(read_tokens(path)?);
    }
    http::start(config, move || door.client(), control).map_err(|error| match error {
        HttpError::Listen { address, error } => {
            Failure::Http { address: address.to_string(), error }
        }
        error => Failure::Config(ConfigError::Together(error.to_string())),
    })
}

fn read_tokens(path: &Path) -> Result<Tokens, Failure> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let tokens = Tokens::parse(&text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    Ok(tokens)
}
