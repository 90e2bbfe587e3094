//! The findings about the secret that every later login rests on.

use rewind_aws::secret_form::SecretForm;
use rewind_core::{Finding, FindingCode};

/// The finding about the secret of that form which the request's `field` names; none if it holds a login.
pub(crate) fn finding(field: &str, arn: &str, form: SecretForm) -> Option<Finding> {
    const WRITE_JSON: &str =
        "write JSON into it: {\"username\": \"…\", \"password\": \"…\"} (aws secretsmanager put-secret-value)";
    let blocking = |code, what: String, fix: String| Some(Finding::blocking(code, what, fix));
    match form {
        SecretForm::Login => None,
        SecretForm::Missing => blocking(
            FindingCode::SecretMissing,
            format!("there is no secret {arn}"),
            format!("give the ARN of a secret that is there as `{field}`"),
        ),
        SecretForm::Deleted(at) => blocking(
            FindingCode::SecretDeleted,
            format!("the secret {arn} is marked for deletion since {at}, and cannot be read"),
            format!("run `aws secretsmanager restore-secret --secret-id {arn}`, or name another secret"),
        ),
        SecretForm::Unreadable(why) => blocking(
            FindingCode::SecretUnreadable,
            format!("the secret cannot be read: {why}"),
            "allow the functions to read it: SecretArns of the deployment, the secret's own policy, and that of its key"
                .to_owned(),
        ),
        SecretForm::Binary => blocking(
            FindingCode::SecretBinary,
            format!("the secret {arn} holds bytes and no text"),
            WRITE_JSON.to_owned(),
        ),
        SecretForm::PlainText => blocking(
            FindingCode::SecretPlainText,
            format!("the text of the secret {arn} is no JSON object"),
            WRITE_JSON.to_owned(),
        ),
        SecretForm::Keys(keys) => blocking(
            FindingCode::SecretKeys,
            match keys.as_slice() {
                [] => format!("the secret {arn} is empty"),
                // The names alone: a value may be the password under another name.
                _ => format!("the secret {arn} has no `password`: its fields are {}", keys.join(", ")),
            },
            "name the fields `username` and `password`, in lower case".to_owned(),
        ),
        SecretForm::NotText(field) => blocking(
            FindingCode::SecretPasswordNumber,
            format!("`{field}` of the secret {arn} is no text"),
            format!("write it in quotes: {{\"{field}\": \"…\"}}"),
        ),
        SecretForm::EmptyPassword => blocking(
            FindingCode::SecretKeys,
            format!("`password` of the secret {arn} is empty"),
            "write the password into it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_that_is_no_login_blocks_with_a_fix_of_its_own() {
        let at = "2026-11-23T10:30:00Z".parse().unwrap();
        let forms = [
            SecretForm::Missing,
            SecretForm::Deleted(at),
            SecretForm::Unreadable("AccessDeniedException".to_owned()),
            SecretForm::Binary,
            SecretForm::Keys(vec!["pass".to_owned()]),
            SecretForm::NotText("password"),
        ];
        let found: Vec<Finding> = forms.into_iter().filter_map(|form| finding("secretArn", "arn:s", form)).collect();
        assert_eq!(found.len(), 6);
        let mut codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        let mut fixes: Vec<&str> = found.iter().map(|finding| finding.fix.as_str()).collect();
        for texts in [&mut codes, &mut fixes] {
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), 6, "{texts:?}");
        }
        assert!(found.iter().all(Finding::is_blocking));
        assert_eq!(finding("secretArn", "arn:s", SecretForm::Login), None);
    }
}
