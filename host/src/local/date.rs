//! The `Date` of answers over HTTP/2 (RFC 9110 §6.6.1), written once a second. Over HTTP/1.1 the
//! server library does the same.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use httpdate::HttpDate;

/// The value of the second that it was asked for last.
#[derive(Debug)]
pub struct Date(RefCell<(u64, HeaderValue)>);

impl Default for Date {
    fn default() -> Self {
        Self(RefCell::new((0, written(UNIX_EPOCH))))
    }
}

impl Date {
    /// The field's value now.
    pub fn now(&self) -> HeaderValue {
        self.at(SystemTime::now())
    }

    fn at(&self, now: SystemTime) -> HeaderValue {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut last = self.0.borrow_mut();
        if last.0 != second {
            *last = (second, written(now));
        }
        last.1.clone()
    }
}

fn written(time: SystemTime) -> HeaderValue {
    let text = HttpDate::from(time).to_string();
    HeaderValue::try_from(text).expect("letters, digits and blanks")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_value_follows_the_second() {
        let date = Date::default();
        let at = |millis| date.at(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_778_000), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
