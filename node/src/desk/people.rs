//! Joining, signing in, and who is who on this node.

use protocol::ids::{Code, Millis};
use protocol::operation::Point;

use super::{Desk, Viewer};
use crate::store::limits::{FIELD_BYTES_MAX, OPERATOR_SESSION_MS, SESSION_TOUCH_MS};
use crate::store::seal::random;
use crate::store::{CodeFor, NewPerson, PersonId, PersonRow, Profile, Queue, Role, Tx, WriteError};
use crate::views::{PointView, WhoView};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why nobody was signed in or registered. Nothing was stored, and no code was spent.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The code is unknown, spent, expired, or for something else.
    #[error("the code is unknown, spent or expired")]
    CodeUnusable,
    /// A field is missing or too long.
    #[error("the field {0} is missing or too long")]
    Field(&'static str),
    /// This node has no residents.
    #[error("this node has no residents")]
    NoResidents,
    /// The store failed.
    #[error("it could not be stored")]
    Store(#[from] WriteError),
}

/// What somebody tells who joins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinForm {
    /// The invitation's code.
    pub code: String,
    /// Name or nickname.
    pub name: String,
    /// Address of the household.
    pub address: String,
    /// Language: `es` or `en`.
    pub lang: String,
    /// Phone, if they like.
    pub phone: Option<String>,
    /// Home, if they like.
    pub home: Option<Point>,
}

/// A session that was just begun.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedIn {
    /// The session's token: in the cookie and nowhere else.
    pub token: String,
    /// For how long it holds.
    pub lifetime: Millis,
    /// Who signed in.
    pub who: WhoView,
    /// Their language.
    pub lang: String,
}

/// A household to be filled in, with when it was registered.
#[derive(Debug, Clone, PartialEq)]
pub struct FilledHousehold {
    /// Name or nickname of who registered it.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Home.
    pub home: Option<Point>,
    /// The jurisdiction; one of this node's.
    pub code: Code,
    /// When it was registered.
    pub registered: Millis,
}

impl Desk {
    /// An invitation that `uses` people may join with until it expires.
    pub async fn create_invitation(&self, uses: u32, lifetime: Millis) -> Result<String, SignInError> {
        if !self.is_municipal() {
            return Err(SignInError::NoResidents);
        }
        self.add_code(CodeFor::Join, uses, lifetime).await
    }

    /// A new operator. They sign in with a code from [`Desk::sign_in_code`].
    pub async fn add_operator(&self, name: &str) -> Result<PersonId, SignInError> {
        let name = field("name", name)?;
        let created = self.store().now();
        let lang = self.config().node.language.as_str().to_owned();
        let profile = Profile { name, lang, ..Profile::default() };
        let person = NewPerson { role: Role::Operator, household: None, profile, created };
        self.store().write(Queue::Normal, move |tx| Ok(tx.add_person(&person)?)).await
    }

    /// A one-use code with which this person signs in.
    pub async fn sign_in_code(&self, person: PersonId, lifetime: Millis) -> Result<String, SignInError> {
        self.add_code(CodeFor::SignIn(person), 1, lifetime).await
    }

