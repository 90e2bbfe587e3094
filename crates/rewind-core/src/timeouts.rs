//! Every time limit of the functions, in one place. The limits of the platform are in the template (`Timeout`) and in the
//! definitions (`TimeoutSeconds`); a test adds up these limits and compares them with those.
//!
//! Two rules keep an inner limit below the outer one. Each wait that a function plans has a length here, and together they fit.
//! Everything else, however often it is called, gets no more than the invocation has left.

use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

// ------------------------------------------------------------------------------------------------------ an invocation

/// Work is stopped this long before Lambda would kill it, so that the error is still reported under its own name.
pub const STOPPED_BEFORE: Duration = seconds(1);
/// Calls are given up this long before the work is stopped, so that the step can say which call it was.
pub const CALLS_END_BEFORE: Duration = seconds(1);
/// Starting a function, before its `Timeout` begins: the longest initialisation that Lambda allows.
pub const COLD_START: Duration = seconds(10);

// ---------------------------------------------------------------------------------------------------------------- AWS

/// Connecting to an AWS service: a part of [`CALL`].
pub const CONNECT: Duration = seconds(3);
/// One call of an AWS service. A change that takes long is better waited for than left in doubt.
pub const CALL: Duration = seconds(20);
/// With less than this left, no call is sent: nobody would be there to read its answer.
pub const CALL_AT_LEAST: Duration = seconds(2);
/// Assuming the role for Route 53, before the call that it is for.
pub const ASSUME_ROLE: Duration = seconds(5);
/// No call is begun with credentials that end sooner.
pub const CREDENTIALS_RENEWED_BEFORE: Duration = seconds(120);
/// A call of set-window, which has to outlast the function's own `Timeout` and its start.
pub const CALL_SET_WINDOW: Duration = seconds(46);

// ------------------------------------------------------------------------------------------------------------ polling

// Route 53 takes five requests a second from a whole account: one poller may not use them up.
/// The shortest pause between two polls.
pub const POLL_SHORTEST: Duration = milliseconds(250);
/// The longest pause between two polls.
pub const POLL_LONGEST: Duration = seconds(5);
/// The time after which a polling invocation returns to the state machine, which calls it again.
pub const POLL_BUDGET: Duration = seconds(50);
/// The same for await-rewind, which polls for hours: longer rounds leave the history's events to other things.
pub const AWAIT_BUDGET: Duration = seconds(230);
/// The time for which reads may fail one after the other within a round before the round fails.
pub const READS_FAIL_WITHIN: Duration = seconds(20);
/// The time for readers to become available, from the begin of the wait; a reader that is not is a difference.
pub const READERS_WITHIN: Duration = seconds(30 * 60);
/// The time for a failover of the restored cluster, which takes a minute on AWS.
pub const FAILOVER_WITHIN: Duration = seconds(90);
/// The time for a cluster or a backtrack to appear after a call whose answer was lost.
pub const APPEARS_WITHIN: Duration = seconds(30);
/// The time for a cluster to show another parameter group, and to be available with it.
pub const PARAMETER_GROUP: Duration = seconds(30);
/// The time for the instances of a restored cluster to restart, which takes a minute on AWS.
pub const RESTART: Duration = seconds(240);
/// The time for a changed window to appear before set-window reports that it has not yet.
pub const WINDOW_SHOWS_WITHIN: Duration = seconds(10);
/// The time for which a name may resolve to the old cluster after the old TTL: resolvers are not exact to the second.
pub const NAME_LENIENCE: Duration = seconds(20);

// ---------------------------------------------------------------------------------------------------------- databases

