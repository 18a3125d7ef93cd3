//! With what this node signs: the roster says which of the keys that it holds.

use std::sync::PoisonError;

use ed25519_dalek::SigningKey;
use protocol::author::Hand;
use protocol::ids::Incarnation;
use protocol::roster::{Roster, RosterChain};

use crate::store::{Shared, Store};

impl Shared {
    /// What this node signs with under this roster; none if it holds no active key.
    pub(crate) fn hand(&self, roster: &Roster, incarnation: Incarnation) -> Option<Hand> {
        let held = self.own_keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        Hand::under(roster, self.member, &held, incarnation)
    }

    /// What this node begins a document with, and the roster that its genesis names.
    pub(crate) fn hand_to_begin<'a>(
        &self,
        rosters: &'a RosterChain,
        incarnation: Incarnation,
    ) -> Option<(Hand, &'a Roster)> {
        let held = self.own_keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        Hand::to_begin(rosters, self.member, &held, incarnation, self.rules)
    }
}

impl Store {
    /// Every envelope key that this node holds from now on: read from its folder before a roster that may
    /// name a new one is put in force.
    pub fn set_own_keys(&self, keys: Vec<SigningKey>) {
        *self.inner.shared.own_keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// What this node signs with under the newest roster, as its `incarnation`; none if it holds no active
    /// key.
    #[must_use]
    pub fn hand(&self, incarnation: Incarnation) -> Option<Hand> {
        self.inner.shared.hand(self.rosters().head(), incarnation)
    }
}
