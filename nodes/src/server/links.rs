//! Peer links: one TCP connection for each directed pair of nodes, so that each direction can be cut alone.
//!
//! ```text
//!   core ──Links::send──> queue (bounded) ──> task: connect, hello, write ────> peer's listener ──> reader ──> its inbox
//!                              └ full, or not connected: the message is dropped, as by a network
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::net::sockopt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::{Semaphore, mpsc},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    driver::Event,
    frame::{FRAME_HEADER_BYTES, FrameError, FrameHeader, Hello, put_frame},
    logging::Log,
};
use crate::protocol::NodeId;

/// Messages waiting for one peer.
const QUEUE_MESSAGES_MAX: usize = 512;
/// Messages written at once.
const WRITE_MESSAGES_MAX: usize = 64;
/// A connection that is not there after this time is tried anew.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
/// Wait between two attempts. Short: after a partition heals, links are to be back at once.
const RECONNECT_AFTER: Duration = Duration::from_millis(60);
/// Sent bytes that nobody acknowledges for so long end the connection: TCP alone would back off for minutes.
const UNACKED_TIMEOUT_MS: u32 = 500;
/// Whoever connects must say hello within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// The body of a frame must follow its header within this time. A corrupted length would else swallow good frames for hours.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest body of a hello.
const HELLO_BYTES_MAX: usize = 4096;
/// Connections that have not said hello yet.
const STRANGERS_MAX: usize = 64;

/// Who this node is among its peers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub me: NodeId,
    /// All nodes.
    pub nodes: Vec<NodeId>,
    /// Where its lines go.
    pub log: Log,
}

/// The sending side of all links of one node.
#[derive(Debug)]
pub struct Links<M> {
    queues: BTreeMap<NodeId, mpsc::Sender<M>>,
}

impl<M: Serialize + Send + 'static> Links<M> {
    /// Starts one task for each peer, in the runtime of the caller.
    #[must_use]
    pub fn start(identity: &Identity, peers: &[(NodeId, SocketAddr)]) -> Self {
        let mut queues = BTreeMap::new();
        for &(peer, address) in peers.iter().filter(|(peer, _)| *peer != identity.me) {
            let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
            queues.insert(peer, sender);
            let hello = Hello::new(&identity.cluster, identity.me, peer);
            tokio::spawn(keep_connected(hello, address, receiver, identity.log));
        }
        Self { queues }
    }

    /// Sends, or drops when the queue is full: protocols live with lost messages, and old ones are worth more than new ones
    /// that only say the same again.
    pub fn send(&self, to: NodeId, message: M) {
        let queue = self.queues.get(&to).unwrap_or_else(|| panic!("a message for node {}, which is no peer", to.0));
        let _dropped = queue.try_send(message);
    }
}

async fn keep_connected<M: Serialize>(hello: Hello, address: SocketAddr, mut queue: mpsc::Receiver<M>, log: Log) {
    let peer = hello.to.0;
    loop {
        match discard_until(&mut queue, connect(address)).await {
            None => return,
            Some(Err(_)) => {}
            Some(Ok(stream)) => {
                log.line(format_args!("link to={peer} up"));
                match pump(stream, &hello, &mut queue, log).await {
                    Ok(()) => return,
                    Err(error) => log.line(format_args!("link to={peer} down: {error}")),
                }
            }
        }
        if discard_until(&mut queue, sleep(RECONNECT_AFTER)).await.is_none() {
            return;
        }
    }
}