/// One query to a DNS server.
pub const DNS_QUERY: Duration = seconds(2);
/// The number of attempts of a query to a DNS server.
pub const DNS_ATTEMPTS: usize = 3;
/// One address of a database server has this long to take a connection.
pub const DATABASE_CONNECT: Duration = seconds(5);
/// The TLS handshake and the login: a server that is starting is slow.
pub const DATABASE_LOGIN: Duration = seconds(15);
/// Sent data may go unacknowledged this long before the connection counts as dead.
pub const DATABASE_SILENCE: Duration = seconds(15);
/// A silent connection is tested after this long.
pub const DATABASE_KEEPALIVE: Duration = seconds(10);
/// And then each time after this long.
pub const DATABASE_KEEPALIVE_INTERVAL: Duration = seconds(5);
/// A statement of our own, which takes milliseconds.
pub const STATEMENT: Duration = seconds(40);
/// Time beyond the limit that the database enforces on a statement, for the answer to travel.
pub const STATEMENT_GRACE: Duration = seconds(10);
/// Ending a session.
pub const SESSION_CLOSE: Duration = seconds(2);

// ------------------------------------------------------------------------------------------------------------- checks

/// One check on the rewound data, unless the request has another time (`checkTimeout`).
pub const CHECK: Duration = seconds(60);
/// The number of checks that run side by side on the rewound data.
pub const CHECKS_AT_ONCE: usize = 8;
/// The number of checks that run side by side on the source, which has clients.
pub const CHECKS_AT_ONCE_ON_SOURCE: usize = 2;
/// One check on the source. Its value is only shown, and must not use up the time of the checks that decide.
pub const CHECK_ON_SOURCE: Duration = seconds(15);
/// All checks together. A check that is left then has failed, with that as its reason.
pub const CHECKING: Duration = seconds(720);
/// A check's wait for a lock.
pub const CHECK_LOCK: Duration = seconds(5);
/// Logging in to a reader of the source, however many there are: then its writer is asked.
pub const READERS: Duration = seconds(10);
/// Counting one table.
pub const COUNT: Duration = seconds(20);
/// Counting all tables. A table that is left then is reported as not counted.
pub const COUNTING: Duration = seconds(60);
/// Comparing tables in one invocation, and so the most for one table; the next invocation goes on with those that are left.
pub const COMPARING: Duration = seconds(210);
/// With less than this left no further table is begun.
pub const COMPARE_AT_LEAST: Duration = seconds(1);
/// A call of compare-tables, which has to outlast the function's own `Timeout` and its start.
pub const CALL_COMPARE_TABLES: Duration = seconds(320);
/// Comparing sequences and AUTO_INCREMENT, of which people are only told.
pub const COUNTERS: Duration = seconds(5);
/// Reading the tables of all databases and estimates of their rows, beside the checks. What is left then is reported as not read.
pub const ESTIMATING: Duration = seconds(30);
/// Reading those of one database.
pub const ESTIMATES_OF_DATABASE: Duration = seconds(10);
/// The number of databases that are read side by side: each takes a session on both clusters, and the source has clients.
pub const ESTIMATES_AT_ONCE: usize = 4;

// ---------------------------------------------------------------------------------------------------------- preflight

/// Reading the zone of the records, however many records it has.
pub const ZONE_READ: Duration = seconds(12);
/// Reading the other zones of the account, all of them together.
pub const OTHER_ZONES_READ: Duration = seconds(12);
/// One check that the preflight runs on a reader of the source, to see its value and how long it takes.
pub const PREFLIGHT_CHECK_ON_READER: Duration = seconds(15);
/// The same on the writer, where the source has no reader: short, for clients work there.
pub const PREFLIGHT_CHECK_ON_WRITER: Duration = seconds(3);
/// All checks together; those that are left are described and not run.
pub const PREFLIGHT_CHECKS: Duration = seconds(60);
/// Reading the facts of all databases of the source.
pub const PREFLIGHT_FACTS: Duration = seconds(30);

// -------------------------------------------------------------------------------------------------------------- fence

