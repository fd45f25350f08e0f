//! One relay: accepts connections for one ordered pair, and carries their bytes under the rules of both directions.
//!
//! ```text
//!   accept --> held while either direction is cut --> dial --> two pumps --+--> both ended: close
//!                                                                          +--> one failed: reset
//!                                                                          +--> cut, then healed: reset
//! ```

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_pcg::Pcg32;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::network::links::{Endpoint, LinkRule, LinkTable, Verdict, decide};

/// Connections a relay has at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way in one direction of one connection (1 MiB); then the sender feels it.
const CHUNKS_MAX: usize = 64;
/// How long the other end may take to accept; on loopback it does so at once or never.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a held connection is asked whether its owner has given up, so that impatient peers do not use up descriptors.
const HELD_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait after a failed accept (no descriptors left) before the next one.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// What all connections of a relay share.
pub(super) struct Relay {
    links: LinkTable,
    from: Endpoint,
    to: Endpoint,
    target: SocketAddr,
    seed: u64,
}

impl Relay {
    pub(super) fn new(links: LinkTable, from: Endpoint, to: Endpoint, target: SocketAddr, seed: u64) -> Self {
        Relay { links, from, to, target, seed }
    }

    /// The work of the relay. Dropping the future closes every connection.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn run(self, listener: std::net::TcpListener) -> io::Result<impl Future<Output = ()> + Send> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Arc::new(self).accept(listener))
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        for number in 0.. {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((near, _)) => {
                    let relay = self.clone();
                    connections.spawn(async move {
                        relay.carry(near, number).await;
                        drop(slot);
                    });
                }
                Err(_) => sleep(ACCEPT_RETRY_DELAY).await,
            }
        }
    }

    /// One connection from beginning to end.
    async fn carry(&self, mut near: TcpStream, number: u64) {
        let mut changes = self.links.subscribe();
        let cuts = self.cuts();
        if !self.hold(&near, &mut changes).await {
            return;
        }
        let mut far = match timeout(DIAL_TIMEOUT, TcpStream::connect(self.target)).await {
            Ok(Ok(far)) => far,
            // Whoever connected learns that nobody is there as it would have directly: by a reset.
            _ => return reset(&near),
        };
        // A relay that gathers bytes would be a delay that nobody asked for.
        let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
        let ended = {
            let (near_read, near_write) = near.split();
            let (far_read, far_write) = far.split();
            let there = self.pump(near_read, far_write, Direction { from: self.from, to: self.to, number });
            let back = self.pump(far_read, near_write, Direction { from: self.to, to: self.from, number });
            let healed = changes.wait_for(|_| self.cuts() != cuts && self.is_open());
            tokio::select! {
                ended = async { tokio::try_join!(there, back) } => ended.is_ok(),
                _ = healed => false,
            }
        };
        if !ended {
            reset(&near);
            reset(&far);
        }
    }

    /// Waits until neither direction is cut. False when whoever connected has given up before.
    async fn hold(&self, near: &TcpStream, changes: &mut watch::Receiver<u64>) -> bool {
        if !self.is_open() {
            self.links.counters(self.from, self.to).count_dropped();
        }
        loop {
            let open = timeout(HELD_CHECK_INTERVAL, changes.wait_for(|_| self.is_open())).await.is_ok();
            if open || is_closed(near) {
                return open && !is_closed(near);
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.links.rule(self.from, self.to).blocked && !self.links.rule(self.to, self.from).blocked
    }

    fn cuts(&self) -> u64 {
        self.links.cuts(self.from, self.to) + self.links.cuts(self.to, self.from)
    }

    /// Carries one direction until its sender has ended it. Under a cut it stands still for good: the heal resets the
    /// connection.
    async fn pump(&self, mut read: ReadHalf<'_>, mut write: WriteHalf<'_>, direction: Direction) -> io::Result<()> {
        let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
        let reader = async move {
            let mut random = Pcg32::new(self.seed, direction.stream());
            let mut last_due = Instant::now();
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let length = read.read(&mut chunk).await?;
                if length == 0 {
                    return Ok(());
                }
                chunk.truncate(length);
                let delay = self.delay(direction, &mut random).await;
                last_due = last_due.max(Instant::now() + delay);
                if queue.send((last_due, chunk)).await.is_err() {
                    return Ok(());
                }
            }
        };
        let writer = async {
            while let Some((due, chunk)) = waiting.recv().await {
                if due > Instant::now() {
                    self.links.counters(direction.from, direction.to).count_delayed();
                    sleep_until(due).await;
                }
                if self.links.rule(direction.from, direction.to).blocked {
                    self.lose::<()>(direction).await;
                }
                write.write_all(&chunk).await?;
                self.links.counters(direction.from, direction.to).count_passed();
            }
            write.shutdown().await
        };
        tokio::try_join!(reader, writer).map(|_| ())
    }

    /// How long a chunk takes; never comes back when it is lost.
    async fn delay(&self, direction: Direction, random: &mut Pcg32) -> Duration {
        let rule = self.links.rule(direction.from, direction.to);
        // What a relay cannot do to a byte stream it does not do: `Capabilities` says so.
        let rule = LinkRule { loss: 0.0, duplicate: 0.0, reorder: 0.0, ..rule };
        match decide(&rule, random) {
            Verdict::Deliver { delay, .. } => delay,
            Verdict::Drop => self.lose(direction).await,
        }
    }

    async fn lose<T>(&self, direction: Direction) -> T {
        self.links.counters(direction.from, direction.to).count_dropped();
        pending().await
    }
}

/// One direction of one connection.
#[derive(Clone, Copy)]
struct Direction {
    from: Endpoint,
    to: Endpoint,
    number: u64,
}

impl Direction {
    /// The generator's stream: another for each connection and direction.
    fn stream(self) -> u64 {
        let position = |endpoint| match endpoint {
            Endpoint::Clients => 0,
            Endpoint::Node(id) => u64::from(id),
        };
        self.number << 16 | position(self.from) << 8 | position(self.to)
    }
}

/// Whether the other side has closed, even if what it wrote before is still unread. Asked of the kernel: what the runtime
/// remembers may be older.
pub(in crate::network) fn is_closed(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => fds[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR),
        Err(_) => true,
    }
}

/// Makes the coming close a reset. If that fails, it is an ordinary close, which ends the connection as well.
pub(in crate::network) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
