//! Writes `docs/template.md` from the template: its parameters, permissions and outputs.
//! The `Sid` of a statement and the comment behind it say what each permission is for.
//!
//! `REWIND_DRAW=1 cargo test --locked -p rewind-tests install` writes it again.

use crate::files;
use crate::functions::Function;
use crate::template::{Template, texts};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const PAGE: &str = "docs/template.md";
const TEMPLATE: &str = "infra/template.yaml";
const EXAMPLE: &str = "infra/parameters.example.json";

/// The comments behind `Sid:` lines, by resource and Sid. A resource has each Sid once.
fn comments() -> BTreeMap<(String, String), String> {
    let resource = Regex::new(r"^  (\w+):\s*(#.*)?$").unwrap();
    let sid = Regex::new(r"^\s*(?:- )?Sid: (\w+)(?: # (.*))?$").unwrap();
    let text = files::read(TEMPLATE);
    let mut current = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(captured) = resource.captures(line) {
            captured[1].clone_into(&mut current);
        } else if let Some(captured) = sid.captures(line) {
            let comment = captured.get(2).map_or("", |comment| comment.as_str()).to_owned();
            let before = found.insert((current.clone(), captured[1].to_owned()), comment);
            // The comment is found by the Sid alone, so a second one would get the first one's reason.
            assert!(before.is_none(), "{current} has two statements with the Sid {}", &captured[1]);
        }
    }
    assert!(found.len() > 10, "the statements are written otherwise than this test reads them");
    found
}

/// `ReadTheLogin` as words: `read the login`.
fn words(sid: &str) -> String {
    let mut text = String::new();
    for letter in sid.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// `SwapDns` as the stem `swap-dns`.
fn stem(name: &str) -> String {
    words(name).replace(' ', "-")
}

/// The texts of a value, of an `!If` one side.
fn shown(value: &Value) -> Vec<String> {
    match value.as_array().map(Vec::as_slice) {
        // `!If [Condition, nothing, !Ref Parameter]`: the parameter's own description says what an empty one means.
        Some([Value::String(_), Value::Array(_), Value::String(parameter)]) => vec![parameter.clone()],
        // `!If [Condition, with, without]`: with the parameter there are more.
        Some([Value::String(_), with @ Value::Array(_), Value::Array(_)]) => texts(with),
        _ => texts(value),
    }
}

/// The resources of a statement as people name them: this account's, in this Region, goes without saying.
fn on(statement: &Value) -> String {
    let pseudo = Regex::new(r"\$\{AWS::\w+\}").unwrap();
    let short = Regex::new(r"^arn:[^:]*:([\w-]+):[^:]*:[^:]*:(.+)$").unwrap();
    let resources = shown(&statement["Resource"]);
    let shown: Vec<String> = resources
        .iter()
        .map(|resource| match short.captures(&pseudo.replace_all(resource, "")) {
            Some(arn) => format!("{} `{}`", &arn[1], &arn[2]),
            None if resource == "*" => "everything: it has no resources".to_owned(),
            None => format!("`{}`", resource.trim_end_matches(".Arn")),
        })
        .collect();
    shown.join(", ")
}

/// The conditions of a statement.
fn only(statement: &Value) -> String {
    // `!If [Condition, the condition, nothing]`: named, because without it there is none.
    let (condition, when) = match statement["Condition"].as_array().map(Vec::as_slice) {
        Some([Value::String(name), condition, _]) => (condition, format!(" (`{name}`)")),
        _ => (&statement["Condition"], String::new()),
    };
    let mut shown_keys = Vec::new();
    for (operator, keys) in condition.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().unwrap() {
            let values = shown(value).join("` or `");
            let not = if operator.contains("Not") { "not " } else { "" };
            let or_absent = if operator.ends_with("IfExists") { ", if there is one" } else { "" };
            shown_keys.push(match (operator.as_str(), value.as_str()) {
                ("Null", Some("false")) => format!("with `{key}`"),
                ("Null", Some(_)) => format!("without `{key}`"),
                _ => format!("`{key}` is {not}`{values}`{or_absent}"),
            });
        }
    }
    format!("{}{when}", shown_keys.join("; "))
        .replace("${AWS::Region}", "<Region>")
        .replace("${AWS::URLSuffix}", "amazonaws.com")
}

fn rows(
    text: &mut String,
    who: &str,
    resource: &str,
    statements: &[&Value],
    comments: &BTreeMap<(String, String), String>,
) {
    for statement in statements {
        let sid = statement["Sid"].as_str().unwrap_or_else(|| panic!("{resource}: a statement without a Sid"));
        // Of a statement that stands elsewhere (`*alias`), the comment does too.
        // YAML's anchors are resolved before this test sees the statements.
        let elsewhere = || comments.iter().find(|((_, other), _)| other == sid).map(|(_, comment)| comment);
        let comment =
            comments.get(&(resource.to_owned(), sid.to_owned())).or_else(elsewhere).map_or("", String::as_str);
        let what = format!("{}{}{comment}", words(sid), if comment.is_empty() { "" } else { ": " });
        let actions: Vec<String> = texts(&statement["Action"]).iter().map(|action| format!("`{action}`")).collect();
        writeln!(text, "| {who} | {what} | {} | {} | {} |", actions.join(", "), on(statement), only(statement))
            .unwrap();
    }
}

