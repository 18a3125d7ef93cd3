//! The binary layout shared by envelopes, operations, rosters and frames: big-endian, no optional
//! fields, every length bounded before anything is allocated.

use crate::ids::{BlobId, Cell, Code, DocId, EnvelopeId, MemberId};
use crate::limits::INTEGER_MAX;

/// Why bytes do not parse. The same bytes fail the same way at every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end before the layout does.
    #[error("the bytes end too early")]
    Short,
    /// Bytes are left over after the layout ends.
    #[error("bytes are left over")]
    Trailing,
    /// A length or a count is above its limit.
    #[error("a length is above its limit")]
    TooLong,
    /// A value that the layout does not have.
    #[error("a value that the layout does not have")]
    Value,
    /// An integer above 2^53.
    #[error("an integer above 2^53")]
    Integer,
    /// A list that must be sorted and unique is not.
    #[error("a list is not sorted and unique")]
    Order,
}

/// Writes a layout.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    /// How many bytes are written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True before the first byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }
    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }
    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }
    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }
    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// A u32 length, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("callers bound their bytes far below 4 GiB"));
        self.raw(bytes)
    }
    /// A u16 count, then each item by `write`.
    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u16(u16::try_from(items.len()).expect("callers bound their lists far below 65,536"));
        for item in items {
            write(self, item);
        }
        self
    }
    /// A jurisdiction code: two bytes of country, four of number.
    pub fn code(&mut self, code: Code) -> &mut Self {
        self.raw(&code.country).u32(code.number)
    }
}

/// Reads a layout; never reads past the end, never allocates more than is there.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Over `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }
    /// Ends the layout: an error if bytes are left over.
    pub fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
    /// `length` bytes as they are.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(WireError::Short)?;
        self.0 = tail;
        Ok(head)
    }
    /// A fixed array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.raw(N)?.try_into().map_err(|_| WireError::Short)
    }
    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }
    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    /// Eight bytes, any value.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    /// Eight bytes that hold a number people count with: at most 2^53, so that it is the same number
    /// in JSON, SQLite and Automerge.
    pub fn integer(&mut self) -> Result<u64, WireError> {
        let value = self.u64()?;
        if value > INTEGER_MAX { Err(WireError::Integer) } else { Ok(value) }
    }
    /// A byte that is 0 or 1.
    pub fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Value),
        }
    }
    /// A u32 length of at most `bytes_max`, then the bytes.
    pub fn bytes(&mut self, bytes_max: usize) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).map_err(|_| WireError::TooLong)?;
        if length > bytes_max {
            return Err(WireError::TooLong);
        }
        self.raw(length)
    }
    /// A u32 length of at most `bytes_max`, then UTF-8 text.
    pub fn text(&mut self, bytes_max: usize) -> Result<String, WireError> {
        String::from_utf8(self.bytes(bytes_max)?.to_vec()).map_err(|_| WireError::Value)
    }
    /// A u16 count of at most `items_max`, then each item by `read`.
    pub fn list<T>(
        &mut self,
        items_max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = usize::from(self.u16()?);
        if count > items_max {
            return Err(WireError::TooLong);
        }
        (0..count).map(|_| read(self)).collect()
    }
    /// A list whose items must be strictly ascending.
    pub fn sorted<T: Ord>(
        &mut self,
        items_max: usize,
        read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let items = self.list(items_max, read)?;
        if items.is_sorted_by(|a, b| a < b) { Ok(items) } else { Err(WireError::Order) }
    }
    /// A jurisdiction code.
    pub fn code(&mut self) -> Result<Code, WireError> {
        let code = Code { country: self.array()?, number: self.u32()? };
        let lettered = code.country.iter().all(u8::is_ascii_uppercase) && code.number <= 999_999_999;
        if lettered || code == Code::OUTSIDE { Ok(code) } else { Err(WireError::Value) }
    }
    /// A cell.
    pub fn cell(&mut self) -> Result<Cell, WireError> {
        Ok(Cell(self.u64()?))
    }
    /// An envelope's id.
    pub fn envelope_id(&mut self) -> Result<EnvelopeId, WireError> {
        Ok(EnvelopeId(self.array()?))
    }
    /// A document's id.
    pub fn doc_id(&mut self) -> Result<DocId, WireError> {
        Ok(DocId(self.array()?))
    }
    /// A member's id.
    pub fn member_id(&mut self) -> Result<MemberId, WireError> {
        Ok(MemberId(self.array()?))
    }
    /// A blob's commitment.
    pub fn blob_id(&mut self) -> Result<BlobId, WireError> {
        Ok(BlobId(self.array()?))
    }
}
