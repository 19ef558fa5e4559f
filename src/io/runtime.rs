// SPDX-License-Identifier: Apache-2.0
//! Where the crates for HTTP and D-Bus wait for their answers: one thread, the caller's.

use std::pin::{Pin, pin};

/// Runs futures, one after the other.
pub(super) struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    /// # Errors
    /// The kernel gives no file descriptor to wait with.
    pub(super) fn new() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().map(Self)
    }

    /// Runs a future to its end. What waits is in the program once, and not once for each kind of future.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let mut outcome = None;
            {
                let ended: Pin<&mut dyn Future<Output = ()>> =
                    pin!(async { outcome = Some(future.as_mut().await) });
                self.0.block_on(ended);
            }
            // A future that has ended has left its outcome.
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}
