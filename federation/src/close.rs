//! Why a connection is closed: the application error codes that a peer sees.

use quinn::VarInt;

use crate::peers::PeerCounters;

/// The reason sent to the peer when a connection is closed. The number is part of the protocol.
///
/// | code | name | sent when |
/// |---|---|---|
/// | 0 | `Goodbye` | the node stops |
/// | 1 | `Duplicate` | another connection of this pair is kept |
/// | 2 | `KeyNotAccepted` | the roster no longer accepts the key that the peer connected with |
/// | 3 | `WelcomeRefused` | the welcome does not parse, or names another protocol, federation or member |
/// | 4 | `WelcomeLate` | the welcomes or the roster versions took too long |
/// | 5 | `RosterRefused` | a roster version that the peer sent does not hold |
/// | 6 | `FrameTooLarge` | a length is 0 or above its limit |
/// | 7 | `UnknownLane` | a stream begins with a byte that names no lane |
/// | 8 | `FrameRefused` | a frame does not parse, or is no honest node's |
/// | 9 | `OutOfOrder` | a lane was opened twice or ended, or a control frame came out of turn |
/// | 10 | `Backlog` | the peer reads slower than it is written to, and its queue is full |
/// | 11 | `NoPong` | nothing was heard in time after a ping |
/// | 12 | `Internal` | a task of this connection, or what its frame set off, failed at our end |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum CloseCode {
    /// The node stops.
    Goodbye = 0,
    /// Another connection of this pair is kept.
    Duplicate = 1,
    /// The roster no longer accepts the peer's key.
    KeyNotAccepted = 2,
    /// The welcome does not parse, or names another protocol, federation or member.
    WelcomeRefused = 3,
    /// The welcomes or the roster versions took too long.
    WelcomeLate = 4,
    /// A roster version that the peer sent does not hold.
    RosterRefused = 5,
    /// A length is 0 or above its limit.
    FrameTooLarge = 6,
    /// A stream begins with a byte that names no lane.
    UnknownLane = 7,
    /// A frame does not parse, or is no honest node's.
    FrameRefused = 8,
    /// A lane was opened twice or ended, or a control frame came out of turn.
    OutOfOrder = 9,
    /// The peer's queue is full.
    Backlog = 10,
    /// Nothing was heard in time after a ping.
    NoPong = 11,
    /// A task of this connection, or what its frame set off, failed at our end.
    Internal = 12,
}

impl CloseCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [CloseCode; 13] = [
        CloseCode::Goodbye,
        CloseCode::Duplicate,
        CloseCode::KeyNotAccepted,
        CloseCode::WelcomeRefused,
        CloseCode::WelcomeLate,
        CloseCode::RosterRefused,
        CloseCode::FrameTooLarge,
        CloseCode::UnknownLane,
        CloseCode::FrameRefused,
        CloseCode::OutOfOrder,
        CloseCode::Backlog,
        CloseCode::NoPong,
        CloseCode::Internal,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// True for what only a peer that breaks a rule brings about.
    #[must_use]
    pub fn accuses(self) -> bool {
        match self {
            CloseCode::WelcomeRefused
            | CloseCode::WelcomeLate
            | CloseCode::RosterRefused
            | CloseCode::FrameTooLarge
            | CloseCode::UnknownLane
            | CloseCode::FrameRefused
            | CloseCode::OutOfOrder => true,
            CloseCode::Goodbye
            | CloseCode::Duplicate
            | CloseCode::KeyNotAccepted
            | CloseCode::Backlog
            | CloseCode::NoPong
            | CloseCode::Internal => false,
        }
    }
    /// Closes `connection` with this code and its name, and counts it, unless it has ended already.
    pub(crate) fn close(self, connection: &quinn::Connection, counters: &PeerCounters) {
        if connection.close_reason().is_some() {
            return;
        }
        counters.close(self);
        connection.close(VarInt::from_u32(self.number()), format!("{self:?}").as_bytes());
    }

    fn from_number(number: u64) -> Option<CloseCode> {
        Self::ALL.into_iter().find(|code| u64::from(code.number()) == number)
    }
}

/// Who ended a connection, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// We closed it.
    ByUs(CloseCode),
    /// The peer closed it; `None` for a code that this release does not know.
    ByPeer(Option<CloseCode>),
    /// Nothing was heard for too long, or the peer's machine forgot the connection.
    Lost,
    /// TLS or QUIC failed below us: a stranger's key, another protocol, rubbish.
    Refused,
}

impl Ended {
    pub(crate) fn from_error(error: &quinn::ConnectionError, ours: CloseCode) -> Ended {
        use quinn::ConnectionError as Error;
        match error {
            Error::ApplicationClosed(close) => {
                Ended::ByPeer(CloseCode::from_number(close.error_code.into_inner()))
            }
            Error::LocallyClosed => Ended::ByUs(ours),
            Error::TimedOut | Error::Reset => Ended::Lost,
            Error::VersionMismatch
            | Error::TransportError(_)
            | Error::ConnectionClosed(_)
            | Error::CidsExhausted => Ended::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_numbers() {
        for (number, code) in CloseCode::ALL.into_iter().enumerate() {
            assert_eq!(code.number(), u32::try_from(number).unwrap());
            assert_eq!(CloseCode::from_number(number as u64), Some(code));
        }
        assert_eq!(CloseCode::from_number(13), None);
    }

    #[test]
    fn page_and_comment_list_every_code_alike() {
        let page = include_str!("../../docs/connections.md");
        let comment = include_str!("close.rs");
        for code in CloseCode::ALL {
            let row = format!("| {} | `{code:?}` | ", code.number());
            let line = page.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("no row {row}"));
            assert!(comment.contains(line), "{line}");
        }
    }
}
