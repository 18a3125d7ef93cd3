//! Files one after another in a stream: `name length u16 | name | size u64 | bytes`, ended by an empty
//! name. Names are relative and never lead upwards.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path};

/// First bytes of an archive.
const MARK: &[u8; 15] = b"cuadra backup\0\x01";
/// The longest name in an archive, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// Writes an archive.
pub(super) struct Packer<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Packer<'a> {
    pub(super) fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        out.write_all(MARK)?;
        Ok(Self { out })
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.entry(name, bytes, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// A file as long as it is now; one that shrinks meanwhile is an error.
    pub(super) fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        self.entry(name, file, size)
    }

    fn entry(&mut self, name: &str, content: impl Read, size: u64) -> io::Result<()> {
        let length = u16::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&size.to_be_bytes())?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0, 0])
    }
}

/// Reads an archive.
pub(super) struct Unpacker<R> {
    input: R,
    left: u64,
}

impl<R: Read> Unpacker<R> {
    pub(super) fn begin(mut input: R) -> io::Result<Self> {
        let mut mark = [0; MARK.len()];
        input.read_exact(&mut mark)?;
        if &mark != MARK {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { input, left: 0 })
    }

    /// The next file; none at the end. What was not read of the one before is passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<(String, impl Read + '_)>> {
        io::copy(&mut (&mut self.input).take(self.left), &mut io::sink())?;
        let mut length = [0; 2];
        self.input.read_exact(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            // Whatever seals the stream is read to its end, so that a cut is noticed.
            return if self.input.read(&mut [0])? == 0 {
                Ok(None)
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
        if length > NAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (mut name, mut size) = (vec![0; length], [0; 8]);
        self.input.read_exact(&mut name)?;
        self.input.read_exact(&mut size)?;
        let name = String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData)?;
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !Path::new(&name).components().all(plain) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.left = u64::from_be_bytes(size);
        Ok(Some((name, Content { input: &mut self.input, left: &mut self.left })))
    }
}

struct Content<'a, R> {
    input: &'a mut R,
    left: &'a mut u64,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.take(*self.left).read(bytes)?;
        if read == 0 && *self.left > 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *self.left -= u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let (mut unpacker, mut found) = (Unpacker::begin(bytes)?, Vec::new());
        while let Some((name, mut content)) = unpacker.next()? {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.push((name, bytes));
        }
        Ok(found)
    }

    #[test]
    fn archive_gives_back_what_was_packed_and_leads_nowhere_else() {
        let mut bytes = Vec::new();
        let mut packer = Packer::begin(&mut bytes).unwrap();
        packer.bytes("a", b"one").unwrap();
        packer.bytes("b/c", b"").unwrap();
        packer.finish().unwrap();
        let expected = vec![("a".to_owned(), b"one".to_vec()), ("b/c".to_owned(), Vec::new())];
        assert_eq!(all(&bytes).unwrap(), expected);
        for cut in 0..bytes.len() {
            assert!(all(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for name in ["../a", "/etc/passwd", "a/../../b"] {
            let mut bytes = Vec::new();
            let mut packer = Packer::begin(&mut bytes).unwrap();
            packer.bytes(name, b"x").unwrap();
            packer.finish().unwrap();
            assert!(all(&bytes).is_err(), "{name}");
        }
    }
}
