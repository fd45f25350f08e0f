//! The native interface, answer by answer.

use super::{super::status::status_within, *};

async fn one(status: u16, body: Json, invocation: Invocation) -> Outcome {
    let base_url = always(status, body).await;
    NativeClient::new(&base_url).expect("an address").invoke(&invocation, PATIENT).await
}

#[tokio::test]
async fn requests_are_as_documented() {
    let base_url = serve(|path, body| match path {
        "/v1/read" if body == json!({"key": "k1"}) => (200, json!({"value": [1, "a", null]}).to_string()),
        "/v1/write" | "/v1/append" if body == json!({"key": "k1", "value": 7}) => (200, "{}".to_owned()),
        "/v1/cas" if body == json!({"key": "k1", "old": null, "new": 7}) => (200, json!({"swapped": true}).to_string()),
        _ => (500, String::new()),
    })
    .await;
    let mut client = NativeClient::new(&base_url).expect("an address");
    let list = Value::List(vec![int(1), Value::Text("a".to_owned()), Value::Nil]);
    assert_eq!(client.invoke(&read(), PATIENT).await, Outcome::ok(Some(list)));
    for change in [write(7), append(7), cas(Value::Nil, 7)] {
        assert_eq!(client.invoke(&change, PATIENT).await, Outcome::ok(None), "{change:?}");
    }
    assert_eq!(client.invoke(&write(8), PATIENT).await, Outcome::info("http-500"));
}

#[tokio::test]
async fn an_absent_key_reads_as_nil() {
    assert_eq!(one(200, json!({"value": null}), read()).await, Outcome::ok(Some(Value::Nil)));
    // An answer without a value is not an answer that says "absent".
    assert_eq!(one(200, json!({}), read()).await, Outcome::fail("bad-answer"));
}

#[tokio::test]
async fn values_that_no_history_has_are_bad_answers() {
    for value in [json!(1.5), json!({"a": 1}), json!(u64::MAX)] {
        assert_eq!(one(200, json!({"value": value}), read()).await, Outcome::fail("bad-answer"));
    }
}

#[tokio::test]
async fn a_mismatch_tells_what_was_seen() {
    let answer = |observed| async { one(200, observed, cas(int(1), 2)).await };
    assert_eq!(answer(json!({"swapped": false, "observed": 3})).await, Outcome::mismatch(Some(int(3))));
    assert_eq!(answer(json!({"swapped": false, "observed": null})).await, Outcome::mismatch(Some(Value::Nil)));
    assert_eq!(answer(json!({"swapped": false})).await, Outcome::mismatch(None));
    assert_eq!(answer(json!({"swapped": true})).await, Outcome::ok(None));
    for nonsense in [json!({}), json!({"swapped": "yes"}), json!({"swapped": false, "observed": 0.5}), json!([])] {
        assert_eq!(answer(nonsense).await, Outcome::info("bad-answer"));
    }
}

#[tokio::test]
async fn an_error_is_taken_at_its_word() {
    let error = |outcome| json!({"error": {"code": "no-leader", "outcome": outcome, "message": "?"}});
    for change in changes() {
        assert_eq!(one(503, error("fail"), change.clone()).await, Outcome::fail("no-leader"));
        assert_eq!(one(503, error("info"), change.clone()).await, Outcome::info("no-leader"));
        // No third word.
        assert_eq!(one(503, error("maybe"), change).await, Outcome::info("http-503"));
    }
    assert_eq!(one(503, error("fail"), read()).await, Outcome::fail("no-leader"));
    assert_eq!(one(503, error("info"), read()).await, Outcome::fail("no-leader"));
}

#[tokio::test]
async fn status_of_a_node() {
    let answer = json!({"id": 2, "role": "pre-candidate", "term": 5, "leader": null, "commit": 9, "applied": 8,
        "first_index": 1, "last_index": 10, "snapshot_index": 0, "mutant": "raft-read-any-node", "fired": 3});
    let base_url =
        serve(move |path, _| if path == "/v1/status" { (200, answer.to_string()) } else { (404, String::new()) }).await;
    let wanted = NodeStatus {
        id: 2,
        role: Role::Candidate,
        term: 5,
        leader: None,
        commit: 9,
        applied: 8,
        mutant: Some("raft-read-any-node".to_owned()),
        fired: 3,
    };
    assert_eq!(status_within(&base_url, PATIENT).await, Ok(wanted));
}

#[tokio::test]
async fn no_status_is_an_error() {
    let down = nobody().await;
    assert_eq!(
        status_within(&down, PATIENT).await,
        Err(StatusError::NoAnswer { base_url: down, reason: "connection-refused" })
    );
    let (hangs, _) = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert_eq!(status(&hangs).await, Err(StatusError::NoAnswer { base_url: hangs, reason: "timeout" }));
    let other = always(200, json!({"hello": "world"})).await;
    assert_eq!(status_within(&other, PATIENT).await, Err(StatusError::BadAnswer { base_url: other, status: 200 }));
    assert!(matches!(status("nonsense").await, Err(StatusError::BadUrl(_))));
}
