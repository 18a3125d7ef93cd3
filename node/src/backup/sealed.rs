//! Files that only the holder of an offline key can open: a fresh X25519 key agreed with the offline
//! public key, and XChaCha20-Poly1305 in chunks that can be neither cut off, swapped nor changed.
//!
//! ```text
//! "cuadra sealed\0\x01" | ephemeral public key 32 | chunk… | last chunk
//! chunk = length u32 | ciphertext and tag      nonce = its number; the last one is marked in its data
//! ```

use std::io::{self, Read, Write};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use curve25519_dalek::MontgomeryPoint;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// First bytes of a sealed file.
const MARK: &[u8; 15] = b"cuadra sealed\0\x01";
/// Plain bytes in a chunk.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// The public half of an offline key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealTo(pub [u8; 32]);

/// The secret half; wiped from memory when dropped.
#[derive(Clone)]
pub struct OfflineKey(Zeroizing<[u8; 32]>);

impl OfflineKey {
    /// From its 32 secret bytes.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }
    /// Its public half.
    #[must_use]
    pub fn public(&self) -> SealTo {
        SealTo(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }
}

/// Writes a sealed file.
pub struct Sealer<W> {
    out: W,
    cipher: XChaCha20Poly1305,
    held: Vec<u8>,
    number: u64,
}

impl<W: Write> Sealer<W> {
    /// Begins a file for the holder of this key.
    ///
    /// # Errors
    /// If it cannot be written, or the system has no randomness.
    pub fn begin(mut out: W, to: SealTo) -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
        let ephemeral = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
        let agreed = Zeroizing::new(MontgomeryPoint(to.0).mul_clamped(*secret).to_bytes());
        out.write_all(MARK)?;
        out.write_all(&ephemeral)?;
        Ok(Self { out, cipher: cipher(&agreed, &ephemeral, &to.0), held: Vec::new(), number: 0 })
    }

    /// Writes the last chunk: without it the file does not open to its end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        let plain = Zeroizing::new(std::mem::take(&mut self.held));
        let payload = Payload { msg: &plain, aad: &[u8::from(last)] };
        let sealed =
            self.cipher.encrypt(&nonce(self.number), payload).map_err(|_| io::ErrorKind::InvalidInput)?;
        let length = u32::try_from(sealed.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.number += 1;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&sealed)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() == CHUNK_BYTES {
            self.chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.held.len());
        self.held.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a sealed file. What it gives was written by whoever began the file, in this order; a file that
/// was cut off ends in an error and not in an end.
pub struct Opener<R> {
    input: R,
    cipher: XChaCha20Poly1305,
    plain: io::Cursor<Vec<u8>>,
    number: u64,
    ended: bool,
}

impl<R: Read> Opener<R> {
    /// Begins to read a file.
    ///
    /// # Errors
    /// If it is no sealed file.
    pub fn begin(mut input: R, key: &OfflineKey) -> io::Result<Self> {
        let (mut mark, mut ephemeral) = ([0; MARK.len()], [0; 32]);
        input.read_exact(&mut mark)?;
        input.read_exact(&mut ephemeral)?;
        if &mark != MARK {
            return Err(spoiled("this is no sealed file"));
        }
        let agreed = Zeroizing::new(MontgomeryPoint(ephemeral).mul_clamped(*key.0).to_bytes());
        let cipher = cipher(&agreed, &ephemeral, &key.public().0);
        Ok(Self { input, cipher, plain: io::Cursor::default(), number: 0, ended: false })
    }

    fn chunk(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(TAG_BYTES..=CHUNK_BYTES + TAG_BYTES).contains(&length) {
            return Err(spoiled("the sealed file is damaged"));
        }
        let mut sealed = vec![0; length];
        self.input.read_exact(&mut sealed)?;
        let open = |last: bool| {
            let payload = Payload { msg: &sealed, aad: &[u8::from(last)] };
            self.cipher.decrypt(&nonce(self.number), payload).ok()
        };
        let (plain, last) = match open(false) {
            Some(plain) => (plain, false),
            None => (open(true).ok_or_else(|| spoiled("it is sealed to another key, or damaged"))?, true),
        };
        self.number += 1;
        self.ended = last;
        self.plain = io::Cursor::new(plain);
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.plain.read(bytes)?;
            if read > 0 || bytes.is_empty() || self.ended {
                return Ok(read);
            }
            self.chunk()?;
        }
    }
}

fn spoiled(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn cipher(agreed: &[u8; 32], ephemeral: &[u8; 32], to: &[u8; 32]) -> XChaCha20Poly1305 {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(agreed).expect("any key length");
    for part in [b"cuadra/sealed/v1\0".as_slice(), ephemeral, to] {
        mac.update(part);
    }
    let key: [u8; 32] = mac.finalize().into_bytes().into();
    XChaCha20Poly1305::new(&key.into())
}

/// Each file has a key of its own, so that a number is enough.
fn nonce(number: u64) -> XNonce {
    let mut nonce = [0; 24];
    for (at, byte) in nonce.iter_mut().zip(number.to_be_bytes()) {
        *at = byte;
    }
    XNonce::from(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[u8], to: SealTo) -> Vec<u8> {
        let mut sealer = Sealer::begin(Vec::new(), to).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(file: &[u8], key: &OfflineKey) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::begin(file, key)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn sealed_file_opens_with_its_key_alone_and_only_whole() {
        let (key, other) = (OfflineKey::new([7; 32]), OfflineKey::new([8; 32]));
        for size in [0, 5, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain = vec![0x5a; size];
            let file = sealed(&plain, key.public());
            assert_eq!(opened(&file, &key).unwrap(), plain);
            assert!(opened(&file, &other).is_err());
            assert!(opened(&file[..file.len() - 1], &key).is_err(), "cut off");
            let mut changed = file.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(opened(&changed, &key).is_err());
        }
        let long = sealed(&vec![1; 2 * CHUNK_BYTES], key.public());
        let at_a_chunk = 15 + 32 + 4 + CHUNK_BYTES + TAG_BYTES;
        assert!(opened(&long[..at_a_chunk], &key).is_err(), "cut off between two chunks");
        assert!(!long.windows(9).any(|window| window == [1; 9]));
    }
}
