//! How the clusters of a recovery stand, by what was seen of them: who has the traffic, what is fenced and kept, and the commands
//! that are safe now. It reads nothing: [`World`] holds what somebody else has read, and what could not be seen is never guessed.

mod lasted;

use crate::names::CLEAN_UP_HOLDER;
use crate::opening::Opening;
use crate::outcome::Ending;
use crate::record::RecoveryRecord;
use crate::refusals::Undoing;
use crate::time::{format_time, format_time_in};
use jiff::{SignedDuration, Timestamp};
use lasted::Lasted;
use serde::Serialize;
use std::collections::BTreeSet;

/// A fact that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is so.
    Found(T),
    /// Nobody could see it, with the reason.
    Unseen(String),
}

impl<T> Seen<T> {
    /// Changes the fact, where it was seen.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Found(fact) => Seen::Found(change(fact)),
            Self::Unseen(why) => Seen::Unseen(why),
        }
    }

    /// The fact; none where it was not seen.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(fact) => Some(fact),
            Self::Unseen(_) => None,
        }
    }

    /// The reason why it could not be seen; none where it was.
    pub fn unseen(&self) -> Option<&str> {
        match self {
            Self::Found(_) => None,
            Self::Unseen(why) => Some(why),
        }
    }
}

/// The cluster that a record leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeadsTo {
    /// The source.
    Source,
    /// The restored cluster.
    Restored,
    /// Neither: what the record holds.
    Elsewhere(String),
}

/// A record of the recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSeen {
    /// The name.
    pub name: String,
    /// The cluster behind it.
    pub leads: Seen<LeadsTo>,
}

/// A cluster as RDS shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSeen {
    /// The status.
    pub status: String,
    /// The tag with the time until which it is kept.
    pub keep_until: Option<String>,
    /// True if it bears the mark of a recovery that fenced it.
    pub marked_fenced: bool,
    /// The security groups.
    pub security_groups: Vec<String>,
}

/// The fences of a recovery, by their records, each of which is there until its fence is lifted completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencesSeen {
    /// That of the source may be up.
    pub source: bool,
    /// That of the restored cluster may be up.
    pub restored: bool,
    /// The time at which that of the source was lifted; none where it may be up, or there was none.
    pub source_lifted_at: Option<Timestamp>,
}

/// The lease of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSeen {
    /// The recovery or undo that holds it.
    pub holder: String,
    /// The time at which it is over.
    pub until: Timestamp,
}

/// All that was seen of a recovery and its clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// True if the execution runs.
    pub runs: Seen<bool>,
    /// The records.
    pub records: Vec<RecordSeen>,
    /// The source; none where RDS knows no such cluster.
    pub source: Seen<Option<ClusterSeen>>,
    /// The restored cluster, or in place the safety clone.
    pub restored: Seen<Option<ClusterSeen>>,
    /// The fences.
    pub fences: Seen<FencesSeen>,
    /// The lease; none where nobody holds it.
    pub lease: Seen<Option<LeaseSeen>>,
    /// The undo of the recovery that runs; none where none does.
    pub undo: Seen<Option<String>>,
    /// The moment of all that.
    pub at: Timestamp,
}

/// A command that is safe now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafeCommand {
    /// The command, as it is typed.
    pub command: String,
    /// The effect.
    pub effect: String,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The traffic, the fences and what is kept, in the few words that a line of a list has room for.
    pub brief: String,
    /// Clients without a database; none where nothing shows any.
    pub outage: Option<String>,
    /// A sentence that says how long clients were without a database by a recovery that ended without an output, or since when
    /// that is unknown; none where nothing was fenced, and where the output has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage_lasted: Option<String>,
    /// The seconds of it; none where they are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage_seconds: Option<f64>,
    /// The cluster behind each name.
    pub traffic: Vec<String>,
    /// The clusters that are noted as fenced, without those that are gone.
    pub fenced: Vec<String>,
    /// A sentence for each of them, with its present security groups: people may have changed them since.
    pub fences: Vec<String>,
    /// The person to whom what it left behind is open, and until when; none where it is open to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// The clusters that are kept, and until when.
    pub kept: Vec<String>,
    /// The way to read a restored cluster that is kept fenced after clients may have written to it; none where there is no such one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_read: Option<String>,
    /// The status of each cluster in RDS.
    pub clusters: Vec<String>,
    /// The holder of the lease.
    pub lease: Option<String>,
    /// The facts that could not be seen.
    pub unseen: Vec<String>,
    /// The commands that are safe now.
    pub commands: Vec<SafeCommand>,
}

