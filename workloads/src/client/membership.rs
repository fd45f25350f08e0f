//! Asking a cluster in the box for another membership, or for another leader.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{http::Http, status::StatusError};

/// A change that is not agreed to within this is given up; it may come about later all the same.
const CHANGE_TIMEOUT: Duration = Duration::from_millis(800);

/// Asks for these voters and learners, all of them; `Ok` once the cluster says that it is so.
///
/// # Errors
/// When the node does not answer in time, or does not agree.
pub async fn change_membership(base_url: &str, voters: &[u32], learners: &[u32]) -> Result<(), StatusError> {
    post(base_url, "/v1/membership", &json!({"voters": voters, "learners": learners})).await
}

/// Asks the leader at this address to hand over, to this node or one of its choice; `Ok` once it has begun to.
///
/// # Errors
/// When the node does not answer in time, or does not lead.
pub async fn transfer_leadership(base_url: &str, to: Option<u32>) -> Result<(), StatusError> {
    let body = to.map_or_else(|| json!({}), |to| json!({"to": to}));
    post(base_url, "/v1/transfer", &body).await
}

async fn post(base_url: &str, path: &str, body: &serde_json::Value) -> Result<(), StatusError> {
    let http = Http::new(base_url).map_err(|error| StatusError::BadUrl(error.to_string()))?;
    let base_url = || base_url.to_owned();
    match http.post(path, body.to_string().into_bytes(), Instant::now() + CHANGE_TIMEOUT).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(StatusError::BadAnswer { base_url: base_url(), status: answer.status }),
        Err(no) => Err(StatusError::NoAnswer { base_url: base_url(), reason: no.reason }),
    }
}
