//! The template as the tests see it: `!Ref`, `!GetAtt` and `!Sub` are read as the text behind them.

use crate::files;
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeSet;

pub(crate) struct Template(Value);

impl Template {
    pub(crate) fn read() -> Self {
        Self(plain(serde_yaml_ng::from_str(&files::read("infra/template.yaml")).expect("the template is YAML")))
    }

    pub(crate) fn resource(&self, name: &str) -> &Value {
        let resource = &self.0["Resources"][name];
        // serde_json answers null for a missing key, and a test on null would pass.
        assert!(resource.is_object(), "the template has no resource {name}");
        &resource["Properties"]
    }

    /// The value of an output.
    pub(crate) fn output(&self, name: &str) -> &Value {
        &self.0["Outputs"][name]["Value"]
    }

    /// The functions, by resource name without `Function`.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.0["Resources"].as_object().unwrap();
        resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function").map(
            |(name, resource)| {
                let stem = name.strip_suffix("Function").unwrap_or_else(|| panic!("{name} does not end in Function"));
                (stem, &resource["Properties"])
            },
        )
    }

    /// The policies that belong to no function, by resource name, each with its statements: of roles, and of what is shared.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (&str, Vec<&Value>)> {
        let resources = self.0["Resources"].as_object().unwrap();
        resources.iter().filter_map(|(name, resource)| {
            let properties = &resource["Properties"];
            let documents: Vec<&Value> = match resource["Type"].as_str().unwrap() {
                "AWS::IAM::Role" => properties["Policies"].as_array()?.iter().map(|p| &p["PolicyDocument"]).collect(),
                "AWS::KMS::Key" => vec![&properties["KeyPolicy"]],
                _ => vec![properties.get("PolicyDocument")?],
            };
            let statements = documents.into_iter().flat_map(|document| document["Statement"].as_array().unwrap());
            Some((name.as_str(), statements.collect()))
        })
    }

    /// The statements of the policies for the role `role` alone, which stand apart from it.
    pub(crate) fn statements_of_policies_of(&self, role: &str) -> Vec<&Value> {
        let alone =
            |policy: &&Value| policy["Properties"]["Roles"].as_array().is_some_and(|r| r.len() == 1 && r[0] == role);
        let policies = self.section("Resources").map(|(_, policy)| policy).filter(|p| p["Type"] == "AWS::IAM::Policy");
        let documents = policies.filter(alone).map(|policy| &policy["Properties"]["PolicyDocument"]["Statement"]);
        documents.flat_map(|statements| statements.as_array().unwrap()).collect()
    }

    /// A section of the template, such as its parameters, in alphabetical order.
    pub(crate) fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.0[name].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// A property of a function, or what all functions have.
    pub(crate) fn of_function<'a>(&'a self, function: &'a Value, property: &str) -> &'a Value {
        // As SAM does: a function's own value comes before that of Globals.
        function.get(property).unwrap_or_else(|| self.of_every_function(property))
    }

    /// A property that all functions have.
    pub(crate) fn of_every_function(&self, property: &str) -> &Value {
        &self.0["Globals"]["Function"][property]
    }

    /// The statements of a function's policies, of each `!If` both sides.
    pub(crate) fn statements(function: &Value) -> Vec<&Value> {
        let policies = function["Policies"].as_array().into_iter().flatten();
        let listed = policies.flat_map(|policy| policy["Statement"].as_array().unwrap());
        listed
            // Both sides of a condition can be deployed, so both are held to the rules.
            .flat_map(|item| item.as_array().map_or(vec![item], |sides| sides[1..].iter().collect()))
            .filter(|statement| *statement != "AWS::NoValue")
            .collect()
    }

    /// The statements of a function's policies where `condition` holds, or where it does not.
    pub(crate) fn statements_where<'a>(function: &'a Value, condition: &str, holds: bool) -> Vec<&'a Value> {
        let policies = function["Policies"].as_array().into_iter().flatten();
        let listed = policies.flat_map(|policy| policy["Statement"].as_array().unwrap());
        listed
            .map(|item| match item.as_array() {
                None => item,
                Some(sides) => {
                    // Another condition would be read as this one, on the wrong side.
                    assert_eq!(sides[0], condition, "a statement depends on another condition");
                    &sides[if holds { 1 } else { 2 }]
                }
            })
            .filter(|statement| *statement != "AWS::NoValue")
            .collect()
    }

    /// The actions of statements.
    pub(crate) fn actions<'a>(statements: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
        statements.into_iter().flat_map(|statement| texts(&statement["Action"])).collect()
    }
}

/// A text, or a list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        // Skipping it would leave a resource or an action out of every comparison.
        other => panic!("{other} is no text"),
    }
}

fn plain(yaml: Yaml) -> Value {
    match yaml {
        // The tests compare names, and not the way in which CloudFormation resolves them.
        Yaml::Tagged(tagged) => plain(tagged.value),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(fields) => {
            fields.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), plain(value))).collect()
        }
        other => serde_json::to_value(other).unwrap(),
    }
}
