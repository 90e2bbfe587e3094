//! Whatever call is lost, running the step again ends where an undisturbed run does.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, in_place_plan, mysql_source, plan, rds_with_restored, recovery};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::{Adopted, Engine};

fn step(clusters: &FakeRds) -> AddInstances<FakeRds, ManualClock> {
    AddInstances { clusters: clusters.clone(), clock: ManualClock::at(STARTED) }
}

fn input() -> Input {
    Input { recovery: recovery(), plan: plan(), part: Part::Instances }
}

#[tokio::test]
async fn the_writer_is_made_first_and_readers_keep_class_and_tier() {
    let rds = rds_with_restored();
    let output = step(&rds).run(input()).await.unwrap();
    assert_eq!(output.instances, ["orders-r-1", "orders-r-2"]);
    // RDS makes the first instance of a cluster its writer.
    assert_eq!(rds.changes()[..2], ["create_instance orders-r-1", "create_instance orders-r-2"]);
    let made = rds.instances("orders-r").await.unwrap();
    assert_eq!((made[0].class.as_str(), made[0].promotion_tier), ("db.r6g.xlarge", 1));
    assert_eq!((made[1].class.as_str(), made[1].promotion_tier), ("db.r6g.large", 5));
}

#[tokio::test]
async fn what_a_restore_cannot_carry_is_set_afterwards() {
    let rds = rds_with_restored();
    step(&rds).run(input()).await.unwrap();
    let (source, restored) = (rds.find("orders").unwrap(), rds.find("orders-r").unwrap());
    assert_eq!(restored.roles, source.roles);
    assert!(restored.data_api);
    assert_eq!(restored.maintenance_window, source.maintenance_window);
    assert_eq!(restored.auto_minor_version_upgrade, Some(false));
    assert_eq!(restored.monitoring, source.monitoring);
}

#[tokio::test]
async fn what_is_not_carried_over_is_reported() {
    let rds = rds_with_restored();
    rds.edit("orders", |source| source.global_cluster = Some("world".to_owned()));
    let reported: Vec<String> =
        step(&rds).run(input()).await.unwrap().differences.into_iter().map(|d| d.what).collect();
    for what in [
        "managed master password",
        "custom endpoints",
        "Global Database",
        "autoscaling, alarms, proxies, event subscriptions",
    ] {
        assert!(reported.iter().any(|reported| reported == what), "{what} is not among {reported:?}");
    }
    // A setting that is equal must not be listed: people stop reading a list of differences that are none.
    assert!(!reported.iter().any(|reported| reported == "parameter group"), "{reported:?}");
}

#[tokio::test]
async fn each_lost_call_is_made_good_by_running_the_step_again() {
    let undisturbed = rds_with_restored();
    step(&undisturbed).run(input()).await.unwrap();
    let changes = undisturbed.changes().len();
    // Two instances, the windows with the monitoring, a role, the Data API: a new call must be covered by this test
    // too.
    assert_eq!(changes, 5);
    for nth in 0..changes {
        for how in [Lose::Call, Lose::Answer] {
            let rds = rds_with_restored();
            rds.lose(nth, how);
            // It may fail or not: what counts is where the second run ends.
            let _ = step(&rds).run(input()).await;
            step(&rds).run(input()).await.unwrap();
            assert_eq!(rds.everything(), undisturbed.everything(), "change {nth}, {how:?}");
        }
    }
}

