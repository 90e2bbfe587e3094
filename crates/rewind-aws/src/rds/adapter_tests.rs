//! The adapter of RDS on answers of `DescribeDBClusters`: the engine is read where the cluster is, and never guessed.

use super::{ClusterChange, FindClusters, ModifyClusters, ReadClusters};
use crate::rds::Rds;
use crate::{Aws, AwsResult};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use rewind_core::{Engine, ErrorName};
use std::sync::{Arc, Mutex};

/// Answers every call with the same body.
#[derive(Debug, Clone)]
struct Always(String);

impl HttpConnector for Always {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let body = SdkBody::from(self.0.clone());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), body)))
    }
}

/// An RDS that shows clusters of these engines, all of them with the tag `t`.
fn rds(engines: &[&str]) -> Rds {
    let clusters: String = engines
        .iter()
        .map(|engine| {
            format!(
                "<DBCluster><DBClusterIdentifier>of-{engine}</DBClusterIdentifier><Engine>{engine}</Engine><TagList><Tag>\
                 <Key>t</Key><Value>v</Value></Tag></TagList></DBCluster>"
            )
        })
        .collect();
    let body = format!(
        "<DescribeDBClustersResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><DescribeDBClustersResult>\
         <DBClusters>{clusters}</DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>"
    );
    Rds::new(&Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(Always(body.clone())))))
}

async fn engine_of(name: &str) -> AwsResult<Engine> {
    Ok(rds(&[name]).cluster("orders").await?.expect("the cluster is there").engine)
}

#[tokio::test]
async fn a_cluster_has_the_engine_that_aws_names_and_any_other_is_refused() {
    for engine in Engine::ALL {
        assert_eq!(engine_of(engine.name()).await.unwrap(), engine);
    }
    // DescribeDBClusters shows the clusters of these services as well.
    for other in ["neptune", "mysql", "docdb"] {
        let error = engine_of(other).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(&format!("the cluster of-{other} is {other};")), "{error}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_engine_does_not_hide_those_that_bear_the_tag() {
    let found = rds(&["aurora-mysql", "neptune", "aurora-postgresql"]).tagged("t").await.unwrap();
    let names: Vec<&str> = found.iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(names, ["of-aurora-mysql", "of-aurora-postgresql"]);
}

/// Keeps what was sent, and answers as RDS does to a modification.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl HttpConnector for Sent {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sent = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        self.0.lock().unwrap().push(sent);
        let body = "<ModifyDBClusterResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><ModifyDBClusterResult/>\
                    </ModifyDBClusterResponse>";
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))))
    }
}

#[tokio::test]
async fn a_change_that_is_made_at_once_anyway_starts_nothing_that_waits() {
    let groups = ClusterChange { security_groups: Some(vec!["sg-fence".to_owned()]), ..ClusterChange::default() };
    let protection = ClusterChange { deletion_protection: Some(false), ..ClusterChange::default() };
    let window = ClusterChange { backtrack_window: Some(86_400), ..ClusterChange::default() };
    let retention = ClusterChange { backup_retention: Some(14), ..ClusterChange::default() };
    for (change, immediately) in [(groups, false), (protection, false), (window, false), (retention, true)] {
        let sent = Sent::default();
        let connector = sent.clone();
        let rds = Rds::new(&Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone()))));
        rds.modify("orders", &change).await.unwrap();
        let sent = sent.0.lock().unwrap().join("");
        assert_eq!(sent.contains("ApplyImmediately=true"), immediately, "{sent}");
    }
}

#[tokio::test]
async fn what_waits_and_what_forwards_writes_are_read_and_no_password_is() {
    let cluster = "<DBCluster><DBClusterIdentifier>orders</DBClusterIdentifier><Engine>aurora-mysql</Engine>\
                   <GlobalWriteForwardingStatus>disabled</GlobalWriteForwardingStatus>\
                   <LocalWriteForwardingStatus>enabling</LocalWriteForwardingStatus><PendingModifiedValues>\
                   <EngineVersion>8.0.mysql_aurora.3.09.0</EngineVersion><MasterUserPassword>hidden</MasterUserPassword>\
                   </PendingModifiedValues></DBCluster>";
    let body = format!(
        "<DescribeDBClustersResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><DescribeDBClustersResult>\
         <DBClusters>{cluster}</DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>"
    );
    let rds = Rds::new(&Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(Always(body.clone())))));
    let cluster = rds.cluster("orders").await.unwrap().unwrap();
    assert_eq!(cluster.write_forwarding.as_deref(), Some("enabling"));
    assert_eq!(cluster.pending, ["engine version 8.0.mysql_aurora.3.09.0", "another master password"]);
}
