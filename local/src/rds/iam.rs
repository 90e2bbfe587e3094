//! Whether the caller may. What a request takes is found here, as AWS's Service Authorization Reference lists it; who the
//! caller is and what its policies say, the rest of the local AWS knows and is asked. It evaluates no policy itself.

use super::error::ApiError;
use super::query::Params;
use super::resource_names::{ACCOUNT, arn, id_of, region};
use super::store::Store;
use super::tags::read_tags;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// An action on a resource, with what policies may ask about the two of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    action: String,
    resource: String,
    context: Map<String, Value>,
}

/// Asks the gateway about everybody but the account's own user, who may do everything.
#[derive(Debug, Clone)]
pub struct Authorizer {
    agent: ureq::Agent,
    url: String,
    owner: String,
}

/// Why not.
#[derive(Debug, Deserialize)]
struct Denied {
    code: String,
    message: String,
}

impl Authorizer {
    /// A gate that asks at `endpoint`; `owner` is the access key of the account's own user.
    pub fn new(endpoint: &str, owner: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build();
        Self { agent: config.into(), url: format!("{endpoint}/_rewind/authorize"), owner: owner.into() }
    }

    /// Refuses a request whose sender is not who the signature says, or may not do all that it takes.
    pub async fn admit(
        &self,
        (method, uri, headers, body): (&Method, &Uri, &HeaderMap, &[u8]),
        checks: impl FnOnce() -> Vec<Check>,
    ) -> Result<(), ApiError> {
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(key) = signed.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next()) else {
            return Err(ApiError::denied("MissingAuthenticationToken", "Request is missing Authentication Token"));
        };
        if key == self.owner {
            return Ok(());
        }
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
        let question = json!({
            "method": method.as_str(), "path": uri.path(), "query": uri.query().unwrap_or_default(),
            "headers": headers, "body": String::from_utf8_lossy(body), "checks": checks(),
        });
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let asked = tokio::task::spawn_blocking(move || {
            agent.post(&url).send(question.to_string())?.into_body().read_to_string()
        });
        let answer = asked.await.map_err(|error| ApiError::internal(error.to_string()))?;
        let answer = answer.map_err(|error| ApiError::internal(format!("nobody says who may: {error}")))?;
        match serde_json::from_str::<Option<Denied>>(&answer) {
            Ok(None) => Ok(()),
            Ok(Some(denied)) => {
                let codes = ["AccessDenied", "SignatureDoesNotMatch", "ExpiredToken"];
                let code = codes.into_iter().find(|code| *code == denied.code).unwrap_or("InvalidClientTokenId");
                Err(ApiError::denied(code, denied.message))
            }
            Err(error) => Err(ApiError::internal(format!("who may is not said: {error}: {answer}"))),
        }
    }
}

impl ApiError {
    fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: StatusCode::FORBIDDEN, message: message.into() }
    }
}