#[tokio::test]
async fn an_instance_of_that_name_in_another_cluster_is_left_alone() {
    let mut others = rewind_aws::fixtures::instances();
    // Instance names are unique in an account and Region, not in a cluster.
    others.push(("billing".to_owned(), Instance { name: "orders-r-1".to_owned(), ..Instance::default() }));
    let rds = FakeRds::with(rds_with_restored().everything().0, others);
    assert_eq!(step(&rds).run(input()).await.unwrap_err().name, ErrorName::RewindFailed);
    assert_eq!(rds.instances("billing").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reader_that_went_is_reported_and_a_writer_that_went_is_made_like_another() {
    let mut source = rewind_aws::fixtures::instances();
    // Autoscaling deletes readers at any time, also between the plan and this step.
    source.retain(|(_, instance)| instance.name != "orders-2");
    let rds = FakeRds::with(rds_with_restored().everything().0, source);
    let output = step(&rds).run(input()).await.unwrap();
    assert_eq!(output.instances, ["orders-r-1"]);
    assert!(output.differences.iter().any(|difference| difference.what == "reader orders-2"));

    let mut source = rewind_aws::fixtures::instances();
    source.retain(|(_, instance)| instance.name != "orders-1");
    let rds = FakeRds::with(rds_with_restored().everything().0, source);
    step(&rds).run(input()).await.unwrap();
    // Its class is the planned one, not that of the instance that stands in as its model.
    assert_eq!(rds.instances("orders-r").await.unwrap()[0].class, "db.r6g.xlarge");
}

#[tokio::test]
async fn a_source_that_an_earlier_recovery_made_passes_none_of_its_marks_on() {
    let rds = rds_with_restored();
    rds.edit_instances("orders", |instance| {
        instance.tags = vec![(RECOVERY_TAG.to_owned(), "earlier".to_owned()), ("team".to_owned(), "o".to_owned())];
    });
    step(&rds).run(input()).await.unwrap();
    for made in rds.instances("orders-r").await.unwrap() {
        let expected = [("team".to_owned(), "o".to_owned()), (RECOVERY_TAG.to_owned(), recovery().id)];
        assert_eq!(made.tags, expected);
    }
}

#[test]
fn what_aws_refuses_is_a_difference_and_what_passes_is_an_error() {
    let refused = StepError::new(ErrorName::RewindFailed, "AccessDenied");
    assert!(differences::unless_done("role x", Err(refused)).unwrap().unwrap().restored.contains("AccessDenied"));
    // `modifying` passes in minutes; as a difference it would be left to people for good.
    let passing = StepError::new(ErrorName::ClusterNotReady, "modifying");
    assert!(differences::unless_done("role x", Err(passing)).is_err());
}

#[tokio::test]
async fn an_authority_that_is_offered_no_more_is_replaced_and_reported_on_every_run() {
    let rds = rds_with_restored();
    rds.edit_instances("orders", |instance| instance.ca_certificate = Some("rds-ca-2019".to_owned()));
    rds.withdraw_certificate("rds-ca-2019");
    let first = step(&rds).run(input()).await.unwrap();
    let reported =
        first.differences.iter().find(|reported| reported.what == "certificate authority of orders-r-1").unwrap();
    assert_eq!((reported.source.as_str(), reported.restored.as_str()), ("rds-ca-2019", "rds-ca-rsa2048-g1"));
    assert!(first.differences.iter().any(|reported| reported.what == "certificate authority of orders-r-2"));
    // The second run creates nothing, and must find the difference by comparing what is there.
    assert_eq!(step(&rds).run(input()).await.unwrap(), first);
    let kept = rds_with_restored();
    kept.edit_instances("orders", |instance| instance.ca_certificate = Some("rds-ca-rsa4096-g1".to_owned()));
    let differences = step(&kept).run(input()).await.unwrap().differences;
    assert!(!differences.iter().any(|reported| reported.what.starts_with("certificate")), "{differences:?}");
}

#[tokio::test]
async fn tags_that_do_not_fit_are_named_and_the_recovery_s_own_are_set() {
    let many: Vec<(String, String)> = (0..50).map(|n| (format!("k{n}"), String::new())).collect();
    let rds = rds_with_restored();
    rds.edit("orders", |source| source.tags = [many.clone(), vec![("aws:x".to_owned(), String::new())]].concat());
    // 44 of the source's and six of the recovery's are 50, the limit of RDS.
    rds.edit("orders-r", |made| made.tags.extend_from_slice(&many[..44]));
    rds.edit_instances("orders", |instance| instance.tags.clone_from(&many));
    let reported = step(&rds).run(input()).await.unwrap().differences;
    let of =
        |what: &str| reported.iter().find(|reported| reported.what == what).map(|reported| reported.source.as_str());
    assert_eq!(of("tags of orders-r"), Some("k44, k45, k46, k47, k48, k49"));
    assert_eq!(of("tags of orders-r-1"), Some("k48, k49"));
    assert_eq!(of("tags of AWS's own on orders-r"), Some("aws:x"));
    for made in rds.instances("orders-r").await.unwrap() {
        assert!(made.tags.contains(&(RECOVERY_TAG.to_owned(), recovery().id)));
    }
}

#[tokio::test]
async fn the_safety_clone_gets_its_one_instance_protection_and_nothing_that_is_for_traffic() {
    let rds = rds_with_safety_clone();
    let output = step(&rds).run(in_place()).await.unwrap();
    assert_eq!((output.instances, output.differences), (vec!["orders-e-1".to_owned()], Vec::new()));
    // No role, no Data API, no monitoring: each could act on data that is there to be kept as it is.
    assert_eq!(rds.changes(), ["create_instance orders-e-1", "modify orders-e"]);
    assert!(rds.find("orders-e").unwrap().deletion_protection);
    let made = rds.instances("orders-e").await.unwrap();
    assert_eq!((made[0].class.as_str(), made[0].promotion_tier), ("db.r6g.xlarge", 0));
    // The second run finds both.
    step(&rds).run(in_place()).await.unwrap();
    assert_eq!(rds.changes().len(), 2);
}

#[tokio::test]
async fn no_safety_clone_is_left_without_protection_whatever_call_is_lost() {
    for nth in 0..2 {
        for how in [Lose::Call, Lose::Answer] {
            let rds = rds_with_safety_clone();
            rds.lose(nth, how);
            let first = step(&rds).run(in_place()).await;
            // Only a run that saw the protection lets the backtrack begin.
            assert!(first.is_err() || rds.find("orders-e").unwrap().deletion_protection, "change {nth}, {how:?}");
            step(&rds).run(in_place()).await.unwrap();
            assert!(rds.find("orders-e").unwrap().deletion_protection, "change {nth}, {how:?}");
            assert_eq!(rds.instances("orders-e").await.unwrap().len(), 1, "change {nth}, {how:?}");
        }
    }
    let rds = rds_with_safety_clone();
    rds.lose(1, Lose::Refused);
    assert_eq!(step(&rds).run(in_place()).await.unwrap_err().name, ErrorName::RewindFailed);
}

fn in_place() -> Input {
    Input { recovery: recovery(), plan: in_place_plan(), part: Part::Instances }
}

/// An RDS with the source, and the safety clone as clone-source leaves it.
fn rds_with_safety_clone() -> FakeRds {
    let safety_clone = Cluster {
        name: "orders-e".to_owned(),
        status: "available".to_owned(),
        tags: vec![(RECOVERY_TAG.to_owned(), recovery().id), ("team".to_owned(), "orders".to_owned())],
        ..Cluster::bare(Engine::AuroraMysql)
    };
    let source = Cluster { tags: vec![("team".to_owned(), "orders".to_owned())], ..mysql_source() };
    FakeRds::with(vec![source, safety_clone], rewind_aws::fixtures::instances())
}

fn named<'a>(output: &'a Output, what: &str) -> &'a Difference {
    let found = output.differences.iter().find(|difference| difference.what == what);
    found.unwrap_or_else(|| panic!("{what} is not among {:?}", output.differences))
}

