//! One connection through the relay, from a node to one of its peers.
//!
//! ```text
//!   accept --> link cut? held, then reset --> hello --> dial --> frames ──┬──> at once ────────────┐
//!                                                                        └──> late: a heap by time ┴──> written in one go
//! ```

use std::{cmp::Ordering, collections::BinaryHeap, io, net::SocketAddr, sync::Arc, time::Duration};

use rand_pcg::Pcg32;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Heard, Part, Shared,
    frames::{Frame, Frames},
    rules::Fate,
};
use crate::network::{
    links::{Endpoint, LinkCounters, LinkRule, Verdict, decide},
    proxy::{is_closed, reset},
};

/// Connections of one link at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// Messages of one connection that are late at a time.
const LATE_MESSAGES_MAX: usize = 4096;
/// Bytes of them.
const LATE_BYTES_MAX: usize = 64 << 20;
/// Whoever connects must say hello within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the other end may take to accept.
const DIAL_TIMEOUT: Duration = Duration::from_millis(400);
/// How often a held connection is asked whether its owner has given up.
const HELD_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait after a failed accept (no descriptors left) before the next one.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Bytes that the receiver's system does not acknowledge for so long end the connection, as they do between the nodes themselves.
const UNACKED_TIMEOUT_MS: u32 = 500;

/// One directed pair of nodes.
pub(super) struct Link {
    pub shared: Arc<Shared>,
    pub from: u32,
    pub to: u32,
    pub target: SocketAddr,
}

impl Link {
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        for number in 0.. {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((near, _)) => {
                    let link = Arc::clone(&self);
                    connections.spawn(async move {
                        link.serve(near, number).await;
                        drop(slot);
                    });
                }
                Err(_) => sleep(ACCEPT_RETRY_DELAY).await,
            }
        }
    }

    /// One connection from beginning to end. It ends with a reset: whoever writes into it must notice.
    async fn serve(&self, mut near: TcpStream, number: u64) {
        let mut changes = self.shared.links.subscribe();
        if self.is_cut() {
            self.counters().count_dropped();
            self.hold(&near, &mut changes).await;
            return reset(&near);
        }
        let Ok(Some((mut far, frames))) = self.introduce(&mut near).await else { return reset(&near) };
        let random = Pcg32::new(self.shared.seed, number << 16 | u64::from(self.from) << 8 | u64::from(self.to));
        let traffic =
            Traffic { link: self, frames, random, late: BinaryHeap::new(), late_bytes: 0, last_due: None, numbered: 0 };
        if traffic.carry(&mut near, &mut far, changes).await.is_err() {
            reset(&near);
            reset(&far);
        }
    }

    /// Waits until the link is open again or whoever connected has given up.
    async fn hold(&self, near: &TcpStream, changes: &mut watch::Receiver<u64>) {
        while !is_closed(near) {
            if timeout(HELD_CHECK_INTERVAL, changes.wait_for(|_| !self.is_cut())).await.is_ok() {
                return;
            }
        }
    }

    /// Reads the hello, and hands it to the other end unaltered.
    async fn introduce(&self, near: &mut TcpStream) -> io::Result<Option<(TcpStream, Frames)>> {
        let mut frames = Frames::default();
        let hello = async {
            loop {
                if let Some(hello) = frames.take()? {
                    return Ok::<_, io::Error>(Some(hello));
                }
                if frames.fill(near).await? == 0 {
                    return Ok(None);
                }
            }
        };
        let Ok(hello) = timeout(HELLO_TIMEOUT, hello).await else { return Ok(None) };
        let Some(hello) = hello? else { return Ok(None) };
        let Ok(far) = timeout(DIAL_TIMEOUT, self.dial()).await else { return Ok(None) };
        let mut far = far?;
        far.set_nodelay(true)?;
        sockopt::set_tcp_user_timeout(&far, UNACKED_TIMEOUT_MS)?;
        far.write_all(frames.whole(&hello)).await?;
        Ok(Some((far, frames)))
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let socket = if self.target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(address) = self.shared.dial_from {
            socket.bind((address, 0).into())?;
        }
        socket.connect(self.target).await
    }

    fn rule(&self) -> LinkRule {
        self.shared.links.rule(Endpoint::Node(self.from), Endpoint::Node(self.to))
    }

    fn is_cut(&self) -> bool {
        self.rule().blocked
    }

    fn counters(&self) -> &LinkCounters {
        self.shared.links.counters(Endpoint::Node(self.from), Endpoint::Node(self.to))
    }
}

/// What is under way in one connection.
struct Traffic<'a> {
    link: &'a Link,
    frames: Frames,
    random: Pcg32,
    late: BinaryHeap<Late>,
    late_bytes: usize,
    /// When the last message that keeps its place is due.
    last_due: Option<Instant>,
    numbered: u64,
}

