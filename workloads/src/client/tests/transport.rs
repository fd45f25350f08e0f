//! What goes wrong below the server's own words: the same for every client.

use super::*;

/// A successful write for either client.
const WRITTEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"header\":{}}";

/// Etcd's append reads before it changes anything, so there a broken first request is definite.
fn appends_by_reading_first(client: &AnyClient, invocation: &Invocation) -> bool {
    matches!(client, AnyClient::Etcd(_)) && matches!(invocation.action, Action::Append(_))
}

async fn expect_unanswered(base_url: &str, timeout: Duration, reason: &str) {
    for mut client in both(base_url) {
        assert_eq!(client.invoke(&read(), timeout).await, Outcome::fail(reason));
        for change in changes() {
            let wanted =
                if appends_by_reading_first(&client, &change) { Outcome::fail(reason) } else { Outcome::info(reason) };
            assert_eq!(client.invoke(&change, timeout).await, wanted, "{change:?}");
        }
    }
}

#[tokio::test]
async fn nobody_listens_so_nothing_was_sent() {
    let base_url = nobody().await;
    for mut client in both(&base_url) {
        for invocation in [read(), write(1), cas(int(1), 2), append(3)] {
            assert_eq!(client.invoke(&invocation, PATIENT).await, Outcome::fail("connection-refused"));
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs() {
    let (base_url, _) = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    expect_unanswered(&base_url, SHORT, "timeout").await;
}

#[tokio::test]
async fn an_answer_whose_body_hangs() {
    let (base_url, _) = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.expect("sent");
        std::future::pending::<()>().await;
    })
    .await;
    expect_unanswered(&base_url, SHORT, "timeout").await;
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request() {
    let (base_url, _) = raw(|stream| async move { drop(stream) }).await;
    expect_unanswered(&base_url, PATIENT, "connection-broken").await;
}

#[tokio::test]
async fn a_connection_that_ends_in_the_answer() {
    let (base_url, _) = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"value\":").await.expect("sent");
    })
    .await;
    expect_unanswered(&base_url, PATIENT, "connection-broken").await;
}

#[tokio::test]
async fn an_answer_that_is_not_http() {
    let (base_url, _) = raw(|mut stream| async move {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await.expect("sent");
    })
    .await;
    expect_unanswered(&base_url, PATIENT, "connection-broken").await;
}

#[tokio::test]
async fn an_answer_that_is_not_json() {
    let base_url = serve(|_, _| (200, "<html>".to_owned())).await;
    // A native write needs no field of the answer, but it does need an answer.
    expect_unanswered(&base_url, PATIENT, "bad-answer").await;
}

#[tokio::test]
async fn an_error_without_a_word_on_the_outcome() {
    let base_url = serve(|_, _| (500, "oops".to_owned())).await;
    expect_unanswered(&base_url, PATIENT, "http-500").await;
}

/// Following it would ask another server; and the request reached this one.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = serve(|_, _| panic!("the redirect was followed")).await;
    let (base_url, _) = raw(move |mut stream| {
        let answer = format!("HTTP/1.1 307 Go\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\n\r\n");
        async move { stream.write_all(answer.as_bytes()).await.expect("sent") }
    })
    .await;
    expect_unanswered(&base_url, PATIENT, "http-307").await;
}

/// The connection was good for one operation and breaks under the second: unknown, and not sent again.
#[tokio::test]
async fn a_reused_connection_that_breaks_is_unknown_and_not_retried() {
    for which in 0..2 {
        let seconds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seconds);
        let (base_url, firsts) = raw(move |mut stream| {
            let counted = Arc::clone(&counted);
            async move {
                stream.write_all(WRITTEN).await.expect("sent");
                if receive_request(&mut stream).await.is_some() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
        let client = &mut both(&base_url)[which];
        assert_eq!(client.invoke(&write(1), PATIENT).await, Outcome::ok(None));
        assert_eq!(client.invoke(&write(2), PATIENT).await, Outcome::info("connection-broken"));
        assert_eq!((firsts.load(Ordering::SeqCst), seconds.load(Ordering::SeqCst)), (1, 1));
    }
}

/// One connection for all operations of a client, so that a client meets one server process in order.
#[tokio::test]
async fn the_connection_is_kept() {
    let (base_url, connections) = raw(move |mut stream| async move {
        stream.write_all(WRITTEN).await.expect("sent");
        while receive_request(&mut stream).await.is_some() {
            stream.write_all(WRITTEN).await.expect("sent");
        }
    })
    .await;
    for (count, mut client) in (1..).zip(both(&base_url)) {
        for value in 0..5 {
            assert_eq!(client.invoke(&write(value), PATIENT).await, Outcome::ok(None));
        }
        assert_eq!(connections.load(Ordering::SeqCst), count);
    }
}

/// On the old connection the answer would wait behind one that never comes, or be taken for it.
#[tokio::test]
async fn after_a_timeout_the_connection_is_not_used_again() {
    let (base_url, _) = raw_by(|head_and_body, mut stream| async move {
        if head_and_body.contains("slow") {
            std::future::pending::<()>().await;
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"value\":7}";
        stream.write_all(answer.as_bytes()).await.expect("sent");
    })
    .await;
    let mut client = NativeClient::new(&base_url).expect("an address");
    let slow = Invocation { key: "slow".to_owned(), ..write(1) };
    assert_eq!(client.invoke(&slow, SHORT).await, Outcome::info("timeout"));
    assert_eq!(client.invoke(&read(), PATIENT).await, Outcome::ok(Some(int(7))));
}

#[test]
fn what_is_no_address_is_refused() {
    for bad in ["", "localhost", "127.0.0.1:80", "https://127.0.0.1", "file:///etc"] {
        assert!(NativeClient::new(bad).is_err(), "{bad}");
        assert!(EtcdClient::new(bad, EtcdReads::Linearizable).is_err(), "{bad}");
    }
}