#[tokio::test]
async fn a_reader_over_the_quota_is_a_difference_with_the_command_that_adds_it() {
    let rds = rds_with_restored();
    // Two of the source, and the restored writer.
    rds.set_quota(3);
    let output = step(&rds).run(input()).await.unwrap();
    assert_eq!(output.instances, ["orders-r-1"]);
    let reader = named(&output, "reader orders-2");
    assert!(reader.restored.contains("InstanceQuotaExceeded"), "{reader:?}");
    assert!(reader.todo.contains("L-7B6409FD"), "{reader:?}");
    assert!(
        reader.todo.ends_with(
            "run `aws rds create-db-instance --db-instance-identifier orders-r-2 --db-cluster-identifier orders-r --engine \
             aurora-postgresql --db-instance-class db.r6g.large --promotion-tier 5 --tags \
             Key=aurora-rewind:recovery,Value=operation-001`"
        ),
        "{reader:?}"
    );
    // The rest of the work is done all the same.
    assert!(rds.find("orders-r").unwrap().data_api);
    // The second run asks again: by then there may be room.
    rds.set_quota(4);
    assert_eq!(step(&rds).run(input()).await.unwrap().instances, ["orders-r-1", "orders-r-2"]);
}

#[tokio::test]
async fn a_writer_over_the_quota_fails_with_what_to_raise_and_keeps_the_cluster() {
    let rds = rds_with_restored();
    rds.set_quota(2);
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    let text = error.to_string();
    assert!(text.contains("--quota-code L-7B6409FD") && text.contains("resume"), "{text}");
    assert!(rds.find("orders-r").is_some());
}

