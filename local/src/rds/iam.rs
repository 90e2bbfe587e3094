//! Authorization of requests. The permissions that a request needs are listed here, from AWS's Service Authorization Reference; the
//! caller's identity and policies are known to the rest of the local AWS, which is asked. It evaluates no policy itself.

use super::error::ApiError;
use super::query::Params;
use super::resource_names::{ACCOUNT, arn, global_arn, id_of, region};
use super::store::Store;
use super::tags::read_tags;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Shows that a request to a path which is not AWS's comes from whoever started the stack.
pub const KEY_HEADER: &str = "x-rewind-key";
/// Longest time of a question to the gateway.
const AUTHORIZATION_TIMEOUT: Duration = Duration::from_secs(20);

/// An action on a resource, with the condition keys that policies may test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Permission {
    action: String,
    resource: String,
    context: Map<String, Value>,
}

/// Asks the gateway about every caller: about the account's root user if the signature is theirs, and about others if they may.
#[derive(Debug, Clone)]
pub struct Authorizer {
    agent: ureq::Agent,
    url: String,
    secret: String,
}

/// A refusal of the gateway.
#[derive(Debug, Deserialize)]
struct Denied {
    code: String,
    message: String,
}

impl Authorizer {
    /// Asks at `endpoint`, which answers whoever shows the secret key of the account's root user.
    pub fn new(endpoint: &str, secret: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(AUTHORIZATION_TIMEOUT)).proxy(None).build();
        Self { agent: config.into(), url: format!("{endpoint}/_rewind/authorize"), secret: secret.into() }
    }

    /// Refuses a request whose signature is wrong, or whose caller lacks one of its permissions.
    pub async fn authorize(
        &self,
        (method, uri, headers, body): (&Method, &Uri, &HeaderMap, &[u8]),
        permissions: impl FnOnce() -> Vec<Permission>,
    ) -> Result<(), ApiError> {
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !signed.contains("Credential=") {
            return Err(ApiError::denied("MissingAuthenticationToken", "Request is missing Authentication Token"));
        }
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
        let question = json!({
            "method": method.as_str(), "path": uri.path(), "query": uri.query().unwrap_or_default(),
            "headers": headers, "body": String::from_utf8_lossy(body), "checks": permissions(),
        });
        let (agent, url, secret) = (self.agent.clone(), self.url.clone(), self.secret.clone());
        // The signature covers the whole request, so the gateway gets all of it. ureq blocks: not on one of
        // the runtime's two workers, which serve every other request.
        let asked = tokio::task::spawn_blocking(move || {
            agent.post(&url).header(KEY_HEADER, secret).send(question.to_string())?.into_body().read_to_string()
        });
        let answer = asked.await.map_err(|error| ApiError::internal(error.to_string()))?;
        let answer =
            answer.map_err(|error| ApiError::internal(format!("authorization could not be asked for: {error}")))?;
        match serde_json::from_str::<Option<Denied>>(&answer) {
            Ok(None) => Ok(()),
            Ok(Some(denied)) => {
                // Codes of an ApiError are static; another than these says that the caller is unknown.
                let codes = ["AccessDenied", "SignatureDoesNotMatch", "ExpiredToken"];
                let code = codes.into_iter().find(|code| *code == denied.code).unwrap_or("InvalidClientTokenId");
                Err(ApiError::denied(code, denied.message))
            }
            Err(error) => {
                Err(ApiError::internal(format!("the answer about authorization can't be read: {error}: {answer}")))
            }
        }
    }
}

impl ApiError {
    fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: StatusCode::FORBIDDEN, message: message.into() }
    }
}

