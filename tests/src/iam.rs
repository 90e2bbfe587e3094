//! IAM actions, from the call of the SDK to the policy: each adapter names the actions of its calls in its documentation,
//! each step names those of the adapters that it uses, and each function's role allows those and no others.

use crate::files;
use crate::functions::Function;
use crate::template::{Template, texts};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;

/// A method of an adapter, with the actions that its documentation names.
struct Adapter {
    port: String,
    method: String,
    actions: BTreeSet<String>,
    body: String,
}

/// Reads `impl Port for Adapter { /// IAM: `…`. async fn method(…) … }` from the sources of rewind-aws.
fn adapters() -> Vec<Adapter> {
    let mut sources: Vec<String> = Vec::new();
    for folder in ["crates/rewind-aws/src", "crates/rewind-aws/src/fence_records", "crates/rewind-aws/src/rds"] {
        let rust = files::names_in(folder).into_iter().filter(|name| name.ends_with(".rs") && name != "fake.rs");
        // What names no SDK is no adapter.
        sources.extend(rust.map(|name| {
            let source = files::read(format!("{folder}/{name}"));
            source.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
        }));
        sources.retain(|source| source.contains("aws_sdk_"));
    }
    let implementation = Regex::new(r"(?s)\nimpl (\w+) for \w+ \{\n(.*?)\n\}\n").unwrap();
    let method = Regex::new(r"(?m)^    async fn (\w+)\(").unwrap();
    let named = Regex::new(r"`(\w+:\w+)`").unwrap();
    let mut found = Vec::new();
    for source in &sources {
        for block in implementation.captures_iter(source) {
            let body = &block[2];
            let starts: Vec<_> = method.captures_iter(body).collect();
            for (i, start) in starts.iter().enumerate() {
                let at = start.get(0).unwrap().start();
                let end = starts.get(i + 1).map_or(body.len(), |next| next.get(0).unwrap().start());
                let documentation: Vec<&str> =
                    body[..at].lines().rev().take_while(|line| line.trim_start().starts_with("///")).collect();
                let iam =
                    documentation.iter().filter(|line| line.contains("IAM:") || line.trim_start().starts_with("/// `"));
                let actions = iam
                    .flat_map(|line| named.captures_iter(line).map(|c| c[1].to_owned()).collect::<Vec<_>>())
                    .collect();
                found.push(Adapter {
                    port: block[1].to_owned(),
                    method: start[1].to_owned(),
                    actions,
                    body: body[at..end].to_owned(),
                });
            }
        }
    }
    // A pattern that matches nothing would let every function pass.
    assert!(found.len() > 10, "the adapters are written otherwise than this test reads them");
    found
}

/// `rds:RestoreDBClusterToPointInTime` as the SDK's method: `restore_db_cluster_to_point_in_time`.
fn sdk_method(action: &str) -> String {
    if action == "lambda:InvokeFunction" {
        return "invoke".to_owned(); // the one action that is not named after its call
    }
    let name = action.split_once(':').unwrap().1.replace("DB", "Db");
    let mut method = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && i > 0 {
            method.push('_');
        }
        method.extend(letter.to_lowercase());
    }
    method
}

/// Actions that AWS checks besides the call's own, and that no call is named after.
const IMPLIED: [&str; 2] = ["iam:PassRole", "rds:CreateDBClusterSnapshot"];

#[test]
fn each_adapter_names_the_action_of_every_sdk_call_that_it_makes() {
    for adapter in adapters() {
        let at = format!("{}::{}", adapter.port, adapter.method);
        assert!(
            !adapter.actions.is_empty(),
            "{at} does not say which IAM actions it needs: /// IAM: `service:Action`."
        );
        for action in adapter.actions.iter().filter(|action| !IMPLIED.contains(&action.as_str())) {
            let method = sdk_method(action);
            // Tags in a call that creates something need the permission to tag as well.
            let tagging = action == "rds:AddTagsToResource"
                && ["set_tags(", "final_db_snapshot_identifier("].iter().any(|tagging| adapter.body.contains(tagging));
            let tagging = tagging || action == "secretsmanager:TagResource" && adapter.body.contains(".tags(");
            // AWS authorises each part of a transaction as the call that it stands for.
            let in_transaction = adapter.body.contains(".transact_write_items()")
                && adapter.body.contains(&format!(
                    "{}::builder()",
                    action.trim_start_matches("dynamodb:").trim_end_matches("Item")
                ));
            // An adapter may call another one, whose action its callers need as well.
            let by_another = adapters().iter().any(|other| {
                adapter.body.contains(&format!(".{}(", other.method)) && other.body.contains(&format!(".{method}()"))
            });
            assert!(
                adapter.body.contains(&format!(".{method}()")) || tagging || in_transaction || by_another,
                "{at} names {action} and does not call {method}"
            );
        }
    }
}

#[test]
fn each_step_names_the_actions_of_the_adapters_that_it_uses() {
    let adapters = adapters();
    for function in Function::all() {
        let used = adapters.iter().filter(|adapter| {
            // By port and method: another trait may have a method of the same name.
            let named = Regex::new(&format!(r"\b{}\b", adapter.port)).unwrap().is_match(&function.source);
            // rewind-lambda calls it, before the step.
            let is_before_the_step = adapter.port == "VerifyPlans" && function.verifies_plans();
            named && function.calls(&adapter.method) || is_before_the_step
        });
        let needed: BTreeSet<String> = used.flat_map(|adapter| adapter.actions.clone()).collect();
        assert_eq!(function.actions(), needed, "ACTIONS of {} (left) against its calls (right)", function.stem);
    }
}

