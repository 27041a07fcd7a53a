//! What holds for any statement and for any text.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{all_words, known, variables};
use super::value::MAX_DURATION;
use super::*;
use crate::actors::{Consistency, Order, Servers};
use crate::raft::{Index, ServerId};

fn servers() -> impl Strategy<Value = Servers> {
    prop_oneof![
        Just(Servers::All),
        Just(Servers::Leader),
        Just(Servers::Followers),
        some_servers().prop_map(Servers::Only),
    ]
}

fn one_server() -> impl Strategy<Value = ServerId> {
    (1..=u64::MAX).prop_map(ServerId)
}

/// Distinct servers.
fn some_servers() -> impl Strategy<Value = Vec<ServerId>> {
    proptest::collection::btree_set(1..=u64::MAX, 1..5)
        .prop_map(|numbers| numbers.into_iter().map(ServerId).collect())
}

fn duration() -> impl Strategy<Value = Duration> {
    let longest = MAX_DURATION.as_nanos() as u64;
    prop_oneof![
        (0..=longest).prop_map(Duration::from_nanos),
        (0..=longest / 1_000_000).prop_map(Duration::from_millis),
        (0..=longest / 1_000_000_000).prop_map(Duration::from_secs),
    ]
}

fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0, (0..=1000).prop_map(|tenths| f64::from(tenths) / 1000.0)]
}

fn order_on_links() -> impl Strategy<Value = (Order, Order)> {
    let kinds = (0..5, duration(), duration(), probability());
    (servers(), servers(), kinds).prop_map(|(a, b, (kind, latency, jitter, probability))| {
        let order = |from: &Servers, to: &Servers| {
            let (from, to) = (from.clone(), to.clone());
            match kind {
                0 => Order::Cut { from, to },
                1 => Order::Delay { from, to, latency, jitter },
                2 => Order::Loss { from, to, probability },
                3 => Order::Duplicate { from, to, probability },
                _ => Order::Reorder { from, to, probability },
            }
        };
        (order(&a, &b), order(&b, &a))
    })
}

fn order() -> impl Strategy<Value = Order> {
    let about_servers: [fn(Servers) -> Order; 12] = [
        Order::Snapshot,
        Order::Remove,
        Order::Rejoin,
        Order::Crash,
        Order::Recover,
        Order::Pause,
        Order::Resume,
        Order::Stop,
        Order::Start,
        Order::Timeout,
        Order::DiskStall,
        Order::ApplyStall,
    ];
    let above_zero = duration().prop_map(|d| d.max(Duration::from_nanos(1)));
    let range = (duration(), duration()).prop_map(|(a, b)| {
        let min = a.min(b).max(Duration::from_nanos(1));
        Order::ElectionTimeout { min, max: a.max(b).max(min) }
    });
    let groups = (some_servers(), 1..3_usize).prop_map(|(servers, size)| {
        Order::Partition(servers.chunks(size).map(<[ServerId]>::to_vec).collect())
    });
    prop_oneof![
        (select(about_servers.to_vec()), servers()).prop_map(|(order, servers)| order(servers)),
        order_on_links().prop_map(|(there, _)| there),
        (servers(), duration()).prop_map(|(servers, latency)| Order::Speed { servers, latency }),
        (servers(), duration())
            .prop_map(|(servers, latency)| Order::DiskLatency { servers, latency }),
        (servers(), select(value::DISK_FAULTS.to_vec()))
            .prop_map(|(servers, (_, fault))| Order::DiskFault { servers, fault }),
        (servers(), duration())
            .prop_map(|(servers, latency)| Order::ApplyLatency { servers, latency }),
        (servers(), 0.01..=100.0).prop_map(|(servers, rate)| Order::ClockRate { servers, rate }),
        (servers(), duration(), any::<bool>()).prop_map(|(servers, by, back)| Order::ClockJump {
            servers,
            by,
            back
        }),
        (one_server(), any::<bool>()).prop_map(|(server, learner)| Order::Add { server, learner }),
        some_servers().prop_map(Order::Members),
        (servers(), any::<u8>())
            .prop_map(|(servers, priority)| Order::Priority { servers, priority }),
        option::of(one_server()).prop_map(Order::Transfer),
        one_server().prop_map(Order::Salvage),
        Just(Order::Heal),
        above_zero.prop_map(Order::Heartbeat),
        range,
        groups,
    ]
}

/// Names and paths of any characters, and ones that look like something else.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{1,12}",
        "[a-zA-Z0-9@#$&'\"\\\\ \t{}=|<>-]{1,8}",
        any::<String>().prop_filter("a name is not empty", |name| !name.is_empty()),
        select(vec!["within", "as", "at", "if", "stale", "bytes", "a;b"]).prop_map(str::to_owned),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        vec(any::<u8>(), 0..20).prop_map(Content::Text),
        any::<String>().prop_map(|text| Content::Text(text.into_bytes())),
        name().prop_map(Content::Path),
    ]
}

