//! Totals of what became of every write: pure sums over what the application was told and what the databases hold. It asks nobody.

use super::attempt::{Attempt, gaps};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// All that is known when the application has stopped.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Every number that the application sent.
    pub attempts: &'a [Attempt],
    /// The numbers in the rewound data.
    pub on_rewound: &'a BTreeSet<i64>,
    /// The numbers in the source data, wherever that is now.
    pub on_source: &'a BTreeSet<i64>,
    /// The rule that tells which of the two a write was sent to.
    pub sides: Sides<'a>,
    /// The moment that was rewound to.
    pub rewound_to: Timestamp,
    /// The time from which on the source data took no write.
    pub fenced_at: Timestamp,
}

/// The rule that tells which data a write was sent to.
#[derive(Debug, Clone, Copy)]
pub enum Sides<'a> {
    /// Two clusters, told apart by their endpoints.
    Beside {
        /// The endpoint of the rewound data.
        rewound: &'a str,
        /// The endpoint of the source data.
        source: &'a str,
    },
    /// One endpoint: before the fence it was the source data, afterwards the rewound.
    InPlace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Rewound,
    Neither,
}

impl Observed<'_> {
    // In place both data are behind the same endpoint: the time of sending decides, for the fence cut every connection.
    fn side(&self, attempt: &Attempt) -> Side {
        match self.sides {
            Sides::Beside { rewound, .. } if attempt.endpoint == rewound => Side::Rewound,
            Sides::Beside { source, .. } if attempt.endpoint == source => Side::Source,
            Sides::Beside { .. } => Side::Neither,
            Sides::InPlace if attempt.sent < self.fenced_at => Side::Source,
            Sides::InPlace => Side::Rewound,
        }
    }
}

/// Acknowledged writes of one kind, with the times of their acknowledgements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The numbers, ascending.
    pub numbers: Vec<i64>,
    /// The first and the last acknowledgement.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Group {
    fn add(&mut self, number: i64, at: Timestamp) {
        self.numbers.push(number);
        self.times = Some(self.times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// The number of writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

/// The totals, and what does not add up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Acknowledged, in all.
    pub acknowledged: usize,
    /// Acknowledged by the source, and in the rewound data too.
    pub before_target: Group,
    /// Acknowledged by the source, and only there: the price of the rewind.
    pub only_source: Group,
    /// Acknowledged by the rewound data's server.
    pub afterwards: Group,
    /// Sent, and neither acknowledged nor refused.
    pub unanswered: Unanswered,
    /// The longest time between two acknowledgements, with its beginning.
    pub longest_gap: Option<(Timestamp, SignedDuration)>,
    /// Sentences about what does not add up.
    pub problems: Vec<String>,
}

/// Writes whose fate the application does not know, by where they were found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// WriteLog nowhere.
    pub nowhere: usize,
    /// On the source only.
    pub source: usize,
    /// In the rewound data only.
    pub rewound: usize,
    /// On both: committed before the target.
    pub both: usize,
}

impl Unanswered {
    /// The number of all of them.
    #[must_use]
    pub fn all(self) -> usize {
        self.nowhere + self.source + self.rewound + self.both
    }
}

/// Most numbers that are named with a problem.
const MOST_NAMED: usize = 5;

