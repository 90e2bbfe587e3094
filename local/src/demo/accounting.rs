//! What became of every write: pure sums over what the application was told and what the databases hold. It asks nobody.

use super::writer::Attempt;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// All that is known when the application has stopped.
#[derive(Debug)]
pub struct Ledger<'a> {
    /// Every number that the application sent.
    pub attempts: &'a [Attempt],
    /// The numbers on the new cluster.
    pub on_new: &'a BTreeSet<i64>,
    /// The numbers on the fenced original.
    pub on_original: &'a BTreeSet<i64>,
    /// The new cluster's endpoint.
    pub new_endpoint: &'a str,
    /// The original's.
    pub original_endpoint: &'a str,
    /// The moment that the new cluster was rewound to.
    pub rewound_to: Timestamp,
    /// From when on the original acknowledged nothing.
    pub fenced_at: Timestamp,
}

/// Some acknowledged writes: how many, which, and when the application was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Their numbers, ascending.
    pub numbers: Vec<i64>,
    /// The first and the last acknowledgement.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Group {
    fn add(&mut self, number: i64, at: Timestamp) {
        self.numbers.push(number);
        self.times = Some(self.times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

/// The sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Acknowledged, in all.
    pub acknowledged: usize,
    /// Acknowledged by the original, and on the new cluster too.
    pub before_target: Group,
    /// Acknowledged by the original, and only there: the price of the rewind.
    pub only_original: Group,
    /// Acknowledged by the new cluster.
    pub after_switch: Group,
    /// Sent and never answered: on neither, on the original only, on the new cluster only, on both.
    pub unanswered: Unanswered,
    /// The longest time between two acknowledgements, with its beginning.
    pub longest_gap: Option<(Timestamp, jiff::SignedDuration)>,
    /// What does not add up.
    pub problems: Vec<String>,
}

/// What became of the writes that nobody answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// Written nowhere.
    pub nowhere: usize,
    /// On the original only.
    pub original: usize,
    /// On the new cluster only.
    pub new: usize,
    /// On both: committed before the target.
    pub both: usize,
}

impl Unanswered {
    /// How many there are.
    #[must_use]
    pub fn all(self) -> usize {
        self.nowhere + self.original + self.new + self.both
    }
}

/// How many of the same problem are named.
const NAMED: usize = 5;

/// Does the sums.
#[must_use]
pub fn settle(ledger: &Ledger<'_>) -> Account {
    let mut account = Account::default();
    let mut problems = Problems::default();
    for attempt in ledger.attempts {
        match &attempt.acknowledged {
            Ok(at) => {
                account.acknowledged += 1;
                place(ledger, attempt, *at, &mut account, &mut problems);
            }
            Err(_) => {
                let unanswered = &mut account.unanswered;
                *match (ledger.on_original.contains(&attempt.number), ledger.on_new.contains(&attempt.number)) {
                    (false, false) => &mut unanswered.nowhere,
                    (true, false) => &mut unanswered.original,
                    (false, true) => &mut unanswered.new,
                    (true, true) => &mut unanswered.both,
                } += 1;
            }
        }
    }
    let sent: BTreeSet<i64> = ledger.attempts.iter().map(|attempt| attempt.number).collect();
    if sent.len() != ledger.attempts.len() {
        problems.add("numbers were sent twice", 0);
    }
    for number in ledger.on_new.union(ledger.on_original).filter(|number| !sent.contains(number)) {
        problems.add("on the clusters, and never sent by the application", *number);
    }
    let sum = account.before_target.len() + account.only_original.len() + account.after_switch.len();
    if sum != account.acknowledged {
        let missing = account.acknowledged.abs_diff(sum);
        account.problems.push(format!("{missing} acknowledged writes are in none of the groups"));
    }
    account.longest_gap = longest_gap(ledger.attempts);
    account.problems.extend(problems.told());
    account
}

fn place(ledger: &Ledger<'_>, attempt: &Attempt, at: Timestamp, account: &mut Account, problems: &mut Problems) {
    let number = attempt.number;
    let (on_new, on_original) = (ledger.on_new.contains(&number), ledger.on_original.contains(&number));
    if attempt.endpoint == ledger.new_endpoint {
        if !on_new {
            problems.add("acknowledged by the new cluster, and not there", number);
        }
        if on_original {
            problems.add("acknowledged by the new cluster, and on the original", number);
        }
        if at < ledger.fenced_at {
            problems.add("acknowledged by the new cluster while the original still took writes", number);
        }
        if on_new && !on_original {
            account.after_switch.add(number, at);
        }
    } else if attempt.endpoint == ledger.original_endpoint {
        if at > ledger.fenced_at {
            problems.add("acknowledged by the original after the fence", number);
        }
        if !on_original {
            problems.add("acknowledged by the original, and not there", number);
            return;
        }
        // Between the two a commit may lie on either side of the target.
        if on_new && attempt.sent > ledger.rewound_to {
            problems.add("sent after the target, and on the new cluster all the same", number);
        }
        if !on_new && at <= ledger.rewound_to {
            problems.add("acknowledged before the target, and not on the new cluster", number);
        }
        if on_new { &mut account.before_target } else { &mut account.only_original }.add(number, at);
    } else {
        problems.add("acknowledged by another server than the two", number);
    }
}

fn longest_gap(attempts: &[Attempt]) -> Option<(Timestamp, jiff::SignedDuration)> {
    let mut times: Vec<Timestamp> = attempts.iter().filter_map(|attempt| attempt.acknowledged.clone().ok()).collect();
    times.sort_unstable();
    let pairs = times.iter().zip(times.iter().skip(1));
    pairs.map(|(before, after)| (*before, after.duration_since(*before))).max_by_key(|(_, gap)| *gap)
}

