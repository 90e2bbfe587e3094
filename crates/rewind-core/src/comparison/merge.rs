//! Counts what differs between two streams of digested rows that come in the order of their keys. It holds one row of each side.

use super::RowChanges;

/// A row, or several equal ones where the table has no key, without any value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestedRow {
    /// The digest of the key, which the rows are ordered by; that of all values where there is no key.
    pub key: String,
    /// The digest of all values; empty where there is no key.
    pub values: String,
    /// The number of such rows; 1 where there is a key.
    pub count: u64,
}

/// Two rows of one side have the same key, so that nobody can tell which of them the other side's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatedKey;

/// The comparison of two ordered streams, one row of each at a time.
#[derive(Debug, Default)]
pub struct Merge {
    changes: RowChanges,
    restored: Option<DigestedRow>,
    source: Option<DigestedRow>,
    last_restored: Option<String>,
    last_source: Option<String>,
}

impl Merge {
    /// Takes the next row of the restored cluster; none at its end.
    ///
    /// # Errors
    ///
    /// [`RepeatedKey`] where it does not come after the row before it.
    pub fn take_restored(&mut self, row: Option<DigestedRow>) -> Result<(), RepeatedKey> {
        in_order(&mut self.last_restored, row.as_ref())?;
        self.restored = row;
        Ok(())
    }

    /// Takes the next row of the source; none at its end.
    ///
    /// # Errors
    ///
    /// [`RepeatedKey`] where it does not come after the row before it.
    pub fn take_source(&mut self, row: Option<DigestedRow>) -> Result<(), RepeatedKey> {
        in_order(&mut self.last_source, row.as_ref())?;
        self.source = row;
        Ok(())
    }

    /// Counts the first of the rows that are held, or the pair of them, and returns true for each side whose next row is needed: first
    /// the restored cluster, then the source. Both are false at the end of both.
    pub fn advance(&mut self) -> (bool, bool) {
        match (self.restored.take(), self.source.take()) {
            (None, None) => (false, false),
            (Some(restored), None) => {
                self.changes.deleted += restored.count;
                (true, false)
            }
            (None, Some(source)) => {
                self.changes.inserted += source.count;
                (false, true)
            }
            (Some(restored), Some(source)) if restored.key < source.key => {
                self.changes.deleted += restored.count;
                self.source = Some(source);
                (true, false)
            }
            (Some(restored), Some(source)) if restored.key > source.key => {
                self.changes.inserted += source.count;
                self.restored = Some(restored);
                (false, true)
            }
            (Some(restored), Some(source)) => {
                // With a key both counts are 1, and without one no values are given: either the first line counts or the other two.
                self.changes.updated += u64::from(restored.values != source.values);
                self.changes.deleted += restored.count.saturating_sub(source.count);
                self.changes.inserted += source.count.saturating_sub(restored.count);
                (true, true)
            }
        }
    }

    /// The changes that were counted.
    pub fn changes(&self) -> RowChanges {
        self.changes
    }
}

fn in_order(last: &mut Option<String>, row: Option<&DigestedRow>) -> Result<(), RepeatedKey> {
    let Some(row) = row else { return Ok(()) };
    // An equal key as well: its second row would pair with the wrong row of the other side.
    if last.as_ref().is_some_and(|last| *last >= row.key) {
        return Err(RepeatedKey);
    }
    *last = Some(row.key.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Side = BTreeMap<u8, (u8, u64)>;

    fn merged(restored: &Side, source: &Side) -> RowChanges {
        let rows = |side: &Side| {
            let row = |(key, (values, count)): (&u8, &(u8, u64))| DigestedRow {
                key: format!("{key:03}"),
                values: values.to_string(),
                count: *count,
            };
            side.iter().map(row).collect::<Vec<_>>().into_iter()
        };
        let (mut restored, mut source) = (rows(restored), rows(source));
        let mut merge = Merge::default();
        let mut needed = (true, true);
        loop {
            if needed.0 {
                merge.take_restored(restored.next()).unwrap();
            }
            if needed.1 {
                merge.take_source(source.next()).unwrap();
            }
            needed = merge.advance();
            if needed == (false, false) {
                return merge.changes();
            }
        }
    }

    proptest! {
        #[test]
        fn every_row_is_counted_once(
            restored in prop::collection::btree_map(0_u8..30, (0_u8..3, Just(1)), 0..30),
            source in prop::collection::btree_map(0_u8..30, (0_u8..3, Just(1)), 0..30),
        ) {
            let found = merged(&restored, &source);
            let count = |rows: usize| u64::try_from(rows).unwrap();
            prop_assert_eq!(found.inserted, count(source.keys().filter(|key| !restored.contains_key(key)).count()));
            prop_assert_eq!(found.deleted, count(restored.keys().filter(|key| !source.contains_key(key)).count()));
            let updated = restored.iter().filter(|(key, row)| source.get(key).is_some_and(|other| other != *row));
            prop_assert_eq!(found.updated, count(updated.count()));
        }

        #[test]
        fn equal_rows_without_a_key_are_counted_by_their_number(
            restored in prop::collection::btree_map(0_u8..9, (Just(0), 1_u64..5), 0..9),
            source in prop::collection::btree_map(0_u8..9, (Just(0), 1_u64..5), 0..9),
        ) {
            let found = merged(&restored, &source);
            let rows = |side: &Side| side.values().map(|(_, count)| count).sum::<u64>();
            prop_assert_eq!(rows(&restored) + found.inserted - found.deleted, rows(&source));
            prop_assert_eq!(found.updated, 0);
            prop_assert_eq!(found == RowChanges::default(), restored == source);
        }
    }

    #[test]
    fn a_key_that_comes_twice_or_out_of_order_is_refused() {
        let row = |key: &str| Some(DigestedRow { key: key.to_owned(), values: String::new(), count: 1 });
        for second in ["b", "a"] {
            let mut merge = Merge::default();
            merge.take_restored(row("b")).unwrap();
            assert_eq!(merge.take_restored(row(second)), Err(RepeatedKey));
            let mut merge = Merge::default();
            merge.take_source(row("b")).unwrap();
            assert_eq!(merge.take_source(row(second)), Err(RepeatedKey));
        }
    }
}