fn in_zones(rds: &FakeRds) {
    rds.edit_instances("orders", |instance| {
        instance.availability_zone = Some("us-east-1a".to_owned());
        instance.zones = ["us-east-1a", "us-east-1b"].map(ToOwned::to_owned).to_vec();
    });
}

#[tokio::test]
async fn a_writer_whose_zone_is_full_or_gone_is_made_in_another_and_that_is_a_difference() {
    type Spoil = fn(&FakeRds);
    let spoiled: [Spoil; 2] =
        [|rds| rds.fill_zone("db.r6g.xlarge", Some("us-east-1a")), |rds| rds.withdraw_zone("us-east-1a")];
    for spoil in spoiled {
        let rds = rds_with_restored();
        in_zones(&rds);
        spoil(&rds);
        let first = step(&rds).run(input()).await.unwrap();
        let moved = named(&first, "availability zone of orders-r-1");
        assert_eq!((moved.source.as_str(), moved.restored.as_str()), ("us-east-1a", "us-east-1b"));
        // The second run creates nothing, and reports the same.
        assert_eq!(step(&rds).run(input()).await.unwrap(), first);
        assert_eq!(rds.instances("orders-r").await.unwrap()[0].class, "db.r6g.xlarge");
    }
}

#[tokio::test]
async fn a_writer_whose_class_has_no_capacity_gets_that_of_another_instance_of_the_source() {
    let rds = rds_with_restored();
    in_zones(&rds);
    rds.fill_zone("db.r6g.xlarge", None);
    let output = step(&rds).run(input()).await.unwrap();
    let class = named(&output, "class of orders-r-1");
    assert_eq!(class.source, "db.r6g.xlarge");
    assert!(class.restored.starts_with("db.r6g.large, "), "{class:?}");
    assert!(class.todo.contains("--db-instance-identifier orders-r-1 --db-instance-class db.r6g.xlarge"), "{class:?}");
    // It stays in its zone: only the class was refused.
    assert_eq!(rds.instances("orders-r").await.unwrap()[0].availability_zone.as_deref(), Some("us-east-1a"));
}

#[tokio::test]
async fn a_writer_that_no_class_is_left_for_fails_with_the_command_that_makes_one_by_hand() {
    let rds = rds_with_restored();
    for class in ["db.r6g.xlarge", "db.r6g.large"] {
        rds.fill_zone(class, None);
    }
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    let text = error.to_string();
    assert!(text.contains("create-db-instance --db-instance-identifier orders-r-1"), "{text}");
    // Without it a resume would take the instance for one that somebody needs.
    assert!(text.contains("--tags Key=aurora-rewind:recovery,Value=operation-001` with it, then resume"), "{text}");
    assert!(text.contains("describe-orderable-db-instance-options --engine aurora-postgresql"), "{text}");
    // A writer that a person made by hand since is enough: the planned one is a difference then.
    rds.edit("orders-r", |cluster| {
        cluster.members.push(rewind_aws::rds::Member { instance: "by-hand".to_owned(), writer: true });
    });
    let output = step(&rds).run(input()).await.unwrap();
    assert!(named(&output, "writer orders-1").restored.contains("InsufficientDBInstanceCapacity"));
}

#[tokio::test]
async fn a_reader_is_never_made_of_another_class() {
    let rds = rds_with_restored();
    in_zones(&rds);
    rds.fill_zone("db.r6g.large", None);
    let output = step(&rds).run(input()).await.unwrap();
    assert_eq!(output.instances, ["orders-r-1"]);
    assert!(named(&output, "reader orders-2").restored.contains("InsufficientDBInstanceCapacity"));
}

