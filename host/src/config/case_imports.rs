//! What a case answers to the plain imports of its plugin: the clock, random numbers and its store.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{check::Check, texts::RawBody};

/// The answers, in the order in which they are given. Of a kind that is none nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseImports {
    /// What the clock says.
    pub clock: Option<CaseClock>,
    /// Random bytes, call by call; a number is 8 of them.
    pub random: Option<Vec<Vec<u8>>>,
    /// What the store says.
    pub kv: Option<Vec<CaseKv>>,
    /// Whether there were more of them than are known.
    pub is_cut: bool,
}

/// What the clock says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseClock {
    /// Since 1970.
    pub wall: Vec<Duration>,
    /// Nanoseconds.
    pub monotonic: Vec<u64>,
}

/// A call of the store, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "those of `kv.wit`")]
pub enum CaseKv {
    Get {
        key: String,
        value: Option<Vec<u8>>,
    },
    Set {
        key: String,
        done: Result<(), KvRefusal>,
    },
    Delete {
        key: String,
        found: bool,
    },
    Increment {
        key: String,
        /// The number, and the milliseconds that it still lives.
        counted: Result<(i64, Option<u64>), KvRefusal>,
    },
}

/// Why the store did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "those of `kv.wit`")]
pub enum KvRefusal {
    Full,
    TooLarge,
    NotANumber,
}

/// As written; part of a `RawCase`.
#[allow(missing_docs, reason = "those of `CaseImports`, as text")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawImports {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<RawClock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<Vec<RawBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv: Option<Vec<RawKv>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Part of [`RawImports`].
#[allow(missing_docs, reason = "as there")]
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct RawClock {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wall: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monotonic: Vec<u64>,
}

/// Part of [`RawImports`].
#[allow(missing_docs, reason = "as there")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum RawKv {
    Get {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<RawBody>,
    },
    Set {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<KvRefusal>,
    },
    Delete {
        key: String,
        #[serde(default)]
        found: bool,
    },
    Increment {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<KvRefusal>,
    },
}

impl RawImports {
    /// These answers.
    pub fn of(imports: &CaseImports) -> Self {
        let clock = imports.clock.as_ref().map(|clock| RawClock {
            wall: clock
                .wall
                .iter()
                .map(|time| humantime::format_rfc3339_nanos(UNIX_EPOCH + *time).to_string())
                .collect(),
            monotonic: clock.monotonic.clone(),
        });
        let random = imports.random.as_ref();
        let kv = imports.kv.as_ref();
        Self {
            clock,
            random: random.map(|all| all.iter().map(|bytes| RawBody::of(bytes)).collect()),
            kv: kv.map(|all| all.iter().map(RawKv::of).collect()),
            cut: imports.is_cut,
        }
    }
}

impl RawKv {
    fn of(kv: &CaseKv) -> Self {
        match kv {
            CaseKv::Get { key, value } => Self::Get {
                key: key.clone(),
                value: value.as_deref().map(RawBody::of),
            },
            CaseKv::Set { key, done } => Self::Set {
                key: key.clone(),
                refused: done.err(),
            },
            CaseKv::Delete { key, found } => Self::Delete {
                key: key.clone(),
                found: *found,
            },
            CaseKv::Increment { key, counted } => Self::Increment {
                key: key.clone(),
                number: counted.ok().map(|(number, _)| number),
                left: counted.ok().and_then(|(_, left)| left),
                refused: counted.err(),
            },
        }
    }

    fn checked(self) -> Result<CaseKv, String> {
        Ok(match self {
            Self::Get { key, value } => CaseKv::Get {
                key,
                value: value.map(|value| value.bytes()).transpose()?,
            },
            Self::Set { key, refused } => CaseKv::Set {
                key,
                done: refused.map_or(Ok(()), Err),
            },
            Self::Delete { key, found } => CaseKv::Delete { key, found },
            Self::Increment {
                key,
                number,
                left,
                refused,
            } => {
                let counted = match (number, refused) {
                    (Some(number), None) => Ok((number, left)),
                    (None, Some(refused)) => Err(refused),
                    _ => return Err("expected `number` or `refused`".to_owned()),
                };
                CaseKv::Increment { key, counted }
            }
        })
    }
}

impl Check<'_> {
    pub(super) fn case_imports(&mut self, key: &str, raw: RawImports) -> CaseImports {
        let clock = raw.clock.map(|clock| CaseClock {
            wall: self.each(&format!("{key}.clock.wall"), clock.wall, |text| time(&text)),
            monotonic: clock.monotonic,
        });
        let random = raw.random.map(|all| {
            let key = format!("{key}.random");
            self.each(&key, all, |bytes| bytes.bytes())
        });
        let kv = raw.kv.map(|all| {
            let key = format!("{key}.kv");
            self.each(&key, all, RawKv::checked)
        });
        CaseImports {
            clock,
            random,
            kv,
            is_cut: raw.cut,
        }
    }

    fn each<R, T>(
        &mut self,
        key: &str,
        raw: Vec<R>,
        checked: impl Fn(R) -> Result<T, String>,
    ) -> Vec<T> {
        let raw = raw.into_iter().enumerate();
        raw.filter_map(|(index, raw)| self.problems.take(&format!("{key}[{index}]"), checked(raw)))
            .collect()
    }
}

/// `2026-11-28T05:00:00.5Z`
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_rfc3339(text).ok();
    let since_1970 = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_1970.ok_or_else(|| {
        format!("found {text:?}, expected a time such as \"2026-11-28T05:00:00.5Z\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let imports = CaseImports {
            clock: Some(CaseClock {
                wall: vec![Duration::new(1_764_306_000, 1)],
                monotonic: vec![0, u64::MAX],
            }),
            random: Some(vec![b"text".to_vec(), vec![0xff, 0]]),
            kv: Some(vec![
                CaseKv::Get {
                    key: "a".into(),
                    value: None,
                },
                CaseKv::Get {
                    key: "b".into(),
                    value: Some(vec![0xff]),
                },
                CaseKv::Set {
                    key: "c".into(),
                    done: Ok(()),
                },
                CaseKv::Set {
                    key: "c".into(),
                    done: Err(KvRefusal::TooLarge),
                },
                CaseKv::Delete {
                    key: "d".into(),
                    found: true,
                },
                CaseKv::Increment {
                    key: "e".into(),
                    counted: Ok((-7, Some(20))),
                },
                CaseKv::Increment {
                    key: "e".into(),
                    counted: Err(KvRefusal::NotANumber),
                },
            ]),
            is_cut: true,
        };
        let text = serde_json::to_string(&RawImports::of(&imports)).expect("JSON");
        for part in [
            r#""wall":["2025-11-28T05:00:00.000000001Z"]"#,
            r#""random":["text",{"base64":"/wA="}]"#,
            r#"{"set":{"key":"c","refused":"too-large"}}"#,
            r#"{"increment":{"key":"e","number":-7,"left":20}}"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let source = super::super::error::Source::without_text(std::path::Path::new("a case"));
        let mut check = Check {
            path: source.path(),
            problems: super::super::error::Problems::of(&source),
        };
        let raw = serde_json::from_str(&text).expect("what was written");
        assert_eq!(check.case_imports("imports", raw), imports);
        check.problems.finish().expect("no problem");
    }
}
