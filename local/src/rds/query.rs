//! The parameters of a request: scalars, lists (`VpcSecurityGroupIds.VpcSecurityGroupId.1`) and structures in lists
//! (`Tags.Tag.1.Key`), with AWS's errors for what is missing or malformed. It knows no action.

use super::error::ApiError;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Named values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form.
    #[must_use]
    pub fn parse(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value, copied.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A value; an error when it is missing or empty.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(name))
    }

    /// Finds the first of `names` that is given, as a value, a list or a structure.
    #[must_use]
    pub fn first_given<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| {
            let inside = format!("{name}.");
            self.0.keys().any(|key| key == name || key.starts_with(&inside))
        })
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(malformed(name, value, "a boolean")),
        }
    }

    /// A number inside `range`.
    pub fn number<T>(&self, name: &str, range: std::ops::RangeInclusive<T>) -> Result<Option<T>, ApiError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(value) = self.get(name) else { return Ok(None) };
        // Two errors: AWS tells a text that is no number from a number out of range.
        let number: T = value.parse().map_err(|_| malformed(name, value, "a number"))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        let (low, high) = range.into_inner();
        Err(ApiError::value(format!("Invalid value {value} for {name}. It must be between {low} and {high}.")))
    }

    /// A time; one without an offset is in UTC.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // The SDKs send a Z; people at the AWS CLI often write none, and AWS takes that for UTC.
        let parsed = value.parse().or_else(|_| format!("{value}Z").parse());
        parsed.map(Some).map_err(|_| malformed(name, value, "a time in UTC such as 2015-03-07T23:45:00Z"))
    }

    /// A list of texts; `None` when it is not given at all.
    #[must_use]
    pub fn texts(&self, name: &str, member: &str) -> Option<Vec<String>> {
        // An empty list is sent as an empty value.
        if self.get(name).is_some_and(str::is_empty) {
            return Some(Vec::new());
        }
        let items = self.items(name, member);
        let texts: Vec<String> = items.into_values().filter_map(|mut item| item.0.remove("")).collect();
        (!texts.is_empty()).then_some(texts)
    }

    /// A list of structures.
    #[must_use]
    pub fn structures(&self, name: &str, member: &str) -> Vec<Params> {
        self.items(name, member).into_values().collect()
    }

    /// A structure.
    #[must_use]
    pub fn structure(&self, name: &str) -> Params {
        let prefix = format!("{name}.");
        Params(
            self.0
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
                .collect(),
        )
    }

    /// `Filters`, as names and values.
    #[must_use]
    pub fn filters(&self) -> Vec<(String, Vec<String>)> {
        let filters = self.structures("Filters", "Filter");
        let read = |filter: Params| {
            (filter.text("Name").unwrap_or_default(), filter.texts("Values", "Value").unwrap_or_default())
        };
        filters.into_iter().map(read).collect()
    }

    // By number: a form has no order, and as texts 10 would come before 2. The SDKs name items after the model's locationName, older
    // clients always `member`; AWS takes both.
    fn items(&self, name: &str, member: &str) -> BTreeMap<u32, Params> {
        let mut items: BTreeMap<u32, Params> = BTreeMap::new();
        for (key, value) in &self.structure(name).0 {
            let mut parts = key.splitn(3, '.');
            let (Some(list), Some(Ok(number))) = (parts.next(), parts.next().map(str::parse)) else { continue };
            if list == member || list == "member" {
                let rest = parts.next().unwrap_or_default();
                items.entry(number).or_default().0.insert(rest.to_owned(), value.clone());
            }
        }
        items
    }
}

fn malformed(name: &str, value: &str, wanted: &str) -> ApiError {
    ApiError::bad("MalformedInput", format!("{name} is {value:?}, which is not {wanted}"))
}

/// Checks an identifier by the rules of the API reference; returns it in lower case.
pub fn identifier(parameter: &str, value: &str) -> Result<String, ApiError> {
    let first = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let all = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !first || !all || value.ends_with('-') || value.contains("--") || value.len() > 63 {
        return Err(ApiError::value(format!(
            "The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain only \
             ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )));
    }
    // RDS keeps identifiers in lower case: a client that compares with its own spelling must notice here.
    Ok(value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers() {
        let form: Vec<String> =
            (1..=11).rev().map(|n| format!("VpcSecurityGroupIds.VpcSecurityGroupId.{n}=sg-{n}")).collect();
        let groups =
            Params::parse(form.join("&").as_bytes()).texts("VpcSecurityGroupIds", "VpcSecurityGroupId").unwrap();
        assert_eq!(groups.first().unwrap(), "sg-1");
        assert_eq!(groups.last().unwrap(), "sg-11");
    }

    #[test]
    fn structures_in_lists_and_escapes_are_read() {
        let params =
            Params::parse(b"Tags.Tag.1.Key=team&Tags.Tag.1.Value=a%20b%3D+c&Tags.Tag.2.Key=empty&Tags.Tag.2.Value=");
        let tags = params.structures("Tags", "Tag");
        assert_eq!(tags[0].get("Value"), Some("a b= c"));
        assert_eq!(tags[1].get("Value"), Some(""));
    }

    #[test]
    fn an_empty_list_is_given_and_an_absent_one_is_not() {
        assert_eq!(Params::parse(b"Tags=").texts("Tags", "Tag"), Some(Vec::new()));
        assert_eq!(Params::parse(b"").texts("Tags", "Tag"), None);
    }

    #[test]
    fn filters_hold_names_and_values() {
        let params = Params::parse(
            b"Filters.Filter.1.Name=db-cluster-id&Filters.Filter.1.Values.Value.1=a&Filters.Filter.1.Values.Value.2=b",
        );
        assert_eq!(params.filters(), [("db-cluster-id".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    }

    #[test]
    fn wrong_values_name_the_parameter() {
        let params = Params::parse(b"Port=http&Skip=maybe&When=yesterday&Days=36");
        assert!(params.number::<u16>("Port", 1..=9).unwrap_err().message.contains("Port"));
        assert!(params.boolean("Skip").unwrap_err().message.contains("maybe"));
        assert_eq!(params.time("When").unwrap_err().code, "MalformedInput");
        assert_eq!(params.number("Days", 1..=35).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(params.required("Engine").unwrap_err().code, "MissingParameter");
    }

    #[test]
    fn a_time_without_an_offset_is_utc() {
        let params = Params::parse(b"A=2026-11-23T10:30:00&B=2026-11-23T11:30:00%2B01:00");
        assert_eq!(params.time("A").unwrap(), params.time("B").unwrap());
    }

    #[test]
    fn a_time_is_good_to_the_minute_as_in_the_examples_of_aws() {
        let params = Params::parse(b"A=2017-07-08T18:00Z&B=2017-07-08T18:00:00.000Z");
        assert_eq!(params.time("A").unwrap(), params.time("B").unwrap());
    }

    #[test]
    fn identifiers_follow_the_rules_of_aws() {
        assert_eq!(identifier("X", "My-Cluster-1").unwrap(), "my-cluster-1");
        for wrong in ["", "1a", "a--b", "a-", "a_b", "ä", &"a".repeat(64)] {
            assert!(identifier("X", wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
