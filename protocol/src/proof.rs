//! Proofs that an author said two things in one place of its chain: what it signed, and nothing that
//! anybody else says. A proof convinces whoever holds the federation's rosters, with no other envelope of
//! the document in hand, so it travels by itself.

use std::collections::BTreeSet;

use crate::envelope::{Header, Signed, SignedEnvelope, Verdicts, strictly};
use crate::ids::{DocId, EnvelopeId, Incarnation, MemberId, Seq, sha256};
use crate::limits::{INCARNATIONS_MAX, SIGNATURE_BYTES_MAX, STATEMENT_BYTES_MAX};
use crate::roster::{KeyPurpose, KeyState, RosterChain};
use crate::wire::{Reader, WireError, Writer};

/// A place on an author's chain: generation, then position.
pub type ChainPlace = (Incarnation, Seq);

/// What somebody signed: an envelope without its operation's bytes, whose hash is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    id: EnvelopeId,
    header: Header,
    signature: Vec<u8>,
}

/// Why a statement proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It names a roster version that is not held yet.
    #[error("the roster version that it names is not held")]
    UnknownRoster,
    /// Its author's key may not sign under the roster that it names.
    #[error("its author's key may not sign under the roster that it names")]
    Key,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    BadSignature,
}

impl Statement {
    /// What an envelope's author signed.
    #[must_use]
    pub fn of(envelope: &SignedEnvelope) -> Statement {
        let (header, signature) = (envelope.header().clone(), envelope.signature().to_vec());
        Statement { id: envelope.id(), header, signature }
    }

    /// The envelope's id.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.id
    }

    /// What was signed.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, then the signature behind its u16 length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.header.write(&mut w);
        w.u16(u16::try_from(self.signature.len()).expect("signatures are bounded by SIGNATURE_BYTES_MAX"));
        w.raw(&self.signature);
        w.into_bytes()
    }

    /// Parses what [`Statement::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Statement, WireError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut r = Reader::new(bytes);
        let header = Header::read(&mut r)?;
        let signature_len = usize::from(r.u16()?);
        if signature_len > SIGNATURE_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let signature = r.raw(signature_len)?.to_vec();
        r.end()?;
        Ok(Statement { id: EnvelopeId(sha256(&[&header.sig_input()])), header, signature })
    }

    /// Checks that its author signed it with a key that was good under the roster that it names. Costs
    /// one Ed25519 verification.
    pub fn verify(self, rosters: &RosterChain) -> Result<VerifiedStatement, StatementError> {
        self.verify_by(rosters, &strictly)
    }

    /// As [`Statement::verify`], with the verdict on the signature from `verdicts`.
    pub(crate) fn verify_by(
        self,
        rosters: &RosterChain,
        verdicts: &Verdicts<'_>,
    ) -> Result<VerifiedStatement, StatementError> {
        let roster = rosters.get(&self.header.roster).ok_or(StatementError::UnknownRoster)?;
        let key = roster
            .member(&self.header.author)
            .and_then(|member| member.key(self.header.key_index))
            .filter(|key| key.purpose == KeyPurpose::Envelope && key.state == KeyState::Active)
            .filter(|_| self.header.federation == rosters.federation())
            .ok_or(StatementError::Key)?;
        let mut header = Writer::new();
        self.header.write(&mut header);
        let (header, signature) = (header.into_bytes(), &self.signature);
        let signed = Signed { id: self.id, header: &header, public: &key.public, signature };
        let holds = verdicts(&[signed]) == [true];
        if holds { Ok(VerifiedStatement(self)) } else { Err(StatementError::BadSignature) }
    }
}

/// A statement whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement(Statement);

impl VerifiedStatement {
    /// Of an envelope whose signature was verified before.
    pub(crate) fn of_verified(envelope: &SignedEnvelope) -> VerifiedStatement {
        VerifiedStatement(Statement::of(envelope))
    }

    /// What was stated.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.0
    }
}

/// A proof that an author equivocated in a document: two statements in one place of its chain, or more
/// generations of it than an author may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    doc: DocId,
    author: MemberId,
    from: ChainPlace,
    statements: Vec<Statement>,
}

impl Proof {
    /// Of statements whose signatures hold; none if they prove nothing.
    #[must_use]
    pub fn of(statements: Vec<VerifiedStatement>) -> Option<Proof> {
        let mut statements: Vec<Statement> = statements.into_iter().map(|verified| verified.0).collect();
        statements.sort_by_key(Statement::id);
        Self::judge(statements)
    }

    fn judge(statements: Vec<Statement>) -> Option<Proof> {
        let first = statements.first()?.header();
        let (doc, author) = (first.doc, first.author);
        let (place, count) = (place_of(first), statements.len());
        let of_one = statements.iter().all(|s| s.header().doc == doc && s.header().author == author);
        if !of_one || !statements.is_sorted_by(|a, b| a.id() < b.id()) {
            return None;
        }
        let generations: BTreeSet<Incarnation> = statements.iter().map(|s| s.header().incarnation).collect();
        let forks = count == 2 && statements.iter().all(|s| place_of(s.header()) == place);
        let swarms = count == INCARNATIONS_MAX + 1 && generations.len() == count;
        // So many generations leave no place of the chain to believe.
        let from = if forks { place } else { (Incarnation(0), Seq(0)) };
        (forks || swarms).then_some(Proof { doc, author, from, statements })
    }

