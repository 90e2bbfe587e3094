//! The adapter of RDS on answers of `DescribeDBClusters`: the engine is read where the cluster is, and never guessed.

use super::{FindClusters, ReadClusters};
use crate::rds::Rds;
use crate::{Aws, AwsResult};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use rewind_core::{Engine, ErrorName};

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