    /// Joins as a new resident and signs in. The same address, however it is written, is one household.
    pub async fn join(&self, form: JoinForm) -> Result<SignedIn, SignInError> {
        let code = *self.own_codes().first().ok_or(SignInError::NoResidents)?;
        let profile = Profile {
            name: field("name", &form.name)?,
            address: field("address", &form.address)?,
            phone: form.phone.as_deref().map(|phone| field("phone", phone)).transpose()?,
            lang: form.lang.clone(),
            home: form.home.map(Point::degrees),
        };
        let code = form.home.and_then(|home| self.own_code_at(home)).unwrap_or(code);
        let now = self.store().now();
        let token = secret_text();
        let lifetime = self.resident_lifetime();
        let invitation = normal_code(&form.code);
        let work = move |tx: &mut Tx<'_>| -> Result<SignedIn, SignInError> {
            if tx.spend_code(&invitation)? != Some(CodeFor::Join) {
                return Err(SignInError::CodeUnusable);
            }
            let household = Some(tx.household(&profile.address, code, now)?);
            let profile = profile.clone();
            let lang = profile.lang.clone();
            let id = tx.add_person(&NewPerson { role: Role::Resident, household, profile, created: now })?;
            tx.add_session(&token, id, now.plus(lifetime))?;
            let row = tx.reader().person(id)?.ok_or(SignInError::CodeUnusable)?;
            Ok(SignedIn { token: token.clone(), lifetime, who: who_view(&row), lang })
        };
        self.store().write(Queue::Normal, work).await
    }

    /// Spends a sign-in code and begins a session.
    pub async fn sign_in(&self, code: &str) -> Result<SignedIn, SignInError> {
        let (code, token, now) = (normal_code(code), secret_text(), self.store().now());
        let resident = self.resident_lifetime();
        let work = move |tx: &mut Tx<'_>| -> Result<SignedIn, SignInError> {
            let Some(CodeFor::SignIn(person)) = tx.spend_code(&code)? else {
                return Err(SignInError::CodeUnusable);
            };
            let row = tx.reader().person(person)?.ok_or(SignInError::CodeUnusable)?;
            let lifetime = match row.role {
                Role::Resident => resident,
                Role::Operator => Millis(OPERATOR_SESSION_MS),
            };
            tx.add_session(&token, person, now.plus(lifetime))?;
            Ok(SignedIn { token: token.clone(), lifetime, who: who_view(&row), lang: row.profile.lang })
        };
        self.store().write(Queue::Normal, work).await
    }

    /// Ends a session; an unknown token is no error.
    pub async fn sign_out(&self, token: &str) -> Result<(), WriteError> {
        let token = token.to_owned();
        self.store().write(Queue::Normal, move |tx| tx.end_session(&token)).await
    }

    /// Whose session this token is. A resident's holds for so many days after they last came; an
    /// operator's ends with the shift.
    pub async fn session(&self, token: &str) -> Result<Viewer, WriteError> {
        let (token, now) = (token.to_owned(), self.store().now());
        let session = self.store().look_up({
            let token = token.clone();
            move |r| r.session(&token, now)
        });
        let Some(session) = session.await? else { return Ok(Viewer::Nobody) };
        match session.role {
            Role::Operator => Ok(Viewer::Operator(session.person)),
            Role::Resident => {
                let expires = now.plus(self.resident_lifetime());
                if expires.since(session.expires).0 > SESSION_TOUCH_MS {
                    let prolong = move |tx: &mut Tx<'_>| tx.prolong_session(&token, expires);
                    // Who cannot be prolonged, on a full disk, is still signed in.
                    if let Err(error) = self.store().write(Queue::Normal, prolong).await {
                        tracing::warn!(%error, "a session could not be prolonged");
                    }
                }
                Ok(Viewer::Resident(session.person))
            }
        }
    }

    fn resident_lifetime(&self) -> Millis {
        Millis(u64::from(self.config().limits.session_days.get()) * DAY_MS)
    }

    /// Who this viewer is; none if nobody is signed in.
    pub async fn me(&self, viewer: Viewer) -> Result<Option<WhoView>, WriteError> {
        let Some(person) = viewer.person() else { return Ok(None) };
        let row = self.store().read(move |r| r.person(person)).await?;
        Ok(row.as_ref().map(who_view))
    }

    /// Registers many households at once, through the same store calls as [`Desk::join`], with the time
    /// at which each was registered. For a local fill only: no session is begun and no code is spent.
    pub async fn add_households(&self, list: Vec<FilledHousehold>) -> Result<Vec<PersonId>, SignInError> {
        if !self.is_municipal() {
            return Err(SignInError::NoResidents);
        }
        let work = move |tx: &mut Tx<'_>| -> Result<Vec<PersonId>, SignInError> {
            list.iter().map(|filled| add_filled(tx, filled)).collect()
        };
        self.store().write(Queue::Bulk, work).await
    }

    async fn add_code(&self, good_for: CodeFor, uses: u32, lifetime: Millis) -> Result<String, SignInError> {
        let code = secret_code();
        let expires = self.store().now().plus(lifetime);
        let kept = code.clone();
        let work = move |tx: &mut Tx<'_>| -> Result<(), SignInError> {
            Ok(tx.add_code(&normal_code(&kept), good_for, uses, expires)?)
        };
        self.store().write(Queue::Normal, work).await?;
        Ok(code)
    }

    fn own_code_at(&self, point: Point) -> Option<Code> {
        self.territory().locate(point).filter(|code| self.own_codes().contains(code))
    }
}

fn add_filled(tx: &mut Tx<'_>, filled: &FilledHousehold) -> Result<PersonId, SignInError> {
    let profile = Profile {
        name: field("name", &filled.name)?,
        address: field("address", &filled.address)?,
        phone: None,
        lang: "es".into(),
        home: filled.home.map(Point::degrees),
    };
    let household = Some(tx.household(&profile.address, filled.code, filled.registered)?);
    let person = NewPerson { role: Role::Resident, household, profile, created: filled.registered };
    Ok(tx.add_person(&person)?)
}

pub(super) fn who_view(row: &PersonRow) -> WhoView {
    match row.role {
        Role::Operator => WhoView::Operator { id: row.id.0, name: row.profile.name.clone() },
        Role::Resident => WhoView::Resident {
            id: row.id.0,
            name: row.profile.name.clone(),
            address: row.profile.address.clone(),
            home: row.profile.home.map(|(lat, lon)| PointView { lat, lon }),
        },
    }
}

fn field(name: &'static str, text: &str) -> Result<String, SignInError> {
    let text = text.trim();
    if text.is_empty() || text.len() > FIELD_BYTES_MAX {
        return Err(SignInError::Field(name));
    }
    Ok(text.to_owned())
}

/// A session's token: 256 random bits.
fn secret_text() -> String {
    hex::encode(random())
}

/// A code for people: 128 random bits in letters and digits that are not mistaken for one another.
fn secret_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let random = random();
    let mut code = String::with_capacity(26);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in random.iter().take(16).chain([0].iter()) {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 && code.len() < 26 {
            bits -= 5;
            let index = usize::try_from((held >> bits) & 31).unwrap_or_default();
            code.push(char::from(LETTERS.get(index).copied().unwrap_or(b'A')));
        }
    }
    code
}

/// As it was typed: small letters and separators do not matter.
fn normal_code(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_128_bits_and_survive_typing() {
        let code = secret_code();
        assert_eq!(code.len(), 26);
        assert_ne!(code, secret_code());
        assert_eq!(normal_code(&format!(" {}-{}", &code[..13].to_lowercase(), &code[13..])), code);
    }
}
