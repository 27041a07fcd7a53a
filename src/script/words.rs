//! The table of all words.

use super::cursor::{Cursor, Result};
use super::{FileCommand, Statement, files, orders, parse, travel, why};
use crate::storage::DiskFault;
use Argument::{Content, Expectations, File, Is, Numbers, Orders, Path, Servers, Words};

/// One word of the language: how it is parsed, explained and completed.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    /// Other names, most of them of the classroom.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) category: Category,
    pub(crate) usage: &'static str,
    /// One line, without a full stop.
    pub(crate) help: &'static str,
    pub(crate) example: &'static str,
    /// What may stand at each place after the word, for completion.
    pub(crate) arguments: &'static [&'static [Argument]],
    pub(crate) grammar: Grammar,
}

/// How what follows a word is parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Grammar {
    /// A file command: `&` and `at` may stand before it, and expectations may hold it.
    File(fn(&mut Cursor<'_>) -> Result<FileCommand>),
    /// Any other statement.
    Statement(fn(&mut Cursor<'_>) -> Result<Statement>),
    /// It stands before a file command.
    Prefix,
}

/// What completion offers at one place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    Servers,
    /// Server numbers, not `all`, `leader` or `followers`.
    Numbers,
    File,
    Path,
    /// A path after `@`; any other text cannot be completed.
    Content,
    Words,
    FileCommands,
    /// Words about servers, disks and links: orders to the supervisor.
    Orders,
    Expectations,
    Is(&'static str),
}

/// The sections of the help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Category {
    Servers,
    Disks,
    Links,
    Files,
    Looking,
    Time,
    Scenarios,
}

impl Category {
    pub(crate) const ALL: [Self; 7] = [
        Self::Servers,
        Self::Disks,
        Self::Links,
        Self::Files,
        Self::Looking,
        Self::Time,
        Self::Scenarios,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Servers => "Servers",
            Self::Disks => "Disks; all but `disk` and `disk-mend` need `disks simulated`",
            Self::Links => "Links between servers",
            Self::Files => "Files",
            Self::Looking => "Looking",
            Self::Time => "Travelling in time (jangada --virtual, jangada replay)",
            Self::Scenarios => "Scenarios",
        }
    }
}

impl Word {
    /// The name and the aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether it begins an order to the supervisor.
    pub(crate) fn is_order(&self) -> bool {
        matches!(self.category, Category::Servers | Category::Disks | Category::Links)
    }
}

/// The word of this name or alias, in any case.
pub(crate) fn find(table: &'static [Word], name: &str) -> Option<&'static Word> {
    table.iter().find(|word| word.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The known word that was probably meant: one wrong letter in a short word, two in a longer one.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 32;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = match word.chars().count() {
        0..=1 => 0,
        2..=4 => 1,
        _ => 2,
    };
    known
        .map(|known| (strsim::damerau_levenshtein(&word, &known.to_lowercase()), known))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// A word for something that happens to disks.
const fn disk_fault(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    example: &'static str,
    parse: fn(&mut Cursor<'_>) -> Result<Statement>,
) -> Word {
    Word {
        name,
        aliases: &[],
        category: Category::Disks,
        usage,
        help,
        example,
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(parse),
    }
}

/// The words that a line may begin with.
pub(crate) const WORDS: &[Word] = &[
    Word {
        name: "crash",
        aliases: &["kill"],
        category: Category::Servers,
        usage: "crash SERVERS",
        help: "Ends servers at once; what their disks have not synced is lost",
        example: "crash leader",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::crash),
    },
    Word {
        name: "recover",
        aliases: &["recovery"],
        category: Category::Servers,
        usage: "recover SERVERS",
        help: "Starts crashed servers again from what their disks kept",
        example: "recover 3",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::recover),
    },
    Word {
        name: "pause",
        aliases: &[],
        category: Category::Servers,
        usage: "pause SERVERS",
        help: "Freezes servers where they are, as SIGSTOP does",
        example: "pause 2",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::pause),
    },
    Word {
        name: "resume",
        aliases: &[],
        category: Category::Servers,
        usage: "resume SERVERS",
        help: "Lets paused servers go on",
        example: "resume 2",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::resume),
    },
    Word {
        name: "stop",
        aliases: &[],
        category: Category::Servers,
        usage: "stop SERVERS",
        help: "Ends servers in good order: everything is synced first",
        example: "stop all",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::stop),
    },
    Word {
        name: "start",
        aliases: &[],
        category: Category::Servers,
        usage: "start [SERVERS]",
        help: "Starts stopped servers again; all of them if none are named",
        example: "start all",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::start),
    },
    Word {
        name: "timeout",
        aliases: &[],
        category: Category::Servers,
        usage: "timeout SERVERS",
        help: "Makes servers stand for election now",
        example: "timeout 2",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::timeout),
    },
    Word {
        name: "speed",
        aliases: &[],
        category: Category::Servers,
        usage: "speed SERVERS fast|normal|slow|DURATION",
        help: "Adds 0, 0.5 s, 1 s or any time to each message that servers handle",
        example: "speed leader slow",
        arguments: &[&[Servers], &[Is("fast"), Is("normal"), Is("slow")]],
        grammar: Grammar::Statement(orders::speed),
    },
    Word {
        name: "apply",
        aliases: &[],
        category: Category::Servers,
        usage: "apply SERVERS fast|stall|DURATION",
        help: "Sets how long servers take to apply entries; `stall` is for ever",
        example: "apply leader stall",
        arguments: &[&[Servers], &[Is("fast"), Is("stall")]],
        grammar: Grammar::Statement(orders::apply),
    },
    Word {
        name: "clock-rate",
        aliases: &[],
        category: Category::Servers,
        usage: "clock-rate SERVERS FACTOR",
        help: "Lets the clocks of servers run faster or slower; 1 is right again",
        example: "clock-rate leader 0.8",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::clock_rate),
    },
    Word {
        name: "clock-jump",
        aliases: &[],
        category: Category::Servers,
        usage: "clock-jump SERVERS +DURATION|-DURATION",
        help: "Sets the clocks of servers forward or back",
        example: "clock-jump 2,3 -500ms",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(orders::clock_jump),
    },
    Word {
        name: "election-timeout",
        aliases: &[],
        category: Category::Servers,
        usage: "election-timeout MIN..MAX",
        help: "Sets the range that election timeouts are drawn from",
        example: "election-timeout 150ms..300ms",
        arguments: &[],
        grammar: Grammar::Statement(orders::election_timeout),
    },
    Word {
        name: "heartbeat",
        aliases: &[],
        category: Category::Servers,
        usage: "heartbeat DURATION",
        help: "Sets the time between heartbeats of a leader",
        example: "heartbeat 50ms",
        arguments: &[],
        grammar: Grammar::Statement(orders::heartbeat),
    },
    Word {
        name: "disk",
        aliases: &[],
        category: Category::Disks,
        usage: "disk SERVERS fast|stall|DURATION",
        help: "Sets how long a sync takes on the disks of servers; `stall` is for ever",
        example: "disk 2,3 20ms",
        arguments: &[&[Servers], &[Is("fast"), Is("stall")]],
        grammar: Grammar::Statement(orders::disk),
    },
    disk_fault(
        "disk-full",
        "disk-full SERVERS",
        "There is no room on disks any more: what servers write waits in memory",
        "disk-full leader",
        |c| orders::disk_fault(c, DiskFault::Full),
    ),
    disk_fault(
        "disk-free",
        "disk-free SERVERS",
        "There is room on disks again",
        "disk-free all",
        |c| orders::disk_fault(c, DiskFault::Free),
    ),
    disk_fault(
        "disk-fail",
        "disk-fail SERVERS",
        "The next sync of disks fails, and their servers end; what it was for may be lost",
        "disk-fail 2",
        |c| orders::disk_fault(c, DiskFault::FailSync),
    ),
    disk_fault(
        "disk-tear",
        "disk-tear SERVERS",
        "The next crash leaves parts of what is not synced, rather than nothing",
        "disk-tear all",
        |c| orders::disk_fault(c, DiskFault::Tear),
    ),
    disk_fault(
        "disk-flip",
        "disk-flip SERVERS",
        "Turns one bit around of what is on disks",
        "disk-flip 2",
        |c| orders::disk_fault(c, DiskFault::Flip),
    ),
    disk_fault(
        "disk-lose",
        "disk-lose SERVERS",
        "The last write that was synced turns out never to have reached the disk",
        "disk-lose 2",
        |c| orders::disk_fault(c, DiskFault::Lose),
    ),
    disk_fault(
        "disk-misdirect",
        "disk-misdirect SERVERS",
        "The last write that was synced turns out to have gone elsewhere on the disk",
        "disk-misdirect 2",
        |c| orders::disk_fault(c, DiskFault::Misdirect),
    ),
    disk_fault(
        "disk-destroy",
        "disk-destroy SERVERS",
        "Loses all that is on the disks of servers that are down",
        "disk-destroy 2",
        |c| orders::disk_fault(c, DiskFault::Destroy),
    ),
    disk_fault(
        "disk-mend",
        "disk-mend SERVERS",
        "Ends all of this: room, no latency, nothing about to fail; harm that is done stays",
        "disk-mend all",
        |c| orders::disk_fault(c, DiskFault::Mend),
    ),
    Word {
        name: "partition",
        aliases: &[],
        category: Category::Links,
        usage: "partition SERVERS | SERVERS ...",
        help: "Cuts all links between groups of servers; those not named are one more group",
        example: "partition 1,2 | 3,4,5",
        arguments: &[&[Numbers]],
        grammar: Grammar::Statement(orders::partition),
    },
    Word {
        name: "cut",
        aliases: &[],
        category: Category::Links,
        usage: "cut FROM -> TO",
        help: "Cuts links one way; `<->` instead of `->` cuts them both ways",
        example: "cut 1 -> 3",
        arguments: &[&[Servers], &[Is("->"), Is("<->")], &[Servers]],
        grammar: Grammar::Statement(orders::cut),
    },
    Word {
        name: "delay",
        aliases: &[],
        category: Category::Links,
        usage: "delay FROM -> TO DURATION [jitter DURATION]",
        help: "Adds latency to links, and up to `jitter` more at random; 0s ends it",
        example: "delay leader -> followers 200ms jitter 50ms",
        arguments: &[&[Servers], &[Is("->"), Is("<->")], &[Servers], &[], &[Is("jitter")]],
        grammar: Grammar::Statement(orders::delay),
    },
    Word {
        name: "loss",
        aliases: &[],
        category: Category::Links,
        usage: "loss PROBABILITY [FROM -> TO]",
        help: "Loses messages at random, on all links or on these; 0% ends it",
        example: "loss 10% 1 -> 3",
        arguments: &[&[], &[Servers], &[Is("->"), Is("<->")], &[Servers]],
        grammar: Grammar::Statement(orders::loss),
    },
    Word {
        name: "duplicate",
        aliases: &[],
        category: Category::Links,
        usage: "duplicate PROBABILITY [FROM -> TO]",
        help: "Delivers messages twice at random, on all links or on these; 0% ends it",
        example: "duplicate 10%",
        arguments: &[&[], &[Servers], &[Is("->"), Is("<->")], &[Servers]],
        grammar: Grammar::Statement(orders::duplicate),
    },
    Word {
        name: "reorder",
        aliases: &[],
        category: Category::Links,
        usage: "reorder PROBABILITY [FROM -> TO]",
        help: "Lets messages overtake each other at random; 0% ends it",
        example: "reorder 10%",
        arguments: &[&[], &[Servers], &[Is("->"), Is("<->")], &[Servers]],
        grammar: Grammar::Statement(orders::reorder),
    },
    Word {
        name: "heal",
        aliases: &[],
        category: Category::Links,
        usage: "heal",
        help: "Mends all links: no cut, latency, loss, duplication or reordering is left",
        example: "heal",
        arguments: &[],
        grammar: Grammar::Statement(orders::heal),
    },
    Word {
        name: "load",
        aliases: &[],
        category: Category::Files,
        usage: "load PATH [as NAME] [replace]",
        help: "Loads a file of the host into the cluster, and says its uuid",
        example: "load notes.txt as diary replace",
        arguments: &[&[Path], &[Is("as"), Is("replace")], &[], &[Is("replace")]],
        grammar: Grammar::File(files::load),
    },
    Word {
        name: "list",
        aliases: &["files"],
        category: Category::Files,
        usage: "list",
        help: "Lists the files: uuid, name, size, revision",
        example: "list",
        arguments: &[],
        grammar: Grammar::File(files::list),
    },
    Word {
        name: "get",
        aliases: &[],
        category: Category::Files,
        usage: "get FILE PATH",
        help: "Writes a file to a path of the host",
        example: "get notes.txt copy.txt",
        arguments: &[&[File], &[Path]],
        grammar: Grammar::File(files::get),
    },
    Word {
        name: "cat",
        aliases: &[],
        category: Category::Files,
        usage: "cat FILE",
        help: "Shows the content of a file",
        example: "cat notes.txt",
        arguments: &[&[File]],
        grammar: Grammar::File(files::cat),
    },
    Word {
        name: "append",
        aliases: &[],
        category: Category::Files,
        usage: "append FILE TEXT|@PATH",
        help: "Adds the rest of the line to a file as it is, or quoted text, or what is at PATH",
        example: "append notes.txt \"one more line\\n\"",
        arguments: &[&[File], &[Content]],
        grammar: Grammar::File(files::append),
    },
    Word {
        name: "delete",
        aliases: &[],
        category: Category::Files,
        usage: "delete FILE",
        help: "Deletes a file",
        example: "delete notes.txt",
        arguments: &[&[File]],
        grammar: Grammar::File(files::delete),
    },
    Word {
        name: "rename",
        aliases: &[],
        category: Category::Files,
        usage: "rename FILE NAME",
        help: "Gives a file another name",
        example: "rename notes.txt diary",
        arguments: &[&[File]],
        grammar: Grammar::File(files::rename),
    },
    Word {
        name: "stat",
        aliases: &[],
        category: Category::Files,
        usage: "stat FILE",
        help: "Shows uuid, name, size, hash and revision of a file",
        example: "stat notes.txt",
        arguments: &[&[File]],
        grammar: Grammar::File(files::stat),
    },
    Word {
        name: "at",
        aliases: &[],
        category: Category::Files,
        usage: "at SERVER FILE-COMMAND",
        help: "Asks this server and no other",
        example: "at 3 cat notes.txt",
        arguments: &[&[Is("leader"), Numbers]],
        grammar: Grammar::Prefix,
    },
    Word {
        name: "&",
        aliases: &[],
        category: Category::Files,
        usage: "& FILE-COMMAND",
        help: "Goes on while the command runs; `wait jobs` waits for its answer",
        example: "& append notes.txt \"x\"",
        arguments: &[],
        grammar: Grammar::Prefix,
    },
    Word {
        name: "submit",
        aliases: &[],
        category: Category::Files,
        usage: "submit PATH",
        help: "Runs the lines of a scenario file",
        example: "submit crash.jangada",
        arguments: &[&[Path]],
        grammar: Grammar::Statement(parse::submit),
    },
    Word {
        name: "status",
        aliases: &[],
        category: Category::Looking,
        usage: "status",
        help: "Shows a table of the servers: role, term, log, speed, links",
        example: "status",
        arguments: &[],
        grammar: Grammar::Statement(parse::status),
    },
    Word {
        name: "log",
        aliases: &["print_log"],
        category: Category::Looking,
        usage: "log [SERVERS]",
        help: "Shows the logs of servers",
        example: "log 2",
        arguments: &[&[Servers]],
        grammar: Grammar::Statement(parse::log),
    },
    Word {
        name: "events",
        aliases: &[],
        category: Category::Looking,
        usage: "events [NUMBER]",
        help: "Shows what happened, newest last",
        example: "events 20",
        arguments: &[],
        grammar: Grammar::Statement(parse::events),
    },
    Word {
        name: "watch",
        aliases: &[],
        category: Category::Looking,
        usage: "watch",
        help: "Switches live notices on or off",
        example: "watch",
        arguments: &[],
        grammar: Grammar::Statement(parse::watch),
    },
    Word {
        name: "help",
        aliases: &[],
        category: Category::Looking,
        usage: "help [WORD]",
        help: "Shows all words, or one of them with an example",
        example: "help crash",
        arguments: &[&[Words]],
        grammar: Grammar::Statement(parse::help),
    },
    Word {
        name: "why",
        aliases: &[],
        category: Category::Looking,
        usage: "why no-leader|S lost leadership|S refused its vote|INDEX is not committed [at TIME]",
        help: "Finds the orders without which it would not be so, and tells how it came to be",
        example: "why 2 lost leadership",
        arguments: &[
            &[Is("no-leader"), Numbers],
            &[Is("lost"), Is("refused"), Is("is"), Is("at")],
            &[Is("leadership"), Is("its"), Is("not")],
            &[Is("vote"), Is("committed"), Is("at")],
            &[Is("at")],
        ],
        grammar: Grammar::Statement(why::why),
    },
    Word {
        name: "save",
        aliases: &[],
        category: Category::Looking,
        usage: "save PATH",
        help: "Writes what was done so far as a scenario",
        example: "save mine.jangada",
        arguments: &[&[Path]],
        grammar: Grammar::Statement(parse::save),
    },
    Word {
        name: "history",
        aliases: &[],
        category: Category::Looking,
        usage: "history PATH",
        help: "Writes all file commands and their answers, for `jangada check-history`",
        example: "history calls.jsonl",
        arguments: &[&[Path]],
        grammar: Grammar::Statement(parse::history),
    },
    Word {
        name: "quit",
        aliases: &["exit"],
        category: Category::Looking,
        usage: "quit",
        help: "Leaves",
        example: "quit",
        arguments: &[],
        grammar: Grammar::Statement(parse::quit),
    },
    Word {
        name: "play",
        aliases: &[],
        category: Category::Time,
        usage: "play [DURATION]",
        help: "Lets time pass, by default until Ctrl-C or the end of what is recorded",
        example: "play 2s",
        arguments: &[],
        grammar: Grammar::Statement(travel::play),
    },
    Word {
        name: "pace",
        aliases: &[],
        category: Category::Time,
        usage: "pace FACTOR|max",
        help: "Sets how fast `play` is: 1 is as on the wall, `max` as fast as can be",
        example: "pace 10",
        arguments: &[&[Is("max")]],
        grammar: Grammar::Statement(travel::pace),
    },
    Word {
        name: "step",
        aliases: &[],
        category: Category::Time,
        usage: "step [NUMBER|event]",
        help: "Lets time pass until the next messages between servers, or the next event",
        example: "step 5",
        arguments: &[&[Is("event")]],
        grammar: Grammar::Statement(travel::step),
    },
    Word {
        name: "rewind",
        aliases: &[],
        category: Category::Time,
        usage: "rewind DURATION",
        help: "Goes back in time; what came after is kept, and played again, until you fork",
        example: "rewind 3s",
        arguments: &[],
        grammar: Grammar::Statement(travel::rewind),
    },
    Word {
        name: "goto",
        aliases: &[],
        category: Category::Time,
        usage: "goto TIME",
        help: "Goes to this moment since the beginning, back or forth",
        example: "goto 1.5s",
        arguments: &[],
        grammar: Grammar::Statement(travel::goto),
    },
    Word {
        name: "fork",
        aliases: &[],
        category: Category::Time,
        usage: "fork",
        help: "Forgets what is recorded after this moment; any order does that first",
        example: "fork",
        arguments: &[],
        grammar: Grammar::Statement(travel::fork),
    },
    Word {
        name: "timeline",
        aliases: &[],
        category: Category::Time,
        usage: "timeline",
        help: "Shows what is recorded, and when; and where we are",
        example: "timeline",
        arguments: &[],
        grammar: Grammar::Statement(travel::timeline),
    },
    Word {
        name: "wait",
        aliases: &["sleep"],
        category: Category::Scenarios,
        usage: "wait DURATION|leader [within DURATION]|jobs",
        help: "Waits some time (seconds, without a unit), for a leader, or for commands after `&`",
        example: "wait leader within 5s",
        arguments: &[&[Is("leader"), Is("jobs")], &[Is("within")]],
        grammar: Grammar::Statement(parse::wait),
    },
    Word {
        name: "let",
        aliases: &[],
        category: Category::Scenarios,
        usage: "let NAME = load PATH [as NAME]|leader|follower",
        help: "Names a file or a server, for `$NAME` on later lines",
        example: "let old = leader",
        arguments: &[&[], &[Is("=")], &[Is("load"), Is("leader"), Is("follower")]],
        grammar: Grammar::Statement(parse::binding),
    },
    Word {
        name: "try",
        aliases: &[],
        category: Category::Scenarios,
        usage: "try ORDER",
        help: "Carries an order out if it is possible now, such as `crash leader` with a leader",
        example: "try crash leader",
        arguments: &[&[Orders]],
        grammar: Grammar::Statement(parse::attempt),
    },
    Word {
        name: "clients",
        aliases: &[],
        category: Category::Files,
        usage: "clients NUMBER for DURATION [every DURATION]",
        help: "Lets clients use the files at random, in the background",
        example: "clients 4 for 10s",
        arguments: &[&[], &[Is("for")], &[], &[Is("every")]],
        grammar: Grammar::Statement(parse::clients),
    },
    Word {
        name: "expect",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect ...",
        help: "Demands something; `help expect` shows what there is",
        example: "expect leader within 2s",
        arguments: &[&[Expectations]],
        grammar: Grammar::Statement(parse::expect),
    },
    Word {
        name: "servers",
        aliases: &[],
        category: Category::Scenarios,
        usage: "servers NUMBER",
        help: "Sets how many servers there are; only at the top of a scenario",
        example: "servers 5",
        arguments: &[],
        grammar: Grammar::Statement(parse::servers_setting),
    },
    Word {
        name: "seed",
        aliases: &[],
        category: Category::Scenarios,
        usage: "seed NUMBER",
        help: "Sets the seed of everything random; only at the top of a scenario",
        example: "seed 7",
        arguments: &[],
        grammar: Grammar::Statement(parse::seed_setting),
    },
    Word {
        name: "disks",
        aliases: &[],
        category: Category::Scenarios,
        usage: "disks memory|simulated",
        help: "Gives the servers simple disks, or ones that can fail; only at the top of a scenario",
        example: "disks simulated",
        arguments: &[&[Is("memory"), Is("simulated")]],
        grammar: Grammar::Statement(parse::disks_setting),
    },
];
