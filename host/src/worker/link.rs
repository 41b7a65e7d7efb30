//! Messages over the socket between host and worker, the same on both sides.
//!
//! Messages share the socket fairly: each in turn sends one chunk, and none sends more than the other side has made room
//! for, so that a large body delays nobody. The order of messages is kept only where they fit into one frame.
//!
//! What fits into one frame, while nothing is before it, is written by whoever sends it: to wake a task for that costs more
//! than the writing.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use connector_abi::message::MAX_LEN;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::frame::{self, Kind, MAX_PAYLOAD, Then};

/// How much of one message may be on its way before the other side has taken any of it.
const WINDOW: usize = 4 * MAX_PAYLOAD;

/// A preamble that a call or a request carries in front of its message counts too.
const MAX_MESSAGE: usize = MAX_LEN + 1024;

/// How many messages of several frames are sent at once. More of them wait with whoever sends them.
const MAX_PARTIAL: usize = 32;

/// How many bytes of messages that have not arrived whole are kept before room is made for one of them alone.
const ENOUGH: usize = 32 * 1024 * 1024;

/// How many are kept at most: beyond what is enough there is one whole message, and a window of each other.
const MAX_KEPT: usize = ENOUGH + MAX_MESSAGE + MAX_PARTIAL * WINDOW;

/// How many orders may wait to be carried out, and how many bytes in them. The other side takes nothing then.
const MAX_ORDERS: usize = 64 * 1024;
const MAX_WAITING: usize = 256 * 1024 * 1024;

/// A message that has arrived whole.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) bytes: Vec<u8>,
}

/// The sending side: cheap to clone, never waits.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    orders: mpsc::UnboundedSender<Order>,
    exit: Arc<Exit>,
}

#[derive(Debug)]
enum Order {
    Send(Kind, u64, Vec<u8>),
    /// The rest of a frame that has been begun.
    Rest(Vec<u8>),
    /// The other side has made room.
    Room(Kind, u64, usize),
    /// We have made room.
    Taken(Kind, u64, usize),
    /// What is left of this message need not be sent.
    Drop(Kind, u64),
}

/// Where bytes leave.
#[derive(Debug)]
struct Exit {
    socket: OwnedWriteHalf,
    /// How many orders the transmitting task has not carried out yet. While there are any, everything goes through it.
    orders: Mutex<usize>,
    /// How many bytes wait to be sent.
    waiting: AtomicUsize,
}

