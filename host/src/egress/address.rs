//! Which addresses a connector's requests may reach: public ones, and no others.
//!
//! A name is looked up once, what may not be reached is taken out, and what is left is what is dialled, so that a second
//! answer of a name server changes nothing. An address that stands in the URL itself never reaches a resolver; it is checked
//! where the URL is.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    thread,
};

use reqwest::dns::{Addrs, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An address that may not be reached, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// The name that led to it, or the address itself.
    pub host: String,
    /// What kind of address it is.
    pub what: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` leads to {}", self.host, self.what)
    }
}

impl std::error::Error for Forbidden {}

/// What makes an address one that may not be reached; `None` if it is public. An IPv4 address within an IPv6 one counts as
/// what it is.
///
/// After IANA's special-purpose registries (RFC 6890 and what has been added to them).
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "this network",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private network",
        [100, 64..=127, ..] => "a carrier's private network",
        [127, ..] => "this machine",
        [169, 254, ..] => "the local link, where cloud metadata lies",
        [192, 0, 0, _] => "a protocol's own addresses",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "addresses for documentation",
        [192, 88, 99, _] => "a 6to4 relay",
        [192, 31, 196, _] | [192, 52, 193, _] | [192, 175, 48, _] => "an anycast service",
        [198, 18..=19, ..] => "a test network",
        [224..=239, ..] => "a multicast group",
        [240..=255, ..] => "reserved addresses",
        _ => return None,
    })
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        forbidden_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("no machine"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        // Mapped, translated and compatible addresses hold an IPv4 address in their last 32 bits.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => inner(high, low),
        [0, 0, 0, 0, 0, 0, ..] => Some("an IPv4 address in disguise"),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x64, 0xff9b, ..] => Some("a translator's private addresses"),
        [0x100, 0, 0, 0 | 1, ..] => Some("nowhere"),
        // 6to4 holds one behind its prefix. Teredo holds two; nobody needs it.
        [0x2002, high, low, ..] => inner(high, low),
        [0x2001, 0, ..] => Some("a Teredo tunnel"),
        [0x2001, 2, 0, ..] => Some("a test network"),
        [0x2001, 0x10..=0x3f, ..] => Some("identifiers that are no machine"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("addresses for documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("a protocol's own addresses"),
        [0x5f00, ..] => Some("segment identifiers"),
        [0xfc00..=0xfdff, ..] => Some("a private network"),
        [0xfe80..=0xfebf, ..] => Some("the local link"),
        [0xfec0..=0xfeff, ..] => Some("a private network"),
        [0xff00..=0xffff, ..] => Some("a multicast group"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("addresses that are not in use"),
    }
}

/// Looks a name up, for as long as that takes.
pub(super) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// How many names are looked up at once. The system's resolver cannot be stopped, so that each look-up holds a thread until it
/// has ended, also when nobody waits for it any more.
const MOST_LOOKUPS: usize = 16;

/// The look-ups of this process that go on.
static LOOKUPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MOST_LOOKUPS)));

/// A resolver that gives only addresses that may be reached.
#[derive(Clone)]
pub(super) struct Guarded {
    lookup: Lookup,
    forbidden: fn(IpAddr) -> Option<&'static str>,
    places: Arc<Semaphore>,
}

impl Guarded {
    /// The system's resolver, guarded.
    pub(super) fn system() -> Self {
        Self::with(Arc::new(ask_the_system), forbidden)
    }

    /// The system's resolver for machines that the operator has named, which may be any.
    pub(super) fn operators() -> Self {
        Self::with(Arc::new(ask_the_system), |_| None)
    }

    fn with(lookup: Lookup, forbidden: fn(IpAddr) -> Option<&'static str>) -> Self {
        Self { lookup, forbidden, places: LOOKUPS.clone() }
    }

    async fn resolve(self, name: String) -> Result<Vec<SocketAddr>, BoxError> {
        let found = self.look_up(name.clone()).await?;
        let what = found.iter().find_map(|address| (self.forbidden)(*address));
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| (self.forbidden)(*address).is_none())
            .map(|address| SocketAddr::new(address, 0))
            .collect();
        match what {
            Some(what) if allowed.is_empty() => Err(Forbidden { host: name, what }.into()),
            _ => Ok(allowed),
        }
    }

    /// Waits for a place, then for the answer. Whoever gives up leaves the thread behind, with its place.
    async fn look_up(&self, name: String) -> io::Result<Vec<IpAddr>> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        let lookup = self.lookup.clone();
        // No thread of the runtime, which would wait for it before a command could end.
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            let found = lookup(&name);
            drop(place);
            // Nobody may be waiting any more.
            let _ = answer.send(found);
        })?;
        answered.await.map_err(|_| io::Error::other("the name's look-up broke off"))?
    }
}

fn ask_the_system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

impl Resolve for Guarded {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let resolving = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(resolving.await?.into_iter()) as Addrs) })
    }
}

impl Service<hyper_util::client::legacy::connect::dns::Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: hyper_util::client::legacy::connect::dns::Name) -> Self::Future {
        let resolving = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(resolving.await?.into_iter()) })
    }
}

#[cfg(test)]
impl Guarded {
    /// A resolver that answers what it is told to, with places of its own.
    pub(super) fn told(lookup: Lookup, forbidden: fn(IpAddr) -> Option<&'static str>) -> Self {
        Self { lookup, forbidden, places: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use url::Host;

    use super::*;

    #[test]
    fn fault_57_every_spelling_of_a_forbidden_address_is_recognised() {
        // As hosts of a URL: decimal, hexadecimal, octal, short, full-width, circled, with a trailing dot, and IPv4 inside
        // IPv6 in each of its forms.
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "①②⑦.⓪.⓪.①",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2002:a00:1::]",
            "[2001::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
            "[4000::1]",
        ] {
            let address = match Host::parse(host).unwrap_or_else(|error| panic!("{host}: {error}")) {
                Host::Ipv4(address) => IpAddr::V4(address),
                Host::Ipv6(address) => IpAddr::V6(address),
                Host::Domain(name) => panic!("{host} is taken for the name {name}"),
            };
            assert!(forbidden(address).is_some(), "{host}");
        }
    }

    #[test]
    fn public_addresses_may_be_reached() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }

    fn stub(answers: Vec<Vec<IpAddr>>) -> (Guarded, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let lookup: Lookup = Arc::new(move |_| {
            let turn = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            Ok(answers[turn].clone())
        });
        (Guarded::told(lookup, forbidden), asked)
    }

    #[tokio::test]
    async fn fault_56_a_name_that_leads_inside_is_refused_and_a_mixed_answer_is_cut_down() {
        let (guarded, _) = stub(vec![vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]]);
        let error = guarded.resolve("inside.example.com".into()).await.unwrap_err();
        assert_eq!(error.to_string(), "`inside.example.com` leads to this machine");
        let (guarded, _) = stub(vec![vec!["10.0.0.1".parse().unwrap(), "1.1.1.1".parse().unwrap()]]);
        assert_eq!(
            guarded.resolve("mixed.example.com".into()).await.unwrap(),
            ["1.1.1.1:0".parse().unwrap()]
        );
    }

    /// Two servers on one port, of which one stands for a public machine and the other for an inner one. The name server
    /// says the public one first and the inner one ever after.
    #[tokio::test]
    async fn fault_56_what_was_checked_is_what_is_dialled() {
        async fn serve(listener: TcpListener, text: &'static str) {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4096]).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
        let outer = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = outer.local_addr().unwrap().port();
        let inner = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(serve(outer, "public"));
        tokio::spawn(serve(inner, "inner"));
        let (mut guarded, asked) =
            stub(vec![vec!["127.0.0.2".parse().unwrap()], vec!["127.0.0.1".parse().unwrap()]]);
        guarded.forbidden = |address| (address == IpAddr::from([127, 0, 0, 1])).then_some("this machine");
        let client = reqwest::Client::builder().no_proxy().dns_resolver(guarded).build().unwrap();
        let url = format!("http://rebinding.example.com:{port}/");
        assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "public");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "looked up once: what was checked was dialled");
        let error = client.get(&url).send().await.unwrap_err();
        let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        assert!(
            chain.into_iter().any(|error| error.is::<Forbidden>()),
            "the second answer is refused: {error:?}"
        );
    }

    #[tokio::test]
    async fn fault_66_the_threads_of_a_resolver_that_hangs_are_bounded() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let (running, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, ever) = (running.clone(), asked.clone());
        let guarded = Guarded::told(
            Arc::new(move |_| {
                now.fetch_add(1, Ordering::SeqCst);
                ever.fetch_add(1, Ordering::SeqCst);
                // It hangs until the sender is gone.
                let _ = released.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(vec![IpAddr::from([1, 1, 1, 1])])
            }),
            forbidden,
        );
        let begun = std::time::Instant::now();
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..200 {
            let resolving = guarded.clone().resolve(format!("{number}.example.com"));
            asking.spawn(tokio::time::timeout(std::time::Duration::from_millis(300), resolving));
        }
        while let Some(answer) = asking.join_next().await {
            assert!(answer.unwrap().is_err(), "nobody gets an answer");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "everybody gives up in time");
        assert_eq!(running.load(Ordering::SeqCst), MOST_LOOKUPS, "given up, and still running");
        assert_eq!(asked.load(Ordering::SeqCst), MOST_LOOKUPS);
        drop(release);
        let found = guarded.resolve("later.example.com".into()).await.unwrap();
        assert_eq!(found, ["1.1.1.1:0".parse().unwrap()], "the places are free again");
    }
}
