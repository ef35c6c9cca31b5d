//! Slows the guessing of passwords (contract section 3): so many wrong ones for a user from one address, ten times
//! as many from an address in all, then silence for a while. Keys and tokens are not guessed: they never come here.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{config, model::Timestamp};

/// Counts wrong passwords.
#[derive(Debug)]
pub struct Throttle {
    config: config::Throttle,
    /// Names are kept as digests of a fixed size: strangers choose them.
    hasher: RandomState,
    counts: Mutex<Generations>,
    /// When the last block ends: while nobody is blocked, what is remembered is free.
    silent_until: AtomicU64,
}

/// Whom an attempt counts for.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    user: Counted,
    address: Counted,
}

/// An address, and a user where one is counted apart. A Unix socket has no address: its callers are one.
type Counted = (Option<IpAddr>, Option<u64>);

#[derive(Clone, Copy, Debug)]
struct Count {
    wrong: u64,
    since: Timestamp,
    blocked: Option<Timestamp>,
}

/// Counts that moved recently, and those before them. What is in neither is forgotten, so memory has an end.
#[derive(Debug, Default)]
struct Generations {
    recent: HashMap<Counted, Count>,
    older: HashMap<Counted, Count>,
}

impl Throttle {
    /// As configured; counts nothing while `failures` is 0.
    #[must_use]
    pub fn new(config: config::Throttle) -> Self {
        Self { config, hasher: RandomState::new(), counts: Mutex::default(), silent_until: AtomicU64::new(0) }
    }

    /// Begins an attempt of `username` from `address`.
    ///
    /// # Errors
    ///
    /// How long it will not be heard.
    pub fn begin(&self, address: Option<IpAddr>, username: &str, now: Timestamp) -> Result<Attempt, Duration> {
        let address = address.map(network);
        let user = Some(self.hasher.hash_one(username));
        let attempt = Attempt { user: (address, user), address: (address, None) };
        self.counts.lock().heard(&attempt, now)?;
        Ok(attempt)
    }

    /// Whether a right password from memory is not to be heard either: to a guesser it would tell that it is right.
    #[must_use]
    pub fn silences(&self, address: Option<IpAddr>, username: &str, now: Timestamp) -> bool {
        self.silent_until.load(Ordering::Relaxed) > now.as_millis() && self.begin(address, username, now).is_err()
    }

