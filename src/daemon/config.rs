//! What a server is told about itself: a flag over a variable over the file over the default.
//!
//! Every setting is a [`Key`]; its flag, its variable (`JANGADA_` and the name in capitals) and its
//! line in the file all come from its name. A value remembers where it came from, for errors and
//! for `jangada config show`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::peers::PeerAddresses;
use crate::actors::SnapshotPolicy;
use crate::blackbox::{BoxSettings, MIN_BYTES};
use crate::net::Role;
use crate::net::tls::{OwnFiles, TlsFiles};
use crate::raft::{ServerId, Timing};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file, as in `snapshot-entries`; with `--` before it, the flag.
    pub name: &'static str,
    /// What its value is, in a word for usage lines; `None` for one that is on or off.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
    /// What holds if nobody says; `None` if it must be said, or if the help says it.
    pub default: Option<&'static str>,
}

/// Every setting.
pub const KEYS: &[Key] = &[
    key("id", "N", "The server's number, from 1", None),
    key("data", "DIR", "The data directory, made by `jangada init` or `jangada join`", None),
    key("cluster", "UUID", "Refuse a data directory of another cluster", None),
    key(
        "listen",
        "ADDR",
        "Where servers and native clients connect [default: 127.0.0.1:4000 + id]",
        None,
    ),
    key("http", "ADDR", "Where HTTP clients connect [default: 127.0.0.1:3000 + id]", None),
    key("advertise", "HOST:PORT", "How other servers reach `listen` [default: its address]", None),
    key(
        "advertise-http",
        "HOST:PORT",
        "How clients reach `http` [default: its address]; needed where `http` is 0.0.0.0",
        None,
    ),
    key(
        "peers",
        "N=HOST:PORT,...",
        "The addresses of the other servers; itself may be among them",
        Some(""),
    ),
    key("tls", "DIR", "The directory of the certificates, as `jangada cert` makes it", None),
    key("tls-ca", "FILE", "The authority's certificate [default: ca.pem in `tls`]", None),
    key("tls-cert", "FILE", "The server's certificate [default: serverN.pem in `tls`]", None),
    key("tls-key", "FILE", "The key of that certificate [default: serverN.key in `tls`]", None),
    switch("insecure", "Talk to the other servers in plain text, without certificates"),
    key("tokens", "FILE", "Who may do what over HTTP; without it only loopback is served", None),
    switch("https", "Speak HTTPS to clients, with the certificate of `tls`, and not HTTP"),
    switch("http-open", "Serve HTTP to others without tokens: something in front keeps the door"),
    key(
        "http-hosts",
        "NAME,...",
        "Names of this server over HTTP, beside its addresses, `localhost` and `advertise-http`",
        Some(""),
    ),
    key("http-origins", "URL,...", "Other sites whose pages may ask over HTTP", Some("")),
    key(
        "http-workers",
        "N",
        "Threads that serve HTTP; auto: half the processors, 1 to 4",
        Some("auto"),
    ),
    key("http-connections", "N", "HTTP connections at once; more wait", Some("4096")),
    key("http-rate", "N", "Requests a second of a token, or of all without tokens", None),
    key("http-body", "SIZE", "The largest body of a request", Some("1GiB")),
    key("http-headers-timeout", "TIME", "How long the headers of a request may take", Some("5s")),
    key(
        "http-silence",
        "TIME",
        "How long a body may bring nothing, and a client take nothing of an answer",
        Some("15s"),
    ),
    key("election-timeout", "MIN..MAX", "How long to wait for a leader", Some("300ms..600ms")),
    key("heartbeat", "TIME", "The time between a leader's heartbeats", Some("50ms")),
    switch(
        "leases",
        "Answer `lease` reads by a lease, which a failover waits for; alike everywhere",
    ),
    key(
        "snapshot-entries",
        "N",
        "Take a snapshot when the log has grown by so many",
        Some("131072"),
    ),
    key(
        "snapshot-bytes",
        "SIZE",
        "Take a snapshot when the log has grown by so much",
        Some("64MiB"),
    ),
    key(
        "blackbox",
        "SIZE",
        "Record what enters the core, in a ring of files of this size; `off` for nothing",
        Some("64MiB"),
    ),
    key("shutdown-timeout", "TIME", "How long a stop in good order may take", Some("5s")),
    switch("chaos", "Let those with the role `chaos` disturb this server's links"),
    key("log-format", "FORMAT", "How to write the log: `text` or `json`", Some("text")),
];

const fn key(
    name: &'static str,
    value: &'static str,
    help: &'static str,
    default: Option<&'static str>,
) -> Key {
    Key { name, value: Some(value), help, default }
}