/// Problems of the same kind are told once, with the first few numbers.
#[derive(Default)]
struct Problems(Vec<(&'static str, Vec<i64>)>);

impl Problems {
    fn add(&mut self, what: &'static str, number: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, numbers)) => numbers.push(number),
            None => self.0.push((what, vec![number])),
        }
    }

    fn told(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(what, numbers)| {
            let named: Vec<String> = numbers.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if numbers.len() > NAMED { ", …" } else { "" };
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
        let sent = at(seconds) - jiff::SignedDuration::from_millis(500);
        Attempt { number, endpoint: endpoint.into(), sent, acknowledged: Ok(at(seconds)) }
    }

    fn unanswered(number: i64, endpoint: &str, seconds: i64) -> Attempt {
        Attempt { number, endpoint: endpoint.into(), sent: at(seconds), acknowledged: Err("gone".into()) }
    }

    /// Rewound to second 10, fenced at second 20.
    fn settled(attempts: &[Attempt], on_original: &[i64], on_new: &[i64]) -> Account {
        settle(&Ledger {
            attempts,
            on_new: &on_new.iter().copied().collect(),
            on_original: &on_original.iter().copied().collect(),
            new_endpoint: NEW,
            original_endpoint: OLD,
            rewound_to: at(10),
            fenced_at: at(20),
        })
    }

    fn good() -> Vec<Attempt> {
        vec![acknowledged(1, OLD, 5), acknowledged(2, OLD, 15), acknowledged(3, NEW, 25)]
    }

    #[test]
    fn each_acknowledged_write_is_in_one_group() {
        let account = settled(&good(), &[1, 2], &[1, 3]);
        assert_eq!(account.problems, [""; 0]);
        assert_eq!(account.acknowledged, 3);
        assert_eq!(account.before_target.numbers, [1]);
        assert_eq!(account.only_original, Group { numbers: vec![2], times: Some((at(15), at(15))) });
        assert_eq!(account.after_switch.numbers, [3]);
        assert_eq!(account.longest_gap.unwrap().1.as_secs(), 10);
    }

    #[test]
    fn what_nobody_answered_may_be_anywhere_and_is_counted_apart() {
        let attempts = [
            vec![unanswered(4, OLD, 19), unanswered(5, OLD, 19), unanswered(6, NEW, 30), unanswered(7, OLD, 9)],
            good(),
        ]
        .concat();
        let account = settled(&attempts, &[1, 2, 5, 7], &[1, 3, 6, 7]);
        assert_eq!(account.problems, [""; 0]);
        assert_eq!(account.unanswered, Unanswered { nowhere: 1, original: 1, new: 1, both: 1 });
        assert_eq!(account.acknowledged, 3);
    }

    #[test]
    fn a_commit_around_the_target_may_be_on_either_side() {
        let around = Attempt { sent: at(9), ..acknowledged(1, OLD, 11) };
        assert_eq!(settled(std::slice::from_ref(&around), &[1], &[1]).problems, [""; 0]);
        assert_eq!(settled(&[around], &[1], &[]).problems, [""; 0]);
    }

    fn only_problem(attempts: &[Attempt], on_original: &[i64], on_new: &[i64]) -> String {
        let problems = settled(attempts, on_original, on_new).problems;
        problems.iter().find(|problem| !problem.contains("in none of the groups")).cloned().unwrap_or_default()
    }

    #[test]
    fn a_lost_write_is_a_problem_wherever_it_was_lost() {
        assert_eq!(only_problem(&good(), &[2], &[3]), "acknowledged by the original, and not there: 1 (1 in all)");
        assert_eq!(
            only_problem(&good(), &[1, 2], &[1]),
            "acknowledged by the new cluster, and not there: 3 (1 in all)"
        );
        assert_eq!(
            only_problem(&good(), &[1, 2], &[3]),
            "acknowledged before the target, and not on the new cluster: 1 (1 in all)"
        );
        assert!(settled(&good(), &[2], &[3]).problems.iter().any(|p| p.contains("in none of the groups")));
    }

    #[test]
    fn a_fence_that_leaks_is_a_problem() {
        let late = acknowledged(4, OLD, 21);
        assert_eq!(only_problem(&[late], &[4], &[]), "acknowledged by the original after the fence: 4 (1 in all)");
        let early = acknowledged(5, NEW, 19);
        assert_eq!(
            only_problem(&[early], &[], &[5]),
            "acknowledged by the new cluster while the original still took writes: 5 (1 in all)"
        );
    }

    #[test]
    fn rows_that_should_not_be_there_are_a_problem() {
        assert_eq!(
            only_problem(&good(), &[1, 2], &[1, 2, 3]),
            "sent after the target, and on the new cluster all the same: 2 (1 in all)"
        );
        assert_eq!(
            only_problem(&good(), &[1, 2, 9], &[1, 3]),
            "on the clusters, and never sent by the application: 9 (1 in all)"
        );
        let both = acknowledged(3, NEW, 25);
        assert_eq!(
            only_problem(&[both], &[3], &[3]),
            "acknowledged by the new cluster, and on the original: 3 (1 in all)"
        );
        let third = acknowledged(3, "elsewhere", 25);
        assert_eq!(only_problem(&[third], &[], &[3]), "acknowledged by another server than the two: 3 (1 in all)");
    }

    #[test]
    fn many_of_the_same_problem_are_told_once() {
        let attempts: Vec<Attempt> = (1..=8).map(|number| acknowledged(number, OLD, 5)).collect();
        assert_eq!(
            only_problem(&attempts, &[], &[]),
            "acknowledged by the original, and not there: 1, 2, 3, 4, 5, … (8 in all)"
        );
    }
}