fn page() -> String {
    let template = Template::read();
    let comments = comments();
    let mut text = "# What the stack asks of an account\n\nWritten from `infra/template.yaml` by `tests/src/install.rs`: do \
        not edit it here. How to install it: [install.md](install.md).\n\n## Parameters\n\n| parameter | default | what it \
        is |\n|---|---|---|\n"
        .to_owned();
    for (name, parameter) in template.section("Parameters") {
        let what = parameter["Description"].as_str().unwrap_or_else(|| panic!("{name} has no description")).trim();
        let default = match parameter.get("Default") {
            None => "none: it must be given".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        };
        writeln!(text, "| `{name}` | {default} | {what} |").unwrap();
    }
    text.push_str(
        "\n## Permissions\n\nEach function has a role of its own; a name that is no function's is that of a resource in \
        the template. The tests hold them to the calls that the code makes, in both directions.\n\n| who | what for | \
        actions | on | only |\n|---|---|---|---|---|\n",
    );
    for (name, function) in template.functions() {
        rows(&mut text, &stem(name), &format!("{name}Function"), &Template::statements(function), &comments);
    }
    for (name, statements) in template.policies() {
        rows(&mut text, &format!("`{name}`"), name, &statements, &comments);
    }
    text.push_str("\n## Outputs\n\n| output | what it is |\n|---|---|\n");
    for (name, output) in template.section("Outputs") {
        writeln!(text, "| `{name}` | {} |", output["Description"].as_str().unwrap().trim()).unwrap();
    }
    text
}

#[test]
fn the_page_about_the_template_is_of_the_present_template() {
    let page = page();
    // Written by the test that checks it, so that the two can never disagree about the form.
    if std::env::var_os("REWIND_DRAW").is_some() {
        std::fs::write(files::root().join(PAGE), &page).unwrap();
    }
    assert!(
        files::read(PAGE) == page,
        "{PAGE} is out of date: REWIND_DRAW=1 cargo test --locked -p rewind-tests install"
    );
}

#[test]
fn the_page_has_every_action_that_the_template_allows() {
    let page = files::read(PAGE);
    let allowed = Regex::new(r"\b[a-z0-9-]+:[A-Z]\w+").unwrap();
    // By another way than the page is written: as text, without knowing where policies stand.
    let text = files::read(TEMPLATE);
    let actions: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', '"']))
        .flat_map(|line| allowed.find_iter(line.split(" #").next().unwrap()))
        .map(|found| found.as_str())
        .filter(|action| {
            !action.starts_with("sts:") && !action.starts_with("aws:") && !action.starts_with("iam:Passed")
        })
        .collect();
    // A template that is written in another form would have no actions for this pattern.
    assert!(actions.len() > 20);
    for action in actions {
        assert!(page.contains(&format!("`{action}`")), "{PAGE} does not tell what {action} is for");
    }
}

#[test]
fn the_example_of_parameters_names_those_of_the_template_and_all_that_must_be_given() {
    let example: Value = serde_json::from_str(&files::read(EXAMPLE)).unwrap();
    let given: BTreeSet<&str> = example["Parameters"].as_object().unwrap().keys().map(String::as_str).collect();
    let template = Template::read();
    let known: BTreeSet<&str> = template.section("Parameters").map(|(name, _)| name).collect();
    assert_eq!(given.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "{EXAMPLE} has what is no parameter");
    for (name, _) in template.section("Parameters").filter(|(_, parameter)| parameter.get("Default").is_none()) {
        assert!(given.contains(name), "{EXAMPLE} lacks {name}, which must be given");
    }
}

#[test]
fn the_functions_that_connect_to_databases_get_the_certificates_where_packaging_puts_them() {
    let script = files::read("infra/package.py");
    let packaged = Regex::new(r#"(?m)^AUTHORITIES = "(.+)"$"#).unwrap().captures(&script).unwrap()[1].to_owned();
    let connects = Regex::new(r#"(?m)^DATABASE_CRATES = re.compile\(r"(.+)", re.MULTILINE\)$"#).unwrap();
    let connects = Regex::new(&format!("(?m){}", &connects.captures(&script).unwrap()[1])).unwrap();

    let template = Template::read();
    let (_, bundle) = template.section("Parameters").find(|(name, _)| *name == "DatabaseCaBundle").unwrap();
    // A wrong path shows as a TLS error of the first recovery, not of the deployment.
    assert_eq!(bundle["Default"], format!("/var/task/{packaged}"), "Lambda unpacks the zip in /var/task");
    let mut found = 0;
    for function in Function::all() {
        let resource = template.resource(&format!("{}Function", function.name));
        let given = &resource["Environment"]["Variables"]["REWIND_DATABASE_CA_BUNDLE"];
        let expected =
            if connects.is_match(&function.manifest) { Value::from("DatabaseCaBundle") } else { Value::Null };
        assert_eq!(*given, expected, "{}: REWIND_DATABASE_CA_BUNDLE in the template", function.stem);
        found += usize::from(!given.is_null());
    }
    // The pattern comes from the script: if it matched nothing, no function would be expected to have a bundle.
    assert!(found >= 3);
}
