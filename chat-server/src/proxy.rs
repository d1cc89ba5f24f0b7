//! The header of the PROXY protocol, ahead of a connection's own first byte: it says whose connection a
//! proxy brings.
//!
//! What it looks like is told in <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a proxy may take for its header, which it has at hand when it connects: long enough for a
/// lost segment to be sent again, the protocol asks for 3 s.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// A header of version 1 is no longer than this.
const LONGEST_TEXT_BYTES: usize = 107;

/// One of version 2 may be, by what proxies add to the addresses (of TLS, for the most part). The
/// protocol wants it to fit a segment.
const LONGEST_BYTES: usize = 1024;

/// What version 2 begins with: signature, command, family, and the length of the rest.
const FIXED_BYTES: usize = 16;

/// Why a header is of no use.
#[derive(Debug, Error)]
pub(crate) enum HeaderError {
    /// The peer hung up without a word.
    #[error("the connection ended before the header")]
    Absent,
    /// The peer hung up within the header.
    #[error("the connection ended within the header")]
    Cut,
    /// Something else was sent, or a header that contradicts itself.
    #[error("this is no header of the PROXY protocol")]
    Malformed,
    /// It announces more than is read.
    #[error("the header is longer than {LONGEST_BYTES} bytes")]
    Oversized,
    /// It did not come in time.
    #[error("the header did not come in time")]
    Late,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Broken(#[from] io::Error),
}

/// Reads the header and not a byte more; gives the address that it names, if it names one.
///
/// # Cancel safety
/// None: what was read of the header is gone, and the connection with it.
pub(crate) async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderError> {
    // Apart from the future, whose memory would otherwise be this long for the whole wait.
    let mut bytes = vec![0; LONGEST_BYTES];
    let mut read = 0;
    loop {
        let there = match stream.peek(&mut bytes[read..]).await? {
            0 if read == 0 => return Err(HeaderError::Absent),
            0 => return Err(HeaderError::Cut),
            more => read + more,
        };
        let parsed = parse(&bytes[..there])?;
        // As long as the header is not complete, all that is there belongs to it.
        let end = parsed.as_ref().map_or(there, |header| header.len);
        stream.read_exact(&mut bytes[read..end]).await?;
        if let Some(header) = parsed {
            return Ok(header.source);
        }
        read = end;
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Header {
    /// `None` where the proxy speaks for itself, as in health checks, or does not know.
    source: Option<SocketAddr>,
    len: usize,
}

/// The header at the front of these bytes; `None` while it is not there as a whole.
fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let is_text = bytes.starts_with(b"P");
    let longest = if is_text { LONGEST_TEXT_BYTES } else { LONGEST_BYTES };
    let bytes = &bytes[..bytes.len().min(longest)];
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, len)) => match header.proxied_address() {
            Some(address) if address.protocol != Protocol::Stream => Err(HeaderError::Malformed),
            address => Ok(Some(Header { source: address.map(|address| address.source), len })),
        },
        Err(proxy_header::Error::BufferTooShort) if is_text => Ok(None),
        Err(proxy_header::Error::BufferTooShort) => match announced(bytes) {
            Some(len) if len > LONGEST_BYTES => Err(HeaderError::Oversized),
            // Its addresses do not fit the length that it gives.
            Some(len) if len <= bytes.len() => Err(HeaderError::Malformed),
            _ => Ok(None),
        },
        Err(_) => Err(HeaderError::Malformed),
    }
}

/// How long the header of version 2 is that these bytes begin with, once that is known.
fn announced(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(FIXED_BYTES - 2..FIXED_BYTES)?;
    Some(FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2 with these bytes after the length that it gives.
    fn binary(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        let fixed = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length.to_be_bytes()];
        [fixed.concat(), rest.to_vec()].concat()
    }

    #[test]
    fn a_text_header_ends_within_its_bound() {
        let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
        assert_eq!(longest.len(), LONGEST_TEXT_BYTES);
        let header = Header { source: None, len: LONGEST_TEXT_BYTES };
        assert_eq!(parse(&longest).expect("a header"), Some(header));
        let beyond = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat();
        assert!(matches!(parse(&beyond), Err(HeaderError::Malformed)));
    }

    #[test]
    fn a_binary_header_ends_within_its_bound_as_soon_as_its_length_is_known() {
        let room = u16::try_from(LONGEST_BYTES - FIXED_BYTES).expect("small");
        let longest = binary(0x20, 0, room, &vec![0; room.into()]);
        let header = Header { source: None, len: LONGEST_BYTES };
        assert_eq!(parse(&longest).expect("a header"), Some(header));
        assert!(matches!(parse(&binary(0x20, 0, room + 1, &[])), Err(HeaderError::Oversized)));
    }

    #[test]
    fn a_length_without_room_for_the_addresses_is_not_waited_for() {
        assert!(matches!(parse(&binary(0x21, 0x11, 4, &[0; 4])), Err(HeaderError::Malformed)));
        assert!(matches!(parse(&binary(0x21, 0x21, 12, &[0; 12])), Err(HeaderError::Malformed)));
    }

    #[test]
    fn a_header_of_datagrams_is_none_of_a_stream() {
        assert!(matches!(parse(&binary(0x21, 0x12, 12, &[0; 12])), Err(HeaderError::Malformed)));
    }

    #[test]
    fn sockets_without_addresses_are_unknown() {
        let header = Header { source: None, len: FIXED_BYTES + 216 };
        assert_eq!(parse(&binary(0x21, 0x31, 216, &[b'/'; 216])).expect("a header"), Some(header));
    }

    #[test]
    fn no_byte_is_refused_before_it_differs() {
        for header in [b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(), binary(0x20, 0, 3, b"abc")]
        {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]).expect("a beginning"), None);
            }
            let followed = [header.as_slice(), b"\r\nmore"].concat();
            assert_eq!(parse(&followed).expect("a header").map(|header| header.len), Some(header.len()));
        }
    }
}
