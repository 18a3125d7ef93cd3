//! Numbers of the operations on the wire; none is ever used for something else.

/// `open`
pub const OPEN: u16 = 1;
/// `step`
pub const STEP: u16 = 2;
/// `reclassify`
pub const RECLASSIFY: u16 = 3;
/// `relocate`
pub const RELOCATE: u16 = 4;
/// `invite`
pub const INVITE: u16 = 5;
/// `refer`
pub const REFER: u16 = 6;
/// `close`
pub const CLOSE: u16 = 7;
/// `reopen`
pub const REOPEN: u16 = 8;
/// `absorb`
pub const ABSORB: u16 = 9;
/// `answer referral`
pub const ANSWER_REFERRAL: u16 = 10;
/// `respond`
pub const RESPOND: u16 = 11;
/// `note`
pub const NOTE: u16 = 12;
/// `media`
pub const MEDIA: u16 = 13;
/// `contribution`
pub const CONTRIBUTION: u16 = 14;
/// `dispute`
pub const DISPUTE: u16 = 15;
/// `link`
pub const LINK: u16 = 16;
/// `unlink`
pub const UNLINK: u16 = 17;
/// `offer`
pub const OFFER: u16 = 18;
/// `accept`
pub const ACCEPT: u16 = 19;
/// `commit`
pub const COMMIT: u16 = 20;
/// `decline`
pub const DECLINE: u16 = 21;
/// `takeover offer`
pub const TAKEOVER_OFFER: u16 = 22;
/// `takeover commit`
pub const TAKEOVER_COMMIT: u16 = 23;
/// `seal`
pub const SEAL: u16 = 24;
/// `release`
pub const RELEASE: u16 = 25;
/// `redact`
pub const REDACT: u16 = 26;
/// `erased`
pub const ERASED: u16 = 27;
/// `retire`
pub const RETIRE: u16 = 28;
/// `notice open`
pub const NOTICE_OPEN: u16 = 29;
/// `notice update`
pub const NOTICE_UPDATE: u16 = 30;
/// `notice cancel`
pub const NOTICE_CANCEL: u16 = 31;
/// `summary`
pub const SUMMARY: u16 = 32;

/// Name and number of every operation.
pub const TABLE: [(&str, u16); 32] = [
    ("open", OPEN),
    ("step", STEP),
    ("reclassify", RECLASSIFY),
    ("relocate", RELOCATE),
    ("invite", INVITE),
    ("refer", REFER),
    ("close", CLOSE),
    ("reopen", REOPEN),
    ("absorb", ABSORB),
    ("answer referral", ANSWER_REFERRAL),
    ("respond", RESPOND),
    ("note", NOTE),
    ("media", MEDIA),
    ("contribution", CONTRIBUTION),
    ("dispute", DISPUTE),
    ("link", LINK),
    ("unlink", UNLINK),
    ("offer", OFFER),
    ("accept", ACCEPT),
    ("commit", COMMIT),
    ("decline", DECLINE),
    ("takeover offer", TAKEOVER_OFFER),
    ("takeover commit", TAKEOVER_COMMIT),
    ("seal", SEAL),
    ("release", RELEASE),
    ("redact", REDACT),
    ("erased", ERASED),
    ("retire", RETIRE),
    ("notice open", NOTICE_OPEN),
    ("notice update", NOTICE_UPDATE),
    ("notice cancel", NOTICE_CANCEL),
    ("summary", SUMMARY),
];
