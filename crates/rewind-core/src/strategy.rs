//! Chooses between a restore side by side and a backtrack in place, from facts alone, and gives the reasons.
//!
//! It never trades the source's safety for speed: `auto` goes in place only where the request allows it.

use crate::engine::Engine;
use crate::error::{ErrorName, StepError};
use crate::request::{InPlace, Request, Strategy};
use crate::time::Target;
use crate::window::{Moment, Window, floor_to_second as seconds};
use crate::window_request::format_reach;
use jiff::{SignedDuration, Timestamp};

/// The facts about a cluster that the choice of the strategy rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// The cluster.
    pub cluster: String,
    /// The cluster's engine.
    pub engine: Engine,
    /// The engine mode, such as `provisioned`.
    pub engine_mode: Option<String>,
    /// The restorable window; absent until the first backup is done.
    pub restorable: Option<Window>,
    /// The target backtrack window, in seconds; 0 if Backtrack is off.
    pub backtrack_window: i64,
    /// `EarliestBacktrackTime`: the earliest moment that Backtrack reaches now.
    pub earliest_backtrack: Option<Timestamp>,
    /// The time at which the cluster was created.
    pub created: Option<Timestamp>,
    /// True if it is a clone, or has one.
    pub in_clone_group: bool,
    /// The Global Database that it belongs to.
    pub global_cluster: Option<String>,
    /// The cluster that it replicates from.
    pub replicates: Option<String>,
    /// The state of binary logging if it is or may be on, such as `on (ROW)`.
    pub binlog: Option<String>,
    /// The fence's network layer.
    pub fence: FenceGroups,
    /// The cluster's ARN where the Data API is on, which reaches a cluster whatever its security groups are.
    pub data_api: Option<String>,
    /// The status of write forwarding where it is not `disabled`: sessions on readers can write by it.
    pub write_forwarding: Option<String>,
    /// The start of the recovery, from which "ago" counts.
    pub started: Timestamp,
}

/// The state of the fence's security groups, without which nothing in place is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceGroups {
    /// The deployment has none.
    Missing,
    /// It has some.
    Ready,
    /// The cluster has them already: a fence was not lifted.
    InForce,
}

/// The chosen strategy, with its target and its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyChoice {
    /// The strategy, never `auto`.
    pub strategy: Strategy,
    /// The moment to rewind to.
    pub moment: Moment,
    /// The window of that strategy.
    pub window: Window,
    /// The reasons for it and against the other, one sentence each.
    pub reasons: Vec<String>,
}

/// Chooses the strategy for a request.
///
/// # Errors
///
/// [`ErrorName::InvalidRequest`] or [`ErrorName::OutsideWindow`], with every reason and what would work.
pub fn choose_strategy(facts: &ClusterFacts, request: &Request) -> Result<StrategyChoice, StepError> {
    refuse_unknown_mode(facts)?;
    match request.strategy {
        // Reasons against the other strategy are of no use to somebody who has chosen this one.
        Strategy::Restore => restore(facts, request, vec!["restore: asked for".to_owned()]),
        Strategy::Backtrack => match (request.in_place, obstacles(facts, request.to).as_slice()) {
            (InPlace::Allowed, []) => {
                let mut reasons = vec![format!("backtrack: asked for; {}", reach(facts))];
                reasons.extend(forced(facts));
                backtrack(facts, request, reasons)
            }
            (InPlace::Forbidden, []) => Err(invalid(format!(
                "`strategy` is \"backtrack\" and `inPlace` is forbidden: a backtrack rewinds {} itself, and cuts every \
                 connection to it",
                facts.cluster
            ))
            .advice(
                "write `\"inPlace\": \"allowed\"` beside it if that downtime is acceptable, or `\"strategy\": \"restore\"` \
                 for a new cluster beside the source",
            )),
            (_, obstacles) => Err(refuse(facts, request, obstacles)),
        },
        Strategy::Auto => {
            let found = obstacles(facts, request.to);
            if found.is_empty() && request.in_place == InPlace::Allowed {
                let because = "chosen because the request allows downtime of the source";
                let mut reasons = vec![format!("backtrack: {}; {because}", reach(facts))];
                reasons.extend(forced(facts));
                reasons.push("not restore: it takes longer, and `\"strategy\": \"restore\"` asks for it".to_owned());
                return backtrack(facts, request, reasons);
            }
            let mut reasons = vec!["restore: side by side, the source stays untouched until the switch".to_owned()];
            if found.is_empty() {
                reasons.push(format!(
                    "not backtrack: the request does not allow downtime of the source (`inPlace` is forbidden), though {}",
                    reach(facts)
                ));
            }
            // People who wanted the faster way read in the plan what to change for the next time.
            reasons.extend(found.iter().map(|obstacle| format!("not backtrack: {}", obstacle.why)));
            restore(facts, request, reasons).map_err(|refused| match found.is_empty() {
                // Backtrack reaches further back than the backups here, and only the permission is missing.
                true => refused.advice("write `\"inPlace\": \"allowed\"` if the source may be down: Backtrack reaches it"),
                false => refused,
            })
        }
    }
}