fn load() -> impl Strategy<Value = Load> {
    (name(), option::of(name()), any::<bool>(), option::of(any::<u64>()))
        .prop_map(|(path, name, replace, revision)| Load { path, name, replace, revision })
}

fn consistency() -> impl Strategy<Value = Consistency> {
    select(value::CONSISTENCIES.to_vec()).prop_map(|(_, how)| how)
}

fn view() -> impl Strategy<Value = View> {
    let revision = option::of(1..=u64::MAX);
    prop_oneof![
        Just(View::Whole),
        any::<u64>().prop_map(|index| View::At(Index(index))),
        (any::<u64>(), any::<u64>(), revision)
            .prop_map(|(a, b, revision)| { View::Bytes { range: a.min(b)..a.max(b), revision } }),
    ]
}

fn change() -> impl Strategy<Value = FileCommand> {
    let revision = || option::of(any::<u64>());
    prop_oneof![
        load().prop_map(FileCommand::Load),
        (name(), content(), revision()).prop_map(|(file, content, revision)| {
            FileCommand::Append { file, content, revision }
        }),
        (name(), revision()).prop_map(|(file, revision)| FileCommand::Delete { file, revision }),
        (name(), name(), revision()).prop_map(|(file, name, revision)| FileCommand::Rename {
            file,
            name,
            revision
        }),
    ]
}

fn call() -> impl Strategy<Value = FileCall> {
    let command = prop_oneof![
        change(),
        vec(change(), 1..5).prop_map(FileCommand::Batch),
        consistency().prop_map(FileCommand::List),
        (name(), name(), view(), consistency())
            .prop_map(|(file, path, view, how)| FileCommand::Get { file, path, view, how }),
        (name(), view(), consistency()).prop_map(|(file, view, how)| FileCommand::Cat {
            file,
            view,
            how
        }),
        (name(), option::of(any::<u64>()), consistency())
            .prop_map(|(file, at, how)| FileCommand::Stat { file, at: at.map(Index), how }),
    ];
    let server = prop_oneof![
        Just(OneServer::Leader),
        (1..=u64::MAX).prop_map(|number| OneServer::Number(ServerId(number))),
    ];
    (option::of(server), command).prop_map(|(at, command)| FileCall { at, command })
}

fn expectation() -> impl Strategy<Value = Expectation> {
    let role = prop_oneof![
        Just(Role::Follower),
        Just(Role::Candidate),
        Just(Role::Leader),
        Just(Role::Stale),
        Just(Role::Dead),
    ];
    prop_oneof![
        (option::of(1..=u64::MAX), duration()).prop_map(|(server, within)| {
            Expectation::Leader { server: server.map(ServerId), within }
        }),
        duration().prop_map(|time| Expectation::NoLeader(NoLeader::For(time))),
        duration().prop_map(|time| Expectation::NoLeader(NoLeader::Within(time))),
        (some_servers(), duration())
            .prop_map(|(voters, within)| Expectation::Members { voters, within }),
        (option::of(some_servers()), duration()).prop_map(|(learners, within)| {
            Expectation::Learners { learners: learners.unwrap_or_default(), within }
        }),
        (servers(), option::of(any::<u64>()), duration()).prop_map(|(servers, index, within)| {
            Expectation::Snapshot { servers, index: index.map(Index), within }
        }),
        duration().prop_map(|within| Expectation::FilesEqual { within }),
        duration().prop_map(|within| Expectation::LogsEqual { within }),
        Just(Expectation::Linearizable),
        duration().prop_map(|within| Expectation::Progress { within }),
        (option::of(any::<String>()), call())
            .prop_map(|(because, call)| Expectation::Refused { because, call }),
        call().prop_map(Expectation::Unknown),
        (name(), content()).prop_map(|(file, content)| Expectation::Content { file, content }),
        name().prop_map(Expectation::NoFile),
        (servers(), role, duration()).prop_map(|(servers, role, within)| Expectation::Role {
            servers,
            role,
            within
        }),
        (servers(), any::<u64>(), duration()).prop_map(|(servers, index, within)| {
            Expectation::Commit { servers, index: Index(index), within }
        }),
        (servers(), duration())
            .prop_map(|(servers, within)| Expectation::CaughtUp { servers, within }),
    ]
}

fn travel() -> impl Strategy<Value = Travel> {
    prop_oneof![
        option::of(duration()).prop_map(Travel::Play),
        option::of(0.001..=1000.0).prop_map(Travel::Pace),
        (1..=100_000_u64).prop_map(Travel::Step),
        duration().prop_map(Travel::Rewind),
        duration().prop_map(Travel::Goto),
        select(vec![Travel::StepEvent, Travel::Fork, Travel::Timeline]),
    ]
}

