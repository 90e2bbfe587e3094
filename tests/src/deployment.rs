//! The template in an account that nobody prepared: it can be deployed there, holds itself to limits, and calls people.

use crate::files;
use crate::machine::Machine;
use crate::template::{Template, texts};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn resources<'a>(template: &'a Template, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    template.section("Resources").filter(move |(_, resource)| resource["Type"] == kind)
}

#[test]
fn every_alarm_pages() {
    let template = Template::read();
    let alarms: BTreeSet<&str> = resources(&template, "AWS::CloudWatch::Alarm").map(|(name, _)| name).collect();
    let expected = [
        "ChatDroppedAlarm",
        "CleanUpNotStartedAlarm",
        "DeadLettersAlarm",
        "FailedEvaluationAlarm",
        "NeedsOperatorAlarm",
        "NotCleanedUpAlarm",
        "RolledBackAlarm",
        "UndoStoppedAlarm",
        "UnheardAlarm",
    ];
    // By name, so that an alarm that is renamed or dropped is missed here and not in the night.
    assert_eq!(alarms, BTreeSet::from(expected));
    for name in alarms {
        let alarm = template.resource(name);
        assert_eq!(texts(&alarm["AlarmActions"]), ["Pages"], "{name}");
        // A new stack has no data yet, and nothing to page about.
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
    }
    let pattern = template.resource("FailedEvaluationMetric")["FilterPattern"].as_str().unwrap();
    assert_eq!(pattern, r#"{ $.type = "EvaluationFailed" }"#);
    // An undo that was stopped before its first change pages nobody: the machine that finds it out comes to another state then.
    let stopped = template.resource("UndoStoppedMetric")["FilterPattern"].as_str().unwrap();
    let machine = Machine::stopped();
    let (_, state) = machine.states().find(|(name, _)| stopped.contains(&format!("\"{name}\""))).unwrap();
    assert_eq!((stopped.split('"').nth(1), &state["Type"]), (Some("PassStateEntered"), &Value::from("Pass")));
    assert!(state.to_string().contains("may be fenced") && state.to_string().contains("NeedsOperator"), "{state}");
    // The line that the filter looks for is the function's.
    let unheard = template.resource("UnheardMetric")["FilterPattern"].as_str().unwrap();
    let line = unheard.split('"').nth(1).unwrap();
    assert!(files::read("functions/request-approval/src/lib.rs").contains(&format!("\"{line}\"")), "{line}");
    let started = &template.resource("CleanUpNotStartedAlarm")["Metrics"][0]["MetricStat"]["Metric"];
    assert_eq!(
        (&started["MetricName"], &started["Dimensions"][0]["Value"]),
        (&"ExecutionsStarted".into(), &"CleanUpMachine".into())
    );
}

#[test]
fn what_anybody_can_call_has_a_limit() {
    let template = Template::read();
    let mut public = 0;
    for (name, function) in
        template.functions().filter(|(_, function)| function["FunctionUrlConfig"]["AuthType"] == "NONE")
    {
        let limit = &function["ReservedConcurrentExecutions"];
        // Concurrency is shared by all functions of an account and Region, those of other teams included.
        assert_eq!(texts(limit)[1], "ChatConcurrency", "{name} could use up the concurrency of the account");
        public += 1;
    }
    // A property that is spelt otherwise would leave the loop with nothing to check.
    assert_eq!(public, 1);
    let parameter = template.section("Parameters").find(|(name, _)| *name == "ChatConcurrency").unwrap().1;
    assert!(parameter["Default"].as_str().unwrap().parse::<u16>().unwrap() > 0, "there is a limit by default");
}

#[test]
fn a_first_deployment_that_fails_leaves_nothing_behind() {
    let template = Template::read();
    for (name, resource) in template.section("Resources") {
        // A retained resource keeps its name, and the next attempt fails because that exists.
        assert_ne!(resource["DeletionPolicy"], "Retain", "{name} would be in the way of the next attempt");
    }
    // The table holds the records of all recoveries, which must outlive a stack that is deleted by mistake.
    let (_, table) = template.section("Resources").find(|(name, _)| *name == "Table").unwrap();
    assert_eq!(
        (&table["DeletionPolicy"], &table["UpdateReplacePolicy"]),
        (&"RetainExceptOnCreate".into(), &"Retain".into())
    );
}

/// CloudFormation cuts the names that it makes to the length that a resource may have; names made by hand fail.
#[test]
fn no_name_is_made_by_hand() {
    let template = Template::read();
    let names = Regex::new(
        r"^(Alarm|Dashboard|Function|Group|LogGroup|ManagedPolicy|Queue|Role|StateMachine|Table|Topic)?Name$",
    )
    .unwrap();
    for (name, resource) in template.section("Resources") {
        let kind = resource["Type"].as_str().unwrap();
        for (property, value) in resource["Properties"].as_object().into_iter().flatten() {
            let of_another = ["AWS::Lambda::Permission", "AWS::Logs::MetricFilter"].contains(&kind);
            let of_metric = kind == "AWS::CloudWatch::Alarm" && property != "AlarmName";
            // CloudFormation makes none for these: AWS asks for the beginning of the one, and for all of the other. Both may be long.
            let asked_for = [("RewindLog", "LogGroupName"), ("EventBus", "Name")].contains(&(name, property.as_str()));
            assert!(
                !names.is_match(property) || of_another || of_metric || asked_for,
                "{name} has the {property} {value}"
            );
        }
    }
}

#[test]
fn functions_in_a_vpc_are_given_all_that_they_need_there_or_the_deployment_is_refused() {
    let template = Template::read();
    // CloudFormation checks rules before it creates anything, so a wrong parameter costs a second and not a rollback.
    let rules: Vec<(&str, String, String)> = template
        .section("Rules")
        .map(|(name, rule)| (name, rule["RuleCondition"].to_string(), rule["Assertions"][0]["Assert"].to_string()))
        .collect();
    let asks = |condition: &str, needs: &[&str]| {
        rules.iter().any(|(_, when, assert)| when.contains(condition) && needs.iter().all(|need| assert.contains(need)))
    };
    assert!(asks("VpcId", &["SubnetIds"]), "{rules:?}");
    assert!(asks("SubnetIds", &["VpcId", "SecurityGroupIds"]), "{rules:?}");
    assert!(asks("SecurityGroupIds", &["SubnetIds"]), "{rules:?}");
}

/// EventBridge puts a value between quotes as it is, and quotes it itself where it stands alone.
#[test]
fn messages_arrive_whole_whatever_is_in_them() {
    let template = Template::read();
    let variable = Regex::new(r#"("[^"<>]*)?<(\w+)>"#).unwrap();
    let alone = Regex::new(r": <\w+>").unwrap();
    let inside = Regex::new(r"<(\w+)>").unwrap();
    let mut messages = 0;
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        for target in rule["Properties"]["Targets"].as_array().unwrap() {
            let transformer = &target["InputTransformer"];
            let Some(text) = transformer["InputTemplate"].as_str() else { continue };
            // EventBridge quotes what stands alone by itself, so a string takes its place here.
            let message: Value = serde_json::from_str(&alone.replace_all(text, r#": "x""#))
                .unwrap_or_else(|e| panic!("{name} sends no JSON: {e}"));
            let given: BTreeSet<&str> =
                transformer["InputPathsMap"].as_object().unwrap().keys().map(String::as_str).collect();
            let used: BTreeSet<&str> =
                variable.captures_iter(text).map(|found| found.get(2).unwrap().as_str()).collect();
            assert_eq!(used, given, "{name}");
            for found in inside.captures_iter(&message.to_string()) {
                // Text that people or AWS write may have a quote or a newline in it, which breaks the JSON around it.
                assert!(["id", "status"].contains(&&found[1]), "{name} has {} between quotes", &found[1]);
            }
            if target["Arn"] == "Notifications" {
                // https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
                assert_eq!((&message["version"], &message["source"]), (&"1.0".into(), &"custom".into()), "{name}");
                assert!(message["content"]["description"].is_string(), "{name} has no description");
            }
            messages += 1;
        }
    }
    // A transformer that is written in another way would not be looked at.
    assert_eq!(messages, 7);
}

/// A role that is forgotten there fails at the table or at its environment, and only where somebody gives a key.
#[test]
fn a_key_of_your_own_serves_every_function_and_every_machine() {
    let template = Template::read();
    // SAM makes the functions' roles, and derives their names: nothing else in the template shows them.
    let listed = texts(&template.resource("KeyPolicy")["Roles"]);
    let roles = listed.into_iter().filter(|role| role.ends_with("Role"));
    let functions = template.functions().map(|(name, _)| format!("{name}FunctionRole"));
    let machines = Machine::all().map(|machine| format!("{}Role", machine.resource));
    assert_eq!(roles.collect::<BTreeSet<_>>(), functions.chain(machines).collect::<BTreeSet<_>>());
}

/// Without it a deployment by defaults could be told at three in the morning that nobody can approve.
#[test]
fn a_deployment_that_nobody_could_approve_in_is_refused() {
    let template = Template::read();
    let rules: BTreeMap<&str, &Value> = template.section("Rules").collect();
    let rule = &rules["TwoPeopleNeedNames"];
    let (when, assertion) = (rule["RuleCondition"].to_string(), rule["Assertions"][0]["Assert"].to_string());
    assert!(when.contains("TwoPeople") && when.contains("always") && when.contains("MayStart"), "{when}");
    assert!(assertion.contains("People"), "{assertion}");
}

#[test]
fn nothing_is_open_that_nobody_named() {
    let template = Template::read();
    let parameters: BTreeMap<&str, &Value> = template.section("Parameters").collect();
    // Of those that have to be given none can be forgotten: the deployment asks for it.
    for name in [
        "ChatApprovers",
        "ChatRequesters",
        "ChatTeam",
        "CheckDatabases",
        "CheckFunctions",
        "NamedSessions",
        "NewClusterPattern",
        "OtherCheckSecretArns",
        "People",
        "RequestBus",
    ] {
        assert_eq!(parameters[name]["Default"], "", "{name}");
    }
    // Where it is left out, the rule listens where it listened, and whoever opens it has to say which bus.
    let rules: BTreeMap<&str, &Value> = template.section("Rules").collect();
    let rule = rules["EventsNeedABus"].to_string();
    assert!(["EventsMayStart", "ENABLED", "RequestBus"].iter().all(|part| rule.contains(part)), "{rule}");
}
