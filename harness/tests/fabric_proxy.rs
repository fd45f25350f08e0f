//! The fallback network: what two programs see when the relay between them cuts, heals and delays.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trueline::network::links::Endpoint::{Clients, Node};
use trueline::network::links::LinkRule;
use trueline::network::{Kind, Network, NetworkPlan};

const PEER_PORT: u16 = 17_401;
const CLIENT_PORT: u16 = 17_402;
/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to listen for what must not come.
const SILENCE: Duration = Duration::from_millis(100);

fn start(nodes: u32) -> Network {
    let plan = NetworkPlan { nodes, peer_port: PEER_PORT, client_port: CLIENT_PORT, seed: 1, kind: Kind::Proxy };
    Network::start(&plan).expect("start the proxy")
}

async fn listen(network: &Network, node: u32, port: u16) -> TcpListener {
    TcpListener::bind((network.node_address(node), port)).await.expect("listen as a node does")
}

/// A connection from n1 to n2 through its relay: both ends.
async fn connection(network: &Network, server: &TcpListener) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(network.peer_address(1, 2, PEER_PORT)).await.expect("connect to the relay");
    let (far, _) = patient(server.accept()).await.expect("the relay dials");
    (near, far)
}

async fn patient<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

async fn passes(from: &mut TcpStream, to: &mut TcpStream, words: &[u8]) {
    from.write_all(words).await.expect("write");
    let mut read = vec![0; words.len()];
    patient(to.read_exact(&mut read)).await.expect("read");
    assert_eq!(read, words);
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read(&mut [0; 64])).await.is_err()
}

/// Whether a connection ends by a reset, not by an orderly close.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let read = patient(stream.read(&mut [0; 64])).await;
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn bytes_pass_both_ways_and_an_end_is_passed_on() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    passes(&mut near, &mut far, b"there").await;
    passes(&mut far, &mut near, b"back").await;
    near.shutdown().await.expect("end one direction");
    assert_eq!(patient(far.read(&mut [0; 8])).await.expect("read"), 0);
    passes(&mut far, &mut near, b"the other direction is open").await;
    drop(far);
    assert_eq!(patient(near.read(&mut [0; 8])).await.expect("an orderly end"), 0);
    assert!(network.links().counts(Node(1), Node(2)).passed >= 1);
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    let message: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    let (sent, received) = tokio::join!(
        async {
            near.write_all(&message).await.expect("write");
            near.shutdown().await
        },
        async {
            let mut read = Vec::new();
            patient(far.read_to_end(&mut read)).await.expect("read");
            read
        }
    );
    sent.expect("end");
    assert!(received == message);
}

#[tokio::test]
async fn a_cut_stalls_connections_and_the_heal_resets_them() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    passes(&mut near, &mut far, b"before").await;
    network.links().block(Node(1), Node(2));
    network.links().block(Node(2), Node(1));
    near.write_all(b"lost").await.expect("the kernel takes it");
    far.write_all(b"lost").await.expect("the kernel takes it");
    assert!(is_silent(&mut far).await && is_silent(&mut near).await);
    assert_eq!(network.links().counts(Node(1), Node(2)).dropped, 1);
    network.links().heal_all();
    assert!(is_reset(&mut near).await && is_reset(&mut far).await);
    let (mut near, mut far) = connection(&network, &server).await;
    passes(&mut near, &mut far, b"after").await;
}

#[tokio::test]
async fn an_idle_connection_that_lived_through_a_short_cut_is_reset_too() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    // Both changes before any task of the relay runs: it only sees that there was a cut.
    network.links().block(Node(1), Node(2));
    network.links().heal_all();
    assert!(is_reset(&mut near).await && is_reset(&mut far).await);
}

#[tokio::test]
async fn a_cut_can_be_one_way() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    network.links().block(Node(1), Node(2));
    passes(&mut far, &mut near, b"back is open").await;
    near.write_all(b"lost").await.expect("the kernel takes it");
    assert!(is_silent(&mut far).await);
    // The other pair of links is another relay, with the same rules: n2 connects to n1, and hears nothing.
    assert!(network.links().rule(Node(1), Node(2)).blocked && !network.links().rule(Node(2), Node(1)).blocked);
}

