//! The host's side of the WIT interface `log`.

use wasmtime::Result;

use super::{
    bindings::witgate::plugin::log::{Host, Level},
    lines::write_line,
    mends,
    state::State,
};

impl Host for State {
    fn enabled(&mut self, level: Level) -> Result<bool> {
        Ok(tracing_level(level) <= tracing::level_filters::LevelFilter::current())
    }

    fn write(&mut self, level: Level, message: String) -> Result<()> {
        let lines = [Some(message.as_str()), mends::of_panic(&message)];
        for line in lines.into_iter().flatten() {
            if self.lines.take(&self.plugin) {
                write_line(&self.plugin, level, line);
            }
        }
        Ok(())
    }
}

fn tracing_level(level: Level) -> tracing::Level {
    match level {
        Level::Trace => tracing::Level::TRACE,
        Level::Debug => tracing::Level::DEBUG,
        Level::Info => tracing::Level::INFO,
        Level::Warn => tracing::Level::WARN,
        Level::Error => tracing::Level::ERROR,
    }
}