/// Lists the permissions that a request needs. `own_key` is the account's own key for RDS, which needs none.
pub fn required_permissions(store: &mut Store, own_key: &str, action: &str, params: &Params) -> Vec<Permission> {
    let mut list = PermissionList { store, params, own_key, permissions: Vec::new() };
    let resource = |kind, name| arn(kind, &params.get(name).map_or_else(|| "*".to_owned(), |id| id_of(kind, id)));
    let cluster = || resource("cluster", "DBClusterIdentifier");
    let instance = || resource("db", "DBInstanceIdentifier");
    let call = format!("rds:{action}");
    match action {
        // A restore is authorized on its source, its target, the subnet group and the parameter group, each as a resource of its own:
        // a policy that names the source alone is denied.
        "RestoreDBClusterToPointInTime" => {
            list.rds(&call, resource("cluster", "SourceDBClusterIdentifier"));
            list.rds(&call, cluster());
            list.groups(&call, &[("cluster-pg", "DBClusterParameterGroupName"), ("subgrp", "DBSubnetGroupName")]);
            list.tagging(cluster());
            // Without a key of its own the restored cluster is encrypted by the source's.
            let source = id_of("cluster", params.get("SourceDBClusterIdentifier").unwrap_or_default());
            let of_source = list.store.clusters.get(&source).and_then(|source| source.kms_key.clone());
            list.key(params.text("KmsKeyId").or(of_source));
        }
        "CreateDBInstance" => {
            list.rds(&call, instance());
            list.rds(&call, cluster());
            list.groups(&call, &[("pg", "DBParameterGroupName"), ("subgrp", "DBSubnetGroupName")]);
            list.tagging(instance());
            list.role("MonitoringRoleArn", "monitoring.rds.amazonaws.com");
            list.key(params.text("PerformanceInsightsKMSKeyId"));
        }
        "ModifyDBCluster" => {
            list.rds(&call, cluster());
            list.managed_password();
            list.groups(&call, &[("cluster-pg", "DBClusterParameterGroupName")]);
            list.role("MonitoringRoleArn", "monitoring.rds.amazonaws.com");
            list.key(params.text("PerformanceInsightsKMSKeyId"));
        }
        "AddRoleToDBCluster" => {
            list.rds(&call, cluster());
            list.role("RoleArn", "rds.amazonaws.com");
        }
        "DeleteDBCluster" => {
            list.rds(&call, cluster());
            if params.get("FinalDBSnapshotIdentifier").is_some() {
                let snapshot = [("cluster-snapshot", "FinalDBSnapshotIdentifier")];
                list.groups(&call, &snapshot);
                list.rds("rds:CreateDBClusterSnapshot", cluster());
                list.groups("rds:CreateDBClusterSnapshot", &snapshot);
                // A snapshot that copies the cluster's tags is tagged in the caller's name.
                let id = id_of("cluster", params.get("DBClusterIdentifier").unwrap_or_default());
                if list.store.clusters.get(&id).is_some_and(|gone| gone.settings.copy_tags) {
                    list.groups("rds:AddTagsToResource", &snapshot);
                }
            }
        }
        "AddTagsToResource" | "ListTagsForResource" | "RemoveTagsFromResource" => {
            list.rds(&call, params.text("ResourceName").unwrap_or_default());
        }
        "EnableHttpEndpoint" | "DisableHttpEndpoint" => {
            list.rds(&call, params.text("ResourceArn").unwrap_or_default());
        }
        "DescribeDBClusterParameters"
        | "ModifyDBClusterParameterGroup"
        | "ResetDBClusterParameterGroup"
        | "DeleteDBClusterParameterGroup" => {
            list.rds(&call, resource("cluster-pg", "DBClusterParameterGroupName"));
        }
        "CreateDBClusterParameterGroup" => {
            list.rds(&call, resource("cluster-pg", "DBClusterParameterGroupName"));
            list.tagging(resource("cluster-pg", "DBClusterParameterGroupName"));
        }
        "CopyDBClusterParameterGroup" => {
            list.rds(&call, resource("cluster-pg", "SourceDBClusterParameterGroupIdentifier"));
            list.rds(&call, resource("cluster-pg", "TargetDBClusterParameterGroupIdentifier"));
            list.tagging(resource("cluster-pg", "TargetDBClusterParameterGroupIdentifier"));
        }
        "DescribeDBClusterSnapshots" => {
            list.rds(&call, cluster());
            list.rds(&call, resource("cluster-snapshot", "DBClusterSnapshotIdentifier"));
        }
        "CreateGlobalCluster" | "RemoveFromGlobalCluster" | "DeleteGlobalCluster" => {
            list.rds(&call, global_arn(params.get("GlobalClusterIdentifier").unwrap_or("*")));
            for cluster in ["SourceDBClusterIdentifier", "DbClusterIdentifier"] {
                list.groups(&call, &[("cluster", cluster)]);
            }
        }
        // Everything else acts on the one resource that its name says, or on all of its kind.
        _ if action.contains("DBInstance") => list.rds(&call, instance()),
        _ if action.contains("DBCluster") => list.rds(&call, cluster()),
        _ => list.rds(&call, "*".to_owned()),
    }
    list.permissions
}

struct PermissionList<'a> {
    store: &'a mut Store,
    params: &'a Params,
    own_key: &'a str,
    permissions: Vec<Permission>,
}