fn invalid(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was changed")
}

fn refuse_unknown_mode(facts: &ClusterFacts) -> Result<(), StepError> {
    // Serverless v1 and the multi-master clusters of old have other calls for the same work, which nothing here makes.
    match facts.engine_mode.as_deref().filter(|mode| *mode != "provisioned") {
        None => Ok(()),
        Some(mode) => Err(invalid(format!("`cluster`: {} has the engine mode {mode}", facts.cluster))
            .advice("only provisioned clusters (Serverless v2 among them) can be rewound")),
    }
}

/// Why a cluster cannot be backtracked to a moment.
struct Obstacle {
    why: String,
    /// True if another target would avoid it.
    of_time: bool,
}

fn obstacles(facts: &ClusterFacts, to: Target) -> Vec<Obstacle> {
    let name = &facts.cluster;
    let mut found = Vec::new();
    let mut kind = |why: String| found.push(Obstacle { why, of_time: false });
    if !facts.engine.has_backtrack() {
        // The other obstacles don't apply to PostgreSQL, and would only hide this one.
        kind(format!("Backtrack exists for Aurora MySQL only, and {name} is {}", facts.engine));
        return found;
    }
    // Only a restore or a clone can make a cluster with Backtrack, so no change of this cluster helps.
    if facts.backtrack_window == 0 {
        kind(format!("Backtrack is off for {name}: it is switched on when a cluster is made, and never afterwards"));
    }
    // AWS refuses a backtrack there, because the secondary Regions could not follow.
    if let Some(global) = &facts.global_cluster {
        kind(format!("{name} belongs to the Global Database {global}, which cannot be backtracked"));
    }
    if let Some(source) = &facts.replicates {
        kind(format!("{name} replicates from {source}, and a replica cannot be backtracked"));
    }
    // A backtrack rewinds users and locks with the data, so only a fence in the network holds through it.
    match facts.fence {
        FenceGroups::Ready => {}
        FenceGroups::Missing => kind(
            "this deployment has no security groups for the fence (FenceSecurityGroupIds), and a lock inside the database \
             would be rewound with it"
                .to_owned(),
        ),
        FenceGroups::InForce => kind(format!(
            "{name} has the fence's security groups already: an earlier fence was not lifted, so no client reaches it"
        )),
    }
    // In place the fence is the network alone, so whatever passes it is refused: what it wrote between the safety clone and the
    // backtrack would be on neither cluster.
    if let Some(arn) = &facts.data_api {
        kind(format!(
            "the Data API of {name} is on, which reaches it whatever its security groups are, so no fence keeps out who uses it: \
             switch it off with `aws rds disable-http-endpoint --resource-arn {arn}`, and on again afterwards"
        ));
    }
    if let Some(status) = &facts.write_forwarding {
        kind(format!(
            "write forwarding of {name} is {status}, by which sessions on its readers write: switch it off with `aws rds \
             modify-db-cluster --db-cluster-identifier {name} --no-enable-local-write-forwarding`, and on again afterwards"
        ));
    }
    // Without Backtrack there is no window, and a second obstacle about time would say nothing new.
    if facts.backtrack_window > 0 {
        found.extend(obstacle_of_time(facts, to).map(|why| Obstacle { why, of_time: true }));
    }
    found
}

