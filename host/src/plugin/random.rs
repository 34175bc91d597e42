//! The host's side of the WIT interface `random`.

use wasmtime::Result;

use super::{bindings::witgate::plugin::random::Host, state::State};

/// Most bytes of one call; what `random.wit` promises.
const MAX_BYTES: u32 = 64 << 10;

impl Host for State {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        if length > MAX_BYTES {
            let message =
                format!("{length} random bytes in one call; at most {MAX_BYTES} are given");
            return Err(wasmtime::Error::msg(message));
        }
        let mut bytes = vec![0; usize::try_from(length)?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl State {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let known = self.known().and_then(|known| known.random(bytes.len()));
        match known {
            Some(known) => bytes.copy_from_slice(&known),
            None => fill(bytes)?,
        }
        if let Some(noted) = self.noted() {
            noted.random(bytes);
        }
        Ok(())
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| wasmtime::Error::msg("no random bytes to be had"))
}
