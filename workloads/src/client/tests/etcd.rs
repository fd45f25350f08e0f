//! etcd's interface, against a small etcd that has one key and can be told to answer otherwise.

use std::sync::Mutex;

use super::{super::status::status_etcd_within, *};

/// One key with its value and its modification revision, as the gateway shows them.
#[derive(Debug, Default)]
struct Fake {
    stored: Option<(String, u64)>,
    revision: u64,
    requests: Vec<(String, Json)>,
}

impl Fake {
    fn range(&self) -> Json {
        match &self.stored {
            None => json!({"header": {"member_id": "1"}}),
            Some((value, revision)) => {
                json!({"header": {}, "kvs": [{"key": BASE64.encode("k1"), "create_revision": "1",
                "mod_revision": revision.to_string(), "version": "1", "value": value}], "count": "1"})
            }
        }
    }

    fn put(&mut self, put: &Json) {
        assert_eq!(put["key"], json!(BASE64.encode("k1")));
        self.revision += 1;
        self.stored = Some((put["value"].as_str().expect("base64").to_owned(), self.revision));
    }

    fn holds(&self, compare: &Json) -> bool {
        assert_eq!(compare["result"], json!("EQUAL"));
        match (compare["target"].as_str().expect("a target"), &self.stored) {
            ("VALUE", stored) => stored.as_ref().is_some_and(|(value, _)| compare["value"] == json!(value)),
            ("VERSION", stored) => stored.is_none() && compare["version"] == json!("0"),
            ("MOD", stored) => {
                compare["mod_revision"] == json!(stored.as_ref().map_or(0, |&(_, revision)| revision).to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, path: &str, body: Json) -> Json {
        self.requests.push((path.to_owned(), body.clone()));
        match path {
            "/v3/kv/range" => self.range(),
            "/v3/kv/put" => {
                self.put(&body);
                json!({"header": {}})
            }
            "/v3/kv/txn" if self.holds(&body["compare"][0]) => {
                self.put(&body["success"][0]["requestPut"]);
                json!({"header": {}, "succeeded": true, "responses": [{"response_put": {"header": {}}}]})
            }
            "/v3/kv/txn" => match body["failure"].is_array() {
                true => json!({"header": {}, "responses": [{"response_range": self.range()}]}),
                false => json!({"header": {}}),
            },
            other => panic!("{other}"),
        }
    }
}

async fn fake(reads: EtcdReads) -> (EtcdClient, Arc<Mutex<Fake>>) {
    let state = Arc::new(Mutex::new(Fake::default()));
    let shared = Arc::clone(&state);
    let base_url =
        serve(move |path, body| (200, shared.lock().expect("no panic").answer(path, body).to_string())).await;
    (EtcdClient::new(&base_url, reads).expect("an address"), state)
}

async fn one(status: u16, body: Json, invocation: Invocation) -> Outcome {
    let base_url = always(status, body).await;
    let mut client = EtcdClient::new(&base_url, EtcdReads::Linearizable).expect("an address");
    client.invoke(&invocation, PATIENT).await
}

#[tokio::test]
async fn registers_work() {
    let (mut client, _) = fake(EtcdReads::Linearizable).await;
    let steps = [
        (read(), Outcome::ok(Some(Value::Nil))),
        // Absent is not equal to a value, and then absent is what was seen.
        (cas(int(1), 2), Outcome::mismatch(Some(Value::Nil))),
        (cas(Value::Nil, 1), Outcome::ok(None)),
        (cas(Value::Nil, 5), Outcome::mismatch(Some(int(1)))),
        (cas(int(1), 2), Outcome::ok(None)),
        (read(), Outcome::ok(Some(int(2)))),
        (write(9), Outcome::ok(None)),
        (cas(int(2), 3), Outcome::mismatch(Some(int(9)))),
        (read(), Outcome::ok(Some(int(9)))),
    ];
    for (invocation, wanted) in steps {
        assert_eq!(client.invoke(&invocation, PATIENT).await, wanted, "{invocation:?}");
    }
}

#[tokio::test]
async fn lists_work() {
    let (mut client, _) = fake(EtcdReads::Linearizable).await;
    for value in 1..=3 {
        assert_eq!(client.invoke(&append(value), PATIENT).await, Outcome::ok(None));
    }
    let list = Value::List(vec![int(1), int(2), int(3)]);
    assert_eq!(client.invoke(&read(), PATIENT).await, Outcome::ok(Some(list)));
    client.invoke(&write(1), PATIENT).await;
    assert_eq!(client.invoke(&append(1), PATIENT).await, Outcome::fail("not-a-list"));
}

#[tokio::test]
async fn serializable_reads_are_asked_for_only_on_demand() {
    for reads in [EtcdReads::Linearizable, EtcdReads::Serializable] {
        let (mut client, state) = fake(reads).await;
        client.invoke(&read(), PATIENT).await;
        client.invoke(&append(1), PATIENT).await;
        let asked: Vec<bool> = state.lock().expect("no panic").requests[..2]
            .iter()
            .map(|(_, body)| body["serializable"] == json!(true))
            .collect();
        assert_eq!(asked, [reads == EtcdReads::Serializable, false]);
    }
}

/// Somebody else is always faster: the append gives up, and certainly did nothing.
#[tokio::test]
async fn a_contended_append_is_a_definite_fail() {
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    let base_url = serve(move |path, _| {
        counted.fetch_add(usize::from(path == "/v3/kv/txn"), Ordering::SeqCst);
        (200, json!({"header": {}}).to_string())
    })
    .await;
    let mut client = EtcdClient::new(&base_url, EtcdReads::Linearizable).expect("an address");
    assert_eq!(client.invoke(&append(1), PATIENT).await, Outcome::fail("contended"));
    assert_eq!(tried.load(Ordering::SeqCst), 16);
}

/// From the moment its transaction is out, an append that hears nothing is unknown.
#[tokio::test]
async fn an_append_whose_transaction_breaks_is_unknown() {
    let base_url = serve(|path, _| match path {
        "/v3/kv/range" => (200, json!({"header": {}}).to_string()),
        _ => (503, json!({"error": "etcdserver: request timed out", "code": 14}).to_string()),
    })
    .await;
    let mut client = EtcdClient::new(&base_url, EtcdReads::Linearizable).expect("an address");
    assert_eq!(client.invoke(&append(1), PATIENT).await, Outcome::info("grpc-14"));
}

#[tokio::test]
async fn without_a_quorum_changes_are_unknown_and_reads_fail() {
    let body =
        json!({"error": "etcdserver: request timed out", "message": "etcdserver: request timed out", "code": 14});
    for change in [write(1), cas(int(1), 2), cas(Value::Nil, 2)] {
        assert_eq!(one(503, body.clone(), change).await, Outcome::info("grpc-14"));
    }
    // Nothing of an append went out but its read.
    assert_eq!(one(503, body.clone(), append(1)).await, Outcome::fail("grpc-14"));
    assert_eq!(one(503, body, read()).await, Outcome::fail("grpc-14"));
}

#[tokio::test]
async fn refusals_before_the_proposal_are_definite_and_others_are_not() {
    let error = |code: u64, message: &str| json!({"error": message, "message": message, "code": code});
    let definite =
        [(400, error(3, "etcdserver: key is not provided")), (429, error(8, "etcdserver: too many requests"))];
    for (status, body) in definite {
        assert_eq!(one(status, body.clone(), write(1)).await.completion, Completion::Fail, "{body}");
    }
    let unknown = [
        // Looked at when applied, after it was done.
        (429, error(8, "etcdserver: mvcc: database space exceeded")),
        (429, error(8, "grpc: received message larger than max (5 vs. 4)")),
        (408, error(4, "context deadline exceeded")),
        (500, error(2, "unknown")),
        (503, error(14, "etcdserver: leader changed")),
        (503, json!({"code": "3"})),
    ];
    for (status, body) in unknown {
        assert_eq!(one(status, body.clone(), write(1)).await.completion, Completion::Info, "{body}");
    }
}

/// Protobuf's JSON leaves out what is zero, so `{}` would be a success if the header were not asked for.
#[tokio::test]
async fn answers_that_make_no_sense() {
    for body in [json!({}), json!([]), json!({"header": 1}), json!({"error": "?"})] {
        assert_eq!(one(200, body.clone(), read()).await, Outcome::fail("bad-answer"), "{body}");
        for change in [write(1), cas(int(1), 2)] {
            assert_eq!(one(200, body.clone(), change).await, Outcome::info("bad-answer"), "{body}");
        }
    }
    let not_base64 = json!({"header": {}, "kvs": [{"key": "azE=", "mod_revision": "1", "value": "%%"}]});
    let not_json =
        json!({"header": {}, "kvs": [{"key": "azE=", "mod_revision": "1", "value": BASE64.encode("hello")}]});
    for body in [not_base64, not_json] {
        assert_eq!(one(200, body.clone(), read()).await, Outcome::fail("bad-answer"));
        let failed = json!({"header": {}, "responses": [{"response_range": body}]});
        assert_eq!(one(200, failed, cas(int(1), 2)).await, Outcome::info("bad-answer"));
    }
    // Not succeeded, and yet the other branch did not run either.
    assert_eq!(one(200, json!({"header": {}}), cas(int(1), 2)).await, Outcome::info("bad-answer"));
}

#[tokio::test]
async fn status_of_a_member() {
    let answer = |leader: Option<&str>| {
        let mut body = json!({"header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437",
            "revision": "1", "raft_term": "2"}, "version": "3.4.23", "dbSize": "20480", "raftIndex": "8", "raftTerm": "2",
            "raftAppliedIndex": "7"});
        if let Some(leader) = leader {
            body["leader"] = json!(leader);
        }
        body
    };
    let id = 10_276_657_743_932_975_437;
    for (leader, role) in
        [(Some("10276657743932975437"), Role::Leader), (Some("7"), Role::Follower), (None, Role::Candidate)]
    {
        let base_url = always(200, answer(leader)).await;
        let wanted = NodeStatus {
            id,
            role,
            term: 2,
            leader: leader.map(|leader| leader.parse().expect("a number")),
            commit: 8,
            applied: 7,
            mutant: None,
            fired: 0,
        };
        assert_eq!(status_etcd_within(&base_url, PATIENT).await, Ok(wanted));
    }
    let other = always(200, json!({})).await;
    assert_eq!(status_etcd_within(&other, PATIENT).await, Err(StatusError::BadAnswer { base_url: other, status: 200 }));
}

#[test]
fn ways_to_read_by_name() {
    for reads in [EtcdReads::Linearizable, EtcdReads::Serializable] {
        assert_eq!(reads.to_string().parse(), Ok(reads));
    }
    assert!("stale".parse::<EtcdReads>().unwrap_err().to_string().contains("serializable"));
}

/// Against the real thing, on a key of its own: `TRUELINE_ETCD=http://127.0.0.1:2379 cargo test -p workloads -- --ignored`.
#[tokio::test]
#[ignore = "needs a running etcd, named by TRUELINE_ETCD"]
async fn a_real_etcd_agrees_with_the_fake_one() {
    let base_url = std::env::var("TRUELINE_ETCD").expect("the address of a member");
    let mut client = EtcdClient::new(&base_url, EtcdReads::Linearizable).expect("an address");
    let unique = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let steps = [
        (read(), Outcome::ok(Some(Value::Nil))),
        (cas(int(1), 2), Outcome::mismatch(Some(Value::Nil))),
        (cas(Value::Nil, 1), Outcome::ok(None)),
        (cas(Value::Nil, 5), Outcome::mismatch(Some(int(1)))),
        (cas(int(1), 2), Outcome::ok(None)),
        (write(9), Outcome::ok(None)),
        (cas(int(2), 3), Outcome::mismatch(Some(int(9)))),
        (read(), Outcome::ok(Some(int(9)))),
        (append(1), Outcome::fail("not-a-list")),
    ];
    for (mut invocation, wanted) in steps {
        invocation.key = format!("register-{unique}");
        assert_eq!(client.invoke(&invocation, PATIENT).await, wanted, "{invocation:?}");
    }
    let lists = format!("list-{unique}");
    for value in 1..=3 {
        let invocation = Invocation { key: lists.clone(), ..append(value) };
        assert_eq!(client.invoke(&invocation, PATIENT).await, Outcome::ok(None));
    }
    let invocation = Invocation { key: lists, ..read() };
    let list = Value::List(vec![int(1), int(2), int(3)]);
    assert_eq!(client.invoke(&invocation, PATIENT).await, Outcome::ok(Some(list)));
    let no_key = Invocation { key: String::new(), ..write(1) };
    assert_eq!(client.invoke(&no_key, PATIENT).await, Outcome::fail("grpc-3"));
    let status = status_etcd(&base_url).await.expect("a status");
    assert!(status.term > 0 && status.leader.is_some(), "{status:?}");
}
