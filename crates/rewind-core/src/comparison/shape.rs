//! The shapes of a table on both sides, and the plan that follows: what is compared, by which key, and by which method.

use std::collections::BTreeMap;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type, as the database writes it.
    pub kind: String,
}

/// A relation that holds rows of the table: the table itself, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The columns, in the order and with the numbers in which the rows hold them.
    pub layout: String,
    /// The reason why its rows can't be compared; none where they can.
    pub obstacle: Option<String>,
}

/// A table on one side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableShape {
    /// The columns, in their order, without those that are computed when they are read.
    pub columns: Vec<Column>,
    /// The keys that no two rows share, each a list of columns without NULLs; the primary key first.
    pub keys: Vec<Vec<String>>,
    /// The relations that hold the rows, by the ids that the server gives them.
    pub relations: BTreeMap<String, Relation>,
    /// True if the rows lie in partitions.
    pub partitioned: bool,
}

/// How a table is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// The columns that both sides have, in the restored cluster's order.
    pub columns: Vec<Column>,
    /// The columns of the key; empty where the table has none on both sides.
    pub key: Vec<Column>,
    /// True if the transaction that wrote a row tells as much as its values: the columns were not changed.
    pub same_layout: bool,
    /// Facts that a person should know.
    pub notes: Vec<String>,
}

/// Plans the comparison of a table that both sides have.
///
/// # Errors
///
/// The reason why it can't be compared, as a sentence.
pub fn plan_comparison(restored: &TableShape, source: &TableShape) -> Result<TablePlan, String> {
    for (side, shape) in [("the restored cluster", restored), ("the source", source)] {
        if let Some(obstacle) = shape.relations.values().find_map(|relation| relation.obstacle.as_ref()) {
            return Err(format!("on {side} {obstacle}"));
        }
    }
    let kind_on_source =
        |name: &str| source.columns.iter().find(|column| column.name == name).map(|column| &column.kind);
    // In one order for both sides, which may have two: rows are compared as one text.
    let columns: Vec<Column> =
        restored.columns.iter().filter(|column| kind_on_source(&column.name).is_some()).cloned().collect();
    if columns.is_empty() {
        return Err("the two have no column in common".to_owned());
    }
    let common = |name: &String| columns.iter().find(|column| column.name == *name).cloned();
    // By name on both sides: a key that only one of them has may be shared by several rows of the other.
    let shared = restored.keys.iter().find(|key| source.keys.contains(key));
    let key = shared.and_then(|key| key.iter().map(common).collect::<Option<Vec<_>>>()).unwrap_or_default();
    // A table that was made anew has no relation in common: the same transactions wrote other rows there.
    // A part that one side alone has holds rows of that side alone, so it is no reason to read all values.
    let same_layout = restored.partitioned == source.partitioned
        && restored.columns == source.columns
        && restored.relations.iter().any(|(id, _)| source.relations.contains_key(id))
        && restored
            .relations
            .iter()
            .all(|(id, relation)| source.relations.get(id).is_none_or(|other| other.layout == relation.layout));
    Ok(TablePlan { notes: notes(restored, source), columns, key, same_layout })
}

fn notes(restored: &TableShape, source: &TableShape) -> Vec<String> {
    let mut notes = Vec::new();
    for (one, other, side) in [(restored, source, "the restored cluster"), (source, restored, "the source")] {
        let only: Vec<&str> = one
            .columns
            .iter()
            .filter(|column| other.columns.iter().all(|there| there.name != column.name))
            .map(|column| column.name.as_str())
            .collect();
        if !only.is_empty() {
            notes.push(format!("columns of {side} alone, whose values were not compared: {}", only.join(", ")));
        }
    }
    for column in &restored.columns {
        let changed = source.columns.iter().find(|other| other.name == column.name && other.kind != column.kind);
        if let Some(other) = changed {
            notes.push(format!(
                "{} is {} on the restored cluster and {} on the source: compared as text",
                column.name, column.kind, other.kind
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: &[(&str, &str)], keys: &[&[&str]]) -> TableShape {
        let column = |(name, kind): &(&str, &str)| Column { name: (*name).to_owned(), kind: (*kind).to_owned() };
        let layout = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ");
        TableShape {
            columns: columns.iter().map(column).collect(),
            keys: keys.iter().map(|key| key.iter().map(|name| (*name).to_owned()).collect()).collect(),
            relations: BTreeMap::from([("16400".to_owned(), Relation { layout, obstacle: None })]),
            partitioned: false,
        }
    }

    const ORDERS: &[(&str, &str)] = &[("id", "bigint"), ("code", "text")];

    #[test]
    fn the_first_key_that_both_sides_have_is_used() {
        let plan = plan_comparison(&shape(ORDERS, &[&["id"], &["code"]]), &shape(ORDERS, &[&["code"]])).unwrap();
        assert_eq!(plan.key.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["code"]);
        assert!(plan.same_layout && plan.notes.is_empty());
        assert!(plan_comparison(&shape(ORDERS, &[&["id"]]), &shape(ORDERS, &[])).unwrap().key.is_empty());
    }

    #[test]
    fn columns_that_changed_are_told_and_rule_the_history_out() {
        let source = shape(&[("id", "integer"), ("note", "text")], &[&["id"]]);
        let plan = plan_comparison(&shape(ORDERS, &[&["id"]]), &source).unwrap();
        assert!(!plan.same_layout);
        assert_eq!(plan.columns.len(), 1);
        let notes = plan.notes.join("\n");
        for part in ["restored cluster alone, whose values were not compared: code", "source alone", "id is bigint on"]
        {
            assert!(notes.contains(part), "{notes}");
        }
        assert!(plan_comparison(&shape(ORDERS, &[]), &shape(&[("other", "text")], &[])).is_err());
    }

    #[test]
    fn a_table_that_was_made_anew_shares_no_history() {
        let restored = shape(ORDERS, &[&["id"]]);
        let mut source = restored.clone();
        source.relations = restored.relations.values().map(|relation| ("16999".to_owned(), relation.clone())).collect();
        assert!(!plan_comparison(&restored, &source).unwrap().same_layout);
    }

    #[test]
    fn a_new_partition_is_no_reason_to_read_all_values_and_a_changed_one_is() {
        let restored = shape(ORDERS, &[&["id"]]);
        let mut source = restored.clone();
        let new = Relation { layout: "another".to_owned(), obstacle: None };
        source.relations.insert("16500".to_owned(), new.clone());
        assert!(plan_comparison(&restored, &source).unwrap().same_layout);
        source.relations.insert("16400".to_owned(), new);
        assert!(!plan_comparison(&restored, &source).unwrap().same_layout);
    }

    #[test]
    fn rows_that_no_backup_holds_are_not_compared() {
        let mut source = shape(ORDERS, &[&["id"]]);
        for relation in source.relations.values_mut() {
            relation.obstacle = Some("it is unlogged".to_owned());
        }
        assert_eq!(plan_comparison(&shape(ORDERS, &[]), &source).unwrap_err(), "on the source it is unlogged");
    }
}