/// Counts every write, and looks for those that are lost, doubled or in the wrong place.
#[must_use]
pub fn totals(observed: &Observed<'_>) -> Totals {
    let mut totals = Totals::default();
    let mut problems = Problems::default();
    for attempt in observed.attempts {
        match &attempt.acknowledged {
            Ok(at) => {
                totals.acknowledged += 1;
                place(observed, attempt, *at, &mut totals, &mut problems);
            }
            // Its connection was cut between the statement and the reply: the server may have committed it or not. An
            // application can't know, so any place is right; only the sum is printed.
            Err(_) => {
                let unanswered = &mut totals.unanswered;
                *match (observed.on_source.contains(&attempt.number), observed.on_rewound.contains(&attempt.number)) {
                    (false, false) => &mut unanswered.nowhere,
                    (true, false) => &mut unanswered.source,
                    (false, true) => &mut unanswered.rewound,
                    (true, true) => &mut unanswered.both,
                } += 1;
            }
        }
    }
    // The totals prove something only while each number was sent once and nothing else writes the table.
    let sent: BTreeSet<i64> = observed.attempts.iter().map(|attempt| attempt.number).collect();
    if sent.len() != observed.attempts.len() {
        problems.add("numbers were sent twice", 0);
    }
    for number in observed.on_rewound.union(observed.on_source).filter(|number| !sent.contains(number)) {
        problems.add("in the data, and never sent by the application", *number);
    }
    // Every acknowledged write is in one of the three groups, or a rule above has named it: the sum finds a rule that forgot one.
    let sum = totals.before_target.len() + totals.only_source.len() + totals.afterwards.len();
    if sum != totals.acknowledged {
        let missing = totals.acknowledged.abs_diff(sum);
        totals.problems.push(format!("{missing} acknowledged writes are in none of the groups"));
    }
    totals.longest_gap = longest_gap(observed.attempts);
    totals.problems.extend(problems.sentences());
    totals
}

fn place(observed: &Observed<'_>, attempt: &Attempt, at: Timestamp, totals: &mut Totals, problems: &mut Problems) {
    let number = attempt.number;
    let (on_rewound, on_source) = (observed.on_rewound.contains(&number), observed.on_source.contains(&number));
    let side = observed.side(attempt);
    // Each rule holds for every interleaving of the recovery; a write that breaks one was lost, doubled or let through.
    if side == Side::Rewound {
        if !on_rewound {
            problems.add("acknowledged after the rewind, and not in the rewound data", number);
        }
        if on_source {
            problems.add("acknowledged after the rewind, and on the source", number);
        }
        if at < observed.fenced_at {
            problems.add("acknowledged after the rewind while the source still took writes", number);
        }
        if on_rewound && !on_source {
            totals.afterwards.add(number, at);
        }
    } else if side == Side::Source {
        // The fence's own proof is a failed write; this is the application's, from outside.
        if at > observed.fenced_at {
            problems.add("acknowledged by the source after the fence", number);
        }
        if !on_source {
            problems.add("acknowledged by the source, and not there", number);
            return;
        }
        // The commit lies somewhere between sending and acknowledgement: a write around the target may be on either side of it.
        if on_rewound && attempt.sent > observed.rewound_to {
            problems.add("sent after the target, and in the rewound data all the same", number);
        }
        // Acknowledged by the target means committed by then, and a restore has to have it.
        if !on_rewound && at <= observed.rewound_to {
            problems.add("acknowledged before the target, and not in the rewound data", number);
        }
        if on_rewound { &mut totals.before_target } else { &mut totals.only_source }.add(number, at);
    } else {
        problems.add("acknowledged by another server than the two", number);
    }
}

fn longest_gap(attempts: &[Attempt]) -> Option<(Timestamp, SignedDuration)> {
    gaps(attempts).max_by_key(|(_, gap)| *gap)
}