const fn switch(name: &'static str, help: &'static str) -> Key {
    Key { name, value: None, help, default: Some("false") }
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(String),
    /// The file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// The file has a key that nobody knows.
    #[error("{}: there is no setting `{key}`{hint}", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The nearest one there is, as half a sentence.
        hint: String,
    },
    /// A value makes no sense.
    #[error("`{key}` = `{value}` ({origin}): {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// As it was given.
        value: String,
        /// Where.
        origin: Origin,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// Something must be said.
    #[error(
        "`{key}` is not set: give --{key}, {variable}, or `{key}` in the file",
        variable = variable(key)
    )]
    Missing {
        /// The setting.
        key: &'static str,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Together(String),
}

/// The value of every setting that has one, and where each came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layers(BTreeMap<&'static str, (String, Origin)>);

/// A server's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Its number.
    pub id: ServerId,
    /// Its data directory.
    pub data: PathBuf,
    /// The only cluster whose data it opens; any if `None`.
    pub cluster: Option<Uuid>,
    /// Where other servers and native clients connect.
    pub listen: String,
    /// Where HTTP clients connect.
    pub http: String,
    /// How others reach `listen`, if not by its address.
    pub advertise: Option<String>,
    /// How others reach `http`, if not by its address.
    pub advertise_http: Option<String>,
    /// The other servers.
    pub peers: PeerAddresses,
    /// Certificates; `None` if plain text was asked for.
    pub tls: Option<TlsFiles>,
    /// The file of tokens.
    pub tokens: Option<PathBuf>,
    /// How HTTP is served.
    pub serving: HttpSettings,
    /// Timeouts.
    pub timing: Timing,
    /// Whether leaders have leases.
    pub leases: bool,
    /// When to take snapshots.
    pub snapshots: SnapshotPolicy,
    /// How the core's inputs are recorded, if they are.
    pub black_box: Option<BoxSettings>,
    /// How long a stop in good order may take.
    pub shutdown_timeout: Duration,
    /// Whether links may be disturbed.
    pub chaos: bool,
    /// How to write the log.
    pub log_format: LogFormat,
}

/// How HTTP is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Whether it is HTTPS.
    pub secure: bool,
    /// Whether others are served though there are no tokens.
    pub open: bool,
    /// Names of the server.
    pub hosts: Vec<String>,
    /// Other sites whose pages may ask.
    pub origins: Vec<String>,
    /// Threads.
    pub workers: u32,
    /// Connections at once.
    pub connections: u32,
    /// Requests a second.
    pub rate: Option<u32>,
    /// Bytes of the largest body.
    pub body: u64,
    /// How long the headers of a request may take.
    pub headers_timeout: Duration,
    /// How long a body may bring nothing, and a client take nothing of an answer.
    pub silence: Duration,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The variable of a setting.
pub fn variable(key: &str) -> String {
    format!("JANGADA_{}", key.replace('-', "_").to_uppercase())
}

impl Layers {
    /// Puts the layers over each other: what `flags` says of a key, what `variables` says of it by
    /// the name of its variable, what the file says. An empty variable says nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or has a key that is none.
    pub fn new(
        flags: &BTreeMap<&'static str, String>,
        variables: impl Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut file = file.map(read_file).transpose()?.unwrap_or_default();
        let value = |key: &Key| {
            let flag = flags.get(key.name).map(|value| (value.clone(), Origin::Flag(key.name)));
            let by_variable = || {
                let name = variable(key.name);
                let value = variables(&name).filter(|value| !value.is_empty())?;
                Some((value, Origin::Variable(name)))
            };
            let by_default = || Some((key.default?.to_owned(), Origin::Default));
            let file = file.remove(key.name);
            let found = flag.or_else(by_variable).or(file).or_else(by_default)?;
            Some((key.name, found))
        };
        Ok(Self(KEYS.iter().filter_map(value).collect()))
    }

