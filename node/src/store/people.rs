//! Residents, operators, households, sessions and sign-in codes. All of it is local: no type here
//! ever reaches another node.

use protocol::ids::{Code, DocId, Millis, Pseudonym, sha256};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::store::WriteError;
use crate::store::events::What;
use crate::store::reader::Reader;
use crate::store::seal::Key;
use crate::store::tx::Tx;

/// A person of this node. Means nothing elsewhere and is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub i64);

/// One registered address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HouseholdId(pub i64);

/// What a person is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A registered neighbour.
    Resident,
    /// Somebody at the desk.
    Operator,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Resident => "resident",
            Role::Operator => "operator",
        }
    }
    fn by_name(name: &str) -> Role {
        if name == "operator" { Role::Operator } else { Role::Resident }
    }
}

/// Everything personal; kept sealed under the person's own key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Name or nickname.
    pub name: String,
    /// Registered address; empty for operators.
    pub address: String,
    /// Phone, if given.
    pub phone: Option<String>,
    /// Language of the pages: `es` or `en`.
    pub lang: String,
    /// Home: latitude and longitude in degrees.
    pub home: Option<(f64, f64)>,
}

/// A person to be added.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// What they are.
    pub role: Role,
    /// Their household; residents only.
    pub household: Option<HouseholdId>,
    /// Who they are.
    pub profile: Profile,
    /// Since when.
    pub created: Millis,
}

/// A person, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRow {
    /// Who.
    pub id: PersonId,
    /// What they are.
    pub role: Role,
    /// Their household.
    pub household: Option<HouseholdId>,
    /// Who they are.
    pub profile: Profile,
}

/// A session that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose.
    pub person: PersonId,
    /// What they are.
    pub role: Role,
    /// Until when.
    pub expires: Millis,
}

/// What a code is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFor {
    /// Joining as a new resident.
    Join,
    /// Signing in as this person.
    SignIn(PersonId),
}

