//! Session tickets (RFC 8446 §4.6.1, RFC 5077): sealed under keys that change by themselves, or
//! that several gateways read from one file. A ticket opens only where it was issued under the
//! same rules: policy and clients' certificates are bound into the keys.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time, digest, hmac, rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{TicketRotator, server::ProducesTickets};

use super::{
    super::{FileProblem, files},
    TlsFileError,
    clients::Clients,
};
use crate::config::{Tickets, TlsPolicy};

/// Keys in one file: the one that issues, those before it, and some that are to come.
const MOST_KEYS: usize = 16;
/// Bytes of a key in the file: as many as the keys of the cipher at least, and what nginx and
/// HAProxy have at most.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=80;
/// A ticket names its key by this many bytes.
const NAME_BYTES: usize = 16;
/// Its time of issue, seconds since 1970.
const TIME_BYTES: usize = 8;
/// A client's certificate chain is the largest part of a ticket; a ticket has 64 KiB at most.
const MOST_TICKET_BYTES: usize = 1 << 16;

/// The file of keys, where there is one.
pub(super) fn file(tickets: &Tickets) -> Option<&PathBuf> {
    match tickets {
        Tickets::On { keys, .. } => keys.as_ref(),
        Tickets::Off => None,
    }
}

/// What sessions are agreed on under. A session must not be resumed under others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules([u8; 32]);

impl Rules {
    pub(super) fn of(policy: &TlsPolicy, clients: Option<&Clients>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        let TlsPolicy {
            min,
            max,
            suites,
            groups,
            ..
        } = policy;
        hash.update(format!("{min:?} {max:?} {suites:?} {groups:?} ").as_bytes());
        if let Some(clients) = clients {
            hash.update(clients.identity().as_ref());
        }
        let mut rules = [0; 32];
        rules.copy_from_slice(hash.finish().as_ref());
        Self(rules)
    }
}

/// Seals and opens the tickets of a listener.
#[derive(Debug)]
pub(super) struct TicketKeys {
    keys: Keys,
    rules: Rules,
    lifetime: Duration,
}

#[derive(Debug)]
enum Keys {
    /// Random ones, made anew each half of a lifetime.
    Rotating(TicketRotator),
    /// Of a file; the first issues.
    Listed(Vec<Key>),
}

impl TicketKeys {
    /// Random keys are taken over from `before` while the rules stay.
    pub(super) fn load(
        tickets: &Tickets,
        rules: Rules,
        before: Option<&Arc<Self>>,
    ) -> Result<Option<Arc<Self>>, TlsFileError> {
        let Tickets::On { keys, lifetime } = tickets else {
            return Ok(None);
        };
        let keys = match keys {
            Some(path) => {
                let keys = read(path, rules).map_err(TlsFileError::at("tickets.keys", path))?;
                Keys::Listed(keys)
            }
            None => {
                let same = before.filter(|before| before.is_rotating(rules, *lifetime));
                if let Some(before) = same {
                    return Ok(Some(Arc::clone(before)));
                }
                let period = u32::try_from(lifetime.as_secs() / 2).unwrap_or(u32::MAX);
                let rotator = TicketRotator::new(period, || Ok(Box::new(Key::random())));
                Keys::Rotating(rotator.expect("a key has been made"))
            }
        };
        Ok(Some(Arc::new(Self {
            keys,
            rules,
            lifetime: *lifetime,
        })))
    }

    fn is_rotating(&self, rules: Rules, lifetime: Duration) -> bool {
        let rotating = matches!(self.keys, Keys::Rotating(_));
        rotating && self.rules == rules && self.lifetime == lifetime
    }

    fn age(&self, issued: u64) -> Option<Duration> {
        now().checked_sub(issued).map(Duration::from_secs)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        let dated = [&now().to_be_bytes(), state].concat();
        match &self.keys {
            Keys::Rotating(rotator) => rotator.encrypt(&dated),
            Keys::Listed(keys) => keys.first()?.encrypt(&dated),
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let dated = match &self.keys {
            Keys::Rotating(rotator) => rotator.decrypt(ticket),
            Keys::Listed(keys) => keys.iter().find_map(|key| key.decrypt(ticket)),
        }?;
        let (issued, state) = dated.split_first_chunk::<TIME_BYTES>()?;
        // A ticket from the future comes from a node whose clock is ahead; rustls looks at the
        // age as well.
        let age = self.age(u64::from_be_bytes(*issued)).unwrap_or_default();
        (age <= self.lifetime).then(|| state.to_vec())
    }
}

/// One key: seals with AES-256-GCM under random nonces, of which 2³² are safe.
struct Key {
    name: [u8; NAME_BYTES],
    aead: RandomizedNonceKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key")
    }
}

impl Key {
    /// The key of these rules under a secret.
    fn derived(secret: &[u8], rules: Rules) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA512, secret);
        let mut hmac = hmac::Context::with_key(&secret);
        hmac.update(b"witgate session ticket 1");
        hmac.update(&rules.0);
        let tag = hmac.sign();
        let mut name = [0; NAME_BYTES];
        let (key, rest) = tag.as_ref().split_at(AES_256_GCM.key_len());
        name.iter_mut()
            .zip(rest)
            .for_each(|(name, byte)| *name = *byte);
        let aead = RandomizedNonceKey::new(&AES_256_GCM, key);
        Self {
            name,
            aead: aead.expect("a key of this length"),
        }
    }

    fn random() -> Self {
        let mut secret = [0; 64];
        rand::fill(&mut secret).expect("the system gives random bytes");
        Self::derived(&secret, Rules([0; 32]))
    }
}

impl ProducesTickets for Key {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // That of the keys around it counts.
        0
    }

    /// Name, nonce, sealed state, tag.
    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = state.to_vec();
        let aad = Aad::from(self.name);
        let nonce = self.aead.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        Some([&self.name, &nonce.as_ref()[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MOST_TICKET_BYTES {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        constant_time::verify_slices_are_equal(name, &self.name).ok()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, aad) = (Nonce::from(nonce), Aad::from(self.name));
        let mut sealed = sealed.to_vec();
        let opened = self.aead.open_in_place(nonce, aad, &mut sealed).ok()?;
        Some(opened.to_vec())
    }
}

/// A key on each line, base64; empty lines and those that begin with `#` are passed over.
fn read(path: &std::path::Path, rules: Rules) -> Result<Vec<Key>, FileProblem> {
    let bytes = files::read(path)?;
    let refuse = |reason: String| FileProblem::UnusableTicketKeys(reason);
    let text = str::from_utf8(&bytes).map_err(|_| refuse("it is not text".to_owned()))?;
    let lines = text.lines().map(str::trim).enumerate();
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut secrets = Vec::new();
    for (index, line) in keys {
        let wrong = |why: &str| refuse(format!("line {}: {why}", index + 1));
        let secret = STANDARD
            .decode(line)
            .map_err(|_| wrong("it is not base64"))?;
        if !KEY_BYTES.contains(&secret.len()) {
            return Err(wrong(&format!(
                "the key has {} bytes, expected {} to {}",
                secret.len(),
                KEY_BYTES.start(),
                KEY_BYTES.end()
            )));
        }
        if secrets.contains(&secret) {
            return Err(wrong("this key stands in the file twice"));
        }
        secrets.push(secret);
    }
    match secrets.len() {
        0 => Err(refuse("there is no key in it".to_owned())),
        1..=MOST_KEYS => Ok(secrets
            .iter()
            .map(|secret| Key::derived(secret, rules))
            .collect()),
        many => Err(refuse(format!(
            "it has {many} keys, expected at most {MOST_KEYS}"
        ))),
    }
}