#[tokio::test]
async fn connections_made_during_a_cut_are_held_until_the_heal() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    network.links().block(Node(2), Node(1));
    let mut near = TcpStream::connect(network.peer_address(1, 2, PEER_PORT)).await.expect("the relay accepts");
    near.write_all(b"patience").await.expect("write");
    assert!(
        timeout(SILENCE, server.accept()).await.is_err(),
        "an answer could not come back, so there is no connection"
    );
    network.links().heal_all();
    let (mut far, _) = patient(server.accept()).await.expect("the relay dials now");
    let mut read = [0; 8];
    patient(far.read_exact(&mut read)).await.expect("read");
    assert_eq!(&read, b"patience");
}

#[tokio::test]
async fn a_held_connection_whose_owner_gave_up_is_never_dialled() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    network.links().block(Node(1), Node(2));
    let mut near = TcpStream::connect(network.peer_address(1, 2, PEER_PORT)).await.expect("the relay accepts");
    near.write_all(b"a request").await.expect("write");
    drop(near);
    network.links().heal_all();
    assert!(timeout(SILENCE, server.accept()).await.is_err());
    let (mut near, mut far) = connection(&network, &server).await;
    passes(&mut near, &mut far, b"still working").await;
}

#[tokio::test]
async fn a_node_that_is_not_there_refuses() {
    let network = start(2);
    let mut near = TcpStream::connect(network.peer_address(1, 2, PEER_PORT)).await.expect("the relay accepts");
    assert!(is_reset(&mut near).await);
}

#[tokio::test]
async fn delay_is_added_in_its_direction_and_keeps_the_order() {
    let network = start(2);
    let server = listen(&network, 2, PEER_PORT).await;
    let (mut near, mut far) = connection(&network, &server).await;
    let delay = Duration::from_millis(30);
    network.links().set(Node(1), Node(2), LinkRule::delayed(delay, Duration::from_millis(20)));
    let started = Instant::now();
    passes(&mut near, &mut far, b"slow").await;
    assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
    let numbers: Vec<u8> = (0..100).collect();
    for number in &numbers {
        near.write_all(&[*number]).await.expect("write");
        tokio::task::yield_now().await;
    }
    let mut read = [0; 100];
    patient(far.read_exact(&mut read)).await.expect("read");
    assert_eq!(read.as_slice(), numbers);
    assert!(network.links().counts(Node(1), Node(2)).delayed >= 2);
    assert_eq!(network.links().counts(Node(2), Node(1)).delayed, 0);
}

#[tokio::test]
async fn client_links_have_rules_of_their_own() {
    let network = start(1);
    let server = listen(&network, 1, CLIENT_PORT).await;
    let address = network.client_address(1, CLIENT_PORT);
    let mut near = TcpStream::connect(address).await.expect("connect to the relay");
    let (mut far, _) = patient(server.accept()).await.expect("the relay dials");
    passes(&mut near, &mut far, b"request").await;
    network.links().block(Node(1), Clients);
    far.write_all(b"response").await.expect("the kernel takes it");
    assert!(is_silent(&mut near).await, "done, but the client saw nothing");
    passes(&mut near, &mut far, b"a further request").await;
}

#[tokio::test]
async fn two_networks_with_the_same_ports_do_not_meet() {
    let (one, other) = (start(2), start(2));
    assert_ne!(one.node_address(1), other.node_address(1));
}

#[tokio::test]
async fn a_taken_port_is_reported() {
    let everywhere = TcpListener::bind(("0.0.0.0", 0)).await.expect("listen everywhere");
    let peer_port = everywhere.local_addr().expect("a bound socket").port();
    let plan = NetworkPlan { nodes: 1, peer_port, client_port: CLIENT_PORT, seed: 1, kind: Kind::Proxy };
    let error = Network::start(&plan).expect_err("the port is taken on every address");
    assert!(error.to_string().contains(&peer_port.to_string()), "{error}");
}

#[tokio::test]
async fn what_relays_cannot_do_they_say() {
    let network = start(1);
    let capabilities = network.capabilities();
    assert!(!capabilities.loss && !capabilities.duplicate && !capabilities.reorder);
    assert!(network.describe().contains("no loss, duplication or reordering"));
    assert!(network.spawn_context(1).expect("nothing to fail").netns.is_none());
}