impl Tx<'_> {
    /// The household of an address, made if it is new. The same address, however it is written,
    /// is one household.
    pub fn household(
        &mut self,
        address: &str,
        code: Code,
        created: Millis,
    ) -> Result<HouseholdId, WriteError> {
        let mark = address_mark(&self.shared().lookup, address, code);
        let known: Option<i64> = self
            .db()
            .prepare_cached("SELECT id FROM household WHERE address_mark = ?1")?
            .query_row(params![mark], |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            return Ok(HouseholdId(id));
        }
        self.db()
            .prepare_cached("INSERT INTO household (address_mark, code, created_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![mark, code.to_string(), millis(created)])?;
        let id = HouseholdId(self.db().last_insert_rowid());
        self.event(What::Figures, None)?;
        Ok(id)
    }

    /// Adds a person with a fresh key of their own.
    pub fn add_person(&mut self, person: &NewPerson) -> Result<PersonId, WriteError> {
        let phone = person.profile.phone.as_deref();
        let mark = phone.map(|phone| phone_mark(&self.shared().lookup, phone));
        self.db()
            .prepare_cached(
                "INSERT INTO person (role, household, phone_mark, sealed, created_ms, seen_ms)
                 VALUES (?1, ?2, ?3, x'', ?4, ?4)",
            )?
            .execute(params![
                person.role.name(),
                person.household.map(|household| household.0),
                mark,
                millis(person.created)
            ])?;
        let id = PersonId(self.db().last_insert_rowid());
        let key = Key::fresh();
        self.keys().add_person(id.0, &key)?;
        let profile = serde_json::to_vec(&person.profile).expect("a profile is JSON");
        self.db()
            .prepare_cached("UPDATE person SET sealed = ?2 WHERE id = ?1")?
            .execute(params![id.0, key.seal(&row_name(id), &profile)])?;
        Ok(id)
    }

    /// Erases a person: their key first of all, their sessions and codes, the link from their alerts,
    /// and their household if nobody else is in it. The audit's chain stays whole.
    pub fn erase_person(&mut self, person: PersonId) -> Result<(), WriteError> {
        self.want_erased(person)?;
        if let Some(key) = self.keys().person(person.0)? {
            self.db().execute(
                "UPDATE alert SET reporter_mark = NULL, sealed = x'' WHERE reporter_mark = ?1",
                params![reporter_mark(&key)],
            )?;
        }
        self.keys().erase_person(person.0)?;
        let db = self.db();
        let household: Option<i64> = db
            .query_row("SELECT household FROM person WHERE id = ?1", params![person.0], |row| row.get(0))
            .optional()?
            .flatten();
        db.execute("DELETE FROM person WHERE id = ?1", params![person.0])?;
        if let Some(household) = household {
            db.execute(
                "DELETE FROM household WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM person WHERE person.household = ?1)",
                params![household],
            )?;
        }
        self.event(What::Figures, None)
    }

    /// Keeps a code that may be used `uses` times until `expires`.
    pub fn add_code(
        &mut self,
        code: &str,
        good_for: CodeFor,
        uses: u32,
        expires: Millis,
    ) -> Result<(), WriteError> {
        let person = match good_for {
            CodeFor::Join => None,
            CodeFor::SignIn(person) => Some(person.0),
        };
        self.db().execute(
            "INSERT INTO code (code_hash, person, uses_left, expires_ms) VALUES (?1, ?2, ?3, ?4)",
            params![code_hash(code), person, uses, millis(expires)],
        )?;
        Ok(())
    }

    /// Spends one use of a code; `None` if it is unknown, used up or expired.
    pub fn spend_code(&mut self, code: &str) -> Result<Option<CodeFor>, WriteError> {
        let (hash, now) = (code_hash(code), millis(self.now()));
        let db = self.db();
        db.execute("DELETE FROM code WHERE expires_ms <= ?1", params![now])?;
        let person: Option<Option<i64>> = db
            .query_row("SELECT person FROM code WHERE code_hash = ?1", params![hash], |row| row.get(0))
            .optional()?;
        let Some(person) = person else { return Ok(None) };
        db.execute("UPDATE code SET uses_left = uses_left - 1 WHERE code_hash = ?1", params![hash])?;
        db.execute("DELETE FROM code WHERE code_hash = ?1 AND uses_left <= 0", params![hash])?;
        Ok(Some(person.map_or(CodeFor::Join, |person| CodeFor::SignIn(PersonId(person)))))
    }

    /// Begins a session for a token; only its hash is kept.
    pub fn add_session(&mut self, token: &str, person: PersonId, expires: Millis) -> Result<(), WriteError> {
        let now = millis(self.now());
        let db = self.db();
        db.execute("DELETE FROM session WHERE expires_ms <= ?1", params![now])?;
        db.execute(
            "INSERT INTO session (token_hash, person, expires_ms) VALUES (?1, ?2, ?3)",
            params![code_hash(token), person.0, millis(expires)],
        )?;
        db.execute("UPDATE person SET seen_ms = max(seen_ms, ?2) WHERE id = ?1", params![person.0, now])?;
        Ok(())
    }

    /// Lets a session that still holds go on until `expires`: its person came back.
    pub fn prolong_session(&mut self, token: &str, expires: Millis) -> Result<(), WriteError> {
        let now = millis(self.now());
        let db = self.db();
        db.execute(
            "UPDATE session SET expires_ms = max(expires_ms, ?2) WHERE token_hash = ?1 AND expires_ms > ?3",
            params![code_hash(token), millis(expires), now],
        )?;
        db.execute(
            "UPDATE person SET seen_ms = max(seen_ms, ?2)
             WHERE id = (SELECT person FROM session WHERE token_hash = ?1)",
            params![code_hash(token), now],
        )?;
        Ok(())
    }

    /// Ends a session; an unknown token is no error.
    pub fn end_session(&mut self, token: &str) -> Result<(), WriteError> {
        self.db().execute("DELETE FROM session WHERE token_hash = ?1", params![code_hash(token)])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// A person, if they exist and were not erased.
    pub fn person(&self, person: PersonId) -> Result<Option<PersonRow>, WriteError> {
        let row = self
            .db()
            .prepare_cached("SELECT id, role, household, sealed FROM person WHERE id = ?1")?
            .query_row(params![person.0], person_parts)
            .optional()?;
        row.map_or(Ok(None), |parts| self.open_person(parts))
    }

    /// A person inside one document, for other nodes; none once they were erased.
    pub fn pseudonym(&self, person: PersonId, doc: DocId) -> Result<Option<Pseudonym>, WriteError> {
        let key = self.keys().person(person.0)?;
        Ok(key.map(|key| Pseudonym(key.mark("pseudonym", &[&doc.0]))))
    }

    /// The residents that gave this phone number.
    pub fn residents_by_phone(&self, phone: &str) -> Result<Vec<PersonRow>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT id, role, household, sealed FROM person WHERE phone_mark = ?1 AND role = 'resident'",
        )?;
        let rows = select.query_map(params![phone_mark(&self.shared().lookup, phone)], person_parts)?;
        let mut found = Vec::new();
        for row in rows {
            found.extend(self.open_person(row?)?);
        }
        Ok(found)
    }

    /// The session of a token, while it holds.
    pub fn session(&self, token: &str, now: Millis) -> Result<Option<SessionRow>, WriteError> {
        let row = self
            .db()
            .prepare_cached(
                "SELECT person.id, person.role, session.expires_ms FROM session
                 JOIN person ON person.id = session.person
                 WHERE session.token_hash = ?1 AND session.expires_ms > ?2",
            )?
            .query_row(params![code_hash(token), millis(now)], |row| {
                let role: String = row.get(1)?;
                let expires: i64 = row.get(2)?;
                Ok(SessionRow {
                    person: PersonId(row.get(0)?),
                    role: Role::by_name(&role),
                    expires: Millis(u64::try_from(expires).unwrap_or_default()),
                })
            })
            .optional()?;
        Ok(row)
    }

    /// Operators of this node, by id.
    pub fn operators(&self) -> Result<Vec<PersonRow>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT id, role, household, sealed FROM person WHERE role = 'operator' ORDER BY id",
        )?;
        let rows = select.query_map([], person_parts)?;
        let mut found = Vec::new();
        for row in rows {
            found.extend(self.open_person(row?)?);
        }
        Ok(found)
    }

    /// Households registered here before `before`, by jurisdiction code.
    pub fn households_before(&self, code: Code, before: Millis) -> Result<u64, WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM household WHERE code = ?1 AND created_ms < ?2")?
            .query_row(params![code.to_string(), millis(before)], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn open_person(&self, parts: PersonParts) -> Result<Option<PersonRow>, WriteError> {
        let Some(key) = self.keys().person(parts.id)? else { return Ok(None) };
        let id = PersonId(parts.id);
        let Ok(profile) = key.open(&row_name(id), &parts.sealed) else { return Ok(None) };
        let Ok(profile) = serde_json::from_slice(&profile) else { return Ok(None) };
        let household = parts.household.map(HouseholdId);
        Ok(Some(PersonRow { id, role: Role::by_name(&parts.role), household, profile }))
    }
}

