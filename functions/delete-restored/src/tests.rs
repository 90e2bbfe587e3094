//! The undo deletes everything that its recovery created, wherever it is interrupted, and nothing else.

use super::*;
use rewind_aws::fixtures::{instances, plan, rds, rds_with_restored, recovery};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::{Adopted, Strategy};

fn step(clusters: &FakeRds) -> DeleteRestored<FakeRds> {
    DeleteRestored { clusters: clusters.clone() }
}

fn input(part: Part) -> Input {
    Input { recovery: recovery(), plan: plan(), part }
}

fn of_recovery(name: &str, recovery: &str) -> (String, Instance) {
    let tags = vec![(RECOVERY_TAG.to_owned(), recovery.to_owned())];
    let name = name.to_owned();
    ("orders-r".to_owned(), Instance { name, status: "available".to_owned(), tags, ..Instance::default() })
}

/// An RDS whose restored cluster is as a restore makes it: people have not protected it.
fn unprotected() -> FakeRds {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| cluster.deletion_protection = false);
    rds
}

/// An RDS whose restored cluster has these instances beside those of the source.
fn with(more: Vec<(String, Instance)>) -> FakeRds {
    FakeRds::with(rds_with_restored().everything().0, instances().into_iter().chain(more).collect())
}

#[tokio::test]
async fn it_only_undoes() {
    let rds = rds_with_restored();
    assert_eq!(step(&rds).run(input(Part::Cluster)).await.unwrap_err().name, ErrorName::Bug);
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn the_cluster_goes_and_the_source_stays_wherever_it_is_interrupted() {
    for how in [Lose::Call, Lose::Answer] {
        let rds = unprotected();
        rds.lose(0, how);
        assert!(step(&rds).undo(input(Part::Cluster)).await.is_err());
        step(&rds).undo(input(Part::Cluster)).await.unwrap();
        // Everything, and not only the restored cluster: the undo must not touch the source.
        assert_eq!(rds.everything(), self::rds().everything(), "{how:?}");
        assert_eq!(step(&rds).undo(input(Part::Cluster)).await.unwrap(), Undone::nothing());
    }
}

#[tokio::test]
async fn the_protection_of_a_safety_clone_is_taken_off_and_of_no_restored_cluster() {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| cluster.deletion_protection = true);
    let error = step(&rds).undo(input(Part::Cluster)).await.unwrap_err();
    assert!(error.to_string().contains("orders-r has deletion protection, which people set"), "{error}");
    assert!(rds.changes().is_empty());
    let in_place = Plan { strategy: Strategy::Backtrack, ..plan() };
    step(&rds).undo(Input { plan: in_place, ..input(Part::Cluster) }).await.unwrap();
    assert_eq!(rds.changes(), ["modify orders-r", "retire_cluster orders-r into orders-r-final-operation-001"]);
}

#[tokio::test]
async fn an_adopted_cluster_is_deleted_into_a_snapshot() {
    let rds = unprotected();
    let adopted =
        Some(Adopted { recovery: "earlier".to_owned(), owners: Vec::new(), keep_until: None, checks_of_event: false });
    let input = Input { plan: Plan { adopted, ..plan() }, ..input(Part::Cluster) };
    for _ in 0..2 {
        let undone = step(&rds).undo(input.clone()).await.unwrap();
        // It stood for hours before, and people may have written to it.
        assert_eq!(rds.all_snapshots().len(), 1, "{undone:?}");
    }
    assert_eq!(rds.all_snapshots()[0].name, "orders-r-final-operation-001");
}

#[tokio::test]
async fn a_restored_cluster_that_was_there_for_people_is_deleted_into_a_snapshot() {
    // They may have written to it while they were asked.
    for (status, kept) in [("available", true), ("backing-up", true), ("creating", false), ("failed", false)] {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| {
            cluster.status = status.to_owned();
            cluster.deletion_protection = false;
        });
        let undone = step(&rds).undo(input(Part::Cluster)).await.unwrap();
        let snapshots: Vec<String> = rds.all_snapshots().into_iter().map(|snapshot| snapshot.name).collect();
        let expected = kept.then(|| "orders-r-final-operation-001".to_owned());
        assert_eq!(snapshots, Vec::from_iter(expected), "{status}: {undone:?}");
    }
}

#[tokio::test]
async fn a_second_run_names_the_snapshot_of_the_first_and_no_other() {
    for (snapshot, told) in [(true, "into the snapshot orders-r-final-operation-001"), (false, "is being deleted")] {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| cluster.status = "deleting".to_owned());
        if snapshot {
            rds.add_snapshot("orders-r-final-operation-001", "orders-r");
        }
        let undone = step(&rds).undo(input(Part::Cluster)).await.unwrap();
        assert!(undone.what.len() == 1 && undone.what[0].ends_with(told), "{undone:?}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_recovery_or_of_nobody_stays() {
    for tags in [vec![], vec![(RECOVERY_TAG.to_owned(), "another".to_owned())]] {
        let rds = with(vec![of_recovery("orders-r-1", &recovery().id)]);
        rds.edit("orders-r", |cluster| cluster.tags.clone_from(&tags));
        for part in [Part::Instances, Part::Cluster] {
            assert_eq!(step(&rds).undo(input(part)).await.unwrap(), Undone::nothing());
        }
        assert!(rds.changes().is_empty());
    }
    // A cluster of Neptune has taken the name that the plan chose: it cannot be read, and it is not ours.
    let rds = rds();
    rds.make_foreign("orders-r", "neptune");
    assert_eq!(step(&rds).undo(input(Part::Cluster)).await.unwrap(), Undone::nothing());
}

#[tokio::test]
async fn the_instances_go_the_writer_last() {
    let rds = with(vec![of_recovery("orders-r-1", &recovery().id), of_recovery("orders-r-2", &recovery().id)]);
    rds.edit("orders-r", |cluster| {
        cluster.members.push(rewind_aws::rds::Member { instance: "orders-r-1".to_owned(), writer: true });
    });
    step(&rds).undo(input(Part::Instances)).await.unwrap();
    assert_eq!(rds.changes(), ["delete_instance orders-r-2", "delete_instance orders-r-1"]);
    assert_eq!(step(&rds).undo(input(Part::Instances)).await.unwrap(), Undone::nothing());
    assert_eq!(rds.instances("orders").await.unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_of_a_cluster_goes_that_somebody_else_works_on() {
    for others in [of_recovery("mine", "another"), ("orders-r".to_owned(), Instance::default())] {
        // An instance without the recovery's tag is somebody's own, and may be why the cluster must stay.
        let rds = with(vec![of_recovery("orders-r-1", &recovery().id), others]);
        let error = step(&rds).undo(input(Part::Instances)).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed);
        assert!(rds.changes().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn an_instance_of_that_name_in_another_cluster_is_left_alone() {
    let rds = with(vec![("billing".to_owned(), of_recovery("orders-r-1", &recovery().id).1)]);
    assert_eq!(step(&rds).undo(input(Part::Instances)).await.unwrap(), Undone::nothing());
    assert!(rds.changes().is_empty());
}