fn inquiry() -> impl Strategy<Value = Inquiry> {
    let number = 1..=u64::MAX;
    let question = prop_oneof![
        Just(Question::NoLeader),
        number.clone().prop_map(|server| Question::LostLeadership(ServerId(server))),
        number.clone().prop_map(|index| Question::NotCommitted(Index(index))),
        number.prop_map(|server| Question::RefusedVote(ServerId(server))),
    ];
    (question, option::of(duration())).prop_map(|(question, at)| Inquiry { question, at })
}

fn statement() -> impl Strategy<Value = Statement> {
    let wait = prop_oneof![
        duration().prop_map(Wait::Time),
        option::of(duration()).prop_map(Wait::Leader),
        (some_servers(), option::of(duration()))
            .prop_map(|(voters, within)| Wait::Members { voters, within }),
        Just(Wait::Jobs),
    ];
    let binding = prop_oneof![
        load().prop_map(Binding::Load),
        Just(Binding::Leader),
        Just(Binding::Follower),
    ];
    prop_oneof![
        order().prop_map(Statement::Order),
        order().prop_map(Statement::Try),
        (1..=32_u64, duration(), duration(), consistency()).prop_map(
            |(count, time, every, reading)| {
                Statement::Clients(Clients { count, time, every, reading })
            }
        ),
        order_on_links().prop_map(|(there, back)| Statement::BothWays { there, back }),
        (call(), any::<bool>()).prop_map(|(call, background)| Statement::File { call, background }),
        name().prop_map(Statement::Submit),
        Just(Statement::Status),
        servers().prop_map(Statement::Log),
        option::of(1..1000_usize).prop_map(Statement::Events),
        Just(Statement::Members),
        Just(Statement::Watch),
        (option::of(any::<u64>()), option::of(duration()))
            .prop_map(|(from, time)| { Statement::Follow(Follow { from: from.map(Index), time }) }),
        option::of(name()).prop_map(Statement::Help),
        name().prop_map(Statement::Save),
        name().prop_map(Statement::History),
        Just(Statement::Quit),
        inquiry().prop_map(Statement::Why),
        travel().prop_map(Statement::Travel),
        wait.prop_map(Statement::Wait),
        ("[a-zA-Z_][a-zA-Z0-9_]{0,8}", binding)
            .prop_map(|(name, binding)| Statement::Let { name, binding }),
        expectation().prop_map(Statement::Expect),
        (1..=64_u64).prop_map(|count| Statement::Setting(Setting::Servers(count))),
        any::<u64>().prop_map(|seed| Statement::Setting(Setting::Seed(seed))),
        select(value::DISK_KINDS.to_vec())
            .prop_map(|(_, kind)| Statement::Setting(Setting::Disks(kind))),
        (1..=u64::MAX, any::<u64>()).prop_map(|(every, keep)| {
            Statement::Setting(Setting::Snapshots(Snapshots { every, keep }))
        }),
    ]
}

/// Lines made of what the language is made of, in any order.
fn almost_a_line() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = all_words()
        .flat_map(|word| word.example.split(' '))
        .chain([
            "&", "at", "|", "->", "<->", "=", ",", ";", "batch", "\"", "'", "\\", "$", "${",
            "$old", "@", "#",
        ])
        .collect();
    let word = prop_oneof![select(words).prop_map(str::to_owned), "\\PC{0,3}"];
    (vec(word, 0..8), prop_oneof![Just(" "), Just("")]).prop_map(|(words, blank)| words.join(blank))
}

proptest! {
    #[test]
    fn what_is_written_parses_back_to_the_same(statement in statement()) {
        let text = statement.to_string();
        prop_assert_eq!(parse(&text, &Variables::new()), Ok(Some(statement)), "{}", text);
    }

    #[test]
    fn whatever_is_read_is_written_as_a_line_that_says_the_same(text in almost_a_line()) {
        if let Ok(Some(statement)) = parse(&text, &Variables::new()) {
            let written = statement.to_string();
            prop_assert_eq!(parse(&written, &Variables::new()), Ok(Some(statement)), "{}", written);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![any::<String>(), almost_a_line()]) {
        let variables = variables();
        if let Err(error) = parse(&text, &variables) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
            prop_assert!(!error.message.is_empty());
            prop_assert!(error.excerpt(&text).lines().all(|line| line.chars().count() < 200));
        }
        for cursor in 0..=text.len() + 1 {
            let completion = complete(&text, cursor, &known());
            prop_assert!(text.get(completion.start..).is_some());
        }
        let _ = help_for(&text);
    }

    #[test]
    fn no_bytes_make_the_scenario_reader_panic(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..200),
            vec(almost_a_line(), 0..6).prop_map(|lines| lines.join("\n").into_bytes()),
        ],
    ) {
        if let Err(error) = Scenario::parse(&bytes) {
            prop_assert!(!error.mistakes.is_empty() && !error.report("a.jangada").is_empty());
        }
    }
}