    /// The typed settings.
    ///
    /// # Errors
    /// If a value makes no sense, is missing, or does not go with another.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let id = self.required("id", server_id)?;
        let port = |base: u64| format!("127.0.0.1:{}", base + id.0);
        let address = |key, base| Ok(self.get(key, address)?.unwrap_or_else(|| port(base)));
        let (min, max) = self.required("election-timeout", timeouts)?;
        let heartbeat = self.required("heartbeat", duration)?;
        let timing = Timing { election_timeout_min: min, election_timeout_max: max, heartbeat };
        if heartbeat.is_zero() || heartbeat * 2 > min {
            let why = format!(
                "`heartbeat` ({}) must be at most half the shortest `election-timeout` ({})",
                self.shown("heartbeat"),
                self.shown("election-timeout")
            );
            return Err(ConfigError::Together(why));
        }
        let entries = self.required("snapshot-entries", positive)?;
        let bytes = self.required("snapshot-bytes", size)?;
        Ok(Settings {
            id,
            data: self.required("data", path)?,
            cluster: self.get("cluster", uuid)?,
            listen: address("listen", 4000)?,
            http: address("http", 3000)?,
            advertise: self.get("advertise", self::address)?,
            advertise_http: self.get("advertise-http", self::address)?,
            peers: self.required("peers", str::parse)?,
            tls: self.tls(id)?,
            tokens: self.get("tokens", path)?,
            serving: self.serving()?,
            timing,
            leases: self.required("leases", boolean)?,
            snapshots: SnapshotPolicy { entries, bytes },
            black_box: self.required("blackbox", ring)?,
            shutdown_timeout: self.required("shutdown-timeout", duration)?,
            chaos: self.required("chaos", boolean)?,
            log_format: self.required("log-format", log_format)?,
        })
    }

    fn serving(&self) -> Result<HttpSettings, ConfigError> {
        let secure = self.required("https", boolean)?;
        if secure && self.required("insecure", boolean)? {
            let why = "`https` needs certificates, and `insecure` says that there are none";
            return Err(ConfigError::Together(why.to_owned()));
        }
        Ok(HttpSettings {
            secure,
            open: self.required("http-open", boolean)?,
            hosts: self.required("http-hosts", words)?,
            origins: self.required("http-origins", words)?,
            workers: self.required("http-workers", workers)?,
            connections: self.required("http-connections", some)?,
            rate: self.get("http-rate", some)?,
            body: self.required("http-body", size)?,
            headers_timeout: self.required("http-headers-timeout", some_time)?,
            silence: self.required("http-silence", some_time)?,
        })
    }

    fn tls(&self, id: ServerId) -> Result<Option<TlsFiles>, ConfigError> {
        let insecure = self.required("insecure", boolean)?;
        let directory = self.get("tls", path)?;
        let files = ["tls-ca", "tls-cert", "tls-key"].map(|key| self.get(key, path));
        let [ca, cert, key] = files;
        let (ca, cert, key) = (ca?, cert?, key?);
        let given = directory.is_some() || ca.is_some() || cert.is_some() || key.is_some();
        let why = match (insecure, given) {
            (true, false) => return Ok(None),
            (true, true) => "certificates are given, and `insecure`, which would not use them",
            (false, false) => {
                "no certificates: give --tls DIR (`jangada cert` makes it), or say --insecure if \
                 everybody who can reach the peers' port may read and change everything"
            }
            (false, true) => {
                let directory = directory.map(|it| TlsFiles::in_directory(&it, &Role::Server(id)));
                let (authority, own) = match directory {
                    Some(files) => (Some(files.authority), files.own),
                    None => (None, None),
                };
                let (own_cert, own_key) = own.map(|own| (own.certificate, own.key)).unzip();
                match (ca.or(authority), cert.or(own_cert), key.or(own_key)) {
                    (Some(authority), Some(certificate), Some(key)) => {
                        let own = Some(OwnFiles { certificate, key });
                        return Ok(Some(TlsFiles { authority, own }));
                    }
                    _ => "without `tls`, `tls-ca`, `tls-cert` and `tls-key` are given together",
                }
            }
        };
        Err(ConfigError::Together(why.to_owned()))
    }

    fn shown(&self, key: &str) -> String {
        self.0.get(key).map_or_else(String::new, |(value, origin)| format!("{value}, {origin}"))
    }

    fn get<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((value, origin)) = self.0.get(key) else { return Ok(None) };
        let error = |why| {
            let (value, origin) = (value.clone(), origin.clone());
            ConfigError::Value { key, value, origin, why }
        };
        parse(value).map(Some).map_err(error)
    }

    fn required<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.get(key, parse)?.ok_or(ConfigError::Missing { key })
    }
}

/// The effective values, as a file that would give the same, with the origin of each.
impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in KEYS {
            let Some((value, origin)) = self.0.get(key.name) else {
                writeln!(f, "# {} is not set", key.name)?;
                continue;
            };
            let plain = key.value.is_none() || value.parse::<u64>().is_ok();
            match plain {
                true => writeln!(f, "{} = {value}  # {origin}", key.name)?,
                false => writeln!(f, "{} = {:?}  # {origin}", key.name, value)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "--{name}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What the file says of each key.
fn read_file(path: &Path) -> Result<BTreeMap<String, (String, Origin)>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let syntax = |message: String| ConfigError::Syntax { path: path.to_owned(), message };
    let table: toml::Table = toml::from_str(&text).map_err(|error| syntax(error.to_string()))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !KEYS.iter().any(|known| known.name == key) {
            return Err(ConfigError::Unknown { path: path.to_owned(), hint: hint(&key), key });
        }
        let text = plain(&value).ok_or_else(|| {
            syntax(format!(
                "`{key}` is neither a text, a number, true or false, nor a list of them"
            ))
        })?;
        values.insert(key, (text, Origin::File(path.to_owned())));
    }
    Ok(values)
}

