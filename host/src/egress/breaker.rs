//! Leaving a machine alone that keeps failing: a circuit for each connection and host.
//!
//! What is decided here is decided from the time that is handed in, so that it can be tried without waiting. It knows neither
//! HTTP nor what a failure is; whoever sends says how it went.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind};
use jiff::Timestamp;

/// How many failures in a row open a circuit.
const MOST_FAILURES: usize = 10;

/// Within which time they have to come. What fails once an hour is not a storm.
const WINDOW: Duration = Duration::from_secs(30);

/// How long a circuit is open at first. Each probe that fails doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// How long a circuit is open at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// When to ask again while somebody else's probe is on its way.
const WHILE_PROBED: Duration = Duration::from_secs(1);

/// How many circuits are remembered. One that is forgotten is closed, which costs a few requests and nothing else.
const MOST_CIRCUITS: usize = 4096;

/// Whose circuit it is: a connection, and host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) connection: String,
    pub(super) host: String,
}

/// How a request went, as far as the machine is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    /// It answered.
    Well,
    /// It failed, or it was not there.
    Badly,
    /// Nobody knows: the request was given up, or refused here.
    Unknown,
}

/// Leave to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Plain,
    /// The one request that finds out whether an open circuit may be closed.
    Probe(u64),
}

#[derive(Debug)]
enum State {
    /// The times of the last failures, of which none was followed by a success.
    Closed(VecDeque<Instant>),
    Open {
        until: Instant,
        wait: Duration,
        probe: Option<u64>,
    },
}

#[derive(Debug)]
struct Circuit {
    state: State,
    touched: Instant,
}

/// All circuits. One that has no entry is closed and has not failed lately.
#[derive(Debug, Default)]
struct Circuits {
    known: HashMap<Line, Circuit>,
    probes: u64,
}

impl Circuits {
    /// Leave to send, or when to ask again.
    fn ask(&mut self, line: &Line, now: Instant) -> Result<Leave, Instant> {
        let Some(circuit) = self.known.get_mut(line) else { return Ok(Leave::Plain) };
        match &mut circuit.state {
            State::Closed(_) => Ok(Leave::Plain),
            State::Open { until, .. } if now < *until => Err(*until),
            State::Open { probe: Some(_), .. } => Err(now + WHILE_PROBED),
            State::Open { probe, .. } => {
                self.probes += 1;
                *probe = Some(self.probes);
                circuit.touched = now;
                Ok(Leave::Probe(self.probes))
            }
        }
    }

    fn tell(&mut self, line: &Line, leave: Leave, went: Went, now: Instant) {
        match leave {
            Leave::Plain => self.tell_plain(line, went, now),
            Leave::Probe(number) => self.tell_probe(line, number, went, now),
        }
    }

    /// What was sent before a circuit opened says nothing about how the machine is since.
    fn tell_plain(&mut self, line: &Line, went: Went, now: Instant) {
        let is_closed = |circuits: &Self| {
            matches!(circuits.known.get(line), Some(Circuit { state: State::Closed(_), .. }))
        };
        match went {
            Went::Unknown => {}
            Went::Well => {
                if is_closed(self) {
                    self.known.remove(line);
                }
            }
            Went::Badly => {
                if !self.known.contains_key(line) {
                    self.make_room();
                }
                let new = || Circuit { state: State::Closed(VecDeque::new()), touched: now };
                let circuit = self.known.entry(line.clone()).or_insert_with(new);
                let State::Closed(failures) = &mut circuit.state else { return };
                circuit.touched = now;
                failures.push_back(now);
                failures.retain(|at| now.duration_since(*at) <= WINDOW);
                if failures.len() >= MOST_FAILURES {
                    circuit.state = State::Open { until: now + FIRST_WAIT, wait: FIRST_WAIT, probe: None };
                }
            }
        }
    }

    fn tell_probe(&mut self, line: &Line, number: u64, went: Went, now: Instant) {
        let Some(circuit) = self.known.get_mut(line) else { return };
        let State::Open { until, wait, probe } = &mut circuit.state else { return };
        // A circuit that was forgotten and has opened anew has another probe.
        if *probe != Some(number) {
            return;
        }
        match went {
            Went::Well => {
                self.known.remove(line);
            }
            Went::Badly => {
                *wait = (*wait * 2).min(LONGEST_WAIT);
                (*until, *probe) = (now + *wait, None);
                circuit.touched = now;
            }
            // The next one finds out.
            Went::Unknown => *probe = None,
        }
    }

