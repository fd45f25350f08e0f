//! Asking a cluster in the box for another membership.

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
    let http = Http::new(base_url).map_err(|error| StatusError::BadUrl(error.to_string()))?;
    let body = json!({"voters": voters, "learners": learners}).to_string().into_bytes();
    let base_url = || base_url.to_owned();
    match http.post("/v1/membership", body, Instant::now() + CHANGE_TIMEOUT).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(StatusError::BadAnswer { base_url: base_url(), status: answer.status }),
        Err(no) => Err(StatusError::NoAnswer { base_url: base_url(), reason: no.reason }),
    }
}
