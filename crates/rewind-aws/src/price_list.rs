//! List prices of AWS, by `GetProducts` of the Price List service, which reads nothing of anybody's account:
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>.

use crate::classify::{Call, classify};
use crate::prices::{Billed, Priced, ReadPrices};
use crate::{Aws, AwsResult};
use aws_sdk_pricing::types::{Filter, FilterType};
use aws_types::region::Region;
use rewind_core::{Engine, ErrorName, StepError};
use serde_json::Value;

/// The client of the Price List service, for prices of one Region.
#[derive(Debug, Clone)]
pub struct PriceList {
    client: aws_sdk_pricing::Client,
    region: String,
}

impl PriceList {
    /// The client at the environment's endpoint, or in a Region near the client's where the service is.
    pub fn new(aws: &Aws) -> Self {
        let config = aws.config("PRICING");
        let region = config.region().map_or_else(String::new, ToString::to_string);
        let at = match region.split('-').next() {
            Some("cn") => "cn-northwest-1",
            Some("eu") => "eu-central-1",
            Some("ap") => "ap-south-1",
            _ => "us-east-1",
        };
        let config = aws_sdk_pricing::config::Builder::from(&config).region(Region::new(at)).build();
        Self { client: aws_sdk_pricing::Client::from_conf(config), region }
    }
}

impl ReadPrices for PriceList {
    /// IAM: `pricing:GetProducts`, which AWS authorises on no resource.
    async fn price(&self, of: &Priced) -> AwsResult<f64> {
        let filters = filters(of, &self.region)?;
        let mut found: Vec<f64> = Vec::new();
        let mut page = None;
        loop {
            let call = self.client.get_products().service_code("AmazonRDS").format_version("aws_v1");
            let call = call.set_filters(Some(filters.clone())).set_next_token(page);
            let read = call.send().await.map_err(|error| classify(&error, Call::Read, "pricing:GetProducts"))?;
            // Each product is a text with JSON in it.
            let products = read.price_list().iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
            found.extend(products.filter(|product| is_of(product, of)).filter_map(|product| on_demand(&product)));
            page = read.next_token;
            if page.is_none() {
                break;
            }
        }
        // Some Regions list a thing for each engine and for any, at one price.
        found.sort_by(f64::total_cmp);
        found.dedup();
        match found.as_slice() {
            [price] => Ok(*price),
            [] => Err(none(format!("the price list has no price of it in {}", self.region))),
            many => Err(none(format!("the price list has {} prices of it in {}", many.len(), self.region))),
        }
    }
}

fn none(what: String) -> StepError {
    StepError::new(ErrorName::RewindFailed, what)
}

/// Builds the filters of a call, all of which a product matches.
fn filters(of: &Priced, region: &str) -> AwsResult<Vec<Filter>> {
    let mut fields = vec![("regionCode", region)];
    match &of.billed {
        Billed::Instance(class) => {
            fields.extend([("databaseEngine", engine(of.engine)), ("instanceType", class.as_str())]);
        }
        Billed::CapacityUnit => {
            fields.extend([("databaseEngine", engine(of.engine)), ("productFamily", "ServerlessV2")]);
        }
        // Not by the engine: some Regions list it for any.
        Billed::Storage => fields.push(("productFamily", "Database Storage")),
    }
    let filter = |(field, value): (&str, &str)| {
        let filter = Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build();
        filter.map_err(|error| StepError::bug(format!("pricing:GetProducts: the call could not be built: {error}")))
    };
    fields.into_iter().map(filter).collect()
}

/// The name of an engine in the price list.
fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::AuroraMysql => "Aurora MySQL",
        Engine::AuroraPostgresql => "Aurora PostgreSQL",
    }
}

/// True if a product is exactly this one.
fn is_of(product: &Value, of: &Priced) -> bool {
    let attributes = product.pointer("/product/attributes");
    let attribute = |name: &str| attributes.and_then(|all| all.get(name)?.as_str()).unwrap_or_default();
    let usage = match (&of.billed, of.io_optimized) {
        // Followed by the class in short, `db.r6g.xl`: the filter has it in full.
        (Billed::Instance(_), false) => "InstanceUsage:",
        (Billed::Instance(_), true) => "InstanceUsageIOOptimized:",
        (Billed::CapacityUnit, false) => "Aurora:ServerlessV2Usage",
        (Billed::CapacityUnit, true) => "Aurora:ServerlessV2IOOptimizedUsage",
        (Billed::Storage, false) => "Aurora:StorageUsage",
        (Billed::Storage, true) => "Aurora:IO-OptimizedStorageUsage",
    };
    // `EU-InstanceUsage:db.r6g.large`, and mostly without a prefix in us-east-1.
    let is_usage = attribute("usagetype").split_once(usage).is_some_and(|(prefix, rest)| {
        let is_whole = matches!(of.billed, Billed::Instance(_)) || rest.is_empty();
        is_whole && (prefix.is_empty() || prefix.ends_with('-'))
    });
    is_usage && [engine(of.engine), "Any"].contains(&attribute("databaseEngine"))
}

