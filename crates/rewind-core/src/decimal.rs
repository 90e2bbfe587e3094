//! Exact comparison of decimal numbers of any length, as databases print them. It never calculates with them.

use std::cmp::Ordering;

/// A decimal number, kept as the digits that matter and where they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// The power of ten above the first digit; meaningless where there is no digit.
    magnitude: i64,
    /// Without zeros at either end; zero itself has none.
    digits: String,
}

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; anything else, spaces included, is not a number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        // An exponent that i32 can't hold is no number that a database prints; as i64 the sums below can't overflow.
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            // One form for zero, whatever its sign and exponent: derived equality must agree with the order.
            return Some(Self { negative: false, magnitude: 0, digits });
        }
        let magnitude = i64::try_from(whole.len()).ok()?.checked_sub(leading)?.checked_add(exponent)?;
        Some(Self { negative, magnitude, digits })
    }

    /// Makes the number that `Display` writes for an `f64`; none if that is infinite or not a number.
    pub(crate) fn of(number: f64) -> Option<Self> {
        // `Display` writes the shortest digits that read back as the same f64: what the request said.
        Self::parse(&number.to_string())
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        // Without leading zeros the higher magnitude is the larger number; with equal ones, text order is the order of the digits.
        let size = || self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then_with(|| if self.negative { size().reverse() } else { size() })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_exactly_whatever_their_length() {
        let in_order = [
            "-1e400",
            "-12345678901234567890.2",
            "-12345678901234567890.1",
            "-1",
            "-0.5",
            "-1e-400",
            "0",
            "1e-400",
            "0.05",
            "0.5",
            "1",
            "1.00000000000000000000000000001",
            "9",
            "10",
            "12345678901234567890.1",
            "12345678901234567890.2",
            "1e400",
        ];
        for (i, small) in in_order.iter().enumerate() {
            for (j, great) in in_order.iter().enumerate() {
                let (a, b) = (Decimal::parse(small).unwrap(), Decimal::parse(great).unwrap());
                assert_eq!(a.cmp(&b), i.cmp(&j), "{small} and {great}");
            }
        }
    }

    #[test]
    fn one_number_is_one_number_however_it_is_written() {
        for same in
            [["0", "-0.000"], ["1", "+1.0"], ["1200", "1.2e3"], ["0.0012", "12E-4"], [".5", "0.50"], ["5.", "5"]]
        {
            assert_eq!(Decimal::parse(same[0]), Decimal::parse(same[1]), "{same:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_read_as_one() {
        for text in
            ["", "-", "+", ".", "e5", "1e", "1e5.0", "1 ", " 1", "1,0", "--1", "NaN", "inf", "１", "1e99999999999"]
        {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_integers_of_any_scale(a in -(1_i128 << 90)..(1_i128 << 90), b in -(1_i128 << 90)..(1_i128 << 90), scale in 0_u32..9) {
            let write = |n: i128| format!("{n}e-{scale}");
            prop_assert_eq!(Decimal::parse(&write(a)).unwrap().cmp(&Decimal::parse(&write(b)).unwrap()), a.cmp(&b));
            // The same number moved by a power of ten, the digits written out.
            let scaled = (a * 10_i128.pow(scale)).to_string();
            prop_assert_eq!(Decimal::parse(&format!("{a}e{scale}")), Decimal::parse(&scaled));
        }

        #[test]
        fn floats_keep_their_order(a in any::<f64>(), b in any::<f64>()) {
            if a.is_finite() && b.is_finite() {
                prop_assert_eq!(Decimal::of(a).unwrap().partial_cmp(&Decimal::of(b).unwrap()), a.partial_cmp(&b));
            }
        }
    }
}