/// All that a request takes. `own_key` is the account's key for RDS, of which AWS lets everybody's clusters be encrypted.
pub fn checks(store: &mut Store, own_key: &str, action: &str, params: &Params) -> Vec<Check> {
    let mut taken = Taken { store, params, own_key, checks: Vec::new() };
    let resource = |kind, name| arn(kind, &params.get(name).map_or_else(|| "*".to_owned(), |id| id_of(kind, id)));
    let cluster = || resource("cluster", "DBClusterIdentifier");
    let instance = || resource("db", "DBInstanceIdentifier");
    let call = format!("rds:{action}");
    match action {
        "RestoreDBClusterToPointInTime" => {
            taken.rds(&call, resource("cluster", "SourceDBClusterIdentifier"));
            taken.rds(&call, cluster());
            taken.groups(&call, &[("cluster-pg", "DBClusterParameterGroupName"), ("subgrp", "DBSubnetGroupName")]);
            taken.tagging(cluster());
            let source = id_of("cluster", params.get("SourceDBClusterIdentifier").unwrap_or_default());
            let of_source = taken.store.clusters.get(&source).and_then(|source| source.kms_key.clone());
            taken.key(params.text("KmsKeyId").or(of_source));
        }
        "CreateDBInstance" => {
            taken.rds(&call, instance());
            taken.rds(&call, cluster());
            taken.groups(&call, &[("pg", "DBParameterGroupName"), ("subgrp", "DBSubnetGroupName")]);
            taken.tagging(instance());
            taken.role("MonitoringRoleArn", "monitoring.rds.amazonaws.com");
            taken.key(params.text("PerformanceInsightsKMSKeyId"));
        }
        "ModifyDBCluster" => {
            taken.rds(&call, cluster());
            taken.groups(&call, &[("cluster-pg", "DBClusterParameterGroupName")]);
            taken.role("MonitoringRoleArn", "monitoring.rds.amazonaws.com");
            taken.key(params.text("PerformanceInsightsKMSKeyId"));
        }
        "AddRoleToDBCluster" => {
            taken.rds(&call, cluster());
            taken.role("RoleArn", "rds.amazonaws.com");
        }
        "DeleteDBCluster" => {
            taken.rds(&call, cluster());
            if params.get("FinalDBSnapshotIdentifier").is_some() {
                let snapshot = [("cluster-snapshot", "FinalDBSnapshotIdentifier")];
                taken.groups(&call, &snapshot);
                taken.rds("rds:CreateDBClusterSnapshot", cluster());
                taken.groups("rds:CreateDBClusterSnapshot", &snapshot);
                let id = id_of("cluster", params.get("DBClusterIdentifier").unwrap_or_default());
                if taken.store.clusters.get(&id).is_some_and(|gone| gone.settings.copy_tags) {
                    taken.groups("rds:AddTagsToResource", &snapshot);
                }
            }
        }
        "AddTagsToResource" | "ListTagsForResource" | "RemoveTagsFromResource" => {
            taken.rds(&call, params.text("ResourceName").unwrap_or_default());
        }
        "EnableHttpEndpoint" | "DisableHttpEndpoint" => {
            taken.rds(&call, params.text("ResourceArn").unwrap_or_default());
        }
        "DescribeDBClusterParameters" => taken.rds(&call, resource("cluster-pg", "DBClusterParameterGroupName")),
        "DescribeDBClusterSnapshots" => {
            taken.rds(&call, cluster());
            taken.rds(&call, resource("cluster-snapshot", "DBClusterSnapshotIdentifier"));
        }
        _ if action.contains("DBInstance") => taken.rds(&call, instance()),
        _ if action.contains("DBCluster") => taken.rds(&call, cluster()),
        _ => taken.rds(&call, "*".to_owned()),
    }
    taken.checks
}

struct Taken<'a> {
    store: &'a mut Store,
    params: &'a Params,
    own_key: &'a str,
    checks: Vec<Check>,
}