impl Standing {
    /// Derives how things stand from a record and from what was seen.
    pub fn of(recovery: &RecoveryRecord, world: &World) -> Self {
        let names = Names::of(recovery);
        // What is begun is noted before the fence is, and the fence may be refused: without a record of it clients were never kept out.
        let was_made = |fences: &&FencesSeen| fences.source || fences.source_lifted_at.is_some();
        let after_end = world.fences.found().filter(|_| world.runs.found() == Some(&false)).filter(was_made);
        let lasted =
            after_end.and_then(|fences| Lasted::of(recovery, fences.source_lifted_at.filter(|_| !fences.source)));
        Self {
            brief: brief(recovery, &names, world),
            outage: outage(&names, world),
            outage_lasted: lasted.as_ref().map(|lasted| lasted.to_string()),
            outage_seconds: lasted.as_ref().and_then(Lasted::seconds),
            traffic: traffic(&names, world),
            fenced: fenced(&names, world).map(|(cluster, _)| cluster.to_owned()).collect(),
            fences: fences(&names, world),
            open: recovery.opening.as_ref().map(|opening| open(&recovery.id, &names, opening, world.at)),
            kept: kept(recovery, &names, world),
            to_read: is_restored_left(recovery, &names, world).then(|| by_master_user(names.restored)),
            clusters: statuses(&names, world),
            lease: lease(&names, world),
            unseen: unseen(&names, world),
            commands: commands(recovery, &names, world),
        }
    }

    /// Makes the standing of a recovery of which nothing was seen, with the reason.
    pub fn not_seen(id: &str, why: impl Into<String>) -> Self {
        Self {
            brief: "not seen".to_owned(),
            unseen: vec![format!("how the clusters of {id} stand: {}", why.into())],
            commands: vec![again(id)],
            ..Self::default()
        }
    }

    /// Makes it the standing that the status of an undo shows: while the undo runs it is followed, and nothing else is safe.
    #[must_use]
    pub fn under_undo(self, undo: &RecoveryRecord) -> Self {
        match undo.is_open() {
            true => Self { commands: vec![follow(&undo.id)], ..self },
            false => self,
        }
    }
}

/// A recovery of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The record.
    #[serde(flatten)]
    pub recovery: RecoveryRecord,
    /// How its clusters stand; none where it is over and nothing of it is fenced or kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The reason why nobody could see whether anything of it is fenced or kept; none where that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

impl From<RecoveryRecord> for Listed {
    /// Makes one of which nothing is fenced or kept.
    fn from(recovery: RecoveryRecord) -> Self {
        Self { recovery, standing: None, unseen: None }
    }
}

/// The names of the two clusters.
struct Names<'a> {
    source: &'a str,
    restored: &'a str,
    in_place: bool,
    has_plan: bool,
    /// True if it goes on and has no plan yet: it may move records later.
    has_no_plan_yet: bool,
    /// True if the records of the recovery are known: a plan that cannot be read may name some.
    knows_records: bool,
}

impl<'a> Names<'a> {
    fn of(recovery: &'a RecoveryRecord) -> Self {
        Self {
            source: &recovery.cluster,
            restored: recovery.new_cluster.as_deref().unwrap_or("the restored cluster"),
            in_place: recovery.is_in_place(),
            has_plan: recovery.plan.is_some(),
            has_no_plan_yet: recovery.plan.is_none() && recovery.is_open(),
            knows_records: recovery.plan.is_some()
                || recovery.unreadable.is_empty() && recovery.outcome.is_none() && recovery.moved.is_none(),
        }
    }

    /// The cluster behind a record, and true if its fence may be up.
    fn behind<'b>(&'b self, leads: &'b LeadsTo, fences: FencesSeen) -> (&'b str, bool) {
        match leads {
            LeadsTo::Source => (self.source, fences.source),
            LeadsTo::Restored => (self.restored, fences.restored),
            LeadsTo::Elsewhere(value) => (value, false),
        }
    }
}