fn obstacle_of_time(facts: &ClusterFacts, to: Target) -> Option<String> {
    let name = &facts.cluster;
    let at = match to {
        Target::Latest => {
            return Some(
                "`to` is latest: a backtrack needs a time, and the latest moment contains the mistake, if that was \
                 committed"
                    .to_owned(),
            );
        }
        Target::At(at) => at,
        // From the start of the recovery and not from now: a retry must not move the target.
        Target::Ago(ago) => facts.started.checked_sub(ago).unwrap_or(Timestamp::MIN),
    };
    let Some(earliest) = facts.earliest_backtrack else {
        return Some(format!("AWS names no earliest time that {name} can be backtracked to yet"));
    };
    // As `settle` will cut it, so that both agree on what is within reach.
    let at_second = Window { earliest, latest: facts.started }.cut(at);
    if let Some(created) = facts.created.filter(|created| at_second < *created) {
        let clone = if facts.in_clone_group { ", and a clone cannot go back past its own creation" } else { "" };
        return Some(format!("{at_second} is before {name} was made ({}){clone}", seconds(created)));
    }
    (at < earliest).then(|| {
        format!("{at} is before the earliest time that Backtrack reaches: {}", render_earliest(facts, earliest))
    })
}

fn render_earliest(facts: &ClusterFacts, earliest: Timestamp) -> String {
    // The window is a target of AWS: after many changes it reaches less far, so both are named.
    let reach = format_reach(facts.started.duration_since(earliest));
    // With its milliseconds: people copy it, and the second alone would be before it.
    format!("{earliest} ({reach} of the {} asked for)", window_of(facts))
}

fn window_of(facts: &ClusterFacts) -> String {
    format_reach(SignedDuration::from_secs(facts.backtrack_window))
}

fn reach(facts: &ClusterFacts) -> String {
    facts.earliest_backtrack.map_or_else(
        || "enabled".to_owned(),
        |earliest| {
            let reach = format_reach(facts.started.duration_since(earliest));
            format!("enabled, reaches back to {earliest} ({reach})")
        },
    )
}

fn forced(facts: &ClusterFacts) -> Option<String> {
    facts.binlog.as_ref().map(|binlog| {
        // Named in the plan, because a forced backtrack breaks binlog replicas and blue/green deployments.
        format!("backtrack is forced: binary logging is {binlog}, and AWS refuses a backtrack then unless forced")
    })
}

fn refuse(facts: &ClusterFacts, request: &Request, obstacles: &[Obstacle]) -> StepError {
    let why: Vec<&str> = obstacles.iter().map(|obstacle| obstacle.why.as_str()).collect();
    // With other obstacles no target helps, and a window in the message would suggest that one does.
    let only_time = obstacles.iter().all(|obstacle| obstacle.of_time);
    let name = if only_time { ErrorName::OutsideWindow } else { ErrorName::InvalidRequest };
    let other_time = facts
        .earliest_backtrack
        .filter(|_| only_time)
        .map(|earliest| format!("ask for a time from {earliest} to {}, or ", seconds(facts.started)));
    let restorable = facts.restorable.map_or_else(String::new, |window| {
        let reaches = window.settle(request.to, facts.started).is_ok();
        let to = if reaches { "reaches it" } else { "goes" };
        format!(", which {to} (from {} to {})", window.earliest, seconds(window.latest))
    });
    StepError::new(name, format!("`strategy` is \"backtrack\": {}", why.join("; ")))
        .changed("nothing was changed")
        .advice(format!(
            "{}write `\"strategy\": \"restore\"` for a new cluster beside the source{restorable}",
            other_time.unwrap_or_default()
        ))
}

fn restore(facts: &ClusterFacts, request: &Request, reasons: Vec<String>) -> Result<StrategyChoice, StepError> {
    // AWS has no restorable time for a cluster that is younger than its first backup.
    let window = facts.restorable.ok_or_else(|| {
        StepError::new(ErrorName::OutsideWindow, format!("{} has no restorable time yet", facts.cluster))
            .changed("nothing was changed")
            .advice("wait until its first backup is done: EarliestRestorableTime appears in describe-db-clusters")
    })?;
    let moment = window.settle(request.to, facts.started)?;
    Ok(StrategyChoice { strategy: Strategy::Restore, moment, window, reasons })
}