/// A value as a flag would give it: lists with commas, tables (of `peers`) as `key=value`.
fn plain(value: &toml::Value) -> Option<String> {
    let several = |values: Option<Vec<String>>| values.map(|values| values.join(","));
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(on) => Some(on.to_string()),
        toml::Value::Array(values) => several(values.iter().map(plain).collect()),
        toml::Value::Table(table) => {
            let pair = |(key, value): (&String, _)| Some(format!("{key}={}", plain(value)?));
            several(table.iter().map(pair).collect())
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) => None,
    }
}

fn hint(unknown: &str) -> String {
    let similar = |key: &Key| (strsim::jaro_winkler(unknown, key.name), key.name);
    let best = KEYS.iter().map(similar).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((similarity, name)) if similarity > 0.8 => format!("; is `{name}` meant?"),
        _ => "; `jangada config show` prints those there are".to_owned(),
    }
}

/// Words with commas between them.
fn words(text: &str) -> Result<Vec<String>, String> {
    Ok(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn server_id(text: &str) -> Result<ServerId, String> {
    super::peers::server_id(text)
}

fn positive(text: &str) -> Result<u64, String> {
    let number = text.parse::<u64>().map_err(|_| "a whole number is wanted".to_owned())?;
    if number == 0 { Err("0 is too few".to_owned()) } else { Ok(number) }
}

fn some(text: &str) -> Result<u32, String> {
    u32::try_from(positive(text)?).map_err(|_| format!("{} are the most", u32::MAX))
}

fn workers(text: &str) -> Result<u32, String> {
    /// One for each processor of a large machine.
    const MOST: u32 = 256;
    if text == "auto" {
        // Every request has its turn on the server's own thread, too.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        return Ok((processors / 2).clamp(1, 4) as u32);
    }
    Some(some(text)?).filter(|it| *it <= MOST).ok_or_else(|| format!("{MOST} are the most"))
}

fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("no time at all is too short".to_owned()) } else { Ok(time) }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path is wanted".to_owned()) } else { Ok(text.into()) }
}

fn uuid(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "a uuid is wanted, such as 176832c1-8c8f-4703-a65b-f2e73aea0b4e".to_owned())
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "`true` or `false` is wanted".to_owned())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("`text` or `json` is wanted".to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    super::peers::address(text)
}

/// As in `300ms..600ms`.
fn timeouts(text: &str) -> Result<(Duration, Duration), String> {
    let wanted = || "a range is wanted, such as `300ms..600ms`".to_owned();
    let (min, max) = text.split_once("..").ok_or_else(wanted)?;
    let (min, max) = (duration(min)?, duration(max)?);
    if min.is_zero() || min > max { Err(wanted()) } else { Ok((min, max)) }
}

/// As in `50ms` or `5s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "a time is wanted, such as `50ms` or `5s`";
    let (number, unit) = number_and_unit(text).ok_or(wanted)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        _ => return Err(wanted.to_owned()),
    };
    /// A day: whoever means more has mistaken the unit.
    const LONGEST: Duration = Duration::from_secs(86_400);
    let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
    duration.filter(|it| *it <= LONGEST).ok_or_else(|| "that is longer than a day".to_owned())
}

/// As in `64MiB`, or in bytes.
fn size(text: &str) -> Result<u64, String> {
    let wanted = "a size is wanted, such as `64MiB`";
    let (number, unit) = number_and_unit(text).ok_or(wanted)?;
    let bytes: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wanted.to_owned()),
    };
    match number.checked_mul(bytes) {
        Some(bytes @ 1..) => Ok(bytes),
        _ => Err(wanted.to_owned()),
    }
}

/// As in `64MiB`, or `off`.
fn ring(text: &str) -> Result<Option<BoxSettings>, String> {
    if text == "off" {
        return Ok(None);
    }
    let bytes = size(text).map_err(|why| format!("{why}, or `off`"))?;
    match bytes >= MIN_BYTES {
        true => Ok(Some(BoxSettings { bytes })),
        false => Err(format!("at least {} MiB are needed, or `off`", MIN_BYTES >> 20)),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests;