/// Fences are only told where their records were read: a cluster is never called open by guessing.
const NO_FENCE: FencesSeen = FencesSeen { source: false, restored: false, source_lifted_at: None };

fn outage(names: &Names<'_>, world: &World) -> Option<String> {
    let fences = *world.fences.found()?;
    let closed: Vec<String> = world
        .records
        .iter()
        .filter_map(|record| {
            let leads = record.leads.found()?;
            let (cluster, is_fenced) = names.behind(leads, fences);
            let is_gone = match leads {
                LeadsTo::Source => world.source == Seen::Found(None),
                LeadsTo::Restored => world.restored == Seen::Found(None),
                LeadsTo::Elsewhere(_) => false,
            };
            let is_elsewhere = matches!(leads, LeadsTo::Elsewhere(_)) && fences.source;
            let why = match (is_gone, is_fenced, is_elsewhere) {
                (true, ..) => "which is gone",
                (_, true, _) => "which may be fenced",
                (_, _, true) => "which is neither cluster",
                _ => return None,
            };
            Some(format!("{} leads to {cluster}, {why}", record.name))
        })
        .collect();
    // In place there may be no record, and the clients are the source's.
    let in_place = names.in_place && fences.source && closed.is_empty();
    match (closed.is_empty(), in_place) {
        (false, _) => Some(format!("clients may have no database: {}", closed.join("; "))),
        (true, true) => Some(format!("clients may have no database: {} may be fenced", names.source)),
        (true, false) => None,
    }
}

fn statuses(names: &Names<'_>, world: &World) -> Vec<String> {
    let shown = |(seen, name): (&Seen<Option<ClusterSeen>>, &str)| match seen.found()? {
        Some(cluster) => Some(format!("{name} is {}", cluster.status)),
        None => Some(format!("there is no {name}")),
    };
    clusters(names, world).into_iter().filter_map(shown).collect()
}

fn traffic(names: &Names<'_>, world: &World) -> Vec<String> {
    let told = |record: &RecordSeen| {
        let leads = record.leads.found()?;
        Some(format!("{} leads to {}", record.name, names.behind(leads, NO_FENCE).0))
    };
    match (world.records.is_empty(), names.in_place) {
        (true, _) if !names.knows_records => Vec::new(),
        (true, true) => vec![format!("clients use {} itself", names.source)],
        // No word about the source: another recovery may have fenced it, or moved its records.
        (true, false) if names.has_no_plan_yet => vec!["this recovery has moved no record yet".to_owned()],
        (true, false) if !names.has_plan => vec!["this recovery moved no record".to_owned()],
        (true, false) => vec!["this recovery moves no record".to_owned()],
        (false, _) => world.records.iter().filter_map(told).collect(),
    }
}

/// The clusters that are noted as fenced, as they were seen. The note outlives a cluster that the clean-up has deleted.
fn fenced<'a>(
    names: &'a Names<'_>,
    world: &'a World,
) -> impl Iterator<Item = (&'a str, &'a Seen<Option<ClusterSeen>>)> {
    let fences = world.fences.found().copied().unwrap_or(NO_FENCE);
    [(fences.source, names.source, &world.source), (fences.restored, names.restored, &world.restored)]
        .into_iter()
        .filter(|(is_fenced, _, seen)| *is_fenced && **seen != Seen::Found(None))
        .map(|(_, cluster, seen)| (cluster, seen))
}

fn fences(names: &Names<'_>, world: &World) -> Vec<String> {
    let told = |(name, seen): (&str, &Seen<Option<ClusterSeen>>)| match seen.found() {
        Some(Some(cluster)) if !cluster.security_groups.is_empty() => {
            format!("{name} is noted as fenced, and its security groups are {}", cluster.security_groups.join(", "))
        }
        _ => format!("{name} is noted as fenced"),
    };
    fenced(names, world).map(told).collect()
}

/// The time after an opening's end within which it is closed.
const CLOSED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

