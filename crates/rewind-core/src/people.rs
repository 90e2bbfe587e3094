//! People: the identities that belong to one human being, and the rule that two of them have to agree on a recovery. It verifies no
//! identity and asks nobody.

use crate::error::{ErrorName, StepError};
use crate::signature::json_digest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// An identity by which somebody acted, as far as it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Identity {
    /// A member of a Slack workspace.
    Slack {
        /// The id of the workspace.
        team: String,
        /// The id of the member.
        user: String,
    },
    /// A caller of AWS.
    Aws {
        /// The ARN, as `sts:GetCallerIdentity` has it.
        arn: String,
    },
    /// Somebody, and nothing verifies who: a console, an event, an alarm, a decision without a proof.
    Unknown,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slack { team, user } => write!(f, "{user} in Slack workspace {team}"),
            Self::Aws { arn } => f.write_str(arn),
            Self::Unknown => f.write_str("somebody unknown"),
        }
    }
}

/// The signed request of `sts:GetCallerIdentity` with which somebody shows who they are: its headers. One of them names the act that it is
/// for, so that it is of no use for another one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerProof(pub BTreeMap<String, String>);

// With it nothing but the identity can be read; still it belongs into no log.
impl fmt::Debug for CallerProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerProof")
    }
}

impl CallerProof {
    /// Reads a proof; none where it is none, as of somebody who wrote it by hand.
    pub fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}

/// Reads a value for [`serde`]; none where it has another form, because people write decisions by hand.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(d: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(d)?).ok())
}

/// The field of an execution's input with the proof of who started it. It is no part of the request.
pub const STARTED_BY: &str = "startedBy";

/// The request in the input of an execution.
pub fn request_of(input: &Value) -> Value {
    let mut request = input.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.remove(STARTED_BY);
    }
    request
}

/// Names the act of starting the recovery `id` with this request, for a proof.
pub fn start_act(id: &str, request: &Value) -> String {
    format!("start {id} {}", request_digest(request))
}

/// Names the act of approving the proposal `hash` of the recovery `id`, for a proof.
pub fn approve_act(id: &str, hash: &str) -> String {
    format!("approve {id} {hash}")
}

/// The digest by which the request that somebody started is known again.
pub fn request_digest(request: &Value) -> String {
    let digest = json_digest("aurora-rewind start 1", request);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Verifies who signed a [`CallerProof`].
pub trait VerifyCallers: Send + Sync {
    /// Returns the ARN of whoever signed the proof for this act; none where nobody did.
    fn caller(&self, proof: &CallerProof, act: &str) -> impl Future<Output = Result<Option<String>, StepError>> + Send;
}

/// The identities of people, by the names that the deployment gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People(BTreeMap<String, Vec<String>>);

impl FromStr for People {
    type Err = String;

    /// Reads `ann=U1|T2/U9|arn:…,ben=U2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for person in text.split(',').map(str::trim).filter(|person| !person.is_empty()) {
            let (name, identities) = person.split_once('=').ok_or(format!("\"{person}\" has no name and ="))?;
            let identities: Vec<String> = identities.split('|').map(|one| one.trim().to_owned()).collect();
            for identity in &identities {
                if !is_identity(identity) {
                    return Err(format!("\"{identity}\" of {name} is neither a Slack id (U1 or T1/U1) nor an ARN"));
                }
                // Of two people it would be nobody's, and of one person twice it is a typing error.
                if !seen.insert(identity.clone()) {
                    return Err(format!("{identity} comes twice"));
                }
            }
            if name.trim().is_empty() || people.insert(name.trim().to_owned(), identities).is_some() {
                return Err(format!("\"{name}\" names nobody, or somebody who was named before"));
            }
        }
        Ok(Self(people))
    }
}

fn is_identity(text: &str) -> bool {
    let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
    match text.split_once('/') {
        _ if text.starts_with("arn:") => text.split(':').count() > 5,
        Some((team, user)) => is_id(team) && is_id(user),
        None => is_id(text),
    }
}

impl People {
    /// Finds the person whose identity it is.
    pub fn person(&self, identity: &Identity) -> Option<&str> {
        let names: Vec<&str> = match identity {
            Identity::Unknown => return None,
            Identity::Aws { arn } => self.named(|one| one == arn),
            // An id without a workspace is that person's in every one: in an organization it is the same in all of them.
            Identity::Slack { team, user } => {
                self.named(|one| one == user || one.split_once('/') == Some((team.as_str(), user.as_str())))
            }
        };
        match names.as_slice() {
            [name] => Some(name),
            // U1 of one and T1/U1 of another: nobody knows whose it is.
            _ => None,
        }
    }

