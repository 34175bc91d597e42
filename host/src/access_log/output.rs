//! Where the access log's lines go. What cannot be written is counted; a line that a full disk
//! has cut is ended before the next one, so that no two become one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use crate::config;

/// A file that is appended to, or stdout.
pub(super) struct Output<W = File> {
    writer: W,
    /// None for stdout.
    path: Option<PathBuf>,
    /// The last line lacks its end.
    torn: bool,
    failing: bool,
}

impl Output {
    /// Opens it; none when no lines are wanted. Fails when the file cannot be opened for
    /// appending.
    pub(super) fn open(config: &config::AccessLog) -> io::Result<Option<Self>> {
        let (writer, path) = match config {
            config::AccessLog::Off => return Ok(None),
            config::AccessLog::Stdout => (io::stdout().as_fd().try_clone_to_owned()?.into(), None),
            config::AccessLog::File(path) => (append(path)?, Some(path.clone())),
        };
        Ok(Some(Self::of(writer, path)))
    }

    /// Opens the file again, which may have been moved away. When it cannot, the one that is
    /// open is written to as before.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        match append(path) {
            Ok(file) => {
                tracing::info!(path = %path.display(), "access log opened again");
                *self = Self::of(file, self.path.take());
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the access log cannot be opened again; lines go to the file that is open")
            }
        }
    }
}

impl<W: Write> Output<W> {
    fn of(writer: W, path: Option<PathBuf>) -> Self {
        Self {
            writer,
            path,
            torn: false,
            failing: false,
        }
    }

    /// Writes whole lines; returns how many are lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        let (written, result) = self.write_as_far_as_possible(lines);
        match &result {
            Ok(()) if self.failing => tracing::info!("the access log is written again"),
            Err(error) if !self.failing => {
                tracing::error!(%error, "access-log lines are lost; the metric counts them")
            }
            Ok(()) | Err(_) => {}
        }
        self.failing = result.is_err();
        unfinished(lines, written)
    }

    fn write_as_far_as_possible(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if self.torn
            && let Err(error) = self.writer.write_all(b"\n")
        {
            return (0, Err(error));
        }
        self.torn = false;
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.writer.write(rest) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(more) => {
                    written += more;
                    self.torn = lines.get(written - 1) != Some(&b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

/// Lines whose end is not among the bytes that are written.
fn unfinished(lines: &[u8], written: usize) -> u64 {
    let rest = lines.get(written..).unwrap_or_default();
    rest.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so many bytes left.
    struct Disk {
        left: usize,
        holds: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.left);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.left -= fits;
            self.holds.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_is_full_for_a_while_loses_counted_lines_and_joins_none() {
        let disk = Disk {
            left: 7,
            holds: Vec::new(),
        };
        let mut output = Output::of(disk, None);
        assert_eq!(output.write(b"one\ntwo\nthree\n"), 2);
        assert_eq!(output.write(b"four\n"), 1);
        output.writer.left = 100;
        assert_eq!(output.write(b"five\n"), 0);
        assert_eq!(output.writer.holds, b"one\ntwo\nfive\n");
        assert!(!output.failing && !output.torn);
    }
}
