//! The actions of the API, a file a group of them, and what they share: filters and pages.

pub mod backtrack;
pub mod clusters;
pub mod delete_cluster;
pub mod describe;
pub mod endpoints;
pub mod global_clusters;
pub mod instances;
pub mod modify_cluster;
pub mod parameter_groups;
pub mod restore;
pub mod roles;
pub mod secret;
pub mod subnet_groups;
pub mod tags;

use super::error::ApiError;
use super::query::{Params, identifier};
use super::xml::Element;

/// The result of an action: an element with the children of the result wrapper, or an error.
pub type ActionResult = Result<Element, ApiError>;

/// Begins a result.
fn result() -> Element {
    Element::new("Result")
}

/// Renders one page of `items`, ordered by the names beside them: at most `MaxRecords`, from behind `Marker`.
fn page(params: &Params, list: &'static str, items: Vec<(String, Element)>) -> ActionResult {
    let most = params.number("MaxRecords", 20..=100_usize)?.unwrap_or(100);
    let start = match params.get("Marker").filter(|marker| !marker.is_empty()) {
        None => 0,
        Some(marker) => {
            let at = items.iter().position(|(name, _)| name == marker);
            at.ok_or_else(|| ApiError::value("Invalid marker"))? + 1
        }
    };
    // A page of 100 as on AWS, in which a stack with more resources is met: a client that reads the first page alone must fail here too.
    let more = items.len() > start + most;
    let shown: Vec<(String, Element)> = items.into_iter().skip(start).take(most).collect();
    let marker = shown.last().filter(|_| more).map(|(name, _)| name.clone());
    Ok(result().list(list, shown.into_iter().map(|(_, item)| item)).optional("Marker", marker))
}

/// Reads the filters of a request; those that are not in `known` are refused.
fn filters<'a>(params: &Params, known: &[&'a str]) -> Result<Vec<(&'a str, Vec<String>)>, ApiError> {
    let read = |(name, values): (String, Vec<String>)| {
        let name = known.iter().copied().find(|known| *known == name);
        let name = name.ok_or_else(|| ApiError::value(format!("Unrecognized filter name: {name:?}")))?;
        // AWS refuses it as well; taken for "no filter" the caller would act on every resource.
        if values.is_empty() {
            return Err(ApiError::value(format!("The filter {name} needs values")));
        }
        Ok((name, values))
    };
    params.filters().into_iter().map(read).collect()
}

/// Reads the name of a new parameter or subnet group.
fn group_name(parameter: &str, params: &Params) -> Result<String, ApiError> {
    let given = params.required(parameter)?;
    // The groups that are there by themselves are called default and default.<family>; AWS lets nobody create or change one.
    if given.to_ascii_lowercase().starts_with("default") {
        return Err(ApiError::value(format!("{parameter} {given} is reserved")));
    }
    identifier(parameter, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> Vec<(String, Element)> {
        (0..count).map(|n| (format!("n{n:03}"), Element::new("X").field("Name", format!("n{n:03}")))).collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let (mut marker, mut seen) = (String::new(), 0);
        loop {
            let params = Params::parse(format!("MaxRecords=20&Marker={marker}").as_bytes());
            let text = format!("{:?}", page(&params, "Xs", items(45)).unwrap());
            seen += text.matches("\"Name\"").count();
            match text.split("name: \"Marker\", content: Text(\"").nth(1) {
                Some(rest) => marker = rest.split('"').next().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, 45);
    }

    #[test]
    fn a_wrong_marker_or_size_is_refused() {
        for form in ["MaxRecords=5", "MaxRecords=101", "Marker=elsewhere"] {
            assert_eq!(
                page(&Params::parse(form.as_bytes()), "Xs", items(3)).unwrap_err().code,
                "InvalidParameterValue"
            );
        }
    }

    #[test]
    fn an_unknown_filter_is_refused() {
        let params = Params::parse(b"Filters.Filter.1.Name=colour&Filters.Filter.1.Values.Value.1=red");
        assert_eq!(filters(&params, &["db-cluster-id"]).unwrap_err().code, "InvalidParameterValue");
    }
}
