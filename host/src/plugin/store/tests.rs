//! Bounds, ends and counts of a store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const LIMITS: KvLimits = KvLimits {
    entries: 10,
    bytes: 1 << 20,
};
const SECOND: Duration = Duration::from_secs(1);

fn set(
    store: &Store,
    key: &str,
    value: &[u8],
    ttl: Option<Duration>,
    now: Instant,
) -> Result<(), Refusal> {
    store.set(LIMITS, key, value.to_vec(), ttl, now)
}

fn entries(store: &Store) -> u64 {
    store.figures().0
}

#[test]
fn what_was_set_is_got_until_its_time_is_up() {
    let (store, now) = (Store::default(), Instant::now());
    set(&store, "a", b"1", None, now).unwrap();
    set(&store, "b", b"2", Some(SECOND), now).unwrap();
    let later = now + SECOND;
    assert_eq!(store.get("b", now).as_deref(), Some(&b"2"[..]));
    assert_eq!(store.get("b", later), None);
    assert_eq!(store.get("a", later).as_deref(), Some(&b"1"[..]));
    assert_eq!(entries(&store), 1);
}

#[test]
fn a_value_that_is_set_again_lives_by_its_new_time() {
    let (store, now) = (Store::default(), Instant::now());
    set(&store, "a", b"1", Some(SECOND), now).unwrap();
    set(&store, "a", b"22", None, now).unwrap();
    assert_eq!(store.get("a", now + SECOND).as_deref(), Some(&b"22"[..]));
    assert_eq!(store.figures(), (1, (ENTRY + 3) as u64, 0));
    assert!(store.delete("a", now));
    assert!(!store.delete("a", now));
    assert_eq!(store.figures(), (0, 0, 0));
}

#[test]
fn an_increment_keeps_the_end_that_the_first_has_set() {
    let (store, now) = (Store::default(), Instant::now());
    let add = |by, at| store.increment(LIMITS, "a", by, Some(SECOND), at);
    assert_eq!(add(1, now), Ok((1, Some(SECOND))));
    let half = SECOND / 2;
    assert_eq!(add(2, now + half), Ok((3, Some(half))));
    assert_eq!(
        store.get("a", now + half),
        Some(3_i64.to_le_bytes().to_vec())
    );
    assert_eq!(add(1, now + SECOND), Ok((1, Some(SECOND))));
    assert_eq!(add(i64::MAX, now + SECOND), Ok((i64::MAX, Some(SECOND))));
}

#[test]
fn what_is_no_number_is_not_incremented() {
    let (store, now) = (Store::default(), Instant::now());
    set(&store, "a", &[0; 8], None, now).unwrap();
    let added = store.increment(LIMITS, "a", 1, None, now);
    assert_eq!(added, Err(Refusal::NotANumber));
}

#[test]
fn a_full_store_refuses_new_entries_and_keeps_those_that_live() {
    let (store, now) = (Store::default(), Instant::now());
    for number in 0..10 {
        let ttl = (number < 5).then_some(SECOND);
        set(&store, &number.to_string(), b"", ttl, now).unwrap();
    }
    assert_eq!(set(&store, "x", b"", None, now), Err(Refusal::Full));
    assert_eq!(
        store.increment(LIMITS, "x", 1, None, now),
        Err(Refusal::Full)
    );
    assert_eq!(set(&store, "9", b"other", None, now), Ok(()));
    assert_eq!(store.figures().2, 2);
    assert_eq!(set(&store, "x", b"", None, now + SECOND), Ok(()));
    // Either all that has ended is gone, or as much as was in the shard of `x` and made room.
    assert!((6..=10).contains(&entries(&store)));
}

#[test]
fn bytes_are_bounded_too() {
    let (store, now) = (Store::default(), Instant::now());
    let limits = KvLimits {
        entries: 10,
        bytes: 2 * ENTRY + 100,
    };
    let set = |key: &str, size| store.set(limits, key, vec![0; size], None, now);
    assert_eq!(set("a", 50), Ok(()));
    assert_eq!(set("b", 49), Err(Refusal::Full));
    assert_eq!(set("b", 48), Ok(()));
    assert_eq!(set("a", 51), Err(Refusal::Full));
    assert_eq!(store.get("a", now).map(|value| value.len()), Some(50));
    assert_eq!(set("a", 10), Ok(()));
    assert_eq!(set("b", 88), Ok(()));
}

#[test]
fn keys_and_values_have_an_end() {
    let (store, now) = (Store::default(), Instant::now());
    let limits = KvLimits::default();
    let (key, value) = ("k".repeat(MAX_KEY), vec![0; MAX_VALUE]);
    assert_eq!(store.set(limits, &key, value.clone(), None, now), Ok(()));
    let longer = [&key, "k"].concat();
    assert_eq!(
        store.set(limits, &longer, Vec::new(), None, now),
        Err(Refusal::TooLarge)
    );
    assert_eq!(
        store.increment(limits, &longer, 1, None, now),
        Err(Refusal::TooLarge)
    );
    let larger = [&value[..], &[0]].concat();
    assert_eq!(
        store.set(limits, &key, larger, None, now),
        Err(Refusal::TooLarge)
    );
}

#[test]
fn entries_whose_time_is_up_do_not_pile_up() {
    let (store, start) = (Store::default(), Instant::now());
    let limits = KvLimits {
        entries: 100_000,
        ..KvLimits::default()
    };
    for number in 0..50_000 {
        let now = start + Duration::from_millis(number);
        let key = number.to_string();
        store.increment(limits, &key, 1, Some(SECOND), now).unwrap();
    }
    let kept = entries(&store);
    assert!((1000..3000).contains(&kept), "{kept}");
    let shards = store.shards.iter();
    let ends: usize = shards.map(|shard| lock(shard).ends.len()).sum();
    assert_eq!(ends as u64, kept);
}

#[test]
fn threads_count_exactly() {
    let (store, now) = (Store::default(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    store.increment(LIMITS, "a", 1, None, now).unwrap();
                }
            });
        }
    });
    let counted = store.increment(LIMITS, "a", 0, None, now);
    assert_eq!(counted, Ok((40_000, None)));
}