fn open(id: &str, names: &Names<'_>, opening: &Opening, now: Timestamp) -> String {
    let Opening { by, from, until, at, .. } = opening;
    let cluster = if names.in_place { names.restored } else { names.source };
    if now.duration_since(*until) > CLOSED_WITHIN {
        return format!(
            "{cluster} was to be closed to {by} at {}, and is not: whoever closes it by itself was stopped or failed; rewind open {id} \
             --close closes it",
            format_time(*until)
        );
    }
    let until = format_time(*until);
    match at {
        Some(at) => format!(
            "{cluster} is open to {by}, who reads {} from {from} as {}, until {until}; rewind open {id} --close closes it",
            at.database, at.user
        ),
        None => format!(
            "{cluster} is being opened to {by} from {from}, or was not closed; rewind open {id} --close closes it"
        ),
    }
}

fn kept(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> Vec<String> {
    // It was restored for people to see, and is nobody else's to delete.
    let beside = recovery.state == Ending::Recovered.name() && !names.in_place && world.records.is_empty();
    let restored =
        world.restored.found().and_then(Option::as_ref).filter(|cluster| beside && cluster.keep_until.is_none());
    kept_clusters(names, world)
        .map(|(name, status, until)| format!("{name} ({status}) until {}", format_time_in(until)))
        .chain(restored.map(|cluster| {
            format!("{} ({}) beside {}: nothing deletes it by itself", names.restored, cluster.status, names.source)
        }))
        .collect()
}

/// The name, the status and the end of each cluster that is kept.
fn kept_clusters<'a>(names: &'a Names<'_>, world: &'a World) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    clusters(names, world).into_iter().filter_map(|(seen, name)| {
        let cluster = seen.found()?.as_ref()?;
        Some((name, cluster.status.as_str(), cluster.keep_until.as_deref()?))
    })
}

fn clusters<'a>(names: &'a Names<'_>, world: &'a World) -> [(&'a Seen<Option<ClusterSeen>>, &'a str); 2] {
    [(&world.source, names.source), (&world.restored, names.restored)]
}