/// A message that waits.
struct Late {
    due: Instant,
    /// Equal times keep their order.
    number: u64,
    frame: Box<[u8]>,
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    /// The greatest is the next one due, as `BinaryHeap` wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

/// The connection is to be broken.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Traffic<'_> {
    /// Carries messages until the sender has closed and nothing is late any more, or until something breaks.
    async fn carry(
        mut self,
        near: &mut TcpStream,
        far: &mut TcpStream,
        mut changes: watch::Receiver<u64>,
    ) -> Result<(), Broken> {
        let (mut near_read, _) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let (mut out, mut closed) = (Vec::new(), false);
        let mut unasked = [0];
        loop {
            while self.has_room()
                && let Some(frame) = self.frames.take()?
            {
                self.take(&frame, &mut out)?;
            }
            self.take_due(&mut out)?;
            far_write.write_all(&out).await?;
            out.clear();
            if closed && self.late.is_empty() {
                return Ok(());
            }
            let due = self.late.peek().map(|late| late.due);
            let reads = !closed && self.has_room();
            tokio::select! {
                read = self.frames.fill(&mut near_read), if reads => closed = read? == 0,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {},
                changed = changes.changed() => {
                    changed.map_err(|_| Broken)?;
                    self.break_if_cut()?;
                },
                // The receiver never writes: whatever comes is the end.
                _ = far_read.read(&mut unasked) => return Err(Broken),
            }
        }
    }

    /// Whether another message may wait. Where order counts, the sender waits instead.
    fn has_room(&self) -> bool {
        !self.link.shared.in_order || !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.late.len() >= LATE_MESSAGES_MAX || self.late_bytes >= LATE_BYTES_MAX
    }

    /// A link in order cannot lose single messages: a cut loses the connection.
    fn break_if_cut(&self) -> Result<(), Broken> {
        if self.link.shared.in_order && self.link.is_cut() {
            self.link.counters().count_dropped();
            return Err(Broken);
        }
        Ok(())
    }

    /// Decides about one message.
    fn take(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Link { shared, from, to, .. } = self.link;
        let body = self.frames.body(frame);
        let kind = body.first().copied().unwrap_or(u8::MAX);
        let part = (shared.part)(body);
        // Nobody may be listening.
        let _ = shared.heard.send(Heard { from: *from, to: *to, kind, part });
        self.break_if_cut()?;
        let fate = self.fate(kind, part);
        let now = Instant::now();
        let counters = self.link.counters();
        match fate.copies {
            [None, _] => counters.count_dropped(),
            [_, Some(_)] => counters.count_duplicated(),
            [_, None] => {}
        }
        for delay in fate.copies.into_iter().flatten() {
            match self.due(now, delay, fate.overtakable) {
                None => {
                    out.extend_from_slice(self.frames.whole(frame));
                    counters.count_passed();
                }
                Some(_) if self.is_full() => counters.count_dropped(),
                Some(due) => {
                    counters.count_delayed();
                    self.numbered += 1;
                    let frame: Box<[u8]> = self.frames.whole(frame).into();
                    self.late_bytes += frame.len();
                    self.late.push(Late { due, number: self.numbered, frame });
                }
            }
        }
        Ok(())
    }

    /// What the link does to a message, and then what the rules do to it.
    fn fate(&mut self, kind: u8, part: Option<Part>) -> Fate {
        let Link { shared, from, to, .. } = self.link;
        let mut rule = self.link.rule();
        if shared.in_order {
            rule = LinkRule { loss: 0.0, duplicate: 0.0, reorder: 0.0, ..rule };
        }
        let verdict = decide(&rule, &mut self.random);
        let mut fate = shared.rules.fate(*from, *to, kind, part, &mut self.random);
        match verdict {
            Verdict::Drop => Fate::LOST,
            Verdict::Deliver { delay, copies, overtakable } => {
                // Not lost, which is counted as such, and not as usual.
                if fate.copies[0].is_some() && fate.copies != Fate::AT_ONCE.copies {
                    self.link.counters().count_altered();
                }
                for copy in &mut fate.copies {
                    *copy = copy.map(|own| own + delay);
                }
                if copies > 1 && fate.copies[1].is_none() {
                    fate.copies[1] = fate.copies[0];
                }
                fate.overtakable |= overtakable;
                fate
            }
        }
    }

    /// When a message is to be sent; none is at once.
    fn due(&mut self, now: Instant, delay: Duration, overtakable: bool) -> Option<Instant> {
        if overtakable {
            return (!delay.is_zero()).then(|| now + delay);
        }
        let due = self.last_due.map_or(now, |last| last.max(now)).max(now + delay);
        self.last_due = (due > now).then_some(due);
        self.last_due
    }

    /// Takes what is due by now. A cut loses what was under way.
    fn take_due(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let now = Instant::now();
        while self.late.peek().is_some_and(|late| late.due <= now)
            && let Some(late) = self.late.pop()
        {
            self.late_bytes -= late.frame.len();
            self.break_if_cut()?;
            if self.link.is_cut() {
                self.link.counters().count_dropped();
            } else {
                out.extend_from_slice(&late.frame);
                self.link.counters().count_passed();
            }
        }
        Ok(())
    }
}