impl Taken<'_> {
    /// A call on a resource of RDS, with the tags that it has and those that the request gives.
    fn rds(&mut self, action: &str, resource: String) {
        let mut context = Map::new();
        for (key, value) in self.store.tags_mut(&resource).map(|tags| tags.clone()).unwrap_or_default() {
            context.insert(format!("aws:ResourceTag/{key}"), json!(value));
        }
        if let Ok(Some(given)) = read_tags(self.params) {
            context.insert("aws:TagKeys".to_owned(), json!(given.keys().collect::<Vec<_>>()));
            for (key, value) in given {
                context.insert(format!("aws:RequestTag/{key}"), json!(value));
            }
        }
        self.checks.push(Check { action: action.to_owned(), resource, context });
    }

    /// Further resources of a call, where the request names them.
    fn groups(&mut self, action: &str, named: &[(&str, &str)]) {
        for (kind, parameter) in named {
            if let Some(id) = self.params.get(parameter) {
                self.rds(action, arn(kind, &id_of(kind, id)));
            }
        }
    }

    /// Making something with tags takes tagging it.
    fn tagging(&mut self, resource: String) {
        if self.params.first_given(&["Tags"]).is_some() {
            self.rds("rds:AddTagsToResource", resource);
        }
    }

    /// RDS takes a grant on a customer's key in the caller's name.
    fn key(&mut self, key: Option<String>) {
        let Some(key) = key.filter(|key| key != self.own_key) else { return };
        let named = format!("arn:aws:kms:{}:{ACCOUNT}:key/{key}", region());
        let resource = if key.starts_with("arn:") { key } else { named };
        let via = ("kms:ViaService".to_owned(), json!(format!("rds.{}.amazonaws.com", region())));
        let granted = ("kms:GrantIsForAWSResource".to_owned(), json!("true"));
        for (action, context) in
            [("kms:DescribeKey", vec![via.clone()]), ("kms:CreateGrant", vec![via.clone(), granted])]
        {
            let context = context.into_iter().collect();
            self.checks.push(Check { action: action.to_owned(), resource: resource.clone(), context });
        }
    }

    /// Giving a role to a service takes passing it.
    fn role(&mut self, parameter: &str, service: &str) {
        if let Some(role) = self.params.text(parameter).filter(|role| !role.is_empty()) {
            let context = [("iam:PassedToService".to_owned(), json!(service))].into_iter().collect();
            self.checks.push(Check { action: "iam:PassRole".to_owned(), resource: role, context });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(action: &str, form: &str) -> Vec<(String, String)> {
        let params = Params::parse(form.as_bytes());
        let checks = checks(&mut Store::default(), "arn:own", action, &params);
        checks.into_iter().map(|check| (check.action, check.resource)).collect()
    }

    fn rds(kind: &str, id: &str) -> String {
        format!("arn:aws:rds:{}:{ACCOUNT}:{kind}:{id}", region())
    }

    #[test]
    fn a_restore_takes_the_call_on_source_target_and_groups_the_tagging_and_the_customers_key() {
        let form = "SourceDBClusterIdentifier=old&DBClusterIdentifier=New&DBSubnetGroupName=nets&KmsKeyId=arn:aws:kms:k\
                    &DBClusterParameterGroupName=params&Tags.Tag.1.Key=k&Tags.Tag.1.Value=v";
        let restore = "rds:RestoreDBClusterToPointInTime".to_owned();
        assert_eq!(
            taken("RestoreDBClusterToPointInTime", form),
            [
                (restore.clone(), rds("cluster", "old")),
                (restore.clone(), rds("cluster", "new")),
                (restore.clone(), rds("cluster-pg", "params")),
                (restore, rds("subgrp", "nets")),
                ("rds:AddTagsToResource".into(), rds("cluster", "new")),
                ("kms:DescribeKey".into(), "arn:aws:kms:k".into()),
                ("kms:CreateGrant".into(), "arn:aws:kms:k".into()),
            ]
        );
    }

    #[test]
    fn the_accounts_own_key_takes_nothing_and_no_tags_take_no_tagging() {
        let form = "SourceDBClusterIdentifier=old&DBClusterIdentifier=new&KmsKeyId=arn:own";
        let actions: Vec<_> =
            taken("RestoreDBClusterToPointInTime", form).into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions, ["rds:RestoreDBClusterToPointInTime"; 2]);
    }

    #[test]
    fn a_role_is_passed_to_the_service_that_uses_it() {
        let params = Params::parse(b"DBClusterIdentifier=c&RoleArn=arn:aws:iam::1:role/r");
        let checks = checks(&mut Store::default(), "", "AddRoleToDBCluster", &params);
        let passed = checks.last().unwrap();
        assert_eq!((passed.action.as_str(), passed.resource.as_str()), ("iam:PassRole", "arn:aws:iam::1:role/r"));
        assert_eq!(passed.context["iam:PassedToService"], "rds.amazonaws.com");
    }

    #[test]
    fn deleting_with_a_final_snapshot_takes_making_it() {
        let without = taken("DeleteDBCluster", "DBClusterIdentifier=c&SkipFinalSnapshot=true");
        assert_eq!(without, [("rds:DeleteDBCluster".into(), rds("cluster", "c"))]);
        let with = taken("DeleteDBCluster", "DBClusterIdentifier=c&FinalDBSnapshotIdentifier=s");
        assert!(with.contains(&("rds:CreateDBClusterSnapshot".into(), rds("cluster-snapshot", "s"))), "{with:?}");
    }

    #[test]
    fn what_names_nothing_is_asked_of_everything_of_its_kind() {
        assert_eq!(taken("DescribeDBClusters", ""), [("rds:DescribeDBClusters".into(), rds("cluster", "*"))]);
        assert_eq!(taken("DescribeDBInstances", ""), [("rds:DescribeDBInstances".into(), rds("db", "*"))]);
        assert_eq!(taken("DescribeEvents", ""), [("rds:DescribeEvents".into(), "*".into())]);
    }

    #[test]
    fn tags_given_are_what_policies_may_ask_about() {
        let params = Params::parse(b"ResourceName=arn&Tags.Tag.1.Key=a&Tags.Tag.1.Value=b");
        let checks = checks(&mut Store::default(), "", "AddTagsToResource", &params);
        let context = &checks.first().unwrap().context;
        assert_eq!((&context["aws:RequestTag/a"], &context["aws:TagKeys"]), (&json!("b"), &json!(["a"])));
    }
}