/// Problems by kind, each with the numbers that have it.
#[derive(Default)]
struct Problems(Vec<(&'static str, Vec<i64>)>);

impl Problems {
    fn add(&mut self, what: &'static str, number: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, numbers)) => numbers.push(number),
            None => self.0.push((what, vec![number])),
        }
    }

    fn sentences(self) -> impl Iterator<Item = String> {
        // A lost minute is thousands of numbers: a person needs the kind, the count and a few to look for.
        self.0.into_iter().map(|(what, numbers)| {
            let named: Vec<String> = numbers.iter().take(MOST_NAMED).map(ToString::to_string).collect();
            let more = if numbers.len() > MOST_NAMED { ", …" } else { "" };
            format!("{what}: {}{more} ({} in all)", named.join(", "), numbers.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old";
    const NEW: &str = "new";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).unwrap()
    }

    /// Sent half a second before it was acknowledged.
    fn acknowledged(number: i64, endpoint: &str, seconds: i64) -> Attempt {
        let sent = at(seconds) - SignedDuration::from_millis(500);
        Attempt { number, endpoint: endpoint.into(), sent, acknowledged: Ok(at(seconds)) }
    }

    fn unanswered(number: i64, endpoint: &str, seconds: i64) -> Attempt {
        Attempt { number, endpoint: endpoint.into(), sent: at(seconds), acknowledged: Err("gone".into()) }
    }

    /// Rewound to second 10, fenced at second 20.
    fn restored(attempts: &[Attempt], on_source: &[i64], on_rewound: &[i64]) -> Totals {
        totals(&Observed {
            attempts,
            on_rewound: &on_rewound.iter().copied().collect(),
            on_source: &on_source.iter().copied().collect(),
            sides: Sides::Beside { rewound: NEW, source: OLD },
            rewound_to: at(10),
            fenced_at: at(20),
        })
    }

    /// As [`restored`], in place: the fence tells which data a write was sent to.
    fn totals_in_place(attempts: &[Attempt], on_source: &[i64], on_rewound: &[i64]) -> Totals {
        totals(&Observed {
            attempts,
            on_rewound: &on_rewound.iter().copied().collect(),
            on_source: &on_source.iter().copied().collect(),
            sides: Sides::InPlace,
            rewound_to: at(10),
            fenced_at: at(20),
        })
    }

    #[test]
    fn in_place_the_fence_divides_what_one_endpoint_acknowledged() {
        let attempts = [acknowledged(1, OLD, 5), acknowledged(2, OLD, 15), acknowledged(3, OLD, 25)];
        let totals = totals_in_place(&attempts, &[1, 2], &[1, 3]);
        assert_eq!(totals.problems, [""; 0]);
        let groups = [&totals.before_target, &totals.only_source, &totals.afterwards];
        assert_eq!(groups.map(|group| group.numbers.clone()), [[1], [2], [3]]);
        let lost = totals_in_place(&attempts, &[1], &[1, 3]).problems;
        assert!(lost.iter().any(|p| p == "acknowledged by the source, and not there: 2 (1 in all)"), "{lost:?}");
        let undone = totals_in_place(&attempts, &[1, 2], &[1]).problems;
        assert!(undone.iter().any(|p| p.starts_with("acknowledged after the rewind, and not in the")), "{undone:?}");
        let inside = Attempt { sent: at(19), ..acknowledged(4, OLD, 21) };
        let leak = totals_in_place(&[inside], &[4], &[]).problems;
        assert_eq!(leak, ["acknowledged by the source after the fence: 4 (1 in all)"]);
    }

    #[test]
    fn the_times_between_acknowledgements_are_counted_from_their_beginnings() {
        let attempts =
            [acknowledged(2, OLD, 15), unanswered(4, OLD, 17), acknowledged(1, OLD, 5), acknowledged(3, NEW, 25)];
        let told: Vec<(Timestamp, i64)> = gaps(&attempts).map(|(from, gap)| (from, gap.as_secs())).collect();
        assert_eq!(told, [(at(5), 10), (at(15), 10)]);
    }

    fn good() -> Vec<Attempt> {
        vec![acknowledged(1, OLD, 5), acknowledged(2, OLD, 15), acknowledged(3, NEW, 25)]
    }

    #[test]
    fn each_acknowledged_write_is_in_one_group() {
        let totals = restored(&good(), &[1, 2], &[1, 3]);
        assert_eq!(totals.problems, [""; 0]);
        assert_eq!(totals.acknowledged, 3);
        assert_eq!(totals.before_target.numbers, [1]);
        assert_eq!(totals.only_source, Group { numbers: vec![2], times: Some((at(15), at(15))) });
        assert_eq!(totals.afterwards.numbers, [3]);
        assert_eq!(totals.longest_gap.unwrap().1.as_secs(), 10);
    }

    #[test]
    fn what_nobody_answered_may_be_anywhere_and_is_counted_apart() {
        let attempts = [
            vec![unanswered(4, OLD, 19), unanswered(5, OLD, 19), unanswered(6, NEW, 30), unanswered(7, OLD, 9)],
            good(),
        ]
        .concat();
        let totals = restored(&attempts, &[1, 2, 5, 7], &[1, 3, 6, 7]);
        assert_eq!(totals.problems, [""; 0]);
        assert_eq!(totals.unanswered, Unanswered { nowhere: 1, source: 1, rewound: 1, both: 1 });
        assert_eq!(totals.acknowledged, 3);
    }

    #[test]
    fn a_commit_around_the_target_may_be_on_either_side() {
        let around = Attempt { sent: at(9), ..acknowledged(1, OLD, 11) };
        assert_eq!(restored(std::slice::from_ref(&around), &[1], &[1]).problems, [""; 0]);
        assert_eq!(restored(&[around], &[1], &[]).problems, [""; 0]);
    }

    fn only_problem(attempts: &[Attempt], on_source: &[i64], on_rewound: &[i64]) -> String {
        let problems = restored(attempts, on_source, on_rewound).problems;
        problems.iter().find(|problem| !problem.contains("in none of the groups")).cloned().unwrap_or_default()
    }

    #[test]
    fn a_lost_write_is_a_problem_wherever_it_was_lost() {
        assert_eq!(only_problem(&good(), &[2], &[3]), "acknowledged by the source, and not there: 1 (1 in all)");
        assert_eq!(
            only_problem(&good(), &[1, 2], &[1]),
            "acknowledged after the rewind, and not in the rewound data: 3 (1 in all)"
        );
        assert_eq!(
            only_problem(&good(), &[1, 2], &[3]),
            "acknowledged before the target, and not in the rewound data: 1 (1 in all)"
        );
        assert!(restored(&good(), &[2], &[3]).problems.iter().any(|p| p.contains("in none of the groups")));
    }

    #[test]
    fn a_fence_that_leaks_is_a_problem() {
        let late = acknowledged(4, OLD, 21);
        assert_eq!(only_problem(&[late], &[4], &[]), "acknowledged by the source after the fence: 4 (1 in all)");
        let early = acknowledged(5, NEW, 19);
        assert_eq!(
            only_problem(&[early], &[], &[5]),
            "acknowledged after the rewind while the source still took writes: 5 (1 in all)"
        );
    }

    #[test]
    fn rows_that_should_not_be_there_are_a_problem() {
        assert_eq!(
            only_problem(&good(), &[1, 2], &[1, 2, 3]),
            "sent after the target, and in the rewound data all the same: 2 (1 in all)"
        );
        assert_eq!(
            only_problem(&good(), &[1, 2, 9], &[1, 3]),
            "in the data, and never sent by the application: 9 (1 in all)"
        );
        let both = acknowledged(3, NEW, 25);
        assert_eq!(only_problem(&[both], &[3], &[3]), "acknowledged after the rewind, and on the source: 3 (1 in all)");
        let third = acknowledged(3, "elsewhere", 25);
        assert_eq!(only_problem(&[third], &[], &[3]), "acknowledged by another server than the two: 3 (1 in all)");
    }

    #[test]
    fn many_of_the_same_problem_are_one_sentence() {
        let attempts: Vec<Attempt> = (1..=8).map(|number| acknowledged(number, OLD, 5)).collect();
        assert_eq!(
            only_problem(&attempts, &[], &[]),
            "acknowledged by the source, and not there: 1, 2, 3, 4, 5, … (8 in all)"
        );
    }
}
