//! The hashes of the rows of both sides, bucket by bucket: which buckets may differ, and what is known of them without reading a row.

use super::RowChanges;
use std::collections::BTreeMap;

/// The number of buckets that the rows of a table are spread over. With ten million rows and ten that differ, ten buckets with some two
/// thousand rows each are read again.
pub const BUCKETS: u32 = 4_096;

/// The most buckets that a query names. Beyond it reading all rows costs little more than choosing them.
const NAMED_MAX: usize = 1_024;

/// The rows of one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Their number.
    pub rows: u64,
    /// The sum of their hashes. A sum and no XOR: two equal rows would cancel each other out.
    pub sum: String,
}

/// The buckets of one side that hold rows, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buckets(BTreeMap<u32, Bucket>);

impl Buckets {
    /// Reads rows of number, count and sum.
    ///
    /// # Errors
    ///
    /// A sentence about a row that is none.
    pub fn read(rows: Vec<Vec<Option<String>>>) -> Result<Self, String> {
        let one = |row: Vec<Option<String>>| {
            let [Some(number), Some(count), Some(sum)] = <[Option<String>; 3]>::try_from(row).ok()? else {
                return None;
            };
            let number: u32 = number.parse().ok().filter(|number| *number < BUCKETS)?;
            Some((number, Bucket { rows: count.parse().ok()?, sum }))
        };
        let read = rows.into_iter().map(one).collect::<Option<BTreeMap<_, _>>>();
        read.map(Self).ok_or_else(|| "the hashes of its rows could not be read".to_owned())
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|bucket| bucket.rows).sum()
    }
}

/// The rows that the hashes of both sides leave to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspects {
    /// The changes that the counts alone show: of buckets that are empty on one side.
    pub known: RowChanges,
    /// The buckets that differ, and have rows on both sides.
    pub differing: Vec<u32>,
    /// The rows in them, on both sides together.
    pub rows: u64,
}

impl Suspects {
    /// Compares the buckets of the restored cluster with those of the source.
    pub fn of(restored: &Buckets, source: &Buckets) -> Self {
        let mut suspects = Self::default();
        for (number, bucket) in &restored.0 {
            match source.0.get(number) {
                None => suspects.known.deleted += bucket.rows,
                // Most buckets end here, without a row of them being read again.
                Some(other) if other == bucket => {}
                Some(other) => {
                    suspects.differing.push(*number);
                    suspects.rows += bucket.rows + other.rows;
                }
            }
        }
        let only_source = source.0.iter().filter(|(number, _)| !restored.0.contains_key(number));
        suspects.known.inserted += only_source.map(|(_, bucket)| bucket.rows).sum::<u64>();
        suspects
    }

    /// The buckets whose rows are to be read; none for all of them. A bucket that does not differ changes no count, but one that is
    /// empty on one side does: then [`Self::known`] is counted again, and does not count.
    pub fn to_read(&self) -> Option<&[u32]> {
        (self.differing.len() <= NAMED_MAX).then_some(&self.differing)
    }

    /// The changes that reading does not count.
    pub fn known_beside_reading(&self) -> RowChanges {
        if self.to_read().is_some() || self.differing.is_empty() { self.known } else { RowChanges::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(rows: &[(u32, u64, &str)]) -> Buckets {
        let row = |(number, rows, sum): &(u32, u64, &str)| {
            vec![Some(number.to_string()), Some(rows.to_string()), Some((*sum).to_owned())]
        };
        Buckets::read(rows.iter().map(row).collect()).unwrap()
    }

    #[test]
    fn buckets_that_are_equal_are_not_read_and_those_of_one_side_are_counted() {
        let restored = buckets(&[(0, 2, "10"), (1, 3, "7"), (2, 5, "1")]);
        let source = buckets(&[(0, 2, "10"), (2, 5, "2"), (4, 9, "3")]);
        let suspects = Suspects::of(&restored, &source);
        assert_eq!(suspects.known, RowChanges { inserted: 9, updated: 0, deleted: 3 });
        assert_eq!((suspects.to_read(), suspects.rows), (Some(&[2][..]), 10));
        assert_eq!(suspects.known_beside_reading(), suspects.known);
        assert_eq!((restored.rows(), source.rows()), (10, 16));
    }

    #[test]
    fn the_same_sum_of_another_number_of_rows_differs() {
        assert_eq!(Suspects::of(&buckets(&[(0, 1, "0")]), &buckets(&[(0, 2, "0")])).differing, [0]);
    }

    #[test]
    fn where_all_is_read_nothing_is_counted_twice() {
        let side = |sum: &str| buckets(&(0..2_000).map(|number| (number, 1, sum)).collect::<Vec<_>>());
        let mut source = side("2");
        source.0.insert(3_000, Bucket { rows: 5, sum: "1".to_owned() });
        let suspects = Suspects::of(&side("1"), &source);
        assert_eq!((suspects.to_read(), suspects.known.inserted), (None, 5));
        assert_eq!(suspects.known_beside_reading(), RowChanges::default());
    }

    #[test]
    fn a_row_that_is_no_bucket_is_refused() {
        let text = |text: &str| Some(text.to_owned());
        for row in
            [vec![text("0"), text("1")], vec![text("4096"), text("1"), text("1")], vec![text("0"), None, text("1")]]
        {
            assert!(Buckets::read(vec![row]).is_err());
        }
    }
}