    fn named(&self, is: impl Fn(&str) -> bool) -> Vec<&str> {
        self.0.iter().filter(|(_, all)| all.iter().any(|one| is(one))).map(|(name, _)| name.as_str()).collect()
    }
}

/// The recoveries on which two people have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TwoPeople {
    /// All. Where it is not known who started one, two people approve it.
    #[default]
    Always,
    /// Those of which it is known who started them.
    Known,
    /// Those that were started in chat, as far as they are approved in chat or by an identity in [`People`].
    Chat,
    /// None.
    Off,
}

/// The rule that two people agree, and the people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreeing {
    /// The recoveries that it is for.
    pub two_people: TwoPeople,
    /// The people.
    pub people: People,
}

/// The verdict on all approvals of a proposal so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// They are enough.
    Enough,
    /// Nobody but whoever started it has approved, as far as is known; and why.
    SamePerson(String),
    /// One more person has to approve; and why.
    OneMore(String),
}

const RULE: &str = "the stack's parameters TwoPeople and People say so";

impl Agreeing {
    /// Reads `REWIND_TWO_PEOPLE` and `REWIND_PEOPLE`; what is not set is the strictest.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] with the variable that cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        let wrong = |name: &str, why: &str| {
            StepError::new(
                ErrorName::Bug,
                format!("the function's environment has {name} with a value that is none: {why}"),
            )
            .changed("nothing was changed")
            .advice("set the stack's parameters TwoPeople and People as docs/chatops.md has them")
        };
        let two_people = match variable("REWIND_TWO_PEOPLE").as_deref() {
            None | Some("" | "always") => TwoPeople::Always,
            Some("known") => TwoPeople::Known,
            Some("chat") => TwoPeople::Chat,
            Some("off") => TwoPeople::Off,
            Some(_) => return Err(wrong("REWIND_TWO_PEOPLE", "always, known, chat or off")),
        };
        let people = variable("REWIND_PEOPLE").unwrap_or_default();
        Ok(Self { two_people, people: people.parse().map_err(|why: String| wrong("REWIND_PEOPLE", &why))? })
    }

    /// Decides if the approvals of `approvers` are enough for a recovery that was started by `started_by`; nobody in it means that nobody
    /// knows.
    pub fn agreement(&self, started_by: &[Identity], approvers: &[Identity]) -> Agreement {
        let known = self.known(started_by);
        let eligible: Vec<&Identity> = approvers
            .iter()
            .filter(|approver| known.iter().all(|requester| self.are_two(approver, requester)))
            .collect();
        let any_unknown = known.is_empty() || known.len() < started_by.len();
        let is_enough = match self.two_people {
            TwoPeople::Off => true,
            TwoPeople::Known if known.is_empty() => true,
            // Whoever of two people started it, the other one did not.
            TwoPeople::Always if any_unknown => {
                eligible.iter().any(|one| eligible.iter().any(|other| self.are_two(one, other)))
            }
            _ => !eligible.is_empty(),
        };
        if is_enough {
            return Agreement::Enough;
        }
        if any_unknown && eligible.iter().any(|approver| self.people.person(approver).is_some()) {
            return Agreement::OneMore(format!(
                "it is not known who started it, so two people have to approve it, and one has: {RULE}"
            ));
        }
        let by = approvers.last().unwrap_or(&Identity::Unknown);
        Agreement::SamePerson(match known.first() {
            _ if self.two_people != TwoPeople::Chat && self.people.person(by).is_none() => {
                format!(
                    "nothing shows that the approval of {by} is that of another person than whoever started it: {RULE}"
                )
            }
            Some(requester) => {
                format!("{by} may be who started it as {requester}, and another person has to approve it: {RULE}")
            }
            None => format!("nothing shows that {by} did not start it: {RULE}"),
        })
    }

    /// Explains why nobody could approve a recovery that was started by `started_by`; none where people can.
    pub fn why_nobody_can_approve(&self, started_by: &[Identity]) -> Option<String> {
        let known = self.known(started_by);
        let is_known = !known.is_empty() && known.len() == started_by.len();
        let needed = match self.two_people {
            TwoPeople::Off | TwoPeople::Chat => return None,
            TwoPeople::Known if known.is_empty() => return None,
            TwoPeople::Always if !is_known => 2,
            TwoPeople::Always | TwoPeople::Known => 1,
        };
        let requesters: BTreeSet<&str> = known.iter().filter_map(|identity| self.people.person(identity)).collect();
        let others = self.people.0.keys().filter(|name| !requesters.contains(name.as_str())).count();
        (others < needed).then(|| {
            format!(
                "two people have to agree here, and the parameter People names {others} who could approve where {needed} \
                 would have to"
            )
        })
    }

    /// The warning for the plan of a recovery that was started by `started_by`; none where one person is enough.
    pub fn warning(&self, started_by: &[Identity]) -> Option<String> {
        let known = self.known(started_by);
        let who = || known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        match self.two_people {
            TwoPeople::Off => None,
            TwoPeople::Always if known.is_empty() || known.len() < started_by.len() => Some(format!(
                "it is not known who started it, so two people of the parameter People have to approve it: {RULE}"
            )),
            _ if known.is_empty() => None,
            _ => Some(format!("{} started it, and another person has to approve it: {RULE}", who())),
        }
    }

    /// The warning for a plan that nobody has started; none where one person is enough for everything.
    pub fn outlook(&self) -> Option<String> {
        let after = match self.two_people {
            TwoPeople::Off => return None,
            TwoPeople::Always => "; where it is not known who started it, two people have to approve it",
            TwoPeople::Known => ", where it is known who that is",
            TwoPeople::Chat => ", where that was in chat",
        };
        Some(format!("whoever starts it cannot approve it{after}: {RULE}"))
    }

    /// True if the rule compares anybody at all.
    pub fn is_on(&self) -> bool {
        self.two_people != TwoPeople::Off
    }

    fn known<'a>(&self, started_by: &'a [Identity]) -> Vec<&'a Identity> {
        let is_known = |identity: &&Identity| match self.two_people {
            TwoPeople::Chat => matches!(identity, Identity::Slack { .. }),
            _ => self.people.person(identity).is_some(),
        };
        started_by.iter().filter(is_known).collect()
    }

    /// True if these are certainly two human beings; in chat, if they are not certainly one.
    fn are_two(&self, one: &Identity, other: &Identity) -> bool {
        match (self.people.person(one), self.people.person(other)) {
            (Some(one), Some(other)) => one != other,
            // Whoever is in no mapping may be anybody.
            _ if self.two_people != TwoPeople::Chat => false,
            // The workspace is left out: in an organization of several one person has the same id in all of them.
            _ => match (one, other) {
                (Identity::Slack { user: one, .. }, Identity::Slack { user: other, .. }) => one != other,
                _ => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ANN_AWS: &str = "arn:aws:sts::1:assumed-role/Admin/ann";

    fn slack(team: &str, user: &str) -> Identity {
        Identity::Slack { team: team.to_owned(), user: user.to_owned() }
    }

    fn aws(arn: &str) -> Identity {
        Identity::Aws { arn: arn.to_owned() }
    }

    fn agreeing(two_people: TwoPeople) -> Agreeing {
        let people = format!("ann=U1|T2/U9|{ANN_AWS}, ben=U2|arn:aws:iam::1:user/ben, cleo=U3").parse().unwrap();
        Agreeing { two_people, people }
    }

    fn is_enough(rule: TwoPeople, started_by: &[Identity], approvers: &[Identity]) -> bool {
        agreeing(rule).agreement(started_by, approvers) == Agreement::Enough
    }

    #[test]
    fn one_person_cannot_approve_by_another_identity_what_they_started() {
        let ann = [slack("T1", "U1"), slack("T2", "U1"), slack("T2", "U9"), aws(ANN_AWS)];
        for started in &ann {
            for approver in &ann {
                for rule in [TwoPeople::Always, TwoPeople::Known] {
                    assert!(
                        !is_enough(rule, std::slice::from_ref(started), std::slice::from_ref(approver)),
                        "{started}, {approver}"
                    );
                }
            }
            let started = std::slice::from_ref(started);
            for rule in [TwoPeople::Always, TwoPeople::Known, TwoPeople::Chat, TwoPeople::Off] {
                assert!(is_enough(rule, started, &[aws("arn:aws:iam::1:user/ben")]), "{started:?} {rule:?}");
            }
        }
        // In chat alone the mapping holds too, and an id is one person's in every workspace without it.
        assert!(!is_enough(TwoPeople::Chat, &[slack("T1", "U1")], &[slack("T2", "U9")]));
        assert!(!is_enough(TwoPeople::Chat, &[slack("T1", "U7")], &[slack("T2", "U7")]));
    }

    #[test]
    fn whoever_is_in_no_mapping_may_be_whoever_started_it() {
        let others =
            [slack("T3", "U9"), slack("T1", "U8"), aws("arn:aws:sts::1:assumed-role/Admin/ben"), Identity::Unknown];
        for other in others {
            let other = std::slice::from_ref(&other);
            for rule in [TwoPeople::Always, TwoPeople::Known] {
                assert!(!is_enough(rule, &[slack("T1", "U1")], other), "{other:?} {rule:?}");
            }
            // Nor is it known to be another person than one that is named.
            assert!(!is_enough(TwoPeople::Always, other, &[slack("T1", "U1")]), "{other:?}");
        }
        assert!(is_enough(TwoPeople::Off, &[slack("T1", "U1")], &[slack("T1", "U1")]));
    }

    #[test]
    fn what_nobody_knows_who_started_needs_two_people() {
        let (ann, ann_too, ben, cleo) = (slack("T1", "U1"), aws(ANN_AWS), slack("T1", "U2"), slack("T1", "U3"));
        for started in [&[][..], &[Identity::Unknown], &[aws("arn:aws:iam::1:user/else")]] {
            let of = |approvers: &[Identity]| agreeing(TwoPeople::Always).agreement(started, approvers);
            assert!(matches!(of(std::slice::from_ref(&ann)), Agreement::OneMore(_)));
            assert!(matches!(of(&[ann.clone(), ann_too.clone()]), Agreement::OneMore(_)));
            assert!(matches!(of(&[ann.clone(), Identity::Unknown]), Agreement::OneMore(_)));
            assert!(matches!(of(&[Identity::Unknown, Identity::Unknown]), Agreement::SamePerson(_)));
            assert_eq!(of(&[ann.clone(), ben.clone()]), Agreement::Enough);
            // One is enough where the deployment compares only whom it knows.
            assert!(is_enough(TwoPeople::Known, started, std::slice::from_ref(&ann)));
            assert!(is_enough(TwoPeople::Known, started, &[Identity::Unknown]));
        }
        // A recovery that somebody unknown started, and that Ann resumed: neither of the two may be Ann.
        let started = [Identity::Unknown, ann.clone()];
        assert!(!is_enough(TwoPeople::Always, &started, &[ann_too, ben.clone()]));
        assert!(is_enough(TwoPeople::Always, &started, &[cleo, ben]));
    }

    #[test]
    fn a_recovery_that_nobody_could_approve_is_known_beforehand() {
        let why = |people: &str, rule, started: &[Identity]| {
            Agreeing { two_people: rule, people: people.parse().unwrap() }.why_nobody_can_approve(started)
        };
        let ann = [slack("T1", "U1")];
        assert!(why("", TwoPeople::Always, &[]).unwrap().contains("parameter People"));
        assert!(why("ann=U1", TwoPeople::Always, &ann).is_some());
        assert!(why("ann=U1,ben=U2", TwoPeople::Always, &ann).is_none());
        assert!(why("ann=U1,ben=U2", TwoPeople::Always, &[]).is_none());
        assert!(why("ann=U1,ben=U2", TwoPeople::Always, &[Identity::Unknown, ann[0].clone()]).is_some());
        assert!(why("ann=U1", TwoPeople::Known, &ann).is_some());
        for rule in [TwoPeople::Known, TwoPeople::Chat, TwoPeople::Off] {
            assert!(why("", rule, &[]).is_none());
        }
    }

    #[test]
    fn an_environment_without_the_rule_is_the_strictest_and_a_wrong_one_starts_nothing() {
        let read = |rule: Option<&'static str>, people: &'static str| {
            Agreeing::read(
                move |name| if name == "REWIND_PEOPLE" { Some(people.to_owned()) } else { rule.map(ToOwned::to_owned) },
            )
        };
        assert_eq!(Agreeing::read(|_| None).unwrap(), Agreeing::default());
        assert_eq!(read(Some(""), "").unwrap().two_people, TwoPeople::Always);
        assert_eq!(read(Some("chat"), "").unwrap().two_people, TwoPeople::Chat);
        for (rule, people) in [
            ("true", ""),
            ("off", "ann"),
            ("off", "ann="),
            ("off", "=U1"),
            ("off", "ann=U1,ben=U1"),
            ("off", "ann=U1,ann=U2"),
            ("off", "ann=U 1"),
            ("off", "ann=arn:aws:iam"),
        ] {
            assert!(read(Some(rule), people).is_err(), "{rule} {people}");
        }
        // One and the same by two entries of two people is nobody's.
        let people: People = "ann=U1,ben=T1/U1".parse().unwrap();
        assert_eq!((people.person(&slack("T1", "U1")), people.person(&slack("T2", "U1"))), (None, Some("ann")));
    }

    #[test]
    fn an_act_is_of_one_recovery_and_one_request() {
        let act = start_act("r-1", &json!({ "cluster": "orders", "dns": [1] }));
        assert_eq!(act, start_act("r-1", &json!({ "dns": [1.0], "cluster": "orders" })));
        assert_ne!(act, start_act("r-2", &json!({ "cluster": "orders", "dns": [1] })));
        assert_ne!(act, start_act("r-1", &json!({ "cluster": "orders" })));
        assert!(CallerProof::read(&json!("no")).is_none());
    }
}
