//! Ed25519 over messages as long as what an envelope signs, on one core.

use std::hint::black_box;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};

/// Signatures in one run.
const SIGNATURES: u32 = 2_000;
/// Bytes of a message: an envelope with one parent.
const MESSAGE_BYTES: usize = 320;

/// One run.
pub struct Run {
    /// One signature, µs.
    pub sign_us: f64,
    /// One verification, µs.
    pub verify_us: f64,
}

/// Signs and verifies.
pub fn run() -> Run {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key();
    let message = |number: u32| {
        let mut message = [0_u8; MESSAGE_BYTES];
        for (place, byte) in message.iter_mut().zip(number.to_be_bytes()) {
            *place = byte;
        }
        message
    };
    let began = Instant::now();
    let signed: Vec<_> = (0..SIGNATURES).map(|number| key.sign(&message(number))).collect();
    let sign = began.elapsed();
    let began = Instant::now();
    let good = (0..)
        .zip(&signed)
        .filter(|(number, signature)| public.verify_strict(black_box(&message(*number)), signature).is_ok())
        .count();
    let verify = began.elapsed();
    assert_eq!(good, signed.len(), "a signature that was just made does not hold");
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(SIGNATURES);
    Run { sign_us: each(sign), verify_us: each(verify) }
}