struct PersonParts {
    id: i64,
    role: String,
    household: Option<i64>,
    sealed: Vec<u8>,
}

fn person_parts(row: &Row<'_>) -> rusqlite::Result<PersonParts> {
    Ok(PersonParts { id: row.get(0)?, role: row.get(1)?, household: row.get(2)?, sealed: row.get(3)? })
}

/// The mark under which a resident's own alerts are found: useless once their key is erased.
pub(super) fn reporter_mark(key: &Key) -> [u8; 32] {
    key.mark("reporter", &[])
}

fn row_name(person: PersonId) -> Vec<u8> {
    format!("person/{}", person.0).into_bytes()
}

/// Tokens and codes have at least 128 random bits, so a plain hash does not give them away.
fn code_hash(code: &str) -> [u8; 32] {
    sha256(&[b"cuadra/code/v1\0", code.as_bytes()])
}

fn phone_mark(key: &Key, phone: &str) -> [u8; 32] {
    let digits: Vec<u8> = phone.bytes().filter(u8::is_ascii_digit).collect();
    // The last nine digits are the subscriber in Chile, with or without the country's prefix.
    let local = digits.get(digits.len().saturating_sub(9)..).unwrap_or_default();
    key.mark("phone", &[local])
}

fn address_mark(key: &Key, address: &str, code: Code) -> [u8; 32] {
    key.mark("address", &[normal_address(address).as_bytes(), code.to_string().as_bytes()])
}

/// Small letters without accents, one space between words, no punctuation, `n°` and the like gone.
fn normal_address(address: &str) -> String {
    let mut words = Vec::new();
    let plain: String = address.to_lowercase().chars().map(plain_letter).collect();
    for word in plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match word {
            "n" | "no" | "nro" | "num" | "numero" | "calle" => {}
            "avenida" => words.push("av"),
            "pasaje" | "pje" | "psje" => words.push("pj"),
            "departamento" | "dpto" | "depto" => words.push("dp"),
            word => words.push(word),
        }
    }
    words.join(" ")
}

fn plain_letter(letter: char) -> char {
    match letter {
        'á' | 'à' | 'ä' | 'â' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        'ñ' => 'n',
        '°' | 'º' => ' ',
        other => other,
    }
}

pub(super) fn millis(at: Millis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_household_however_it_is_written() {
        let same = ["Av. Gran Avenida N° 1.234, depto 5", "avenida gran avenida 1 234 dpto. 5"];
        let [a, b] = same.map(normal_address);
        assert_eq!(a, b);
        assert_ne!(normal_address("Los Olmos 12"), normal_address("Los Olmos 13"));
        assert_eq!(normal_address("Pasaje Ñuble 7"), normal_address("pje nuble #7"));
    }

    #[test]
    fn phone_is_found_with_or_without_prefix() {
        let key = Key::fresh();
        assert_eq!(phone_mark(&key, "+56 9 8765 4321"), phone_mark(&key, "987654321"));
        assert_ne!(phone_mark(&key, "987654322"), phone_mark(&key, "987654321"));
    }
}
