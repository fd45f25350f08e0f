//! Questions to a server about itself: whether it is ready, and what its part is.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::{
    answer::{Conditions, Is, Pointer, Statuses},
    operation::{Ask, Asking, Path, Verb},
    template::Template,
};
use crate::client::{
    NodeStatus, Role, StatusError,
    http::{Answer, Http},
    status::STATUS_TIMEOUT,
};

/// Whether a server serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenReady", into = "WrittenReady")]
pub struct Ready {
    asking: Asking<Ask>,
    when: Conditions,
}

/// As it stands in a description.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenReady {
    #[serde(default)]
    method: Verb,
    path: Path<Ask>,
    #[serde(default)]
    headers: BTreeMap<String, Template<Ask>>,
    #[serde(default)]
    body: Option<Template<Ask>>,
    /// The answer has this status, else 200.
    #[serde(default)]
    status: Option<Statuses>,
    #[serde(default)]
    json: BTreeMap<Pointer, Json>,
    #[serde(default)]
    is: BTreeMap<Pointer, Is>,
}

impl TryFrom<WrittenReady> for Ready {
    type Error = String;

    fn try_from(written: WrittenReady) -> Result<Self, Self::Error> {
        let WrittenReady { method, path, headers, body, status, json, is } = written;
        let status = Some(status.unwrap_or_else(|| Statuses::one(200)));
        let when = Conditions { status, json, is, ..Conditions::default() };
        Ok(Self { asking: Asking::new(method, path, headers, body, "probe")?, when })
    }
}

impl From<Ready> for WrittenReady {
    fn from(ready: Ready) -> Self {
        let (method, path, headers, body) = ready.asking.written();
        let Conditions { status, json, is, .. } = ready.when;
        Self { method, path, headers, body, status, json, is }
    }
}

impl Ready {
    /// Whether the server at `http://HOST:PORT` says that it serves.
    pub async fn ask(&self, base_url: &str) -> bool {
        ask(&self.asking, base_url).await.is_ok_and(|answer| self.when.hold(&answer))
    }
}

/// What a server says of its part, so that faults can be aimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenStatus", into = "WrittenStatus")]
pub struct Status {
    asking: Asking<Ask>,
    /// It leads if its answer is like this.
    leads: Option<Conditions>,
    /// It leads if these are equal, such as its own name and that of the leader.
    leads_if_same: Option<[Pointer; 2]>,
    /// Where the number is that goes up with every leader.
    term: Option<Pointer>,
    /// Where the leader's name is.
    leader: Option<Pointer>,
}

/// As it stands in a description.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenStatus {
    #[serde(default)]
    method: Verb,
    path: Path<Ask>,
    #[serde(default)]
    headers: BTreeMap<String, Template<Ask>>,
    #[serde(default)]
    body: Option<Template<Ask>>,
    #[serde(default)]
    leads: Option<Conditions>,
    #[serde(default)]
    leads_if_same: Option<[Pointer; 2]>,
    #[serde(default)]
    term: Option<Pointer>,
    #[serde(default)]
    leader: Option<Pointer>,
}

impl TryFrom<WrittenStatus> for Status {
    type Error = String;

    fn try_from(written: WrittenStatus) -> Result<Self, Self::Error> {
        let WrittenStatus { method, path, headers, body, leads, leads_if_same, term, leader } = written;
        let says_when = leads.as_ref().is_some_and(|leads| *leads != Conditions::default());
        if says_when == leads_if_same.is_some() {
            return Err(
                "who leads is said by leads (what its answer is like) or by leads-if-same (two places that are equal \
                        in its answer), one of both"
                    .to_owned(),
            );
        }
        Ok(Self { asking: Asking::new(method, path, headers, body, "probe")?, leads, leads_if_same, term, leader })
    }
}

impl From<Status> for WrittenStatus {
    fn from(status: Status) -> Self {
        let Status { asking, leads, leads_if_same, term, leader } = status;
        let (method, path, headers, body) = asking.written();
        Self { method, path, headers, body, leads, leads_if_same, term, leader }
    }
}

impl Status {
    /// Asks the server at `http://HOST:PORT`, which the harness knows by this number.
    ///
    /// # Errors
    /// When it does not answer soon, or with something in which its part cannot be found.
    pub async fn ask(&self, base_url: &str) -> Result<NodeStatus, StatusError> {
        let answer = ask(&self.asking, base_url).await?;
        let bad = || StatusError::BadAnswer { base_url: base_url.to_owned(), status: answer.status };
        if !(200..=299).contains(&answer.status) {
            return Err(bad());
        }
        let json: Json = serde_json::from_slice(&answer.body).map_err(|_| bad())?;
        self.read(&answer, &json).ok_or_else(bad)
    }

