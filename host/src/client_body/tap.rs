//! What somebody beside a request sees of its body while it goes by: its first bytes, copied. The
//! body never waits for it.

use std::cell::{Cell, RefCell};

use http_body::Frame;
use tokio::sync::Notify;

use crate::total::Part;

/// How far a body has gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// There is more to come.
    Begun,
    /// All of it.
    Whole,
    /// As far as it will: it broke off, or was thrown away.
    Broken,
}

/// The first bytes of a body that goes by. On one thread.
#[derive(Debug)]
pub struct Tap {
    most: usize,
    _room: Part,
    bytes: RefCell<Vec<u8>>,
    length: Cell<usize>,
    gone: Cell<Gone>,
    changed: Notify,
}

/// What was seen of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As many of its first bytes as were wanted, or fewer when there are no more.
    pub bytes: Vec<u8>,
    /// Whether that is all of it.
    pub is_all: bool,
}

impl Tap {
    /// Keeps the first `most` bytes of a body that has begun with these, and has ended or not;
    /// `room` is for them.
    pub fn new(begun: &[u8], is_over: bool, most: usize, room: Part) -> Self {
        let tap = Self {
            most,
            _room: room,
            bytes: RefCell::default(),
            length: Cell::new(0),
            gone: Cell::new(Gone::Begun),
            changed: Notify::new(),
        };
        tap.copy(begun);
        if is_over {
            tap.gone.set(Gone::Whole);
        }
        tap
    }

    /// The first `most` bytes, once they have gone by; none when they never will, or are more than
    /// are kept.
    pub async fn start(&self, most: usize) -> Option<Seen> {
        loop {
            let changed = self.changed.notified();
            let length = self.length.get();
            match self.gone.get() {
                _ if length >= most => break,
                Gone::Whole => break,
                Gone::Broken => return None,
                Gone::Begun => changed.await,
            }
        }
        let bytes = self.bytes.borrow();
        let wanted = most.min(self.length.get());
        Some(Seen {
            bytes: bytes.get(..wanted)?.to_vec(),
            is_all: self.gone.get() == Gone::Whole && self.length.get() == wanted,
        })
    }

    /// Another frame goes by, the last one or not.
    pub(super) fn frame(&self, frame: &Frame<bytes::Bytes>, is_last: bool) {
        if let Some(data) = frame.data_ref() {
            self.copy(data);
        }
        if is_last || frame.is_trailers() {
            self.gone.set(Gone::Whole);
        }
        self.changed.notify_waiters();
    }

    /// Nothing more goes by.
    pub(super) fn end(&self, is_whole: bool) {
        if self.gone.get() == Gone::Begun {
            self.gone
                .set(if is_whole { Gone::Whole } else { Gone::Broken });
        }
        self.changed.notify_waiters();
    }

    fn copy(&self, data: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let room = self.most.saturating_sub(bytes.len());
        bytes.extend_from_slice(data.get(..room).unwrap_or(data));
        self.length
            .set(self.length.get().saturating_add(data.len()));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use std::sync::Arc;

    use super::*;
    use crate::total::Total;

    fn tap(begun: &[u8], most: usize) -> Tap {
        let room = Part::take(&Arc::new(Total::new(most)), most);
        Tap::new(begun, false, most, room.expect("it is all there"))
    }

    fn data(text: &'static str) -> Frame<bytes::Bytes> {
        Frame::data(text.into())
    }

    fn seen(bytes: &str, is_all: bool) -> Option<Option<Seen>> {
        let bytes = bytes.as_bytes().to_vec();
        Some(Some(Seen { bytes, is_all }))
    }

    #[test]
    fn the_start_is_there_once_it_has_gone_by() {
        let tap = tap(b"ab", 8);
        assert_eq!(tap.start(2).now_or_never(), seen("ab", false));
        assert_eq!(tap.start(4).now_or_never(), None);
        tap.frame(&data("cdef"), false);
        assert_eq!(tap.start(4).now_or_never(), seen("abcd", false));
        tap.frame(&data("gh"), true);
        assert_eq!(tap.start(8).now_or_never(), seen("abcdefgh", true));
        assert_eq!(tap.start(9).now_or_never(), seen("abcdefgh", true));
    }

    #[test]
    fn no_more_is_kept_than_is_wanted() {
        let tap = tap(b"", 3);
        tap.frame(&data("abcdef"), false);
        assert_eq!(tap.bytes.borrow().len(), 3);
        assert_eq!(tap.start(3).now_or_never(), seen("abc", false));
        assert_eq!(tap.start(4).now_or_never(), Some(None));
    }

    #[test]
    fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
        let tap = tap(b"ab", 8);
        tap.end(false);
        assert_eq!(tap.start(2).now_or_never(), seen("ab", false));
        assert_eq!(tap.start(3).now_or_never(), Some(None));
    }
}