fn brief(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> String {
    let mut parts = vec![format!("traffic: {}", serving(names, world))];
    parts.extend(undo_at_work(recovery, world).map(|undo| format!("undo: {undo}")));
    parts.extend(world.fences.found().is_none().then(|| "fences: not seen".to_owned()));
    let fenced: Vec<&str> = fenced(names, world).map(|(cluster, _)| cluster).collect();
    parts.extend((!fenced.is_empty()).then(|| format!("fenced: {}", fenced.join(" and "))));
    parts.extend(
        recovery.opening.as_ref().map(|opening| format!("open to {} until {}", opening.by, format_time(opening.until))),
    );
    parts.extend(
        kept_clusters(names, world).map(|(name, _, until)| format!("kept: {name} until {}", format_time_in(until))),
    );
    let unseen = clusters(names, world).into_iter().filter(|(seen, _)| seen.found().is_none());
    parts.extend(unseen.map(|(_, name)| format!("{name}: not seen")));
    parts.extend(world.runs.found().is_none().then(|| "execution: not seen".to_owned()));
    parts.join("; ")
}

/// Names the clusters behind the records, each once.
fn serving(names: &Names<'_>, world: &World) -> String {
    let seen = world.records.iter().filter_map(|record| record.leads.found());
    // A set, because the records of a writer and of its readers mostly lead to the same cluster.
    let mut serving: BTreeSet<&str> = seen.map(|leads| names.behind(leads, NO_FENCE).0).collect();
    let is_unseen = world.records.iter().any(|record| record.leads.found().is_none()) || !names.knows_records;
    if world.records.is_empty() && names.knows_records {
        // No word about the source where others may have moved its records.
        serving.insert(if names.in_place { names.source } else { "not moved" });
    }
    let serving = serving.into_iter().chain(is_unseen.then_some("not seen"));
    serving.collect::<Vec<_>>().join(" and ")
}

fn lease(names: &Names<'_>, world: &World) -> Option<String> {
    let lease = world.lease.found()?.as_ref()?;
    Some(format!("{} holds {} until {}", lease.holder, names.source, format_time(lease.until)))
}

fn unseen(names: &Names<'_>, world: &World) -> Vec<String> {
    let mut unseen = Vec::new();
    let mut note = |what: String, why: Option<&str>| unseen.extend(why.map(|why| format!("{what}: {why}")));
    note("whether the execution runs".to_owned(), world.runs.unseen());
    note(
        "where the traffic is".to_owned(),
        (!names.knows_records).then_some("the record has no plan that can be read"),
    );
    for record in &world.records {
        note(format!("where {} leads", record.name), record.leads.unseen());
    }
    note(format!("cluster {}", names.source), world.source.unseen());
    note(format!("cluster {}", names.restored), world.restored.unseen());
    note("the records of the fences".to_owned(), world.fences.unseen());
    note("the lease".to_owned(), world.lease.unseen());
    unseen
}

fn command(command: String, effect: String) -> SafeCommand {
    SafeCommand { command, effect }
}

fn again(id: &str) -> SafeCommand {
    command(format!("rewind status {id}"), "shows this again; it changes nothing".to_owned())
}

fn follow(id: &str) -> SafeCommand {
    command(format!("rewind status {id} --follow"), "follows it; it changes nothing".to_owned())
}

/// The command that opens what a recovery left behind to a reader, who has to put an address into it.
pub fn open_command(id: &str, cluster: &str) -> SafeCommand {
    command(
        format!("rewind open {id} --from <your address>"),
        format!("opens {cluster} to one connection that only reads, for an hour; asks first"),
    )
}

/// The command that opens the fenced source of a recovery that ended well, or its safety clone; none where neither is there.
fn to_open(recovery: &RecoveryRecord, names: &Names<'_>, world: &World, fences: FencesSeen) -> Option<SafeCommand> {
    let (left, seen) = match names.in_place {
        true => (names.restored, &world.restored),
        false => (names.source, &world.source),
    };
    let is_left =
        matches!(seen, Seen::Found(Some(_))) && (names.in_place || fences.source && !world.records.is_empty());
    (recovery.state == Ending::Recovered.name() && recovery.plan.is_some() && is_left)
        .then(|| open_command(&recovery.id, left))
}

/// True of a recovery whose restored cluster is kept fenced, because clients may have written to it before traffic went back.
fn is_restored_left(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> bool {
    let is_back = [Ending::Undone.name(), Ending::RolledBack.name()].contains(&recovery.state.as_str());
    let is_fenced = world.fences.found().is_some_and(|fences| fences.restored);
    is_back && is_fenced && !names.in_place && matches!(world.restored, Seen::Found(Some(_)))
}

fn by_master_user(cluster: &str) -> String {
    format!(
        "log in to {cluster} as its master user, from an address that its security groups admit: no command opens it, and the fence \
         closes every other login"
    )
}

/// The command that shows a cluster that is kept so, until when, and what it is billed for.
fn left_restored(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> Option<SafeCommand> {
    let effect = format!(
        "shows until when {} is kept, and how it is kept longer or removed; it changes nothing",
        names.restored
    );
    is_restored_left(recovery, names, world).then(|| command("rewind clusters".to_owned(), effect))
}

fn commands(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> Vec<SafeCommand> {
    let id = &recovery.id;
    // A deletion that has begun is not stopped by moving clients to it.
    if recovery.clean_up.is_some() || !recovery.unreadable.is_empty() {
        return vec![again(id)];
    }
    if let Some(resumed_by) = &recovery.resumed_by {
        let effect =
            format!("shows {resumed_by}, which resumed this one and has its restored cluster; it changes nothing");
        return vec![command(format!("rewind status {resumed_by}"), effect)];
    }
    let (Some(runs), Some(fences)) = (world.runs.found(), world.fences.found()) else { return vec![again(id)] };
    match *runs {
        true => commands_while_it_runs(recovery, names, world),
        false => commands_after_its_end(recovery, names, world, *fences),
    }
}

fn commands_while_it_runs(recovery: &RecoveryRecord, names: &Names<'_>, world: &World) -> Vec<SafeCommand> {
    let id = &recovery.id;
    let cancel = recovery.why_not_undoable(Undoing::Cancel).is_none().then(|| {
        let effect = match names.has_no_plan_yet {
            true => "ends it: it has changed nothing; asks first".to_owned(),
            false => format!("ends it and undoes what it has done: traffic is on {} then; asks first", names.source),
        };
        command(format!("rewind cancel {id}"), effect)
    });
    match recovery.state.as_str() {
        "AwaitingApproval" => [
            command(format!("rewind approve {id}"), effect_of_approval(world)),
            command(
                format!("rewind reject {id}"),
                match names.in_place {
                    // People are asked before there is a safety clone.
                    true => format!("ends it: {} stays as it is; asks first", names.source),
                    false => format!("ends it, and deletes {} if nobody uses it; asks first", names.restored),
                },
            ),
        ]
        .into_iter()
        .chain(cancel)
        .collect(),
        _ => [follow(id)].into_iter().chain(cancel).collect(),
    }
}

/// Tells what an approval does: the switch changes no record that somebody else has changed since the plan.
fn effect_of_approval(world: &World) -> String {
    let elsewhere = world.records.iter().find_map(|record| match record.leads.found()? {
        LeadsTo::Elsewhere(value) => Some((&record.name, value)),
        _ => None,
    });
    match elsewhere {
        Some((name, value)) => format!(
            "would move no traffic: somebody has changed {name}, which leads to {value}; put it back first, or reject this and start another"
        ),
        None => "shows what there is to decide on, and asks".to_owned(),
    }
}

fn commands_after_its_end(
    recovery: &RecoveryRecord,
    names: &Names<'_>,
    world: &World,
    fences: FencesSeen,
) -> Vec<SafeCommand> {
    // Both an undo and a resume need the lease.
    if let Some(LeaseSeen { holder, until }) = other_holder(recovery, world) {
        let source = names.source;
        // No recovery, so it has no status.
        let other = match holder {
            _ if holder.starts_with(CLEAN_UP_HOLDER) => Some("is the clean-up, which"),
            _ if is_opening(holder) => Some("opens what another recovery left behind, or closes it, and"),
            _ => None,
        };
        if let Some(other) = other {
            let effect = format!(
                "shows this again: {holder} {other} holds the lease of {source} until {until} at the latest; it changes nothing"
            );
            return vec![command(format!("rewind status {}", recovery.id), effect)];
        }
        let effect = format!("shows {holder}, which holds the lease of {source}; it changes nothing");
        return vec![command(format!("rewind status {holder}"), effect)];
    }
    let id = &recovery.id;
    let undoing = undo_at_work(recovery, world);
    let resume = || {
        // It would be refused the lease, and what the undo finds decides whether there is anything to go on from.
        (undoing.is_none() && is_resumable(recovery, world, fences)).then(|| {
            command(format!("rewind resume {id}"), format!("goes on from {}; no second restore", names.restored))
        })
    };
    // Traffic cannot go back to a cluster that is gone.
    let is_undoable = world.source != Seen::Found(None) && recovery.why_not_undoable(Undoing::Undo).is_none();
    let undo =
        || is_undoable.then(|| command(format!("rewind undo {id}"), effect_of_undo(recovery, names, world, fences)));
    let safe: Vec<SafeCommand> = match recovery.state.as_str() {
        "Recovered" if names.in_place || world.records.is_empty() || world.source.found().is_none() => Vec::new(),
        "Recovered" => undo().into_iter().collect(),
        "Undone" | "Planned" => Vec::new(),
        "NothingChanged" | "RolledBack" => resume().into_iter().collect(),
        // Nothing was restored that a resume could adopt.
        _ if names.in_place => undo().into_iter().collect(),
        // Stopped, or a person was called.
        _ => {
            let on_source = !fences.source && recovery.moved.is_none();
            resume().filter(|_| on_source).into_iter().chain(undo()).collect()
        }
    };
    let close = recovery
        .opening
        .as_ref()
        .map(|_| command(format!("rewind open {id} --close"), "ends the reading of whoever it is open to".to_owned()))
        .or_else(|| to_open(recovery, names, world, fences));
    let follow_undo = undoing.map(|undo| {
        let effect = "follows its undo; it changes nothing".to_owned();
        command(format!("rewind status {undo} --follow"), effect)
    });
    let is_elsewhere = |record: &RecordSeen| matches!(record.leads, Seen::Found(LeadsTo::Elsewhere(_)));
    // Of a later recovery, whose undo comes first. This one's would change nothing.
    let find_out = (world.records.iter().any(is_elsewhere) && !safe.is_empty()).then(|| {
        let effect = "shows this again: a record leads to neither cluster; rewind list shows whether a later recovery moved it, and that \
                      one is undone first; it changes nothing";
        command(format!("rewind status {id}"), effect.to_owned())
    });
    let safe: Vec<SafeCommand> = follow_undo.into_iter().chain(find_out).chain(safe).chain(close).collect();
    let safe = if safe.is_empty() { vec![again(id)] } else { safe };
    safe.into_iter().chain(left_restored(recovery, names, world)).collect()
}

/// The undo of the recovery that is at work.
fn undo_at_work<'a>(recovery: &'a RecoveryRecord, world: &'a World) -> Option<&'a str> {
    if let Some(runs) = world.undo.found() {
        return runs.as_deref();
    }
    // Who may not see it sees whose the lease is, or who has the recovery ended: it runs, or was stopped a few minutes ago.
    let lease = world.lease.found().and_then(Option::as_ref);
    let holder = lease.map(|lease| lease.holder.as_str());
    let holder =
        holder.filter(|holder| holder.strip_prefix(recovery.id.as_str()).is_some_and(|rest| rest.starts_with("-undo")));
    // Every end of an undo takes the note away, or says that a person has to look.
    let is_ending = recovery.is_open() || recovery.state == Ending::Stopped.name();
    holder.or_else(|| recovery.cancel.as_ref().filter(|_| is_ending).map(|cancel| cancel.id.as_str()))
}

/// True of a holder that opens what a recovery left behind, or closes it: no recovery, so it has no status.
fn is_opening(holder: &str) -> bool {
    let name = match holder.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => holder,
    };
    ["-open", "-close"].iter().any(|end| name.ends_with(end))
}

/// The lease, where neither the recovery nor an undo of it holds it.
fn other_holder<'a>(recovery: &RecoveryRecord, world: &'a World) -> Option<&'a LeaseSeen> {
    let lease = world.lease.found()?.as_ref()?;
    let rest = lease.holder.strip_prefix(recovery.id.as_str());
    // An undo takes over the lease of the recovery, and of an earlier undo of it. What opens or closes the source holds it for moments.
    let is_own = rest.is_some_and(|rest| {
        rest.is_empty() || ["-undo", "-open", "-close"].iter().any(|of_ours| rest.starts_with(of_ours))
    });
    (!is_own).then_some(lease)
}

/// True if a new recovery would adopt the restored cluster, as far as can be seen from here.
fn is_resumable(recovery: &RecoveryRecord, world: &World, fences: FencesSeen) -> bool {
    let Some(Some(restored)) = world.restored.found() else { return false };
    let status = restored.status.as_str();
    let has_traffic = |record: &RecordSeen| record.leads == Seen::Found(LeadsTo::Restored);
    let is_unusable = ["deleting", "stopping", "stopped", "inaccessible-encryption-credentials", "restore-error"]
        .contains(&status)
        || status.ends_with("failed");
    !is_unusable
        && !restored.marked_fenced
        && !fences.restored
        && !world.records.iter().any(has_traffic)
        && recovery.why_not_resumable().is_none()
}

/// Tells what an undo does, by where the records lead now: a person may have moved them or lifted the fence.
fn effect_of_undo(recovery: &RecoveryRecord, names: &Names<'_>, world: &World, fences: FencesSeen) -> String {
    let source = names.source;
    if recovery.let_in_since().is_some() {
        return format!(
            "lets clients in to {source}, if they are not: it stays rewound, and {} is kept; asks first",
            names.restored
        );
    }
    if names.in_place && fences.source {
        return format!(
            "takes {source} forward to where it was, if it is rewound, compares it with {}, and lifts its fence; asks first",
            names.restored
        );
    }
    let any = |is: fn(&Seen<LeadsTo>) -> bool| world.records.iter().any(|record| is(&record.leads));
    if any(|leads| matches!(leads, Seen::Found(LeadsTo::Elsewhere(_)))) {
        return "changes nothing while a record that it moved leads to neither cluster; asks first".to_owned();
    }
    if any(|leads| leads.found().is_none()) {
        return format!(
            "looks where the records lead, and undoes what was done: traffic is on {source} then; asks first"
        );
    }
    match (any(|leads| *leads == Seen::Found(LeadsTo::Restored)), fences.source) {
        (true, true) => format!("traffic goes back to {source}, and its fence is lifted; asks first"),
        (true, false) => format!("traffic goes back to {source}; asks first"),
        (false, true) => format!("lifts the fence of {source}, which has the traffic; asks first"),
        (false, false) => format!("leaves traffic on {source}, and releases the lease; asks first"),
    }
}

#[cfg(test)]
mod tests;
