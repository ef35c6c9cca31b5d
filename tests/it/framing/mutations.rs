//! Well-formed messages broken at random: whatever reaches the cluster is whole, unambiguous messages.

use std::cell::Cell;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use super::{Bench, Peer, piece};

/// One thing that goes wrong.
#[derive(Clone, Debug)]
enum Mutation {
    Duplicate(Index),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Swap(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let inserted = prop::sample::select(&b"\r\n\0 \t:;,0-+#\x0b\xe9"[..]);
    prop_oneof![
        any::<Index>().prop_map(Mutation::Duplicate),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        (any::<Index>(), inserted).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::Swap(one, other)),
    ]
}

impl Mutation {
    fn apply(&self, message: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = message.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        match self {
            Self::Duplicate(line) => {
                let line = line.index(lines.len());
                lines.insert(line, lines[line].clone());
                *message = lines.concat();
            }
            Self::Flip(at, bit) => {
                let at = at.index(message.len());
                message[at] ^= bit;
            }
            Self::Insert(at, byte) => message.insert(at.index(message.len()), *byte),
            Self::Remove(line) => {
                lines.remove(line.index(lines.len()));
                *message = lines.concat();
            }
            Self::Swap(one, other) => {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                *message = lines.concat();
            }
        }
    }
}

#[test]
fn no_broken_message_reaches_the_cluster_ambiguously() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bench = local.block_on(&runtime, Bench::new());
    let key = format!("Host: h\r\nAuthorization: {}\r\n", bench.key);
    // The body is a request: it is one of its own only where the mutation took the length from the first.
    let smuggled = format!("GET /inner HTTP/1.1\r\n{key}\r\n");
    let sized = format!("POST /a HTTP/1.1\r\n{key}Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let coded = format!(
        "POST /a HTTP/1.1\r\n{key}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
        smuggled.len()
    );
    let follower = format!("GET /next HTTP/1.1\r\n{key}\r\n");

    let (caller, arrived) = (Cell::new(0_u32), Cell::new(0_usize));
    let strategy = (prop::sample::select(vec![sized, coded]), prop::collection::vec(mutation(), 1..4), any::<bool>());
    let verdict = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() }).run(
        &strategy,
        |(message, mutations, whole)| {
            let mut sent = message.into_bytes();
            for mutation in mutations.iter().filter(|_| !sent.is_empty()).collect::<Vec<_>>() {
                mutation.apply(&mut sent);
            }
            sent.extend_from_slice(follower.as_bytes());
            // A caller of its own for each, or the throttle would soon refuse all of them.
            caller.set(caller.get() + 1);
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + caller.get());
            let pipe = local
                .block_on(&runtime, async { bench.gateway.connect_from(Peer::at((address, 40_000).into(), false)) });
            let step = if whole { sent.len() } else { piece(&sent) };
            let heads = sent.windows(6).filter(|window| window == b"HTTP/1").count();
            let outcome = local.block_on(&runtime, bench.send(&sent, step, pipe));
            arrived.set(arrived.get() + outcome.arrived.len());
            let complaints = bench.complaints.take();
            prop_assert!(complaints.is_empty(), "{}", complaints.join("\n"));
            prop_assert!(outcome.arrived.len() <= heads, "{:?}", outcome);
            Ok(())
        },
    );
    verdict.unwrap();
    assert!(arrived.get() > 100, "the test says nothing if hardly anything gets through: {}", arrived.get());
}
