//! Verifies that a request comes from Slack: its signature (v0), in constant time, and its age. Nothing of the body is parsed
//! before that. <https://docs.slack.dev/authentication/verifying-requests-from-slack>

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The greatest age of a request, in seconds, as Slack recommends.
pub(crate) const AGE_MAX: i64 = 300;

/// A reason why a request is not from Slack, or not from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// There is no signature, or no timestamp.
    Missing,
    /// It is too old, or from the future.
    Stale,
    /// The signature is not of this secret, timestamp and body.
    Wrong,
}

/// Verifies a request; returns its signature, by which the same request is known again.
///
/// # Errors
///
/// The reason why it is refused.
pub(crate) fn verify(
    secret: &str,
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<String, SignatureError> {
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else { return Err(SignatureError::Missing) };
    // Only digits, as Slack writes it: Rust would also parse "+5", which Slack never signed.
    if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Missing);
    }
    let at: i64 = timestamp.parse().map_err(|_| SignatureError::Stale)?;
    if now.as_second().abs_diff(at) > AGE_MAX.unsigned_abs() {
        return Err(SignatureError::Stale);
    }
    // In constant time: the time of a comparison must not tell how much of a guessed signature is right.
    let expected = sign(secret, timestamp, body).ok_or(SignatureError::Wrong)?;
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) { Ok(expected) } else { Err(SignatureError::Wrong) }
}

/// Computes the signature of a request.
pub(crate) fn sign(secret: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    // Version, time and body in one: a signature cannot be moved to another body or made fresh again.
    Some(format!("v0={}", mac(secret, &[b"v0:", timestamp.as_bytes(), b":", body])?))
}

/// Computes the MAC of those bytes, in hexadecimal digits.
pub(crate) fn mac(secret: &str, parts: &[&[u8]]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example in Slack's public documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: &str = "1531420618";
    const BODY: &[u8] =
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https\
        %3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_example_of_slacks_documentation_is_verified() {
        let verified = verify(SECRET, Some(AT), Some(SIGNATURE), BODY, second(1_531_420_618));
        assert_eq!(verified.as_deref(), Ok(SIGNATURE));
    }

    #[test]
    fn a_request_is_good_for_five_minutes_either_way() {
        let at = |now| verify(SECRET, Some(AT), Some(SIGNATURE), BODY, second(now)).err();
        for now in [1_531_420_318, 1_531_420_918] {
            assert_eq!(at(now), None);
        }
        for now in [0, 1_531_420_317, 1_531_420_919, 4_000_000_000] {
            assert_eq!(at(now), Some(SignatureError::Stale));
        }
    }

    #[test]
    fn what_is_missing_or_no_time_is_refused() {
        let now = second(1_531_420_618);
        assert_eq!(verify(SECRET, None, Some(SIGNATURE), BODY, now), Err(SignatureError::Missing));
        assert_eq!(verify(SECRET, Some(AT), None, BODY, now), Err(SignatureError::Missing));
        for time in ["", " 1531420618", "+1531420618", "1531420618.0", "now", "-1", "１５"] {
            assert_eq!(
                verify(SECRET, Some(time), Some(SIGNATURE), BODY, now),
                Err(SignatureError::Missing),
                "{time:?}"
            );
        }
        let far = "9".repeat(30);
        assert_eq!(verify(SECRET, Some(&far), Some(SIGNATURE), BODY, now), Err(SignatureError::Stale));
    }

    proptest! {
        #[test]
        fn a_signature_fits_its_own_secret_time_and_body_and_nothing_else(
            secret in "[!-~]{1,64}", other in "[!-~]{1,64}", at in 0i64..4_000_000_000, shift in 1i64..300,
            body in prop::collection::vec(any::<u8>(), 0..300), at_byte in any::<prop::sample::Index>(),
        ) {
            let time = at.to_string();
            let signature = sign(&secret, &time, &body).unwrap();
            let check = |secret: &str, time: &str, signature: &str, body: &[u8]| {
                verify(secret, Some(time), Some(signature), body, second(at))
            };
            prop_assert_eq!(check(&secret, &time, &signature, &body), Ok(signature.clone()));
            if other != secret {
                prop_assert_eq!(check(&other, &time, &signature, &body), Err(SignatureError::Wrong));
            }
            prop_assert_eq!(check(&secret, &(at + shift).to_string(), &signature, &body), Err(SignatureError::Wrong));
            let mut longer = body.clone();
            longer.push(0);
            prop_assert_eq!(check(&secret, &time, &signature, &longer), Err(SignatureError::Wrong));
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[at_byte.index(body.len())] ^= 1;
                prop_assert_eq!(check(&secret, &time, &signature, &changed), Err(SignatureError::Wrong));
            }
            let upper = signature.to_uppercase();
            prop_assert_eq!(check(&secret, &time, &upper, &body), Err(SignatureError::Wrong));
        }

        #[test]
        fn no_header_makes_the_check_panic(time in "\\PC{0,40}", signature in "\\PC{0,100}", body in any::<Vec<u8>>()) {
            prop_assert!(verify("secret", Some(&time), Some(&signature), &body, second(1_531_420_618)).is_err());
        }
    }
}
