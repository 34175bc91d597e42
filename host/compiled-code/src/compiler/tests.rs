//! What a child does that it should not, played by a shell.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

use std::time::Instant;

use super::*;

const LIMITS: JobLimits = JobLimits {
    time: Duration::from_secs(20),
    memory: 1 << 20,
};

/// What becomes of a job that this script does, of which `$$` is the process.
fn compiled(script: &str, limits: JobLimits) -> Result<Component, CompileError> {
    let shell = Compiler {
        program: "/bin/sh".into(),
        arguments: ["-c".into(), script.into()].into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let engine = Engine::default();
    let wasm = vec![0; 1 << 20];
    let made = runtime.block_on(shell.compile(&engine, &wasm, limits))?;
    made.load(&engine)
}

fn refusal(script: &str) -> String {
    compiled(script, LIMITS).err().unwrap().to_string()
}

#[test]
fn what_is_not_sealed_for_this_job_is_never_loaded() {
    let replay = "cat >&2; exit 0";
    for script in [
        "exit 0",
        "echo witgate1 code",
        "head -c 40 | cat; exit 0",
        replay,
    ] {
        let refusal = refusal(script);
        assert!(
            refusal.contains("is not what it has made"),
            "{script}: {refusal}"
        );
    }
}

#[test]
fn what_it_says_is_the_reason_and_is_cut() {
    assert_eq!(refusal("echo ' no good ' >&2; exit 1"), "no good");
    let crashed = refusal("echo bad >&2; exit 101");
    assert!(
        crashed.ends_with("the compiler ended with exit status: 101: bad"),
        "{crashed}"
    );
    let much = refusal("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
    assert_eq!(much.len(), MAX_SAID);
    let nothing = refusal("exit 1");
    assert!(nothing.contains("exit status: 1"), "{nothing}");
}

#[test]
fn want_of_memory_is_told_from_other_deaths() {
    let died = refusal("echo 'memory allocation of 7 bytes failed' >&2; kill -ABRT $$");
    assert!(
        died.contains("more memory to be compiled than the 1048576 bytes"),
        "{died}"
    );
    let died = refusal("kill -SEGV $$");
    assert!(
        died.contains("the compiler ended with signal: 11"),
        "{died}"
    );
    let much = refusal("head -c 2000000 /dev/zero");
    assert!(much.contains("hands back more than it may have"), "{much}");
}

#[test]
fn one_that_takes_too_long_is_killed_with_what_it_holds() {
    let begin = Instant::now();
    let limits = JobLimits {
        time: Duration::from_millis(200),
        ..LIMITS
    };
    let late = compiled("exec sleep 60", limits).err().unwrap();
    assert_eq!(late.to_string(), "was not compiled within 200ms");
    let late = compiled("exec sleep 60 >&- 2>&-", limits).err().unwrap();
    assert_eq!(late.to_string(), "was not compiled within 200ms");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let compiler = Compiler {
        program: "/nowhere".into(),
        arguments: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made = runtime.block_on(compiler.compile(&Engine::default(), &[], LIMITS));
    assert!(matches!(made.err(), Some(CompileError::Start(_))));
}
