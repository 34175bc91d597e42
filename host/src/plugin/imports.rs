//! What the plain imports of a call are answered: noted where its decision is recorded, or known
//! from a case. Of all other calls nothing is kept, and what they import asks the world itself.

use std::time::Duration;

use super::{cases::Missing, state::State};
use crate::config::{CaseClock, CaseImports, CaseKv, Grant, Grants, KvRefusal};

/// What is noted of one call, bytes: keys, values and random bytes, and so much for each answer. A
/// line of a record has room for it beside what the call was about.
const ROOM: usize = 64 << 10;
const EACH: usize = 32;

/// Those of one call, with the request that it is about.
#[derive(Debug, Clone)]
pub enum Imports {
    /// The answers are noted.
    Noted(Noted),
    /// They are known beforehand.
    Known(Known),
}

/// Answers that are noted.
#[derive(Debug, Clone)]
pub struct Noted {
    answers: CaseImports,
    room: usize,
}

/// Answers that are known beforehand.
#[derive(Debug, Clone)]
pub struct Known {
    answers: CaseImports,
    /// How many of each kind were given.
    wall: usize,
    monotonic: usize,
    random: usize,
    /// Whether each of the store's was.
    used: Vec<bool>,
    missing: Vec<Missing>,
}

impl Imports {
    /// Notes what is of these kinds and granted; none when nothing is.
    pub fn noted_for(kinds: &[Grant], grants: &Grants) -> Option<Box<Self>> {
        let has = |grant| kinds.contains(&grant) && grants.has(grant);
        let answers = CaseImports {
            clock: has(Grant::Clock).then(CaseClock::default),
            random: has(Grant::Random).then(Vec::new),
            kv: has(Grant::Kv).then(Vec::new),
            is_cut: false,
        };
        let noted = Noted {
            answers,
            room: ROOM,
        };
        (noted.answers != CaseImports::default()).then(|| Box::new(Self::Noted(noted)))
    }

    /// Answers as a case says; none when it says nothing.
    pub(super) fn known_from(answers: &CaseImports) -> Option<Box<Self>> {
        let kv = answers.kv.as_ref().map_or(0, Vec::len);
        let known = Known {
            answers: answers.clone(),
            wall: 0,
            monotonic: 0,
            random: 0,
            used: vec![false; kv],
            missing: Vec::new(),
        };
        (*answers != CaseImports::default()).then(|| Box::new(Self::Known(known)))
    }

    /// What was noted.
    pub(super) fn noted(&self) -> Option<&CaseImports> {
        match self {
            Self::Noted(noted) => Some(&noted.answers),
            Self::Known(_) => None,
        }
    }

    /// What was asked and is not known.
    pub(super) fn missing(self) -> Vec<Missing> {
        match self {
            Self::Noted(_) => Vec::new(),
            Self::Known(known) => known.missing,
        }
    }
}

impl State {
    fn imports(&mut self) -> Option<&mut Imports> {
        self.request.as_mut()?.imports.as_deref_mut()
    }

    /// Where the running call's answers are noted.
    pub(super) fn noted(&mut self) -> Option<&mut Noted> {
        match self.imports()? {
            Imports::Noted(noted) => Some(noted),
            Imports::Known(_) => None,
        }
    }

    /// Where they are known from.
    pub(super) fn known(&mut self) -> Option<&mut Known> {
        match self.imports()? {
            Imports::Known(known) => Some(known),
            Imports::Noted(_) => None,
        }
    }
}

impl Noted {
    pub(super) fn wall(&mut self, since_1970: Duration) {
        if self.answers.clock.is_some()
            && self.has_room(0)
            && let Some(clock) = &mut self.answers.clock
        {
            clock.wall.push(since_1970);
        }
    }

    pub(super) fn monotonic(&mut self, nanoseconds: u64) {
        if self.answers.clock.is_some()
            && self.has_room(0)
            && let Some(clock) = &mut self.answers.clock
        {
            clock.monotonic.push(nanoseconds);
        }
    }

    pub(super) fn random(&mut self, bytes: &[u8]) {
        if self.answers.random.is_some()
            && self.has_room(bytes.len())
            && let Some(random) = &mut self.answers.random
        {
            random.push(bytes.to_vec());
        }
    }

    /// An answer of the store, about as many bytes of key and value.
    pub(super) fn kv(&mut self, size: usize, answer: impl FnOnce() -> CaseKv) {
        if self.answers.kv.is_some()
            && self.has_room(size)
            && let Some(kv) = &mut self.answers.kv
        {
            kv.push(answer());
        }
    }

    /// Behind what there was no room for nothing is noted, so that no answer takes the place of
    /// another.
    fn has_room(&mut self, size: usize) -> bool {
        if self.answers.is_cut {
            return false;
        }
        match self.room.checked_sub(size.saturating_add(EACH)) {
            Some(left) => self.room = left,
            None => self.answers.is_cut = true,
        }
        !self.answers.is_cut
    }
}

/// Each is none where nothing is known, which then is asked of the world.
impl Known {
    pub(super) fn wall(&mut self) -> Option<Duration> {
        let all = &self.answers.clock.as_ref()?.wall;
        let (found, is_new) = next(all, &mut self.wall);
        self.lacks(is_new, found.is_some(), || "the time of day".to_owned());
        found
    }

    pub(super) fn monotonic(&mut self) -> Option<u64> {
        let all = &self.answers.clock.as_ref()?.monotonic;
        let (found, is_new) = next(all, &mut self.monotonic);
        self.lacks(is_new, found.is_some(), || "the monotonic clock".to_owned());
        found
    }