#[tokio::test]
async fn a_writer_that_came_to_nothing_is_told_and_made_anew_when_it_is_gone() {
    let rds = rds_with_restored();
    step(&rds).run(input()).await.unwrap();
    rds.edit("orders-r", |cluster| cluster.members.clear());
    rds.edit_instances("orders-r", |instance| {
        if instance.name == "orders-r-1" {
            instance.status = "incompatible-network".to_owned();
        }
    });
    let changes = rds.changes().len();
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!((error.name, rds.changes().len()), (ErrorName::RewindFailed, changes));
    assert!(error.to_string().contains("delete-db-instance --db-instance-identifier orders-r-1"), "{error}");
    // Its name is free only when the deletion has ended, so the step is repeated.
    rds.edit_instances("orders-r", |instance| instance.status = "deleting".to_owned());
    assert_eq!(step(&rds).run(input()).await.unwrap_err().name, ErrorName::ClusterNotReady);
    rds.delete_instance("orders-r-1").await.unwrap();
    step(&rds).run(input()).await.unwrap();
    let made = rds.instances("orders-r").await.unwrap();
    assert!(made.iter().any(|instance| instance.name == "orders-r-1" && instance.status == "available"));
}

#[tokio::test]
async fn tags_of_autoscaling_are_not_passed_on() {
    let rds = rds_with_restored();
    rds.edit_instances("orders", |instance| {
        instance.tags.push(("application-autoscaling:resourceId".to_owned(), "cluster:orders".to_owned()));
    });
    step(&rds).run(input()).await.unwrap();
    // Application Auto Scaling would delete a copy as one of its own.
    let made = rds.instances("orders-r").await.unwrap();
    assert!(made.iter().all(|instance| instance.tags.iter().all(|(key, _)| key == RECOVERY_TAG)), "{made:?}");
}

fn writer_part() -> Input {
    Input { part: Part::Writer, ..input() }
}

/// The restored cluster with both instances, of which the reader writes.
async fn failed_over() -> FakeRds {
    let rds = rds_with_restored();
    step(&rds).run(input()).await.unwrap();
    rds.edit("orders-r", |cluster| {
        cluster.members.iter_mut().for_each(|member| member.writer = member.instance == "orders-r-2");
    });
    rds
}

fn writer_of(rds: &FakeRds) -> String {
    rds.find("orders-r").unwrap().members.into_iter().find(|member| member.writer).unwrap().instance
}

#[tokio::test]
async fn the_planned_writer_is_made_the_writer_once() {
    let rds = failed_over().await;
    let output = step(&rds).run(writer_part()).await.unwrap();
    assert_eq!((output.differences, writer_of(&rds).as_str()), (Vec::new(), "orders-r-1"));
    let changes = rds.changes();
    assert_eq!(changes.last().unwrap(), "fail_over orders-r to orders-r-1");
    // A failover ends every connection: the second run makes none.
    step(&rds).run(writer_part()).await.unwrap();
    assert_eq!(rds.changes(), changes);
}