/// AWS allows it to whoever signs a request, whatever policies say: there, not to the function.
const ALLOWED_TO_ALL: &str = "sts:GetCallerIdentity";

#[test]
fn each_role_allows_what_its_function_calls_and_no_more() {
    let template = Template::read();
    for function in Function::all() {
        let resource = template.resource(&format!("{}Function", function.name));
        let mut statements = Template::statements(resource);
        // Apart from the role where a policy names what is created after it.
        statements.extend(template.statements_of_policies_of(&format!("{}FunctionRole", function.name)));
        let called = function.actions();
        // Other keys are used in the caller's name by the service that is called, so no call of ours shows them.
        let is_through_a_service = |action: &String| action.starts_with("kms:") && !called.contains(action);
        let (keys, calls): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|s| texts(&s["Action"]).iter().all(is_through_a_service));
        let needed: BTreeSet<String> =
            function.actions().into_iter().filter(|action| action != ALLOWED_TO_ALL).collect();
        assert_eq!(Template::actions(calls), needed, "policy (left) of {} against its calls (right)", function.stem);
        for statement in keys {
            // Without the condition the role could decrypt anything that the key protects.
            let through = statement["Condition"]["StringEquals"]["kms:ViaService"].as_str();
            // A key's policy is the customer's: the role is the only place where we can narrow it.
            assert!(through.is_some(), "{}: {} is not held to a service", function.stem, statement["Sid"]);
            let service = through.unwrap().split('.').next().unwrap();
            assert!(
                function.actions().iter().any(|action| action.starts_with(&format!("{service}:"))),
                "{}: {} is for {service}, which it does not call",
                function.stem,
                statement["Sid"]
            );
        }
    }
}

#[test]
fn with_zones_elsewhere_functions_assume_their_role_and_may_nothing_of_route_53_themselves() {
    let template = Template::read();
    let mut found = 0;
    for function in Function::all() {
        let resource = template.resource(&format!("{}Function", function.name));
        let actions = |holds| Template::actions(Template::statements_where(resource, "ZonesElsewhere", holds));
        let calls = function.actions().iter().any(|action| action.starts_with("route53:"));
        let expected: &[&str] = if calls { &["sts:AssumeRole"] } else { &[] };
        let zones = |actions: BTreeSet<String>| -> Vec<String> {
            actions.into_iter().filter(|a| a.starts_with("route53:") || a.starts_with("sts:")).collect()
        };
        assert_eq!(zones(actions(true)), expected, "{}", function.stem);
        let own: Vec<String> = function.actions().into_iter().filter(|a| a.starts_with("route53:")).collect();
        assert_eq!(zones(actions(false)), own, "{}", function.stem);
        // Whoever only reads records has a role that cannot move them.
        let moves = own.iter().any(|action| action == "route53:ChangeResourceRecordSets");
        let parameter = Value::from(if moves { "HostedZoneRoleArn" } else { "HostedZoneReadRoleArn" });
        let role = &resource["Environment"]["Variables"]["REWIND_HOSTED_ZONE_ROLE_ARN"];
        assert_eq!(role, if calls { &parameter } else { &Value::Null }, "{}", function.stem);
        let elsewhere = Template::statements_where(resource, "ZonesElsewhere", true);
        let assumed = elsewhere.into_iter().filter(|statement| statement["Action"] == "sts:AssumeRole");
        assert!(assumed.map(|statement| &statement["Resource"]).all(|of| of == &parameter), "{}", function.stem);
        assert!(
            // The subnets of a VPC may have no route to Route 53, whose API is on the public network.
            !calls || resource["VpcConfig"].is_null(),
            "{}: in the VPC Route 53 need not be reachable",
            function.stem
        );
        found += usize::from(calls);
    }
    // So that a renamed condition in the template cannot make this test pass for nobody.
    assert!(found >= 4);
}

/// The tags that a recovery sets: on what it created, and on what it kept (the clone, the source's instances, the source).
const MARKS: [&str; 3] = ["recovery", "fenced-by", "keep-until"];

/// Actions that only read, and that AWS authorises on no resource.
const WITHOUT_RESOURCES: [&str; 3] =
    ["rds:DescribeAccountAttributes", "rds:DescribeCertificates", "route53:ListHostedZones"];

#[test]
fn no_role_allows_a_wildcard_or_deletes_what_no_recovery_made_or_kept() {
    let template = Template::read();
    for (name, function) in template.functions() {
        for statement in Template::statements(function) {
            assert!(statement["Sid"].is_string(), "{name}: a statement says what it is for in its Sid");
            for action in texts(&statement["Action"]) {
                // A wildcard grows with every action that AWS adds.
                assert!(!action.contains('*'), "{name} allows {action}");
                let tagged = MARKS.iter().any(|mark| {
                    statement["Condition"]["Null"][format!("aws:ResourceTag/aurora-rewind:{mark}")] == "false"
                });
                // A cluster's deletion is authorised on its final snapshot too, which is not there yet to bear a tag.
                let snapshot = action == "rds:DeleteDBCluster"
                    && texts(&statement["Resource"]).iter().all(|on| on.contains(":cluster-snapshot:"));
                assert!(
                    !action.contains(":Delete") || tagged || snapshot,
                    "{name} allows {action} of what no recovery made or kept"
                );
            }
            let has_none =
                texts(&statement["Action"]).iter().all(|action| WITHOUT_RESOURCES.contains(&action.as_str()));
            assert!(
                has_none || texts(&statement["Resource"]).iter().all(|on| on != "*"),
                "{name}: {} is for everything",
                statement["Sid"]
            );
        }
    }
}