    /// Forgets the circuit that was touched longest ago, one that is closed before any that is open.
    fn make_room(&mut self) {
        if self.known.len() < MOST_CIRCUITS {
            return;
        }
        let oldest = self
            .known
            .iter()
            .min_by_key(|(_, circuit)| (matches!(circuit.state, State::Open { .. }), circuit.touched))
            .map(|(line, _)| line.clone());
        if let Some(oldest) = oldest {
            self.known.remove(&oldest);
        }
    }

    /// Until when a request would be refused.
    fn closed_to(&self, line: &Line, now: Instant) -> bool {
        match self.known.get(line).map(|circuit| &circuit.state) {
            Some(State::Open { until, probe, .. }) => now < *until || probe.is_some(),
            _ => false,
        }
    }
}

/// The circuits of a host.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Circuits>);

impl Breaker {
    /// Leave to send one request.
    ///
    /// # Errors
    ///
    /// While the circuit is open.
    pub(super) fn ask(&self, line: Line, who: &str) -> Result<Pass<'_>, Error> {
        let now = Instant::now();
        match self.lock().ask(&line, now) {
            Ok(leave) => Ok(Pass { breaker: self, line, leave, went: Went::Unknown }),
            Err(until) => {
                let at = Timestamp::now().checked_add(until.duration_since(now)).unwrap_or(Timestamp::MAX);
                let when = at.strftime("%H:%M:%S");
                let host = &line.host;
                let text = format!("{who} ({host}) keeps failing and is left alone until {when} UTC");
                let hint = format!("run it again after that; what {who} says about its state may tell more");
                Err(Error::new(ErrorKind::Unavailable, text).hint(hint).retry_at(at))
            }
        }
    }

    /// Whether a request would be refused now.
    pub(super) fn is_open(&self, line: &Line) -> bool {
        self.lock().closed_to(line, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Circuits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to send one request, and how it went. Who drops it without a word knows nothing.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    line: Line,
    leave: Leave,
    went: Went,
}

impl Pass<'_> {
    /// Says that the machine answered, or that it failed.
    pub(super) fn tell(mut self, well: bool) {
        self.went = if well { Went::Well } else { Went::Badly };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.breaker.lock().tell(&self.line, self.leave, self.went, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(connection: &str) -> Line {
        Line { connection: connection.to_owned(), host: "api.example.com:443".to_owned() }
    }

    /// Opens a circuit, and says when that was.
    fn storm(circuits: &mut Circuits, line: &Line, begin: Instant) -> Instant {
        let mut now = begin;
        for _ in 0..MOST_FAILURES {
            now += Duration::from_millis(100);
            let leave = circuits.ask(line, now).unwrap();
            assert_eq!(leave, Leave::Plain);
            circuits.tell(line, leave, Went::Badly, now);
        }
        now
    }

    #[test]
    fn fault_64_a_circuit_opens_probes_and_closes_and_others_are_unaffected() {
        let (mut circuits, one, other) = (Circuits::default(), line("one"), line("other"));
        let opened = storm(&mut circuits, &one, Instant::now());
        let mut until = opened + FIRST_WAIT;
        // A probe each time, and twice the wait each time that it fails.
        for wait in [10, 20, 40, 60, 60] {
            assert_eq!(circuits.ask(&one, until - Duration::from_millis(1)), Err(until));
            assert_eq!(circuits.ask(&other, until), Ok(Leave::Plain));
            let probe = circuits.ask(&one, until).unwrap();
            assert!(matches!(probe, Leave::Probe(_)));
            assert_eq!(circuits.ask(&one, until), Err(until + WHILE_PROBED), "one probe at a time");
            circuits.tell(&one, probe, Went::Badly, until);
            until += Duration::from_secs(wait);
        }
        let probe = circuits.ask(&one, until).unwrap();
        circuits.tell(&one, probe, Went::Well, until);
        assert_eq!(circuits.ask(&one, until), Ok(Leave::Plain));
        assert!(circuits.known.is_empty(), "what is well is not remembered");
    }

    #[test]
    fn a_probe_that_was_given_up_makes_room_for_the_next() {
        let (mut circuits, one) = (Circuits::default(), line("one"));
        let at = storm(&mut circuits, &one, Instant::now()) + FIRST_WAIT;
        let first = circuits.ask(&one, at).unwrap();
        circuits.tell(&one, first, Went::Unknown, at);
        let second = circuits.ask(&one, at).unwrap();
        assert!(matches!(second, Leave::Probe(_)) && second != first);
        circuits.tell(&one, first, Went::Well, at);
        assert!(circuits.closed_to(&one, at), "the first one has no say any more");
    }

    #[test]
    fn what_was_sent_before_a_circuit_opened_has_no_say() {
        let (mut circuits, one) = (Circuits::default(), line("one"));
        let at = storm(&mut circuits, &one, Instant::now());
        for went in [Went::Well, Went::Badly] {
            circuits.tell(&one, Leave::Plain, went, at);
            assert_eq!(circuits.ask(&one, at), Err(at + FIRST_WAIT));
        }
    }

    #[test]
    fn failures_that_are_far_apart_are_no_storm() {
        let (mut circuits, one, mut now) = (Circuits::default(), line("one"), Instant::now());
        for _ in 0..100 {
            now += WINDOW / 9 + Duration::from_millis(1);
            assert_eq!(circuits.ask(&one, now), Ok(Leave::Plain));
            circuits.tell(&one, Leave::Plain, Went::Badly, now);
        }
    }

    #[test]
    fn the_circuits_are_bounded_and_open_ones_are_forgotten_last() {
        let (mut circuits, one) = (Circuits::default(), line("one"));
        let now = storm(&mut circuits, &one, Instant::now());
        for number in 0..MOST_CIRCUITS * 2 {
            circuits.tell(&line(&number.to_string()), Leave::Plain, Went::Badly, now);
        }
        assert_eq!(circuits.known.len(), MOST_CIRCUITS);
        assert!(circuits.closed_to(&one, now));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Pass(u64),
        Ask(bool),
        Tell(usize, Went),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let went = prop_oneof![
            1 => Just(Went::Well),
            6 => Just(Went::Badly),
            1 => Just(Went::Unknown),
        ];
        let step = prop_oneof![
            1 => (0..8000u64).prop_map(Step::Pass),
            4 => any::<bool>().prop_map(Step::Ask),
            4 => (0..64usize, went).prop_map(|(which, went)| Step::Tell(which, went)),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        /// Whatever happens in whatever order, two lines being used: no leave while a circuit waits, one probe at a time,
        /// no opening without that many failures in a row within the window, no waiting longer than the longest.
        #[test]
        fn fault_64_whatever_happens_a_circuit_keeps_its_promises(steps in steps()) {
            let mut circuits = Circuits::default();
            let (lines, mut now) = ([line("one"), line("other")], Instant::now());
            let mut flying: Vec<(usize, Leave)> = Vec::new();
            // What happened to each line since it last went well, and until when it is open.
            let mut failed: [Vec<Instant>; 2] = Default::default();
            let mut open: [Option<Instant>; 2] = [None; 2];
            for step in steps {
                match step {
                    Step::Pass(ms) => now += Duration::from_millis(ms),
                    Step::Ask(other) => {
                        let at = usize::from(other);
                        let is_probed = flying.iter().any(|(line, leave)| *line == at && *leave != Leave::Plain);
                        match circuits.ask(&lines[at], now) {
                            Ok(leave) => {
                                prop_assert_eq!(leave == Leave::Plain, open[at].is_none());
                                prop_assert!(open[at].is_none_or(|until| now >= until && !is_probed));
                                flying.push((at, leave));
                            }
                            Err(until) => {
                                prop_assert!(open[at].is_some_and(|until| now < until || is_probed));
                                prop_assert!(until > now && until <= now + LONGEST_WAIT);
                            }
                        }
                    }
                    Step::Tell(which, went) => {
                        if flying.is_empty() {
                            continue;
                        }
                        let (at, leave) = flying.swap_remove(which % flying.len());
                        circuits.tell(&lines[at], leave, went, now);
                        let is_open = matches!(
                            circuits.known.get(&lines[at]), Some(Circuit { state: State::Open { .. }, .. })
                        );
                        if open[at].is_none() && leave == Leave::Plain {
                            match went {
                                Went::Well => failed[at].clear(),
                                Went::Badly => failed[at].push(now),
                                Went::Unknown => {}
                            }
                            let storm = failed[at]
                                .len()
                                .checked_sub(MOST_FAILURES)
                                .is_some_and(|first| now - failed[at][first] <= WINDOW);
                            prop_assert_eq!(is_open, storm);
                        } else if leave != Leave::Plain {
                            prop_assert_eq!(is_open, went != Went::Well);
                        }
                        open[at] = match circuits.known.get(&lines[at]).map(|circuit| &circuit.state) {
                            Some(State::Open { until, .. }) => Some(*until),
                            _ => None,
                        };
                        if open[at].is_some() || leave != Leave::Plain {
                            failed[at].clear();
                        }
                    }
                }
            }
        }
    }
}