#[tokio::test]
async fn a_failover_whose_answer_or_call_was_lost_ends_the_same() {
    for how in [Lose::Call, Lose::Answer] {
        let rds = failed_over().await;
        rds.lose(0, how);
        let first = step(&rds).run(writer_part()).await.unwrap();
        if how == Lose::Answer {
            assert_eq!((first.differences, writer_of(&rds).as_str()), (Vec::new(), "orders-r-1"));
        } else {
            // Another instance still writes: people are told, and the recovery goes on.
            assert_eq!(first.differences.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_failover_that_changes_nothing_is_a_difference_with_its_command() {
    let rds = failed_over().await;
    rds.keep_writer();
    let output = step(&rds).run(writer_part()).await.unwrap();
    let writer = named(&output, "writer of orders-r");
    assert!(writer.restored.starts_with("orders-r-2 in place of orders-r-1"), "{writer:?}");
    assert!(
        writer.todo.contains(
            "aws rds failover-db-cluster --db-cluster-identifier orders-r --target-db-instance-identifier orders-r-1"
        ),
        "{writer:?}"
    );
}

#[tokio::test]
async fn a_failover_under_way_is_waited_for_and_not_asked_for_again() {
    let rds = failed_over().await;
    rds.edit("orders-r", |cluster| cluster.status = "failing-over".to_owned());
    let before = rds.changes();
    assert_eq!(step(&rds).run(writer_part()).await.unwrap_err().name, ErrorName::ClusterNotReady);
    assert_eq!(rds.changes(), before);
}

#[tokio::test]
async fn a_cluster_of_another_recovery_is_not_failed_over() {
    let rds = failed_over().await;
    rds.edit("orders-r", |cluster| cluster.tags.clear());
    assert_eq!(step(&rds).run(writer_part()).await.unwrap_err().name, ErrorName::Bug);
    assert_eq!(writer_of(&rds), "orders-r-2");
}

#[tokio::test]
async fn the_instances_of_an_adopted_cluster_are_taken_over_and_missing_ones_are_made() {
    let tagged = |owner: &str| vec![(RECOVERY_TAG.to_owned(), owner.to_owned())];
    let rds = rds_with_restored();
    step(&rds).run(input()).await.unwrap();
    rds.delete_instance("orders-r-2").await.unwrap();
    rds.edit_instances("orders-r", |instance| instance.tags = tagged("earlier-1"));
    let owners = vec!["earlier-2".to_owned(), "earlier-1".to_owned()];
    let adopted = Some(Adopted { recovery: "earlier-2".to_owned(), owners, keep_until: None, checks_of_event: false });
    let input = Input { plan: Plan { adopted, ..plan() }, ..input() };
    let made_so_far = rds.changes().len();
    let output = step(&rds).run(input.clone()).await.unwrap();
    assert_eq!(output.instances, ["orders-r-1", "orders-r-2"]);
    let changes = rds.changes().split_off(made_so_far);
    assert!(changes[0].ends_with(":db:orders-r-1") && changes[1] == "create_instance orders-r-2", "{changes:?}");
    // A person's no ends what the earlier recovery made as well: it is this recovery's now.
    let owners = |rds: FakeRds| async move { rds.instances("orders-r").await.unwrap().into_iter().map(|i| i.tags) };
    assert!(owners(rds.clone()).await.all(|tags| tags == tagged(&recovery().id)));

    // What somebody else added stays theirs, and stops the undo.
    rds.edit_instances("orders-r", |instance| instance.tags = tagged("somebody"));
    step(&rds).run(input).await.unwrap();
    assert!(owners(rds).await.all(|tags| tags == tagged("somebody")));
}

#[tokio::test]
async fn what_waits_for_the_maintenance_window_of_an_adopted_cluster_is_not_started() {
    let rds = rds_with_restored();
    let adopted = Some(Adopted {
        recovery: "earlier".to_owned(),
        owners: vec!["earlier".to_owned()],
        keep_until: None,
        checks_of_event: false,
    });
    let input = Input { plan: Plan { adopted, ..plan() }, ..input() };
    rds.edit("orders", |source| source.maintenance_window = Some("sun:05:00-sun:05:30".to_owned()));
    let before = rds.find("orders-r").unwrap();
    rds.edit("orders-r", |cluster| cluster.pending = vec!["engine version 99.1".to_owned()]);
    let output = step(&rds).run(input.clone()).await.unwrap();
    let now = rds.find("orders-r").unwrap();
    assert_eq!((&now.engine_version, &now.maintenance_window), (&before.engine_version, &before.maintenance_window));
    let told = |output: &Output| {
        let is_it = |difference: &&Difference| difference.what == "windows, backups and monitoring";
        output.differences.iter().find(is_it).map(|difference| difference.restored.clone())
    };
    assert!(told(&output).unwrap().contains("engine version 99.1"), "{:?}", output.differences);

    // The retention that a run before this one has asked for is no reason: the call sets it again.
    rds.edit("orders", |source| source.backup_retention = Some(35));
    rds.edit("orders-r", |cluster| cluster.pending = vec!["backup retention 35".to_owned()]);
    let output = step(&rds).run(input).await.unwrap();
    assert_eq!(told(&output), None);
    assert_eq!(rds.find("orders-r").unwrap().maintenance_window.as_deref(), Some("sun:05:00-sun:05:30"));
}
