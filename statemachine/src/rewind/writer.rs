//! The planned writer becomes the writer of the restored cluster, where another instance is.

use crate::retry::ANY;
use crate::state::{Recoveries, Situation, State, set};
use crate::timeouts;

/// The states, in the order in which a recovery that works passes them. Most recoveries pass none of them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("FailOver")
            .function("AddInstances")
            .progress("makes the planned instance the writer")
            .situation(Situation::InstancesMayExist)
            .only(Recoveries::Restore)
            .comment(
                "Another instance writes: the first that was available, or one that took over from the planned writer. \
                 It may have another class. A failure here is a difference, for the cluster works.",
            )
            .inputs(["recovery", "plan"])
            .input_text("part", "writer")
            .timeout(timeouts::ADD_INSTANCES)
            .keep_as("differences", "$append($differences, $states.result.Payload.differences)")
            .next("HoldJobs")
            .bugs_to("IsAnythingChanged")
            .catch(
                &ANY,
                vec![
                    set("timings", "$merge([$timings, {$states.context.State.Name: $now()}])"),
                    set(
                        "differences",
                        "$append($differences, [{'what': 'writer of ' & $plan.newCluster, 'source': \
                         $plan.instances[writer=true].source, 'restored': 'another instance, and a failover was not \
                         made: ' & $substring($string($states.errorOutput.Error), 0, 200), 'todo': 'see which instance \
                         writes, and run: aws rds failover-db-cluster --db-cluster-identifier ' & $plan.newCluster & ' \
                         --target-db-instance-identifier ' & $plan.instances[writer=true].name}])",
                    ),
                ],
                "HoldJobs",
            ),
    ]
}
