//! The child's side of compiling apart: reads a job from its standard input, bounds itself, and
//! answers on its standard output with code that is sealed for the parent that asked.

use std::{
    borrow::Cow,
    io::{self, Read, Write as _},
    process::ExitCode,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use wasmtime::Engine;

use crate::{
    WasmDigest,
    entries::EntryName,
    seal::{KEY, Key},
};

/// What a job takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Wall time, from starting the process until it has ended.
    pub time: Duration,
    /// Private memory, bytes. What is made is not larger either.
    pub memory: u64,
}

/// What stands before the WebAssembly on the child's standard input.
pub(crate) struct Header {
    /// Made for this one job.
    pub(crate) key: [u8; KEY],
    /// Bytes.
    pub(crate) memory: u64,
    /// Seconds, of all threads together.
    pub(crate) cpu: u64,
}

const NUMBER: usize = size_of::<u64>();

impl Header {
    pub(crate) fn bytes(&self) -> [u8; KEY + 2 * NUMBER] {
        let mut bytes = [0; KEY + 2 * NUMBER];
        bytes[..KEY].copy_from_slice(&self.key);
        bytes[KEY..KEY + NUMBER].copy_from_slice(&self.memory.to_le_bytes());
        bytes[KEY + NUMBER..].copy_from_slice(&self.cpu.to_le_bytes());
        bytes
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut key = [0; KEY];
        from.read_exact(&mut key)?;
        let mut number = || {
            let mut bytes = [0; NUMBER];
            from.read_exact(&mut bytes)
                .map(|()| u64::from_le_bytes(bytes))
        };
        Ok(Self {
            key,
            memory: number()?,
            cpu: number()?,
        })
    }
}

/// Does the job that is on the standard input. `prepare` makes of the WebAssembly there the
/// component to be compiled, and says for which engine; what it says against it, and all else that
/// goes wrong, is on the standard error.
pub fn serve(prepare: impl FnOnce(&[u8]) -> Result<(Engine, Cow<'_, [u8]>), String>) -> ExitCode {
    match answer(prepare) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn answer(
    prepare: impl FnOnce(&[u8]) -> Result<(Engine, Cow<'_, [u8]>), String>,
) -> Result<(), String> {
    let mut input = io::stdin().lock();
    let header = Header::read(&mut input).map_err(|error| {
        format!("is asked by the gateway alone, on its standard input: {error}")
    })?;
    bound(&header).map_err(|error| format!("the compiler cannot be bounded: {error}"))?;
    let mut wasm = Vec::new();
    let read = input.read_to_end(&mut wasm);
    read.map_err(|error| format!("the compiler was not given all of it: {error}"))?;
    let (engine, component) = prepare(&wasm)?;
    // Nothing else is ever sealed here, which is what `code::load` relies on.
    let code = engine
        .precompile_component(&component)
        .map_err(|error| format!("cannot be compiled: {error:#}"))?;
    let key = Key::of(&header.key);
    let sealed = key.sealed(name(&engine, &wasm).as_str(), &code);
    let mut output = io::stdout().lock();
    let written = output.write_all(&sealed).and_then(|()| output.flush());
    written.map_err(|error| format!("what was compiled cannot be handed over: {error}"))
}

/// What parent and child call the code, each for itself: other WebAssembly, or another engine,
/// has another name, and no seal fits it.
pub(crate) fn name(engine: &Engine, wasm: &[u8]) -> EntryName {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, wasm);
    let mut wasm: WasmDigest = [0; 32];
    wasm.copy_from_slice(digest.as_ref());
    EntryName::of(engine, &wasm)
}

/// How much it stands back where others want the processor: it gets a third of what a worker gets.
const NICENESS: i32 = 5;

/// Ends with its parent; leaves no image of its memory behind; and takes no more than it may.
fn bound(header: &Header) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(NICENESS)?;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Cpu, header.cpu),
        // All private memory that can be written, of whatever kind. The address space would be the
        // wrong thing to count: allocators and threads reserve far more than they use.
        (Resource::Data, header.memory),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}
