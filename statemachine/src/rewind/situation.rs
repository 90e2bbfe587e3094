//! How things stand when a person has to look: decided by the undo that failed, or else by the step.

use crate::state::{Assign, Situation, State, set, set_to};

/// The question `IsAnythingChanged`. `steps` are those that may have failed.
pub(super) fn choice(steps: &[State]) -> State {
    let state = State::choice("IsAnythingChanged").comment(
        "Says how the clusters stand when a person has to look, by the undo that failed, or else by the step. Without \
         a match nothing was changed.",
    );
    beside(in_place(state, steps), steps).next("ConcludeNeedsOperator")
}

/// In place. A fence that is left has to be lifted by hand, once it is known what the cluster holds.
fn in_place(state: State, steps: &[State]) -> State {
    // All that reads the rewound data before it is verified leaves the same behind when it stops.
    let reading = names(steps.iter().filter(|step| step.stage == "verify" && step.function.is_some()));
    // The order matters: an undo that failed describes the clusters better than the failure that started it.
    state
        .when_with(
            "$plan.strategy = 'backtrack' and $undoFailure.state in ['UndoAddInstances', 'UndoStartRestore', \
             'AwaitDeletion']",
            situation(
                "'now: ' & $plan.cluster & ' is as it was, and clients reach it; the safety clone ' & \
                 $plan.newCluster & ' or part of it may be left: delete it'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$plan.strategy = 'backtrack' and ($undoFailure.state = 'UndoFenceSource' or $failure.state in \
             ['FenceSource', 'CloneSource', 'AddInstances', 'AwaitInstances', 'InspectFence'] or $failure.state = 'AwaitRewind' and \
             $type($backtrack) != 'object')",
            situation_fenced(
                "'now: ' & $plan.cluster & ' holds what it held before, and may be fenced; the safety clone ' & \
                 $plan.newCluster & ' may exist'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$undoFailure.state = 'VerifyForward'",
            situation_fenced(
                "'now: ' & ($type($awaiting.identifier) = 'string' ? $plan.cluster & ' was backtracked forward to ' & \
                 $restored.rewoundTo : $type($restored) = 'object' ? $plan.cluster & ' was rewound to ' & \
                 $restored.rewoundTo & ', and RDS knows of no backtrack to take it forward from' : 'no backtrack of ' \
                 & $plan.cluster & ' was begun, as far as RDS knows') & ', and that it holds what it held before is \
                 not verified; it is still fenced, and the safety clone ' & $plan.newCluster & ' is kept: compare \
                 them'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$undoFailure.state in ['UndoStartBacktrack', 'AwaitForward'] and $type($restored) = 'object'",
            situation_fenced(
                "'now: ' & $plan.cluster & ' was rewound to ' & $restored.rewoundTo & ', and whether it was \
                 backtracked forward from there is not known: ask aws rds describe-db-cluster-backtracks \
                 --db-cluster-identifier ' & $plan.cluster & '; it is still fenced, and the safety clone ' & \
                 $plan.newCluster & ' is kept'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$undoFailure.state in ['UndoStartBacktrack', 'AwaitForward'] or $failure.state = 'StartBacktrack' or \
             $failure.state = 'AwaitRewind' and $type($backtrack) = 'object'",
            situation_fenced(
                "'now: whether ' & $plan.cluster & ' is as it was or rewound to ' & $plan.target & ' is not known: \
                 ask aws rds describe-db-cluster-backtracks --db-cluster-identifier ' & $plan.cluster & '; it is \
                 still fenced, and the safety clone ' & $plan.newCluster & ' is kept'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            &format!("$plan.strategy = 'backtrack' and $failure.state in [{reading}]"),
            situation_fenced(
                "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and not verified; it is still \
                 fenced, and the safety clone ' & $plan.newCluster & ' is kept'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$failure.state in ['NoteLift', 'LiftFence']",
            situation_fenced(
                "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and verified: only its fence \
                 may still be up; the safety clone ' & $plan.newCluster & ' is kept'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$plan.strategy = 'backtrack' and $failure.state = 'Finish'",
            situation(
                "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and verified, and clients \
                 reach it: the recovery is done but for its tags and its report; the safety clone ' & \
                 $plan.newCluster & ' is kept; next step: rewind undo ' & $recovery.id & ' takes nothing back: it tags the safety clone, and \
                 releases the lease'",
            ),
            "ConcludeNeedsOperator",
        )
}

/// Beside the source, where each step is declared with how things stand when it ends in a bug.
fn beside(state: State, steps: &[State]) -> State {
    // The parameter group is deleted last, so it may be left whatever stopped before that.
    let group = "($plan.engine = 'aurora-mysql' or $count($plan.findings[code in ['subscriptions', 'scheduled-jobs', 'findings-cut']]) > 0 ? ' with its parameter group ' & $plan.newCluster & '-jobs-held' : '')";
    let cluster = format!("'before any undoing: the restored cluster ' & $plan.newCluster & {group} & ");
    let situations = [
        (Situation::ClusterMayExist, "' may exist, the source is untouched'"),
        (
            Situation::InstancesMayExist,
            "' and its instances may exist, traffic is on the source ' & $plan.cluster & ', which is untouched'",
        ),
        (
            Situation::SourceMayBeFenced,
            "' and its instances may exist, the source ' & $plan.cluster & ' may be fenced, the DNS records are as they were'",
        ),
        (
            Situation::RecordsMayHaveMoved,
            "' and its instances may exist, the source ' & $plan.cluster & ' may be fenced, the DNS records may point at either; to have them at the \
             source again: rewind undo ' & $recovery.id",
        ),
    ];
    let written = "'now: traffic is on the restored cluster ' & $plan.newCluster & ', the source ' & $plan.cluster & ' is \
                   fenced, and nobody goes back without a person: ' & $written & '; next step: mend the name that leads \
                   elsewhere; or go back to the source, where what was written to ' & $plan.newCluster & ' stays on it: \
                   rewind undo ' & $recovery.id";
    let unmoved = "'now: ' & $found.what & ', the source ' & $plan.cluster & ' is fenced, so its clients have no database, and the \
                   restored cluster ' & $plan.newCluster & ' may have had clients before somebody moved the records back: ' & \
                   $written & '; next step: point the records at ' & $plan.newCluster & '; or go back to the source, where \
                   what was written to ' & $plan.newCluster & ' stays on it: rewind undo ' & $recovery.id";
    let state = state
        .when_with(
            "$type($written) = 'string' and $found.records in ['planned', 'elsewhere']",
            situation(unmoved),
            "ConcludeNeedsOperator",
        )
        .when_with("$type($written) = 'string'", situation(written), "ConcludeNeedsOperator");
    situations
        .into_iter()
        .fold(state, |state, (of, text)| {
            let stopped = names(steps.iter().filter(|step| step.situation == Some(of)));
            let condition = format!("$plan.strategy != 'backtrack' and $failure.state in [{stopped}]");
            state.when_with(&condition, situation(&format!("{cluster}{text}")), "ConcludeNeedsOperator")
        })
        .when_with(
            "$failure.state = 'Finish' and $count($plan.dns) = 0",
            situation(
                "'now: the restored cluster ' & $plan.newCluster & ' is verified and beside the source ' & \
                 $plan.cluster & ', which keeps its traffic: the recovery is done but for its report'",
            ),
            "ConcludeNeedsOperator",
        )
        .when_with(
            "$failure.state = 'Finish'",
            situation(
                "'now: traffic is on the restored cluster ' & $plan.newCluster & ', the source ' & $plan.cluster & ' \
                 is fenced and kept: the recovery is done but for its tags and its report. ' & $plan.newCluster & ' may \
                 still bear the time after which a restored cluster is deleted, and lack the deletion protection of the \
                 source; next step: aws rds remove-tags-from-resource --resource-name ' & $restored.clusterArn & ' \
                 --tag-keys aurora-rewind:keep-until; where the source is protected, aws rds modify-db-cluster \
                 --db-cluster-identifier ' & $plan.newCluster & ' --deletion-protection; and give secretArn ' & \
                 $plan.secretArn & ' when it is recovered again'",
            ),
            "ConcludeNeedsOperator",
        )
}

/// The names of states, as the items of a JSONata array.
fn names<'a>(states: impl Iterator<Item = &'a State>) -> String {
    let names: Vec<String> = states.map(|state| format!("'{}'", state.name)).collect();
    names.join(", ")
}

/// How things stand for whoever has to look.
fn situation(expression: &str) -> Assign {
    vec![set("situation", expression)]
}

/// The same where the fence is still up: people are told how to lift it.
fn situation_fenced(expression: &str) -> Assign {
    vec![set("situation", expression), set_to("fenceIsUp", true.into())]
}

#[cfg(test)]
mod tests {
    use crate::json::Json;
    use crate::retry::Retries;
    use crate::state::Recoveries;

    /// Steps that nobody has to be told of: before the first two, nothing is changed, and Finish has sentences of its
    /// own.
    const WITH_SENTENCES_OF_THEIR_OWN: [&str; 3] = ["ValidateWindow", "Preflight", "Finish"];

    fn choices() -> Vec<String> {
        let machine = crate::rewind::machine();
        let choice = machine.states.iter().find(|state| state.name == "IsAnythingChanged").unwrap().to_json();
        let Json::Object(fields) = choice else { panic!("a state is an object") };
        let Some((_, Json::List(choices))) = fields.into_iter().find(|(name, _)| name == "Choices") else {
            panic!("a Choice has Choices")
        };
        choices.iter().map(Json::pretty).collect()
    }

    #[test]
    fn a_live_cluster_that_finish_did_not_mark_is_told_with_the_commands_that_do() {
        let choices = choices();
        let told = choices.iter().find(|choice| choice.contains("is fenced and kept")).unwrap();
        for command in ["--tag-keys aurora-rewind:keep-until", "--deletion-protection", "$plan.secretArn"] {
            assert!(told.contains(command), "{told}\nlacks {command}");
        }
    }

    #[test]
    fn wherever_a_step_stops_people_are_told_how_things_stand() {
        let machine = crate::rewind::machine();
        let choices = choices();
        let is_step = |retries| matches!(retries, Retries::Function | Retries::Slice);
        for step in machine.states.iter().filter(|state| is_step(state.retries) && !state.stage.ends_with("undo")) {
            if WITH_SENTENCES_OF_THEIR_OWN.contains(&step.name) {
                continue;
            }
            if step.recoveries.meet(Recoveries::Restore) {
                assert!(step.situation.is_some(), "{} does not declare how things stand when it stops", step.name);
            }
            // In place nothing is changed until the source is fenced, which is after people were asked.
            if step.recoveries.meet(Recoveries::Backtrack) && step.stage != "approval" {
                let named = choices[..8].iter().any(|choice| choice.contains(&format!("'{}'", step.name)));
                assert!(named, "{} is in no sentence of in_place", step.name);
            }
        }
    }
}