    /// Ends an attempt. Attempts that run beside each other all begin before one has failed, so what the last of them
    /// found out is not told once the limit is reached, were the password right or not.
    ///
    /// # Errors
    ///
    /// How long no attempt will be heard.
    pub fn end(&self, attempt: &Attempt, right: bool, now: Timestamp) -> Result<(), Duration> {
        if self.config.failures == 0 {
            return Ok(());
        }
        let limit = u64::from(self.config.failures);
        let mut counts = self.counts.lock();
        counts.heard(attempt, now)?;
        if right {
            counts.forget(&attempt.user);
        } else {
            counts.add(attempt.user, limit, &self.config, now);
            counts.add(attempt.address, limit.saturating_mul(ADDRESS_FACTOR), &self.config, now);
            if counts.heard(attempt, now).is_err() {
                self.silent_until.fetch_max(now.plus(self.config.block).as_millis(), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Generations {
    fn heard(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Duration> {
        let blocked = [attempt.user, attempt.address]
            .iter()
            .filter_map(|counted| self.recent.get(counted).or_else(|| self.older.get(counted))?.blocked)
            .max()
            .unwrap_or_default();
        if blocked <= now {
            return Ok(());
        }
        Err(Duration::from_millis(blocked.as_millis().saturating_sub(now.as_millis())))
    }

    fn add(&mut self, counted: Counted, limit: u64, config: &config::Throttle, now: Timestamp) {
        if self.recent.len() >= GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        let fresh = Count { wrong: 0, since: now, blocked: None };
        let known = self.older.remove(&counted);
        let count = self.recent.entry(counted).or_insert_with(|| known.unwrap_or(fresh));
        if count.blocked.is_some() || count.since.plus(config.window) <= now {
            *count = fresh; // a block was served, or the window is over
        }
        count.wrong += 1;
        if count.wrong >= limit {
            count.blocked = Some(now.plus(config.block));
        }
    }

    fn forget(&mut self, counted: &Counted) {
        self.recent.remove(counted);
        self.older.remove(counted);
    }
}

/// What one party surely holds: an IPv4 address, or the 64 bits that an IPv6 customer gets at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// An address stands for several users.
const ADDRESS_FACTOR: u64 = 10;
/// Counts in a generation; two are kept, some 6 MB at most.
const GENERATION: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    fn throttle(failures: u32) -> Throttle {
        let (window, block) = (Duration::from_mins(1), Duration::from_mins(1));
        Throttle::new(config::Throttle { failures, window, block })
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn attempt(
        throttle: &Throttle,
        from: Option<IpAddr>,
        user: &str,
        right: bool,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let attempt = throttle.begin(from, user, now)?;
        throttle.end(&attempt, right, now)
    }

    fn fail(throttle: &Throttle, from: Option<IpAddr>, user: &str, times: usize, now: Timestamp) {
        for time in 0..times {
            assert_eq!(attempt(throttle, from, user, false, now), Ok(()), "attempt {time}");
        }
    }

    #[test]
    fn after_so_many_wrong_passwords_even_the_right_one_is_not_heard_for_the_block() {
        let throttle = throttle(3);
        fail(&throttle, HOME, "u", 3, at(0));
        assert_eq!(attempt(&throttle, HOME, "u", true, at(1)), Err(Duration::from_secs(59)));
        assert_eq!(attempt(&throttle, HOME, "u", true, at(60)), Ok(()));
    }

    #[test]
    fn a_served_block_begins_a_new_count() {
        let throttle = throttle(3);
        fail(&throttle, HOME, "u", 3, at(0));
        fail(&throttle, HOME, "u", 3, at(60));
        assert!(attempt(&throttle, HOME, "u", true, at(61)).is_err());
    }

    #[test]
    fn wrong_passwords_of_an_earlier_window_do_not_count() {
        let throttle = throttle(3);
        fail(&throttle, HOME, "u", 2, at(0));
        fail(&throttle, HOME, "u", 2, at(60));
        assert_eq!(attempt(&throttle, HOME, "u", true, at(61)), Ok(()));
    }

    #[test]
    fn a_right_password_clears_the_count_of_the_user() {
        let throttle = throttle(3);
        for _ in 0..9 {
            fail(&throttle, HOME, "u", 2, at(0));
            assert_eq!(attempt(&throttle, HOME, "u", true, at(0)), Ok(()));
        }
    }

    #[test]
    fn other_users_and_other_addresses_are_heard() {
        let throttle = throttle(3);
        fail(&throttle, HOME, "u", 3, at(0));
        assert_eq!(attempt(&throttle, HOME, "v", true, at(1)), Ok(()));
        assert_eq!(attempt(&throttle, ELSEWHERE, "u", true, at(1)), Ok(()));
    }

    #[test]
    fn ten_times_as_many_from_an_address_silence_it_whoever_is_named() {
        let throttle = throttle(3);
        for user in 0..30 {
            fail(&throttle, HOME, &user.to_string(), 1, at(0));
        }
        assert!(attempt(&throttle, HOME, "u", true, at(1)).is_err());
        assert_eq!(attempt(&throttle, ELSEWHERE, "u", true, at(1)), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_ipv6_customer_are_one() {
        let throttle = throttle(3);
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"] {
            fail(&throttle, Some(host.parse().unwrap()), "u", 1, at(0));
        }
        assert!(attempt(&throttle, Some("2001:db8::4".parse().unwrap()), "u", true, at(1)).is_err());
        assert_eq!(attempt(&throttle, Some("2001:db8:0:1::1".parse().unwrap()), "u", true, at(1)), Ok(()));
    }

    #[test]
    fn attempts_beside_each_other_learn_no_more_than_those_in_turn() {
        let throttle = throttle(3);
        let begun: Vec<_> = (0..9).map(|_| throttle.begin(HOME, "u", at(0)).unwrap()).collect();
        let told = begun.iter().filter(|attempt| throttle.end(attempt, false, at(0)).is_ok()).count();
        assert_eq!(told, 3);
        assert!(throttle.end(&begun[0], true, at(0)).is_err(), "a right guess that came too late is not told");
    }

    #[test]
    fn zero_turns_it_off() {
        fail(&throttle(0), HOME, "u", 1000, at(0));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let throttle = throttle(3);
        for user in 0..3 * GENERATION {
            let attempt = throttle.begin(HOME, &user.to_string(), at(0));
            if let Ok(attempt) = attempt {
                throttle.end(&attempt, false, at(0)).ok();
            }
            // The address is silenced early; forget that, to go on with names.
            throttle.counts.lock().forget(&(HOME, None));
        }
        let counts = throttle.counts.lock();
        assert!(counts.recent.len() + counts.older.len() <= 2 * GENERATION + 2);
    }
}