    /// The name under which peers tell each other of it, among the heads: the same for every proof from
    /// the same place on, whichever statements it holds.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        let (incarnation, seq) = self.from;
        let place = [&incarnation.0.to_be_bytes()[..], &seq.0.to_be_bytes()].concat();
        EnvelopeId(sha256(&[b"cuadra/equivocation/v1\0", &self.doc.0, &self.author.0, &place]))
    }

    /// The document.
    #[must_use]
    pub fn doc(&self) -> DocId {
        self.doc
    }

    /// Who equivocated.
    #[must_use]
    pub fn author(&self) -> MemberId {
        self.author
    }

    /// From which place of its chain on its word has no effect.
    #[must_use]
    pub fn from(&self) -> ChainPlace {
        self.from
    }

    /// What proves it, by id.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// As kept in a store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.list(&self.statements, |w, statement| _ = w.bytes(&statement.encode()));
        w.into_bytes()
    }

    /// Reads back what this node verified and stored itself: no signature is looked at again.
    pub fn from_store(bytes: &[u8]) -> Result<Proof, WireError> {
        let mut r = Reader::new(bytes);
        let read = |r: &mut Reader<'_>| Statement::decode(r.bytes(STATEMENT_BYTES_MAX)?);
        let statements = r.list(INCARNATIONS_MAX + 1, read)?;
        r.end()?;
        Self::judge(statements).ok_or(WireError::Value)
    }
}

fn place_of(header: &Header) -> ChainPlace {
    (header.incarnation, header.seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::{Draft, Hand, seal};
    use crate::document::Document;
    use crate::envelope::AdmittedEnvelope;
    use crate::fixture::{Federation, Scribe, member_key, somebody};
    use crate::ids::Millis;
    use crate::operation::Operation;

    /// A note of member 1 in a generation, on a document that it sees for the first time.
    fn note(federation: &Federation, document: &Document, counter: u32, at: u64) -> AdmittedEnvelope {
        let hand = Hand { incarnation: Incarnation::new(counter, 1), ..federation.hand(1) };
        let operation = Operation::Note { by: somebody(1) };
        let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: Millis(at) };
        seal(&draft, Some(document), &hand, &federation.rosters).expect("an involved node notes")
    }

    fn verified(federation: &Federation, envelope: &AdmittedEnvelope) -> VerifiedStatement {
        let bytes = Statement::of(envelope.signed()).encode();
        let statement = Statement::decode(&bytes).expect("it was encoded here");
        assert_eq!(statement.id(), envelope.id());
        statement.verify(&federation.rosters).expect("it is well signed")
    }

    #[test]
    fn two_statements_in_one_place_are_a_proof_and_two_in_different_places_are_none() {
        let federation = Federation::new(2);
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[1]);
        let opened = scribe.document.clone();
        let (a, b) = (note(&federation, &opened, 0, 1), note(&federation, &opened, 0, 2));
        let later = note(&federation, &opened, 1, 3);
        let of = |pair: [&AdmittedEnvelope; 2]| {
            Proof::of(pair.map(|envelope| verified(&federation, envelope)).to_vec())
        };
        let proof = of([&a, &b]).expect("one place, two statements");
        assert_eq!((proof.author(), proof.from()), (federation.id(1), a.chain_place()));
        assert_eq!(of([&b, &a]).as_ref(), Some(&proof), "their order is nothing");
        assert_eq!(Proof::from_store(&proof.encode()).as_ref(), Ok(&proof));
        let third = of([&a, &note(&federation, &opened, 0, 9)]).expect("it is a proof too");
        assert_eq!(third.id(), proof.id(), "told of under one name");
        assert_eq!(of([&a, &a]), None, "one statement twice");
        assert_eq!(of([&a, &later]), None, "a generation later");
        assert_eq!(of([&a, &opened.genesis().cloned().expect("it is open")]), None, "two authors");
    }

    #[test]
    fn more_generations_than_an_author_may_have_are_a_proof() {
        let federation = Federation::new(2);
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[1]);
        let opened = scribe.document.clone();
        let generations = |count: usize| {
            let notes = (0..count).map(|n| note(&federation, &opened, u32::try_from(n).expect("few"), 1));
            Proof::of(notes.map(|envelope| verified(&federation, &envelope)).collect())
        };
        assert_eq!(generations(INCARNATIONS_MAX), None);
        let proof = generations(INCARNATIONS_MAX + 1).expect("one more than there may be");
        assert_eq!(proof.from(), (Incarnation(0), Seq(0)));
        assert_eq!(Proof::from_store(&proof.encode()), Ok(proof));
    }

    #[test]
    fn statement_that_its_author_did_not_sign_is_none() {
        let federation = Federation::new(2);
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[1]);
        let opened = scribe.document.clone();
        let written = note(&federation, &opened, 0, 1);
        let mut forged = Statement::of(written.signed());
        forged.header.seq = Seq(7);
        assert_eq!(forged.verify(&federation.rosters), Err(StatementError::BadSignature));
        let mut stranger = Statement::of(written.signed());
        stranger.header.author = MemberId(member_key(9, 9).verifying_key().to_bytes());
        assert_eq!(stranger.verify(&federation.rosters), Err(StatementError::Key));
        let newer = Federation::new(3);
        let statement = Statement::of(written.signed());
        assert_eq!(statement.verify(&newer.rosters), Err(StatementError::UnknownRoster));
    }
}