/// Reads the price of a unit on demand; none where it is none, as in a preview.
fn on_demand(product: &Value) -> Option<f64> {
    let terms = product.pointer("/terms/OnDemand")?.as_object()?;
    let dimensions =
        terms.values().filter_map(|term| term.get("priceDimensions")?.as_object()).flat_map(|all| all.values());
    let mut prices = dimensions.filter_map(|one| one.pointer("/pricePerUnit/USD")?.as_str()?.parse::<f64>().ok());
    prices.find(|price| *price > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A product as the service answers it.
    fn product(usage: &str, engine: &str, usd: &str) -> Value {
        json!({
            "product": {
                "productFamily": "Database Instance",
                "attributes": { "usagetype": usage, "databaseEngine": engine, "regionCode": "us-east-1" },
                "sku": "4U9P9G87PY8QVQH5",
            },
            "terms": { "OnDemand": { "4U9P9G87PY8QVQH5.JRTCKXETXF": { "priceDimensions": {
                "4U9P9G87PY8QVQH5.JRTCKXETXF.6YS6EN2CT7": { "unit": "Hrs", "pricePerUnit": { "USD": usd } },
            } } } },
        })
    }

    fn priced(io_optimized: bool, billed: Billed) -> Priced {
        Priced { engine: Engine::AuroraPostgresql, io_optimized, billed }
    }

    fn is(usage: &str, engine: &str, of: &Priced) -> bool {
        is_of(&product(usage, engine, "1"), of)
    }

    #[test]
    fn an_instance_is_found_by_its_kind_of_storage_whatever_the_prefix_and_the_short_class() {
        let (standard, optimized) =
            (Billed::Instance("db.r6g.4xlarge".into()), Billed::Instance("db.r6g.4xlarge".into()));
        let (standard, optimized) = (priced(false, standard), priced(true, optimized));
        for prefix in ["", "EU-", "APN1-"] {
            let usage = |kind: &str| format!("{prefix}{kind}:db.r6g.4xl");
            assert!(is(&usage("InstanceUsage"), "Aurora PostgreSQL", &standard), "{prefix}");
            assert!(!is(&usage("InstanceUsageIOOptimized"), "Aurora PostgreSQL", &standard), "{prefix}");
            assert!(is(&usage("InstanceUsageIOOptimized"), "Aurora PostgreSQL", &optimized), "{prefix}");
            assert!(!is(&usage("InstanceUsage"), "PostgreSQL", &standard), "{prefix}");
        }
    }

    #[test]
    fn storage_is_found_for_any_engine_and_never_a_usage_that_only_has_its_name_in_it() {
        let storage = priced(false, Billed::Storage);
        assert!(
            is("Aurora:StorageUsage", "Any", &storage) && is("EUC1-Aurora:StorageUsage", "Aurora PostgreSQL", &storage)
        );
        for other in ["NotAurora:StorageUsage", "EU-Aurora:StorageUsage-Preview", "Aurora:IO-OptimizedStorageUsage"] {
            assert!(!is(other, "Any", &storage), "{other}");
        }
        assert!(!is("Aurora:StorageUsage", "Aurora MySQL", &storage));
        assert!(is("Aurora:ServerlessV2Usage", "Aurora PostgreSQL", &priced(false, Billed::CapacityUnit)));
    }

    #[test]
    fn a_price_is_read_from_the_terms_on_demand() {
        assert_eq!(on_demand(&product("InstanceUsage:db.r6g.large", "Aurora PostgreSQL", "0.2600000000")), Some(0.26));
        assert_eq!(on_demand(&product("InstanceUsage:db.r6g.large", "Aurora PostgreSQL", "0.0000000000")), None);
        assert_eq!(on_demand(&json!({ "terms": { "Reserved": {} } })), None);
    }
}
