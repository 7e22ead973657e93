//! How many password hashes the machine can do: what sign-ins are held against.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use omnigent_server::backend::Hashing;

use crate::server::Outcome;

/// Hashes a second, of the server's default cost, on as many threads as it uses by default, each
/// with its memory reused.
pub fn rate(duration: Duration) -> Outcome<f64> {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).map_err(|e| e.to_string())?;
    let done = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..Hashing::default_threads() {
            scope.spawn(|| {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                let mut memory = vec![Block::new(); params.block_count()];
                let mut output = [0; 32];
                while began.elapsed() < duration {
                    let hashed = argon2.hash_password_into_with_memory(
                        b"tidal-Orchid-77-lantern",
                        &[7; 16],
                        &mut output,
                        &mut memory,
                    );
                    done.fetch_add(u64::from(hashed.is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    Ok(done.into_inner() as f64 / began.elapsed().as_secs_f64())
}