/// Waits for `future`, dropping messages meanwhile; nothing once nobody can send any more.
async fn discard_until<M, T>(queue: &mut mpsc::Receiver<M>, future: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(future);
    loop {
        tokio::select! {
            output = &mut future => return Some(output),
            message = queue.recv() => { message?; }
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(&stream, UNACKED_TIMEOUT_MS)?;
    Ok(stream)
}

/// Writes what comes, until the connection breaks, or `Ok` when nobody can send any more.
async fn pump<M: Serialize>(
    stream: TcpStream,
    hello: &Hello,
    queue: &mut mpsc::Receiver<M>,
    log: Log,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let mut bytes = Vec::new();
    put_frame(&mut bytes, hello).map_err(io::Error::other)?;
    let mut messages = Vec::new();
    loop {
        writer.write_all(&bytes).await?;
        bytes.clear();
        bytes.shrink_to(1 << 20);
        tokio::select! {
            count = queue.recv_many(&mut messages, WRITE_MESSAGES_MAX) => if count == 0 { return Ok(()) },
            end = wait_for_end(&mut reader) => return Err(end),
        }
        for message in messages.drain(..) {
            if let Err(error) = put_frame(&mut bytes, &message) {
                log.line(format_args!("message to={} dropped: {error}", hello.to.0));
            }
        }
    }
}

/// The peer never writes: whatever can be read is the end. Noticing it here makes the next message find a fresh connection.
async fn wait_for_end(reader: &mut OwnedReadHalf) -> io::Error {
    match reader.read(&mut [0]).await {
        Ok(0) => io::Error::new(io::ErrorKind::ConnectionReset, "closed by the peer"),
        Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "a peer wrote where nothing is to come"),
        Err(error) => error,
    }
}

type Readers = Arc<Mutex<HashMap<NodeId, AbortHandle>>>;

/// Accepts connections from peers for as long as the node lives.
pub async fn accept<M>(listener: TcpListener, identity: Identity, inbox: mpsc::Sender<Event<M>>)
where
    M: DeserializeOwned + Send + 'static,
{
    let identity = Arc::new(identity);
    let readers = Readers::default();
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let permit = Arc::clone(&strangers).acquire_owned().await.expect("never closed");
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors, most likely: give others time to close some.
            sleep(RECONNECT_AFTER).await;
            continue;
        };
        let (identity, readers, inbox) = (Arc::clone(&identity), Arc::clone(&readers), inbox.clone());
        tokio::spawn(async move {
            let mut stream = BufReader::with_capacity(64 << 10, stream);
            let hello = timeout(HELLO_TIMEOUT, read_hello(&mut stream, &identity)).await;
            drop(permit);
            match hello {
                Ok(Ok(peer)) => welcome(peer, stream, &identity, &readers, inbox),
                Ok(Err(error)) => identity.log.line(format_args!("refused a connection from {from}: {error}")),
                Err(_) => identity.log.line(format_args!("refused a connection from {from}: no hello")),
            }
        });
    }
}

/// Starts reading; an older connection of the same peer is stale, and must not speak after this one.
fn welcome<M>(
    peer: NodeId,
    stream: BufReader<TcpStream>,
    identity: &Arc<Identity>,
    readers: &Readers,
    inbox: mpsc::Sender<Event<M>>,
) where
    M: DeserializeOwned + Send + 'static,
{
    let log = identity.log;
    let reader = tokio::spawn(async move {
        // The other side logs ordinary ends; only what cannot happen with a right peer is worth a line here.
        if let Err(error) = read_messages(stream, peer, &inbox).await
            && error.kind() == io::ErrorKind::InvalidData
        {
            log.line(format_args!("closed the connection from={}: {error}", peer.0));
        }
    });
    let mut readers = readers.lock().expect("no panic while held");
    if let Some(stale) = readers.insert(peer, reader.abort_handle()) {
        stale.abort();
    }
}

async fn read_hello(stream: &mut BufReader<TcpStream>, identity: &Identity) -> io::Result<NodeId> {
    let hello: Hello = read_frame(stream, &mut Vec::new(), HELLO_BYTES_MAX).await?;
    hello.check(&identity.cluster, identity.me, &identity.nodes).map_err(invalid)
}

async fn read_messages<M: DeserializeOwned>(
    mut stream: BufReader<TcpStream>,
    from: NodeId,
    inbox: &mpsc::Sender<Event<M>>,
) -> io::Result<()> {
    let mut body = Vec::new();
    loop {
        let message = read_frame(&mut stream, &mut body, usize::MAX).await?;
        // A full inbox makes the peer wait: TCP carries the pressure back.
        if inbox.send(Event::Receive { from, message }).await.is_err() {
            return Ok(());
        }
    }
}

async fn read_frame<T: DeserializeOwned>(
    stream: &mut BufReader<TcpStream>,
    body: &mut Vec<u8>,
    bytes_max: usize,
) -> io::Result<T> {
    let mut header = [0; FRAME_HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let header = FrameHeader::parse(header).map_err(invalid)?;
    if header.body_bytes > bytes_max {
        return Err(invalid(FrameError::Length(header.body_bytes)));
    }
    body.clear();
    body.shrink_to(1 << 20);
    body.resize(header.body_bytes, 0);
    timeout(BODY_TIMEOUT, stream.read_exact(body))
        .await
        .map_err(|_| invalid(FrameError::Stalled(header.body_bytes)))??;
    header.decode(body).map_err(invalid)
}

fn invalid(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length that lies about bytes which never come, with good frames behind it: they must not be waited through for ever.
    #[tokio::test]
    async fn a_frame_that_is_too_long_for_what_comes_ends_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (inbox, mut events) = mpsc::channel(16);
        let mut bytes = Vec::new();
        put_frame(&mut bytes, &1_u64).unwrap();
        let second = bytes.len();
        (0..4_u64).for_each(|n| put_frame(&mut bytes, &n).unwrap());
        bytes[second + 2] ^= 0x10;
        sender.write_all(&bytes).await.unwrap();

        let stream = BufReader::new(stream);
        let patience = Duration::from_secs(60);
        let end = timeout(patience, read_messages::<u64>(stream, NodeId(2), &inbox)).await.expect("it waits on and on");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(matches!(events.try_recv(), Ok(Event::Receive { from: NodeId(2), message: 1 })));
        assert!(events.try_recv().is_err());
    }
}