    /// None where a place that is described is not there.
    fn read(&self, answer: &Answer, json: &Json) -> Option<NodeStatus> {
        let leads = match &self.leads_if_same {
            Some([own, leader]) => own.of(json)? == leader.of(json).unwrap_or(&Json::Null),
            None => self.leads.as_ref()?.hold(answer),
        };
        // Without a term, all leaders are of one.
        let term = self.term.as_ref().map_or(Some(1), |term| number(term.of(json)?))?;
        // Without a name of the leader, nodes cannot disagree; where it is null, empty or missing, none is known.
        let leader = match &self.leader {
            Some(place) => place.of(json).filter(|leader| is_named(leader)).map(name),
            None => Some(0),
        };
        let role = match (leads, leader) {
            (true, _) => Role::Leader,
            (false, Some(_)) => Role::Follower,
            (false, None) => Role::Candidate,
        };
        Some(NodeStatus { id: 0, role, term, leader, commit: 0, applied: 0, mutant: None, fired: 0 })
    }
}

/// What a server is that says nothing of its part.
#[must_use]
pub fn without_a_part() -> NodeStatus {
    NodeStatus { id: 0, role: Role::Follower, term: 1, leader: Some(0), commit: 0, applied: 0, mutant: None, fired: 0 }
}

async fn ask(asking: &Asking<Ask>, base_url: &str) -> Result<Answer, StatusError> {
    let http = Http::new(base_url).map_err(|error| StatusError::BadUrl(error.to_string()))?;
    let request = asking.fill(|_| checkers::history::Value::Nil).map_err(StatusError::BadUrl)?;
    let answer = http.send(request, Instant::now() + STATUS_TIMEOUT).await;
    answer.map_err(|no| StatusError::NoAnswer { base_url: base_url.to_owned(), reason: no.reason })
}

/// A whole number, or one in quotes.
fn number(json: &Json) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

fn is_named(leader: &Json) -> bool {
    !matches!(leader, Json::Null | Json::Bool(false)) && leader.as_str() != Some("") && number(leader) != Some(0)
}

/// Any name as a number: names are only compared.
fn name(leader: &Json) -> u64 {
    number(leader).unwrap_or_else(|| {
        let mut hasher = DefaultHasher::new();
        leader.to_string().hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: Json, answer: &Json) -> Option<NodeStatus> {
        let status: Status = serde_json::from_value(status).expect("a status");
        assert_eq!(serde_json::from_value::<Status>(serde_json::to_value(&status).unwrap()).unwrap(), status);
        status.read(&Answer { status: 200, body: answer.to_string().into_bytes() }, answer)
    }

    #[test]
    fn who_leads_by_two_places_that_are_equal() {
        let described =
            json!({"path": "/s", "leads-if-same": ["/id", "/leader"], "leader": "/leader", "term": "/term"});
        for (answer, wanted) in [
            (json!({"id": "7", "leader": "7", "term": "3"}), Some((Role::Leader, 3, Some(7)))),
            (json!({"id": "7", "leader": "8", "term": 4}), Some((Role::Follower, 4, Some(8)))),
            (json!({"id": "7", "leader": "0", "term": 4}), Some((Role::Candidate, 4, None))),
            (json!({"id": "7", "term": 4}), Some((Role::Candidate, 4, None))),
            (json!({"leader": "7", "term": 4}), None),
            (json!({"id": "7", "leader": "7"}), None),
            (json!({"id": "7", "leader": "7", "term": "x"}), None),
        ] {
            let read = read(described.clone(), &answer);
            assert_eq!(read.map(|status| (status.role, status.term, status.leader)), wanted, "{answer}");
        }
    }

    #[test]
    fn who_leads_by_what_the_answer_is_like() {
        let described = json!({"path": "/s", "leads": {"json": {"/role": "primary"}}});
        let role = |role: &str| read(described.clone(), &json!({"role": role})).map(|s| (s.role, s.term, s.leader));
        assert_eq!(role("primary"), Some((Role::Leader, 1, Some(0))));
        assert_eq!(role("backup"), Some((Role::Follower, 1, Some(0))));
    }

    #[test]
    fn names_of_leaders_are_told_apart() {
        assert_eq!(name(&json!("a")), name(&json!("a")));
        assert_ne!(name(&json!("a")), name(&json!("b")));
        assert!(is_named(&json!("a")) && is_named(&json!(3)));
        assert!(![json!(null), json!(""), json!(0), json!("0"), json!(false)].iter().any(is_named));
    }

    #[test]
    fn a_status_says_who_leads_in_one_way() {
        for wrong in [
            json!({"path": "/s"}),
            json!({"path": "/s", "leads": {}}),
            json!({"path": "/s", "leads": {"json": {"/a": 1}}, "leads-if-same": ["/a", "/b"]}),
            json!({"path": "/{key}", "leads": {"json": {"/a": 1}}}),
        ] {
            assert!(serde_json::from_value::<Status>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