impl Exit {
    fn orders(&self) -> MutexGuard<'_, usize> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether more waits than whoever listens at the other end would let.
    fn is_stuck(&self) -> bool {
        *self.orders() > MAX_ORDERS || self.waiting.load(Ordering::Relaxed) > MAX_WAITING
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Sender {
    /// Sends a message. If the other side is gone, nothing happens: its end is noticed by whoever reads.
    pub(crate) fn send(&self, kind: Kind, id: u64, bytes: Vec<u8>) {
        let mut orders = self.exit.orders();
        if *orders > 0 || bytes.len() > MAX_PAYLOAD {
            return self.order(&mut orders, Order::Send(kind, id, bytes));
        }
        let mut frame = Vec::with_capacity(frame::HEADER + bytes.len());
        frame::write(&mut frame, kind, Then::Whole, id, &bytes);
        match self.exit.socket.try_write(&frame) {
            Ok(len) if len == frame.len() => {}
            Ok(len) => self.order(&mut orders, Order::Rest(frame.split_off(len))),
            // There is no room, or nobody there any more, which the transmitting task finds out.
            Err(_) => self.order(&mut orders, Order::Rest(frame)),
        }
    }

    /// Stops sending a message that nobody wants any more. What has been sent of it is ended, so that the other side can
    /// forget it.
    pub(crate) fn stop(&self, kind: Kind, id: u64) {
        self.order(&mut self.exit.orders(), Order::Drop(kind, id));
    }

    fn order(&self, orders: &mut usize, order: Order) {
        if let Order::Send(_, _, bytes) = &order {
            self.exit.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        if self.orders.send(order).is_ok() {
            *orders += 1;
        }
    }
}

/// Makes both sides of a link out of a socket. The returned future sends; it must be driven, and ends with the socket or
/// when every sender is gone.
pub(crate) fn link(socket: UnixStream) -> (Sender, Receiver, impl Future<Output = io::Result<()>>) {
    let (read, write) = socket.into_split();
    let (orders, queue) = mpsc::unbounded_channel();
    let exit = Arc::new(Exit { socket: write, orders: Mutex::new(0), waiting: AtomicUsize::new(0) });
    let sender = Sender { orders, exit: exit.clone() };
    let receiver = Receiver {
        socket: read,
        buffer: Vec::new(),
        used: 0,
        partial: HashMap::new(),
        kept: 0,
        preferred: None,
        withheld: Vec::new(),
        orders: sender.orders.downgrade(),
        exit: Arc::downgrade(&exit),
    };
    (sender, receiver, transmit(exit, queue))
}

/// A message on its way out.
struct Outgoing {
    kind: Kind,
    id: u64,
    bytes: Vec<u8>,
    sent: usize,
    room: usize,
}

async fn transmit(exit: Arc<Exit>, mut queue: mpsc::UnboundedReceiver<Order>) -> io::Result<()> {
    let mut waiting: VecDeque<Outgoing> = VecDeque::new();
    // Those whose turn to be sent in turns has not come.
    let mut later: VecDeque<Outgoing> = VecDeque::new();
    let mut out = Vec::new();
    // Orders that have been taken and not been carried out.
    let mut taken = 0;
    loop {
        while waiting.len() < MAX_PARTIAL
            && let Some(next) = later.pop_front()
        {
            waiting.push_back(next);
        }
        // With nothing that may be sent, wait for an order; otherwise only take those that are there.
        let idle = !waiting.iter().any(|message| message.room > 0);
        let first = if idle {
            // What waits for room does not keep others from writing.
            *exit.orders() -= std::mem::take(&mut taken);
            match queue.recv().await {
                Some(order) => Some(order),
                // With the last one who could write, the socket is closed for writing.
                None => return Ok(()),
            }
        } else {
            None
        };
        for order in first.into_iter().chain(std::iter::from_fn(|| queue.try_recv().ok())) {
            taken += 1;
            match order {
                Order::Rest(bytes) => out.extend_from_slice(&bytes),
                // It fits into one frame.
                Order::Send(kind, id, bytes) if bytes.len() <= MAX_PAYLOAD => {
                    exit.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                    frame::write(&mut out, kind, Then::Whole, id, &bytes)
                }
                Order::Send(kind, id, bytes) => {
                    later.push_back(Outgoing { kind, id, bytes, sent: 0, room: WINDOW })
                }
                Order::Room(kind, id, room) => {
                    if let Some(message) =
                        waiting.iter_mut().find(|message| message.kind == kind && message.id == id)
                    {
                        message.room += room;
                    }
                }
                Order::Taken(kind, id, len) => {
                    let len = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
                    frame::write(
                        &mut out,
                        Kind::Credit,
                        Then::Whole,
                        id,
                        &[kind as u8, len[0], len[1], len[2], len[3]],
                    );
                }
                Order::Drop(kind, id) => {
                    let is_it = |message: &Outgoing| message.kind == kind && message.id == id;
                    let at = waiting.iter().position(is_it);
                    let begun = at.and_then(|at| waiting.remove(at));
                    let at = later.iter().position(is_it);
                    let dropped = begun.or_else(|| at.and_then(|at| later.remove(at)));
                    if let Some(message) = dropped {
                        exit.waiting.fetch_sub(message.bytes.len(), Ordering::Relaxed);
                        if message.sent > 0 {
                            frame::write(&mut out, kind, Then::GivenUp, id, &[]);
                        }
                    }
                }
            }
        }
        if let Some(at) = waiting.iter().position(|message| message.room > 0)
            && let Some(mut message) = waiting.remove(at)
        {
            let len = (message.bytes.len() - message.sent).min(MAX_PAYLOAD).min(message.room);
            let chunk = message.sent..message.sent + len;
            let last = chunk.end == message.bytes.len();
            let then = if last { Then::Whole } else { Then::More };
            frame::write(&mut out, message.kind, then, message.id, &message.bytes[chunk]);
            message.sent += len;
            message.room -= len;
            if last {
                exit.waiting.fetch_sub(message.bytes.len(), Ordering::Relaxed);
            } else {
                waiting.push_back(message);
            }
        }
        exit.write_all(&out).await?;
        out.clear();
    }
}

/// The receiving side.
pub(crate) struct Receiver {
    socket: OwnedReadHalf,
    buffer: Vec<u8>,
    /// How much of the buffer has been taken.
    used: usize,
    partial: HashMap<(Kind, u64), Vec<u8>>,
    /// How many bytes there are in `partial`.
    kept: usize,
    /// The one message that still gets room when there are enough bytes.
    preferred: Option<(Kind, u64)>,
    /// Room that the others have not been given yet.
    withheld: Vec<(Kind, u64, usize)>,
    /// Weak, so that a receiver that waits does not keep the sending side open.
    orders: mpsc::WeakUnboundedSender<Order>,
    exit: Weak<Exit>,
}

/// Why nothing more arrives.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The other side has closed the socket, or it broke.
    Closed,
    /// What came is not our protocol, or a message was too long.
    Violation(&'static str),
}

impl Receiver {
    /// The next message.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Gone> {
        loop {
            if self.exit.upgrade().is_some_and(|exit| exit.is_stuck()) {
                return Err(Gone::Violation("it takes nothing of what it is sent"));
            }
            match frame::read(&self.buffer[self.used..]) {
                Err(frame::BadFrame) => return Err(Gone::Violation("bytes that are no frame")),
                Ok(Some((frame, len))) => {
                    let key = (frame.kind, frame.id);
                    let whole = match frame.then {
                        Then::Whole if !self.partial.contains_key(&key) => Some(frame.payload.to_vec()),
                        Then::GivenUp => {
                            self.kept -= self.partial.remove(&key).map_or(0, |message| message.len());
                            self.make_room(key);
                            None
                        }
                        then => {
                            if then == Then::More && frame.payload.is_empty() {
                                return Err(Gone::Violation("a chunk of nothing"));
                            }
                            let message = self.partial.entry(key).or_default();
                            self.kept += frame.payload.len();
                            if message.len() + frame.payload.len() > MAX_MESSAGE {
                                return Err(Gone::Violation("a message over the limit"));
                            }
                            message.extend_from_slice(frame.payload);
                            if self.kept > MAX_KEPT || self.partial.len() > MAX_PARTIAL {
                                return Err(Gone::Violation("too many messages at once"));
                            }
                            if then == Then::Whole {
                                let message = self.partial.remove(&key);
                                self.kept -= message.as_ref().map_or(0, Vec::len);
                                self.make_room(key);
                                message
                            } else {
                                let len = frame.payload.len();
                                if self.kept <= ENOUGH || *self.preferred.get_or_insert(key) == key {
                                    self.taken(key, len);
                                } else {
                                    self.withheld.push((key.0, key.1, len));
                                }
                                None
                            }
                        }
                    };
                    self.used += len;
                    match whole {
                        Some(bytes) if key.0 == Kind::Credit => self.credit(key.1, &bytes)?,
                        Some(bytes) => {
                            return Ok(Incoming { kind: key.0, id: key.1, bytes });
                        }
                        None => {}
                    }
                }
                Ok(None) => self.fill().await?,
            }
        }
    }

    fn taken(&self, (kind, id): (Kind, u64), len: usize) {
        if let Some(sender) = self.sender() {
            sender.order(&mut sender.exit.orders(), Order::Taken(kind, id, len));
        }
    }

    /// A message is over: the room that the others wait for is theirs, or that of the next one of them.
    fn make_room(&mut self, over: (Kind, u64)) {
        if self.preferred == Some(over) {
            self.preferred = None;
        }
        self.withheld.retain(|(kind, id, _)| (*kind, *id) != over);
        if self.kept > ENOUGH && self.preferred.is_none() {
            self.preferred = self.withheld.first().map(|(kind, id, _)| (*kind, *id));
        }
        let all = self.kept <= ENOUGH;
        for (kind, id, len) in std::mem::take(&mut self.withheld) {
            if all || self.preferred == Some((kind, id)) {
                self.taken((kind, id), len);
            } else {
                self.withheld.push((kind, id, len));
            }
        }
    }

    fn credit(&self, id: u64, bytes: &[u8]) -> Result<(), Gone> {
        let &[kind, a, b, c, d] = bytes else {
            return Err(Gone::Violation("a credit that is none"));
        };
        let kind = [
            Kind::Call,
            Kind::Answer,
            Kind::Failure,
            Kind::Ask,
            Kind::Reply,
            Kind::ReplyFailure,
            Kind::Ready,
            Kind::Refused,
        ]
        .into_iter()
        .find(|known| *known as u8 == kind)
        .ok_or(Gone::Violation("a credit for nothing"))?;
        let room = u32::from_le_bytes([a, b, c, d]) as usize;
        // Never more than was sent, or a lying side could make us send everything at once; which only costs itself.
        if let Some(sender) = self.sender() {
            sender.order(&mut sender.exit.orders(), Order::Room(kind, id, room.min(WINDOW)));
        }
        Ok(())
    }

    fn sender(&self) -> Option<Sender> {
        Some(Sender { orders: self.orders.upgrade()?, exit: self.exit.upgrade()? })
    }

    async fn fill(&mut self) -> Result<(), Gone> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(MAX_PAYLOAD);
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Gone::Closed),
            Ok(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn pair() -> ((Sender, Receiver), (Sender, Receiver)) {
        let (a, b) = UnixStream::pair().unwrap();
        let (sender_a, receiver_a, transmit_a) = link(a);
        let (sender_b, receiver_b, transmit_b) = link(b);
        tokio::spawn(transmit_a);
        tokio::spawn(transmit_b);
        ((sender_a, receiver_a), (sender_b, receiver_b))
    }

    #[tokio::test]
    async fn a_large_message_does_not_hold_up_a_small_one() {
        let ((sender, mut ours), (_other, mut receiver)) = pair();
        // Our side has to read too, for the credit to come through.
        tokio::spawn(async move { while ours.next().await.is_ok() {} });
        let large: Vec<u8> = (0..MAX_LEN).map(|i| i as u8).collect();
        sender.send(Kind::Call, 1, large.clone());
        sender.send(Kind::Call, 2, b"small".to_vec());
        let first = receiver.next().await.unwrap();
        assert_eq!((first.id, first.bytes.as_slice()), (2, &b"small"[..]));
        let second = receiver.next().await.unwrap();
        assert!(second.id == 1 && second.bytes == large);
    }

    #[tokio::test]
    async fn no_more_is_sent_than_there_is_room_for() {
        let (a, b) = UnixStream::pair().unwrap();
        let (sender, _receiver, transmit) = link(a);
        tokio::spawn(transmit);
        sender.send(Kind::Call, 1, vec![0; MAX_LEN]);
        // Nobody gives credit: what arrives is one window and its headers.
        let mut arrived = 0;
        let mut buffer = vec![0; MAX_PAYLOAD];
        let (mut read, _write) = b.into_split();
        while let Ok(Ok(len)) = tokio::time::timeout(Duration::from_millis(100), read.read(&mut buffer)).await
        {
            arrived += len;
        }
        assert_eq!(arrived, WINDOW + WINDOW / MAX_PAYLOAD * 16);
    }

    #[tokio::test]
    async fn a_message_without_end_is_refused() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, _transmit) = link(a);
        tokio::spawn(async move {
            let mut chunk = Vec::new();
            frame::write(&mut chunk, Kind::Answer, Then::More, 1, &[0; MAX_PAYLOAD]);
            while b.write_all(&chunk).await.is_ok() {}
        });
        assert!(matches!(receiver.next().await, Err(Gone::Violation("a message over the limit"))));
    }

