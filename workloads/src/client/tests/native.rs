//! The native interface, answer by answer.

use std::time::Instant;

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
async fn the_other_workloads_have_their_requests() {
    let base_url = serve(|path, body| {
        let answer = match path {
            "/v1/add" if body == json!({"key": "k1", "value": -4}) => json!({}),
            "/v1/append" if body == json!({"key": "k1", "value": 4}) => json!({}),
            "/v1/dequeue" if body == json!({"key": "k1"}) => json!({"value": 9}),
            "/v1/cas" if body == json!({"key": "k1", "old": null, "new": 5}) => json!({"swapped": true}),
            "/v1/cas" if body == json!({"key": "k1", "old": 5, "new": null}) => json!({"swapped": true}),
            "/v1/cas" => json!({"swapped": false, "observed": 1}),
            _ => return (500, String::new()),
        };
        (200, answer.to_string())
    })
    .await;
    let done = Outcome::ok(None);
    let table = [
        (WorkloadKind::Counter, Action::Add(int(-4)), done.clone()),
        (WorkloadKind::Set, Action::Add(int(4)), done.clone()),
        (WorkloadKind::Queue, Action::Enqueue(int(4)), done.clone()),
        (WorkloadKind::Queue, Action::Dequeue, Outcome::ok(Some(int(9)))),
        (WorkloadKind::Lock, Action::Acquire(int(5)), done.clone()),
        (WorkloadKind::Lock, Action::Release(int(5)), done),
        (WorkloadKind::Lock, Action::Acquire(int(6)), Outcome::fail(REFUSED)),
        (WorkloadKind::Lock, Action::Release(int(6)), Outcome::fail(REFUSED)),
    ];
    for (workload, action, wanted) in table {
        let mut client = NativeClient::new(&base_url).expect("an address").working(workload, false);
        assert_eq!(client.invoke(&on(action.clone()), PATIENT).await, wanted, "{action:?}");
    }
}

#[tokio::test]
async fn a_dequeue_is_no_read() {
    assert_eq!(one(200, json!({"value": null}), on(Action::Dequeue)).await, Outcome::ok(Some(Value::Nil)));
    assert_eq!(one(200, json!({}), on(Action::Dequeue)).await, Outcome::info("bad-answer"));
    assert_eq!(one(500, json!({}), on(Action::Dequeue)).await, Outcome::info("http-500"));
}

/// A server that answers a session, and then each copy of the one stamped request with the next of these; how many came.
async fn stamped(answers: Vec<(u16, Json)>) -> (NativeClient, Arc<AtomicUsize>) {
    let copies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&copies);
    let base_url = serve(move |path, body| {
        if path == "/v1/session" {
            return (200, json!({"session": 7}).to_string());
        }
        if (&body["session"], &body["seq"]) != (&json!(7), &json!(1)) {
            return (500, String::new());
        }
        let copy = counted.fetch_add(1, Ordering::SeqCst);
        let (status, answer) = &answers[copy.min(answers.len() - 1)];
        (*status, answer.to_string())
    })
    .await;
    (NativeClient::new(&base_url).expect("an address").working(WorkloadKind::Register, true), copies)
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_under_its_stamp() {
    let error = |outcome: &str| (503, json!({"error": {"code": "c", "outcome": outcome, "message": "?"}}));
    let done = (200, json!({}));
    let table = [
        (vec![done.clone()], Outcome::ok(None), 1),
        (vec![error("info"), error("info"), done.clone()], Outcome::ok(None), 3),
        // The first copy went nowhere, and there is no other.
        (vec![error("fail"), done.clone()], Outcome::fail("c"), 1),
        // That the second copy did nothing does not say that the first did nothing.
        (vec![error("info"), error("fail"), error("fail")], Outcome::info("c"), TRIES),
        (vec![error("info"), error("fail"), done], Outcome::ok(None), 3),
        (vec![error("info")], Outcome::info("c"), TRIES),
    ];
    for (answers, wanted, copies_wanted) in table {
        let (mut client, copies) = stamped(answers.clone()).await;
        assert_eq!(client.invoke(&write(1), PATIENT).await, wanted, "{answers:?}");
        assert_eq!(copies.load(Ordering::SeqCst), copies_wanted, "{answers:?}");
    }
}

/// As often as a request is sent at most.
const TRIES: usize = 5;

#[tokio::test]
async fn a_retried_cas_is_answered_as_the_first_copy_was() {
    let answers = vec![(504, json!({})), (200, json!({"swapped": false, "observed": 3}))];
    let (mut client, _) = stamped(answers).await;
    assert_eq!(client.invoke(&cas(int(1), 2), PATIENT).await, Outcome::mismatch(Some(int(3))));
}

#[tokio::test]
async fn retries_have_an_end_and_numbers_go_on() {
    let (hangs, requests) = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut client = NativeClient::new(&hangs).expect("an address").working(WorkloadKind::Register, true);
    // Without a session nothing is sent that could take effect.
    assert_eq!(client.invoke(&write(1), SHORT).await, Outcome::fail("timeout"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert_eq!(client.invoke(&read(), SHORT).await, Outcome::fail("timeout"));

    let slow = serve(|path, body| match path {
        "/v1/session" => (200, json!({"session": 7}).to_string()),
        _ => (
            503,
            json!({"error": {"code": format!("s{}", body["seq"]), "outcome": "info", "message": "?"}}).to_string(),
        ),
    })
    .await;
    let mut client = NativeClient::new(&slow).expect("an address").working(WorkloadKind::Register, true);
    for wanted in ["s1", "s2"] {
        assert_eq!(client.invoke(&write(1), PATIENT).await, Outcome::info(wanted));
    }
    let begin = Instant::now();
    assert_eq!(client.invoke(&write(1), Duration::from_millis(20)).await, Outcome::info("s3"));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_forgotten_session_is_replaced() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&sessions);
    let gone = json!({"error": {"code": "unknown-session", "outcome": "info", "message": "?"}});
    let base_url = serve(move |path, body| match path {
        "/v1/session" => (200, json!({"session": opened.fetch_add(1, Ordering::SeqCst)}).to_string()),
        _ if body["session"] == json!(0) => (409, gone.to_string()),
        _ => (200, "{}".to_owned()),
    })
    .await;
    let mut client = NativeClient::new(&base_url).expect("an address").working(WorkloadKind::Register, true);
    assert_eq!(client.invoke(&write(1), PATIENT).await, Outcome::info("unknown-session"));
    assert_eq!(client.invoke(&write(2), PATIENT).await, Outcome::ok(None));
    assert_eq!(sessions.load(Ordering::SeqCst), 2);
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