fn backtrack(facts: &ClusterFacts, request: &Request, reasons: Vec<String>) -> Result<StrategyChoice, StepError> {
    // A backtrack reaches up to now: unlike a restore it doesn't wait for backups in S3.
    let earliest = facts.earliest_backtrack.unwrap_or(facts.started);
    let window = Window { earliest, latest: facts.started };
    let moment = window.settle(request.to, facts.started)?;
    Ok(StrategyChoice { strategy: Strategy::Backtrack, moment, window, reasons })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn mysql() -> ClusterFacts {
        ClusterFacts {
            cluster: "orders".to_owned(),
            engine: Engine::AuroraMysql,
            engine_mode: Some("provisioned".to_owned()),
            restorable: Some(Window { earliest: at("2026-11-16T02:00:00Z"), latest: at("2026-11-23T10:34:00Z") }),
            backtrack_window: 86_400,
            earliest_backtrack: Some(at("2026-11-22T10:36:11.5Z")),
            created: Some(at("2026-01-05T08:00:00Z")),
            in_clone_group: false,
            global_cluster: None,
            replicates: None,
            binlog: None,
            fence: FenceGroups::Ready,
            data_api: None,
            write_forwarding: None,
            started: at("2026-11-23T10:35:00Z"),
        }
    }

    fn postgresql() -> ClusterFacts {
        ClusterFacts { engine: Engine::AuroraPostgresql, backtrack_window: 0, earliest_backtrack: None, ..mysql() }
    }

    fn ask(extra: Value) -> Request {
        let mut request = json!({ "cluster": "orders", "to": "5m ago" });
        for (field, value) in extra.as_object().unwrap() {
            request[field] = value.clone();
        }
        Request::parse(&request).unwrap()
    }

    /// The choice and its reasons, as a person reads them.
    #[test]
    fn the_choice_and_its_reasons() {
        let allowed = json!({ "inPlace": "allowed" });
        let asked = json!({ "strategy": "backtrack", "inPlace": "allowed" });
        let binlog = ClusterFacts { binlog: Some("on (ROW)".to_owned()), ..mysql() };
        let side_by_side = "restore: side by side, the source stays untouched until the switch";
        let reach = "enabled, reaches back to 2026-11-22T10:36:11.5Z (23h58m)";
        let forced = "backtrack is forced: binary logging is on (ROW), and AWS refuses a backtrack then unless forced";
        let longer = "not restore: it takes longer, and `\"strategy\": \"restore\"` asks for it";
        let because = format!("backtrack: {reach}; chosen because the request allows downtime of the source");
        let (asked_for, off) = (
            format!("backtrack: asked for; {reach}"),
            "not backtrack: Backtrack is off for orders: it is switched on when a cluster is made, and never afterwards",
        );
        let unreached = "not backtrack: 2026-11-22T09:00:00Z is before the earliest time that Backtrack reaches: \
                         2026-11-22T10:36:11.5Z (23h58m of the 1d asked for)";
        let not_allowed = format!(
            "not backtrack: the request does not allow downtime of the source (`inPlace` is forbidden), though {reach}"
        );
        let cases: Vec<(ClusterFacts, Value, Strategy, Vec<&str>)> = vec![
            (mysql(), allowed.clone(), Strategy::Backtrack, vec![&because, longer]),
            (binlog.clone(), allowed.clone(), Strategy::Backtrack, vec![&because, forced, longer]),
            (mysql(), asked.clone(), Strategy::Backtrack, vec![&asked_for]),
            (binlog, asked, Strategy::Backtrack, vec![&asked_for, forced]),
            (mysql(), json!({}), Strategy::Restore, vec![side_by_side, &not_allowed]),
            (
                mysql(),
                json!({ "strategy": "restore", "inPlace": "allowed" }),
                Strategy::Restore,
                vec!["restore: asked for"],
            ),
            (
                postgresql(),
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: Backtrack exists for Aurora MySQL only, and orders is aurora-postgresql",
                ],
            ),
            (
                ClusterFacts { backtrack_window: 0, earliest_backtrack: None, ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![side_by_side, off],
            ),
            (
                ClusterFacts { global_cluster: Some("world".to_owned()), ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: orders belongs to the Global Database world, which cannot be backtracked",
                ],
            ),
            (
                ClusterFacts { replicates: Some("orders-eu".to_owned()), ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: orders replicates from orders-eu, and a replica cannot be backtracked",
                ],
            ),
            (
                ClusterFacts { fence: FenceGroups::Missing, ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: this deployment has no security groups for the fence (FenceSecurityGroupIds), and a \
                     lock inside the database would be rewound with it",
                ],
            ),
            (
                ClusterFacts { fence: FenceGroups::InForce, ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: orders has the fence's security groups already: an earlier fence was not lifted, so \
                     no client reaches it",
                ],
            ),
            (
                ClusterFacts { data_api: Some("arn:orders".to_owned()), ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: the Data API of orders is on, which reaches it whatever its security groups are, so no fence \
                     keeps out who uses it: switch it off with `aws rds disable-http-endpoint --resource-arn arn:orders`, and \
                     on again afterwards",
                ],
            ),
            (
                mysql(),
                json!({ "inPlace": "allowed", "to": "2026-11-22T09:00:00Z" }),
                Strategy::Restore,
                vec![side_by_side, unreached],
            ),
            (
                mysql(),
                json!({ "inPlace": "allowed", "to": "latest" }),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: `to` is latest: a backtrack needs a time, and the latest moment contains the mistake, \
                     if that was committed",
                ],
            ),
            (
                ClusterFacts { created: Some(at("2026-11-23T10:31:00Z")), in_clone_group: true, ..mysql() },
                allowed.clone(),
                Strategy::Restore,
                vec![
                    side_by_side,
                    "not backtrack: 2026-11-23T10:30:00Z is before orders was made (2026-11-23T10:31:00Z), and a clone \
                     cannot go back past its own creation",
                ],
            ),
            (
                ClusterFacts { earliest_backtrack: None, ..mysql() },
                allowed,
                Strategy::Restore,
                vec![side_by_side, "not backtrack: AWS names no earliest time that orders can be backtracked to yet"],
            ),
        ];
        for (facts, extra, strategy, reasons) in cases {
            let chosen = choose_strategy(&facts, &ask(extra.clone())).unwrap();
            assert_eq!(
                (chosen.strategy, chosen.reasons),
                (strategy, reasons.iter().map(|r| (*r).to_owned()).collect()),
                "{extra}"
            );
        }
    }

    /// The refusals, and what they say would work.
    #[test]
    fn the_refusals() {
        let restore = "write `\"strategy\": \"restore\"` for a new cluster beside the source";
        let reaches = format!("{restore}, which reaches it (from 2026-11-16T02:00:00Z to 2026-11-23T10:34:00Z)");
        let in_place = |extra: Value| {
            let mut request = json!({ "strategy": "backtrack", "inPlace": "allowed" });
            for (field, value) in extra.as_object().unwrap() {
                request[field] = value.clone();
            }
            request
        };
        let cases: Vec<(ClusterFacts, Value, ErrorName, Vec<&str>)> = vec![
            (
                mysql(),
                json!({ "strategy": "backtrack" }),
                ErrorName::InvalidRequest,
                vec![
                    "a backtrack rewinds orders itself, and cuts every connection",
                    "write `\"inPlace\": \"allowed\"` beside it",
                    "or `\"strategy\": \"restore\"`",
                ],
            ),
            (
                postgresql(),
                json!({ "strategy": "backtrack" }),
                ErrorName::InvalidRequest,
                vec!["Backtrack exists for Aurora MySQL only, and orders is aurora-postgresql", &reaches],
            ),
            (
                ClusterFacts {
                    backtrack_window: 0,
                    earliest_backtrack: None,
                    fence: FenceGroups::Missing,
                    global_cluster: Some("world".to_owned()),
                    ..mysql()
                },
                in_place(json!({})),
                ErrorName::InvalidRequest,
                vec![
                    "Backtrack is off for orders",
                    "no security groups for the fence",
                    "the Global Database world",
                    &reaches,
                ],
            ),
            (
                mysql(),
                in_place(json!({ "to": "2026-11-22T09:00:00Z" })),
                ErrorName::OutsideWindow,
                vec![
                    "before the earliest time that Backtrack reaches",
                    "ask for a time from 2026-11-22T10:36:11.5Z to 2026-11-23T10:35:00Z, or write",
                    &reaches,
                ],
            ),
            (
                ClusterFacts {
                    data_api: Some("arn:orders".to_owned()),
                    write_forwarding: Some("enabling".to_owned()),
                    ..mysql()
                },
                in_place(json!({})),
                ErrorName::InvalidRequest,
                vec![
                    "the Data API of orders is on",
                    "disable-http-endpoint --resource-arn arn:orders",
                    "write forwarding of orders is enabling",
                    "--no-enable-local-write-forwarding",
                ],
            ),
            (
                mysql(),
                in_place(json!({ "to": "2026-01-22T09:00:00Z" })),
                ErrorName::OutsideWindow,
                vec!["which goes (from 2026-11-16T02:00:00Z to"],
            ),
            (mysql(), in_place(json!({ "to": "latest" })), ErrorName::OutsideWindow, vec!["a backtrack needs a time"]),
            (
                mysql(),
                in_place(json!({ "to": "2027-01-01T00:00:00Z" })),
                ErrorName::OutsideWindow,
                vec!["in the future"],
            ),
            (
                ClusterFacts { engine_mode: Some("serverless".to_owned()), ..mysql() },
                json!({}),
                ErrorName::InvalidRequest,
                vec!["orders has the engine mode serverless"],
            ),
            (
                ClusterFacts { restorable: None, ..mysql() },
                json!({}),
                ErrorName::OutsideWindow,
                vec!["orders has no restorable time yet", "write `\"inPlace\": \"allowed\"` if the source may be down"],
            ),
            (
                ClusterFacts { restorable: None, ..postgresql() },
                json!({}),
                ErrorName::OutsideWindow,
                vec!["wait until its first backup"],
            ),
        ];
        for (facts, extra, name, fragments) in cases {
            let error = choose_strategy(&facts, &ask(extra)).unwrap_err();
            assert_eq!(error.name, name, "{error}");
            assert!(error.to_string().contains("nothing was changed"), "{error}");
            for fragment in fragments {
                assert!(error.to_string().contains(fragment), "{error}\nlacks {fragment}");
            }
        }
    }

    #[test]
    fn backtrack_reaches_back_to_its_very_first_millisecond() {
        let asked = |to: &str| ask(json!({ "strategy": "backtrack", "inPlace": "allowed", "to": to }));
        for (to, moment) in [
            ("2026-11-22T10:36:11.5Z", "2026-11-22T10:36:11.5Z"),
            ("2026-11-22T10:36:11.9Z", "2026-11-22T10:36:11.5Z"),
            ("2026-11-22T10:36:12.3Z", "2026-11-22T10:36:12Z"),
        ] {
            assert_eq!(choose_strategy(&mysql(), &asked(to)).unwrap().moment.at, at(moment), "{to}");
        }
        for to in ["2026-11-22T10:36:11.499Z", "2026-11-22T10:36:11Z"] {
            let error = choose_strategy(&mysql(), &asked(to)).unwrap_err();
            assert_eq!(error.name, ErrorName::OutsideWindow, "{to}");
            assert!(error.to_string().contains("ask for a time from 2026-11-22T10:36:11.5Z"), "{error}");
        }
    }

    #[test]
    fn in_place_the_window_is_what_backtrack_reaches_really() {
        let chosen = choose_strategy(&mysql(), &ask(json!({ "inPlace": "allowed" }))).unwrap();
        assert_eq!(chosen.moment.at, at("2026-11-23T10:30:00Z"));
        assert_eq!(chosen.window.earliest, at("2026-11-22T10:36:11.5Z"));
        assert_eq!((chosen.moment.use_latest, chosen.moment.ahead_of_window), (false, None));
    }
}