    pub(super) fn random(&mut self, length: usize) -> Option<Vec<u8>> {
        let all = self.answers.random.as_ref()?;
        let found = all.get(self.random).filter(|it| it.len() == length);
        let found = found.cloned();
        self.random += 1;
        let is_known = found.is_some();
        self.lacks(is_known, is_known, || format!("{length} random bytes"));
        found
    }

    pub(super) fn get(&mut self, wanted: &str) -> Option<Option<Vec<u8>>> {
        let of = |kv: &CaseKv| match kv {
            CaseKv::Get { key, value } if key == wanted => Some(value.clone()),
            _ => None,
        };
        let (found, is_new) = self.kv(of)?;
        // What was read once may be read again.
        self.lacks(is_new, found.is_some(), || {
            format!("its store for {wanted:?}")
        });
        found
    }

    pub(super) fn set(&mut self, wanted: &str) -> Option<Result<(), KvRefusal>> {
        self.change("write", wanted, |kv| match kv {
            CaseKv::Set { key, done } if key == wanted => Some(*done),
            _ => None,
        })
    }

    pub(super) fn delete(&mut self, wanted: &str) -> Option<bool> {
        self.change("remove", wanted, |kv| match kv {
            CaseKv::Delete { key, found } if key == wanted => Some(*found),
            _ => None,
        })
    }

    pub(super) fn increment(
        &mut self,
        wanted: &str,
    ) -> Option<Result<(i64, Option<u64>), KvRefusal>> {
        self.change("increment", wanted, |kv| match kv {
            CaseKv::Increment { key, counted } if key == wanted => Some(*counted),
            _ => None,
        })
    }

    fn change<A>(&mut self, what: &str, key: &str, of: impl Fn(&CaseKv) -> Option<A>) -> Option<A> {
        let (found, is_new) = self.kv(of)?;
        self.lacks(is_new, is_new, || format!("its store to {what} {key:?}"));
        found.filter(|_| is_new)
    }

    /// The first answer of this kind that was not given yet, else the last one; and whether it is
    /// the former.
    fn kv<A>(&mut self, of: impl Fn(&CaseKv) -> Option<A>) -> Option<(Option<A>, bool)> {
        let all = self.answers.kv.as_ref()?.iter().zip(&mut self.used);
        let mut last = None;
        for (kv, used) in all {
            let Some(answer) = of(kv) else { continue };
            last = Some(answer);
            if !std::mem::replace(used, true) {
                return Some((last, true));
            }
        }
        Some((last, false))
    }

    /// Notes what is not known: `is_new` where it is, `is_known` where an earlier answer does.
    fn lacks(&mut self, is_new: bool, is_known: bool, what: impl FnOnce() -> String) {
        match (is_new, self.answers.is_cut, is_known) {
            (true, ..) | (false, false, true) => {}
            (false, true, _) => self.missing.push(Missing::Cut(format!(
                "{}, of which it does not have all answers",
                what()
            ))),
            (false, false, false) => self.missing.push(Missing::Import(what())),
        }
    }
}

/// The next of the answers, else the last one, as time may stand still; and whether it is the
/// former.
fn next<T: Copy>(all: &[T], given: &mut usize) -> (Option<T>, bool) {
    let new = all.get(*given);
    *given += 1;
    (new.or(all.last()).copied(), new.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted() -> Noted {
        Noted {
            answers: CaseImports {
                random: Some(Vec::new()),
                kv: Some(Vec::new()),
                ..CaseImports::default()
            },
            room: ROOM,
        }
    }

    #[test]
    fn no_more_is_noted_than_there_is_room_for() {
        let mut noted = noted();
        noted.random(&vec![0; ROOM - 2 * EACH]);
        noted.random(&[]);
        assert!(!noted.answers.is_cut);
        noted.random(&[]);
        assert!(noted.answers.is_cut);
        noted.kv(0, || unreachable!("nothing follows what was left out"));
        // Of what is not to be noted nothing is.
        noted.wall(Duration::ZERO);
        assert_eq!(noted.answers.random.map(|all| all.len()), Some(2));
        assert_eq!(noted.answers.clock, None);
    }

    #[test]
    fn the_store_answers_the_same_question_in_turn() {
        let get = |key: &str, value: &[u8]| CaseKv::Get {
            key: key.to_owned(),
            value: Some(value.to_vec()),
        };
        let counted = |number| CaseKv::Increment {
            key: "n".to_owned(),
            counted: Ok((number, None)),
        };
        let answers = CaseImports {
            kv: Some(vec![
                get("a", b"1"),
                get("b", b"2"),
                get("a", b"3"),
                counted(7),
            ]),
            ..CaseImports::default()
        };
        let Some(Imports::Known(mut known)) = Imports::known_from(&answers).map(|it| *it) else {
            panic!("something is known");
        };
        let read = |known: &mut Known, key| known.get(key).flatten();
        assert_eq!(read(&mut known, "a"), Some(b"1".to_vec()));
        assert_eq!(read(&mut known, "b"), Some(b"2".to_vec()));
        for _ in 0..2 {
            assert_eq!(read(&mut known, "a"), Some(b"3".to_vec()));
        }
        assert_eq!(known.increment("n"), Some(Ok((7, None))));
        assert!(known.missing.is_empty());
        assert_eq!(known.increment("n"), None);
        assert_eq!(known.get("c"), None);
        let asked = ["its store to increment \"n\"", "its store for \"c\""];
        let asked = asked.map(|it| Missing::Import(it.to_owned()));
        assert_eq!(known.missing, asked);
        // Of these nothing is known, and so nothing is wrong.
        assert_eq!((known.wall(), known.random(8)), (None, None));
        assert_eq!(known.missing.len(), 2);
    }
}
