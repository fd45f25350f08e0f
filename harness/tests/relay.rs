//! The relay for single messages, seen from the two ends of a link.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use nodes::{
    protocol::NodeId,
    server::frame::{FRAME_HEADER_BYTES, FrameHeader, Hello, put_frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use trueline::network::{
    links::{Endpoint::Node, LinkRule, LinkTable},
    relay::{Heard, MessageRule, Part, Relay, RelayPlan},
};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to listen for what must not come.
const SILENCE: Duration = Duration::from_millis(150);
/// The kinds of messages here: their first byte.
const KINDS: &[&str] = &["vote", "append"];
const VOTE: u8 = 0;
const APPEND: u8 = 1;

/// A relay between two nodes that are ends of sockets here.
struct Lab {
    relay: Relay,
    links: LinkTable,
    /// Where n2 listens.
    server: TcpListener,
}

/// A message: its kind and a number.
type Message = (u8, u32);

impl Lab {
    async fn start(in_order: bool) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let links = LinkTable::new(2);
        let plan = RelayPlan {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            dial_from: None,
            targets: vec![nobody, server.local_addr().unwrap()],
            kinds: KINDS,
            in_order,
            part: |body| (body.first() == Some(&VOTE)).then_some(Part::Gives),
            seed: 1,
        };
        let relay = Relay::start(&plan, links.clone()).unwrap();
        Self { relay, links, server }
    }

    /// A connection from n1 to n2, the hello exchanged.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let mut near = TcpStream::connect(self.relay.address(1, 2)).await.unwrap();
        let mut bytes = Vec::new();
        let hello = Hello::new("c", NodeId(1), NodeId(2));
        put_frame(&mut bytes, &hello).unwrap();
        near.write_all(&bytes).await.unwrap();
        let (mut far, _) = timeout(PATIENCE, self.server.accept()).await.expect("the relay dials").unwrap();
        assert_eq!(receive::<Hello>(&mut far).await, hello);
        (near, far)
    }
}

async fn send(near: &mut TcpStream, messages: impl IntoIterator<Item = Message>) {
    let mut bytes = Vec::new();
    messages.into_iter().for_each(|message| put_frame(&mut bytes, &message).unwrap());
    near.write_all(&bytes).await.unwrap();
}

/// The next frame, its checksum looked at.
async fn receive<T: serde::de::DeserializeOwned>(far: &mut TcpStream) -> T {
    let read = async {
        let mut header = [0; FRAME_HEADER_BYTES];
        far.read_exact(&mut header).await.unwrap();
        let header = FrameHeader::parse(header).unwrap();
        let mut body = vec![0; header.body_bytes];
        far.read_exact(&mut body).await.unwrap();
        header.decode(&body).unwrap()
    };
    timeout(PATIENCE, read).await.expect("a message")
}

async fn receive_all(far: &mut TcpStream, count: usize) -> Vec<Message> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(receive(far).await);
    }
    all
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read(&mut [0; 64])).await.is_err()
}

async fn is_broken(stream: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an end");
    matches!(read, Ok(0) | Err(_))
}

fn numbered(kind: u8, numbers: std::ops::Range<u32>) -> Vec<Message> {
    numbers.map(|number| (kind, number)).collect()
}

fn rule(kind: &str) -> MessageRule {
    MessageRule { kind: Some(kind.to_owned()), ..MessageRule::default() }
}

#[tokio::test]
async fn messages_pass_and_are_overheard() {
    let lab = Lab::start(false).await;
    let mut heard = lab.relay.overhear();
    let (mut near, mut far) = lab.connect().await;
    send(&mut near, [(APPEND, 1), (VOTE, 2)]).await;
    assert_eq!(receive_all(&mut far, 2).await, [(APPEND, 1), (VOTE, 2)]);
    assert_eq!(heard.recv().await, Ok(Heard { from: 1, to: 2, kind: APPEND, part: None }));
    assert_eq!(heard.recv().await, Ok(Heard { from: 1, to: 2, kind: VOTE, part: Some(Part::Gives) }));
    // A body of a mebibyte comes in many pieces.
    let long = (APPEND, "x".repeat(1 << 20));
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &long).unwrap();
    let ((), got) = tokio::join!(async { near.write_all(&bytes).await.unwrap() }, receive::<(u8, String)>(&mut far));
    assert_eq!(got, long);
    assert!(lab.relay.is_running());
}

#[tokio::test]
async fn one_kind_is_lost_and_the_hello_never() {
    let lab = Lab::start(false).await;
    lab.relay.set_rules(&[MessageRule { drop_percent: 100, ..rule("append") }]);
    let (mut near, mut far) = lab.connect().await;
    send(&mut near, [(APPEND, 1), (VOTE, 2), (APPEND, 3)]).await;
    assert_eq!(receive::<Message>(&mut far).await, (VOTE, 2));
    assert!(is_silent(&mut far).await);
    assert_eq!(lab.links.counts(Node(1), Node(2)).dropped, 2);
    lab.relay.set_rules(&[]);
    send(&mut near, [(APPEND, 4)]).await;
    assert_eq!(receive::<Message>(&mut far).await, (APPEND, 4));
}