    #[tokio::test]
    async fn a_stopped_message_leaves_nothing_behind() {
        let ((sender, _ours), (_other, mut receiver)) = pair();
        sender.send(Kind::Call, 1, vec![7; MAX_LEN]);
        tokio::task::yield_now().await;
        sender.stop(Kind::Call, 1);
        sender.send(Kind::Call, 2, b"next".to_vec());
        // Half a message is none: the first that arrives is the one behind it.
        let message = receiver.next().await.unwrap();
        assert_eq!((message.id, message.bytes.as_slice()), (2, &b"next"[..]));
        assert!(receiver.partial.is_empty() && receiver.kept == 0);
    }

    #[tokio::test]
    async fn many_large_messages_at_once_arrive_whole_and_are_not_all_held_at_once() {
        let ((sender, mut ours), (_other, mut receiver)) = pair();
        tokio::spawn(async move { while ours.next().await.is_ok() {} });
        let count = MAX_PARTIAL as u64 + 8;
        for id in 0..count {
            sender.send(Kind::Call, id, vec![id as u8; 4 * 1024 * 1024]);
        }
        sender.send(Kind::Call, count, b"small".to_vec());
        // In turns they would all be there but for their ends: more than may be held.
        const { assert!(MAX_PARTIAL * 4 * 1024 * 1024 > MAX_KEPT) };
        let mut seen = Vec::new();
        for _ in 0..=count {
            let message = receiver.next().await.unwrap();
            assert!(message.id == count || message.bytes.iter().all(|byte| u64::from(*byte) == message.id));
            seen.push(message.id);
        }
        assert_eq!(seen[0], count, "a small one waits for none of them");
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..=count));
        assert!(receiver.partial.is_empty() && receiver.kept == 0 && receiver.withheld.is_empty());
    }

    #[tokio::test]
    async fn messages_without_number_are_refused() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, _transmit) = link(a);
        tokio::spawn(async move {
            let mut chunk = Vec::new();
            for id in 0.. {
                chunk.clear();
                frame::write(&mut chunk, Kind::Ask, Then::More, id, &[0]);
                if b.write_all(&chunk).await.is_err() {
                    break;
                }
            }
        });
        assert!(matches!(receiver.next().await, Err(Gone::Violation("too many messages at once"))));
    }

    #[tokio::test]
    async fn a_chunk_of_nothing_is_refused() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, _transmit) = link(a);
        let mut chunk = Vec::new();
        frame::write(&mut chunk, Kind::Ask, Then::More, 1, &[]);
        b.write_all(&chunk).await.unwrap();
        assert!(matches!(receiver.next().await, Err(Gone::Violation("a chunk of nothing"))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whatever_many_send_at_once_arrives_whole_and_in_the_order_of_each() {
        let ((sender, mut ours), (_other, mut receiver)) = pair();
        tokio::spawn(async move { while ours.next().await.is_ok() {} });
        let senders: Vec<_> = (0..4_u64)
            .map(|who| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for number in 0..500_u64 {
                        // Some fit into the socket at once, some do not, some are more than one frame.
                        let len =
                            [8, 4000, MAX_PAYLOAD, MAX_PAYLOAD + 1][(number as usize + who as usize) % 4];
                        let mut bytes = vec![who as u8; len];
                        bytes[..8].copy_from_slice(&number.to_le_bytes());
                        sender.send(Kind::Call, who * 1000 + number, bytes);
                        if number % 50 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        let mut last = [None; 4];
        for _ in 0..2000 {
            let Incoming { id, bytes, .. } = receiver.next().await.unwrap();
            let (who, number) = (id / 1000, id % 1000);
            assert_eq!(bytes[..8], number.to_le_bytes());
            assert!(bytes[8..].iter().all(|byte| u64::from(*byte) == who));
            if bytes.len() <= MAX_PAYLOAD {
                assert!(last[who as usize] < Some(number), "{who}: {number} after {:?}", last[who as usize]);
                last[who as usize] = Some(number);
            }
        }
        for task in senders {
            task.await.unwrap();
        }
    }
}
