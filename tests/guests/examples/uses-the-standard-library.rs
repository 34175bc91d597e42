//! Asks the standard library for what a plugin has not: the time, a file, a thread.

use std::{fs, thread, time::Instant};

use witgate_sdk::prelude::*;

struct Guest;

impl Plugin for Guest {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Routing for Guest {
    fn route(&self, request: &Request) -> Route {
        match request.path() {
            "/time" => log::info!("{:?}", Instant::now().elapsed()),
            "/file" => log::info!("{}", fs::read_to_string("/etc/hostname").unwrap()),
            "/thread" => thread::spawn(|| ()).join().unwrap(),
            _ => {}
        }
        println!("nobody reads this");
        Route::Pass
    }
}

witgate_sdk::export!(Guest: Routing);