#[tokio::test]
async fn messages_arrive_twice() {
    let lab = Lab::start(false).await;
    lab.relay.set_rules(&[MessageRule { double_percent: 100, ..MessageRule::default() }]);
    let (mut near, mut far) = lab.connect().await;
    send(&mut near, [(APPEND, 1), (VOTE, 2)]).await;
    assert_eq!(receive_all(&mut far, 4).await, [(APPEND, 1), (APPEND, 1), (VOTE, 2), (VOTE, 2)]);
    assert_eq!(lab.links.counts(Node(1), Node(2)).duplicated, 2);
}

#[tokio::test]
async fn late_messages_are_overtaken_or_hold_up_others_as_asked() {
    const LATE: Duration = Duration::from_millis(200);
    let late = MessageRule { late_percent: 100, delay_ms: [200, 200], ..rule("append") };
    for overtakable in [true, false] {
        let lab = Lab::start(false).await;
        lab.relay.set_rules(&[MessageRule { overtakable, ..late.clone() }]);
        let (mut near, mut far) = lab.connect().await;
        let begin = Instant::now();
        send(&mut near, [(APPEND, 1), (VOTE, 2)]).await;
        let order = receive_all(&mut far, 2).await;
        assert!(begin.elapsed() >= LATE);
        let wanted = if overtakable { [(VOTE, 2), (APPEND, 1)] } else { [(APPEND, 1), (VOTE, 2)] };
        assert_eq!(order, wanted);
    }
}

#[tokio::test]
async fn jitter_reorders_only_where_it_may() {
    let jitter = MessageRule { late_percent: 50, delay_ms: [0, 40], overtakable: true, ..MessageRule::default() };
    for in_order in [false, true] {
        let lab = Lab::start(in_order).await;
        lab.relay.set_rules(std::slice::from_ref(&jitter));
        let (mut near, mut far) = lab.connect().await;
        let sent = numbered(APPEND, 0..100);
        send(&mut near, sent.clone()).await;
        let mut got = receive_all(&mut far, 100).await;
        assert_eq!(got == sent, in_order);
        got.sort_unstable();
        assert_eq!(got, sent, "each arrives once");
    }
}

#[tokio::test]
async fn a_cut_of_the_link_loses_messages_and_what_is_under_way() {
    let lab = Lab::start(false).await;
    let (mut near, mut far) = lab.connect().await;
    lab.relay.set_rules(&[MessageRule { late_percent: 100, delay_ms: [100, 100], ..rule("append") }]);
    send(&mut near, [(VOTE, 1), (APPEND, 2)]).await;
    assert_eq!(receive::<Message>(&mut far).await, (VOTE, 1));
    lab.links.block(Node(1), Node(2));
    send(&mut near, [(VOTE, 3)]).await;
    assert!(is_silent(&mut far).await);
    assert_eq!(lab.links.counts(Node(1), Node(2)).dropped, 2);
    lab.links.heal_all();
    send(&mut near, [(VOTE, 4)]).await;
    assert_eq!(receive::<Message>(&mut far).await, (VOTE, 4));
    // The other direction is another link.
    lab.links.block(Node(2), Node(1));
    send(&mut near, [(VOTE, 5)]).await;
    assert_eq!(receive::<Message>(&mut far).await, (VOTE, 5));
    // Loss on the link is loss of messages here.
    lab.links.set(Node(1), Node(2), LinkRule { loss: 1.0, ..LinkRule::default() });
    send(&mut near, [(VOTE, 6)]).await;
    assert!(is_silent(&mut far).await);
}

/// First in, first out, and nothing missing in the middle: so the connection goes, as with TCP.
#[tokio::test]
async fn a_cut_breaks_a_link_in_order() {
    let lab = Lab::start(true).await;
    let (mut near, mut far) = lab.connect().await;
    lab.relay.set_rules(&[MessageRule { drop_percent: 100, double_percent: 100, ..MessageRule::default() }]);
    send(&mut near, [(APPEND, 1), (APPEND, 2)]).await;
    assert_eq!(receive_all(&mut far, 2).await, [(APPEND, 1), (APPEND, 2)], "nothing is lost alone or doubled");
    lab.links.block(Node(1), Node(2));
    assert!(is_broken(&mut near).await && is_broken(&mut far).await);
    // Who connects meanwhile is held, and sent away at the heal.
    let mut held = TcpStream::connect(lab.relay.address(1, 2)).await.unwrap();
    assert!(is_silent(&mut held).await);
    lab.links.heal_all();
    assert!(is_broken(&mut held).await);
    lab.connect().await;
}

#[tokio::test]
async fn ends_are_passed_on() {
    let lab = Lab::start(false).await;
    let (mut near, far) = lab.connect().await;
    drop(far);
    assert!(is_broken(&mut near).await);
    let (mut near, mut far) = lab.connect().await;
    lab.relay.set_rules(&[MessageRule { late_percent: 100, delay_ms: [100, 100], ..MessageRule::default() }]);
    send(&mut near, [(VOTE, 1)]).await;
    drop(near);
    // What its sender had sent before it ended still arrives.
    assert_eq!(receive::<Message>(&mut far).await, (VOTE, 1));
    assert!(is_broken(&mut far).await);
    // Nobody listens at n1.
    let mut lost = TcpStream::connect(lab.relay.address(2, 1)).await.unwrap();
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &Hello::new("c", NodeId(2), NodeId(1))).unwrap();
    lost.write_all(&bytes).await.unwrap();
    assert!(is_broken(&mut lost).await);
}