impl PermissionList<'_> {
    /// Adds a call on a resource of RDS, with the tags that it has and those that the request gives.
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
        // Tags that are removed have a key alone.
        if let Some(removed) = self.params.texts("TagKeys", "member") {
            context.insert("aws:TagKeys".to_owned(), json!(removed));
        }
        self.permissions.push(Permission { action: action.to_owned(), resource, context });
    }

    /// Adds to the last call whether RDS manages the cluster's master password when it is done. AWS tells policies so of calls that
    /// leave it as it is too: one that keeps managed passwords refuses every change of a cluster with another password.
    fn managed_password(&mut self) {
        let id = id_of("cluster", self.params.get("DBClusterIdentifier").unwrap_or_default());
        let is_managed = self.store.clusters.get(&id).is_some_and(|cluster| cluster.secret.is_some());
        let stays = self.params.boolean("ManageMasterUserPassword").ok().flatten().unwrap_or(is_managed);
        if let Some(last) = self.permissions.last_mut() {
            last.context.insert("rds:ManageMasterUserPassword".to_owned(), json!(stays.to_string()));
        }
    }

    /// Adds further resources of a call, where the request names them.
    fn groups(&mut self, action: &str, named: &[(&str, &str)]) {
        for (kind, parameter) in named {
            if let Some(id) = self.params.get(parameter) {
                self.rds(action, arn(kind, &id_of(kind, id)));
            }
        }
    }

    /// Adds tagging, which creating something with tags needs as well.
    fn tagging(&mut self, resource: String) {
        if self.params.first_given(&["Tags"]).is_some() {
            self.rds("rds:AddTagsToResource", resource);
        }
    }

    /// Adds the use of a customer's key: RDS creates a grant on it in the caller's name.
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
            self.permissions.push(Permission { action: action.to_owned(), resource: resource.clone(), context });
        }
    }

    /// Adds passing a role, which giving one to a service needs.
    fn role(&mut self, parameter: &str, service: &str) {
        if let Some(role) = self.params.text(parameter).filter(|role| !role.is_empty()) {
            let context = [("iam:PassedToService".to_owned(), json!(service))].into_iter().collect();
            self.permissions.push(Permission { action: "iam:PassRole".to_owned(), resource: role, context });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(action: &str, form: &str) -> Vec<(String, String)> {
        let params = Params::parse(form.as_bytes());
        let permissions = required_permissions(&mut Store::default(), "arn:own", action, &params);
        permissions.into_iter().map(|needed| (needed.action, needed.resource)).collect()
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
            needed("RestoreDBClusterToPointInTime", form),
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
            needed("RestoreDBClusterToPointInTime", form).into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions, ["rds:RestoreDBClusterToPointInTime"; 2]);
    }

    #[test]
    fn a_role_is_passed_to_the_service_that_uses_it() {
        let params = Params::parse(b"DBClusterIdentifier=c&RoleArn=arn:aws:iam::1:role/r");
        let permissions = required_permissions(&mut Store::default(), "", "AddRoleToDBCluster", &params);
        let passed = permissions.last().unwrap();
        assert_eq!((passed.action.as_str(), passed.resource.as_str()), ("iam:PassRole", "arn:aws:iam::1:role/r"));
        assert_eq!(passed.context["iam:PassedToService"], "rds.amazonaws.com");
    }

    #[test]
    fn policies_can_ask_whether_rds_manages_the_password_after_a_change() {
        for (asked, expected) in [("", "false"), ("&ManageMasterUserPassword=true", "true")] {
            let params = Params::parse(format!("DBClusterIdentifier=c{asked}").as_bytes());
            let permissions = required_permissions(&mut Store::default(), "", "ModifyDBCluster", &params);
            assert_eq!(permissions.first().unwrap().context["rds:ManageMasterUserPassword"], expected);
        }
    }

    #[test]
    fn deleting_with_a_final_snapshot_takes_making_it() {
        let without = needed("DeleteDBCluster", "DBClusterIdentifier=c&SkipFinalSnapshot=true");
        assert_eq!(without, [("rds:DeleteDBCluster".into(), rds("cluster", "c"))]);
        let with = needed("DeleteDBCluster", "DBClusterIdentifier=c&FinalDBSnapshotIdentifier=s");
        assert!(with.contains(&("rds:CreateDBClusterSnapshot".into(), rds("cluster-snapshot", "s"))), "{with:?}");
    }

    #[test]
    fn what_names_nothing_is_asked_of_everything_of_its_kind() {
        assert_eq!(needed("DescribeDBClusters", ""), [("rds:DescribeDBClusters".into(), rds("cluster", "*"))]);
        assert_eq!(needed("DescribeDBInstances", ""), [("rds:DescribeDBInstances".into(), rds("db", "*"))]);
        assert_eq!(needed("DescribeEvents", ""), [("rds:DescribeEvents".into(), "*".into())]);
    }

    #[test]
    fn tags_given_are_what_policies_may_ask_about() {
        let params = Params::parse(b"ResourceName=arn&Tags.Tag.1.Key=a&Tags.Tag.1.Value=b");
        let permissions = required_permissions(&mut Store::default(), "", "AddTagsToResource", &params);
        let context = &permissions.first().unwrap().context;
        assert_eq!((&context["aws:RequestTag/a"], &context["aws:TagKeys"]), (&json!("b"), &json!(["a"])));
        let params = Params::parse(b"ResourceName=arn&TagKeys.member.1=a");
        let permissions = required_permissions(&mut Store::default(), "", "RemoveTagsFromResource", &params);
        assert_eq!(permissions.first().unwrap().context["aws:TagKeys"], json!(["a"]));
    }
}
