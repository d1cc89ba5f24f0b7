//! An entry of a conversation's log and its canonical bytes.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::content::fields::{self, Malformed, put_bytes, put_present, put_uint};
use crate::{ClientId, Content, Seq, Timestamp, UserId};

/// What an entry is, by number. Numbers are never reused; those a node does not know pass through it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u16);

impl Kind {
    /// The kind with this number: 16 to 18,999, the tags that canonical bytes leave for contents.
    pub const fn new(number: u64) -> Result<Self, Malformed> {
        if number >= 16 && number < 19_000 {
            Ok(Self(number as u16))
        } else {
            Err(Malformed("kind outside 16 to 18999"))
        }
    }

    pub(crate) const fn known(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.0)
    }
}

/// One entry of a log, as it is stored, published and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the conversation.
    pub seq: Seq,
    /// When it was committed: the writing node's clock, never before the entry ahead of it.
    pub time: Timestamp,
    /// Who wrote it.
    pub sender: UserId,
    /// What the sender's client called it; `None` for entries that follow from another one.
    pub client_id: Option<ClientId>,
    /// Whether it counts as a message: for unread counts and pages of history.
    pub countable: bool,
    /// The number of countable entries up to and including it.
    pub ordinal: u64,
    /// The entry of the same conversation that it changes, answers or reacts to.
    pub target: Option<Seq>,
    /// What it is.
    pub kind: Kind,
    /// The canonical bytes of its content, `None` once it was redacted.
    pub content: Option<Bytes>,
}

impl Entry {
    /// The content in terms of this version.
    ///
    /// # Errors
    /// Bytes that are not what their kind says.
    pub fn decode_content(&self) -> Result<Content, Malformed> {
        match &self.content {
            Some(bytes) => Content::decode(self.kind, bytes),
            None => Ok(Content::Redacted),
        }
    }

    /// Roughly what it occupies in memory and on the wire, in bytes.
    pub fn size_bytes(&self) -> usize {
        64 + self.content.as_ref().map_or(0, Bytes::len)
    }

    /// Appends the canonical bytes: the same in exports, between nodes and to clients, where they are
    /// the message `chat.v1.Entry`. The content stands under the kind's own number as its tag, so
    /// that whoever does not know the kind can still carry it.
    pub fn encode(&self, out: &mut BytesMut) {
        put_uint(out, 1, self.seq);
        put_uint(out, 2, self.time.0);
        put_uint(out, 3, self.sender.number());
        put_bytes(out, 4, self.client_id.as_ref().map_or(&[], |id| &id.0));
        put_uint(out, 5, u64::from(self.countable));
        put_uint(out, 6, self.ordinal);
        put_uint(out, 7, self.target.unwrap_or(0));
        put_uint(out, 8, u64::from(self.kind.0));
        if let Some(content) = &self.content {
            put_present(out, u32::from(self.kind.0), content);
        }
    }

    /// Reads what [`Entry::encode`] wrote; the content shares the memory of `input`.
    ///
    /// # Errors
    /// Bytes that are no entry.
    pub fn decode(mut input: Bytes) -> Result<Self, Malformed> {
        let (mut seq, mut time, mut sender, mut ordinal, mut target) = (0, 0, 0, 0, 0);
        let (mut client_id, mut countable, mut kind, mut content) = (None, false, 0, None);
        while let Some((tag, value)) = fields::take_field(&mut input)? {
            match tag {
                1 => seq = value.uint()?,
                2 => time = value.uint()?,
                3 => sender = value.uint()?,
                4 => {
                    let id = ClientId::from_slice(&value.bytes()?);
                    client_id = Some(id.map_err(|_| Malformed("client id"))?);
                }
                5 => countable = value.uint()? != 0,
                6 => ordinal = value.uint()?,
                7 => target = value.uint()?,
                8 => kind = value.uint()?,
                content_tag if u64::from(content_tag) == kind => content = Some(value.bytes()?),
                _ => {}
            }
        }
        if seq == 0 {
            return Err(Malformed("entry without seq"));
        }
        Ok(Self {
            seq,
            time: Timestamp(time),
            sender: UserId::new(sender).map_err(|_| Malformed("sender"))?,
            client_id,
            countable,
            ordinal,
            target: (target != 0).then_some(target),
            kind: Kind::new(kind)?,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            seq: 7,
            time: Timestamp(1_700_000_000_000),
            sender: UserId::new(5).expect("valid"),
            client_id: Some(ClientId([9; 16])),
            countable: true,
            ordinal: 6,
            target: Some(3),
            kind: Kind::new(999).expect("valid"),
            content: Some(Bytes::from_static(b"\x0a\x02hi")),
        }
    }

    #[test]
    fn entries_of_unknown_kinds_read_back_untouched() {
        for content in [None, Some(Bytes::new()), Some(Bytes::from_static(b"\x0a\x02hi"))] {
            let written = Entry { content, ..entry() };
            let mut out = BytesMut::new();
            written.encode(&mut out);
            assert_eq!(Entry::decode(out.freeze()), Ok(written));
        }
    }

    #[test]
    fn canonical_bytes_do_not_change() {
        let mut out = BytesMut::new();
        entry().encode(&mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "08071080d095ffbc3118052210090909090909090909090909090909092801300638034\
             0e707ba3e040a026869"
        );
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let mut out = BytesMut::new();
        entry().encode(&mut out);
        let whole = out.freeze();
        for cut in 1..whole.len() {
            let part = Entry::decode(whole.slice(..cut));
            assert!(part.is_err() || part != Ok(entry()), "{cut}");
        }
    }
}
