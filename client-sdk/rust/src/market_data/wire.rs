//! Reading protobuf by hand: fields of one message, in order, out of a slice.
//!
//! Accepts what prost accepts, except groups, which nothing here ever sends. Never panics and
//! never allocates.

use thiserror::Error;

/// The bytes are not what the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed market data: {0}")]
pub struct Malformed(pub(crate) &'static str);

/// One field as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The rest of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field: its number and its value.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).map_err(|_| Malformed("field number too large"))?;
        if field == 0 {
            return Err(Malformed("field number zero"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed("unknown wire type")),
        };
        Ok(Some((field, value)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(LONGEST_VARINT).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == LONGEST_VARINT - 1 && byte > 1 {
                    return Err(Malformed("number over 64 bits"));
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed("number without an end"))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed("length too large"))?;
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(Malformed("length beyond the end"))?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) =
            self.rest.split_first_chunk::<N>().ok_or(Malformed("number beyond the end"))?;
        self.rest = rest;
        Ok(*array)
    }
}

impl<'a> Value<'a> {
    /// A `uint64`.
    #[inline]
    pub(crate) fn uint64(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(WRONG_TYPE),
        }
    }

    /// A `uint32`; like prost, the low bits of a longer number.
    #[inline]
    pub(crate) fn uint32(self) -> Result<u32, Malformed> {
        Ok(self.uint64()? as u32)
    }

    /// An `int32`; like prost, the low bits of a longer number.
    #[inline]
    pub(crate) fn int32(self) -> Result<i32, Malformed> {
        Ok(self.uint64()? as i32)
    }

    /// An `int64`.
    #[inline]
    pub(crate) fn int64(self) -> Result<i64, Malformed> {
        Ok(self.uint64()? as i64)
    }

    /// A `bool`.
    #[inline]
    pub(crate) fn bool(self) -> Result<bool, Malformed> {
        Ok(self.uint64()? != 0)
    }

    /// A `double`.
    #[inline]
    pub(crate) fn double(self) -> Result<f64, Malformed> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// A message, or `bytes`.
    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WRONG_TYPE),
        }
    }

    /// A `string`.
    #[inline]
    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("text that is not UTF-8"))
    }
}

const LONGEST_VARINT: usize = 10;
const WRONG_TYPE: Malformed = Malformed("field of another type");