/// Reading where the writes of the restored cluster stand, before the outage begins. Unread, nobody goes back by itself.
pub const WRITE_POSITION: Duration = seconds(5);
/// The time for transactions to end that are open where writes are counted: most last for milliseconds.
pub const WRITES_SETTLE: Duration = seconds(2);
/// The age of the copy from which InnoDB shows its transactions is up to 100 ms.
pub const TRANSACTIONS_ARE_COPIED: Duration = milliseconds(150);
/// A change whose answer was lost, until RDS names it: it does so with the answer to the call, and may answer a read from a moment
/// before.
pub const CHANGE_IS_NAMED: Duration = seconds(5);
/// A change of security groups, until it is in force.
pub const FENCE_GROUPS: Duration = seconds(60);
/// Waiting for a free connection of a server that has none left, with the network closed.
pub const FENCE_LOGIN: Duration = seconds(15);
/// Closing the writer's logins and ending its sessions.
pub const FENCE_SESSIONS: Duration = seconds(30);
/// Reading every login path again, and probing some from outside the fence, all at the same time.
pub const FENCE_PROBES: Duration = seconds(10);
/// The sessions on all readers, which are asked at the same time: up to fifteen, and the writer is fenced already.
pub const FENCE_READERS: Duration = seconds(20);
/// Logging in to one reader and ending its sessions: a part of [`FENCE_READERS`].
pub const FENCE_READER: Duration = seconds(12);
/// Ending the sessions there: a part of [`FENCE_READER`].
pub const FENCE_READER_SESSIONS: Duration = seconds(4);
/// The time for sessions of our own user to end, where nobody may be connected: of a function that was killed, or of one that looks
/// at the same moment.
pub const OWN_SESSIONS_END: Duration = seconds(10);
/// Shutting a login that only reads, whatever its sessions and its prepared transactions hold.
pub const OPENING_SHUT: Duration = seconds(12);
/// Inspecting the fence of the source when clients are on the restored cluster: nobody waits for it.
pub const SOURCE_INSPECTED: Duration = seconds(20);
/// The pause between two reads of the sessions.
pub const FENCE_POLL: Duration = milliseconds(50);
/// The pause before a statement is repeated that another session's lock has stopped.
pub const FENCE_LOCK_RETRY: Duration = milliseconds(200);
/// The pause before a login path is probed again.
pub const FENCE_PROBE_RETRY: Duration = milliseconds(100);

// ----------------------------------------------------------------------------------------------------------- clean-up

/// Reading the sessions on a kept cluster; all instances are read at the same time.
pub const KEPT_SESSIONS: Duration = seconds(60);
/// The lease of a cluster that is being deleted: longer than an invocation, and short where nobody calls again.
pub const CLEAN_UP_LEASE: Duration = seconds(15 * 60);

// --------------------------------------------------------------------------------------------------------------- chat

/// The time after which Slack shows an error in place of an answer.
pub const SLACK_DEADLINE: Duration = seconds(3);
/// All of a request over HTTP; the rest of [`SLACK_DEADLINE`] is for the network.
pub const CHAT_REQUEST: Duration = milliseconds(2_800);
/// Work within the request; the rest of it is left for handing over what takes longer.
pub const CHAT_AT_ONCE: Duration = milliseconds(2_300);
/// A look at how clusters stand, from the beginning of the command; what was not seen by then is said to be so.
pub const CHAT_STANDING: Duration = milliseconds(2_000);
/// Starting a recovery within the request, before that is handed over too.
pub const CHAT_START: Duration = milliseconds(2_000);
/// The wait for a plan within the request, from the beginning of the command: completing the request and handing it over take time too.
pub const CHAT_PLAN: Duration = milliseconds(800);
/// The wait for a plan in the later invocation.
pub const CHAT_PLAN_LATER: Duration = seconds(25);
/// The wait for an approval that was announced.
pub const CHAT_APPROVAL: Duration = seconds(25);
/// The pause between two polls for a plan.
pub const CHAT_POLL: Duration = milliseconds(150);
/// The pause between two polls for an approval.
pub const CHAT_POLL_APPROVAL: Duration = seconds(1);
/// One attempt to bring a message to Slack.
pub const POST_ATTEMPT: Duration = seconds(5);
/// The pauses between the attempts, where Slack is busy or broken.
pub const POST_PAUSES: [Duration; 2] = [seconds(1), seconds(3)];
/// All attempts together: kept back from the work whose answer is to be sent.
pub const POST: Duration = seconds(10);
/// The pause before a decision is sent again: between two task tokens none is valid.
pub const DECIDE_AGAIN: Duration = milliseconds(500);
