//! What people and programs ask for, each read in one place from JSON or from a form. What is here
//! is well-formed; whether it may be done is for `desk` to say.

pub mod acts;
pub mod notices;
pub mod takeovers;

use protocol::ids::MemberId;
use protocol::kind::{Kind, Urgency};
use protocol::operation::{ContributionKind, HandoffReason, Outcome, Point, ReopenReason, Response, Step};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::error::{Fault, Why};
use super::fields::Fields;
use crate::desk::{self, Solved as SolvedAnswer};
use crate::pages::Lang;
use crate::store::Visibility;
use crate::views::PointView;

impl Fields {
    /// One of a closed list, by its name in the API.
    ///
    /// # Errors
    /// If it is not in the list.
    pub fn choice<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Fault> {
        let Some(value) = self.line(name)? else { return Ok(None) };
        let chosen =
            T::deserialize(serde::de::value::StringDeserializer::<serde::de::value::Error>::new(value));
        chosen.map(Some).map_err(|_| Fault { field: name, why: Why::Wrong })
    }

    pub(super) fn member(&self, name: &'static str) -> Result<MemberId, Fault> {
        Self::required(name, self.id(name)?).map(MemberId)
    }
}

/// The names of a closed list, for the API's description.
fn names<T: Serialize>(all: &[T]) -> Object {
    let names = all.iter().filter_map(|value| serde_json::to_value(value).ok());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

fn kind_names() -> Object {
    names(&protocol::kind::KINDS.map(|kind| kind.name))
}

fn urgency_names() -> Object {
    names(&Urgency::ALL)
}

fn visibility_names() -> Object {
    names(&VISIBILITIES)
}

const VISIBILITIES: [Visibility; 4] =
    [Visibility::Public, Visibility::Neighbours, Visibility::Operator, Visibility::Nobody];

fn step_names() -> Object {
    names(Step::ALL)
}

fn response_names() -> Object {
    names(Response::ALL)
}

fn outcome_names() -> Object {
    names(Outcome::ALL)
}

fn reopen_names() -> Object {
    names(ReopenReason::ALL)
}

pub(super) fn handoff_names() -> Object {
    names(HandoffReason::ALL)
}

/// Joining with an invitation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Join {
    /// The invitation's one-use code.
    pub code: String,
    /// Name or nickname.
    pub name: String,
    /// Address of the household.
    pub address: String,
    /// `es` or `en`; absent for the browser's.
    #[schema(value_type = Option<String>)]
    #[serde(skip)]
    pub lang: Option<Lang>,
    /// For calls back.
    pub phone: Option<String>,
    /// Home.
    pub point: Option<PointView>,
}

impl Join {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let lang = match fields.line("lang")? {
            None => None,
            Some(tag) => Some(Lang::from_tag(&tag).ok_or(Fault { field: "lang", why: Why::Wrong })?),
        };
        Ok(Self {
            code: Fields::required("code", fields.line("code")?)?,
            name: Fields::required("name", fields.line("name")?)?,
            address: Fields::required("address", fields.line("address")?)?,
            lang,
            phone: phone(fields)?,
            point: fields.point()?.map(|(point, _)| point),
        })
    }
}

/// Signing in with a one-use code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Enter {
    /// The code of the link.
    pub code: String,
}

impl Enter {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { code: Fields::required("code", fields.line("code")?)? })
    }
}

/// A point as a phone gives it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Fix {
    /// Latitude, WGS84 degrees.
    pub lat: f64,
    /// Longitude, WGS84 degrees.
    pub lon: f64,
    /// How far off it may be, in metres.
    pub accuracy_m: Option<f64>,
}

/// A new alert.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NewAlert {
    /// 64 hex digits made by the phone: the same alert sent again makes nothing new.
    #[schema(value_type = String)]
    #[serde(serialize_with = "hex_digits")]
    pub alert: [u8; 32],
    /// The kind's name.
    #[schema(schema_with = kind_names)]
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static Kind,
    /// If it is not as the kind usually is.
    #[schema(schema_with = urgency_names, required = false)]
    pub urgency: Option<Urgency>,
    /// Where.
    pub point: Option<Fix>,
    /// What happened, in the person's words.
    pub text: Option<String>,
    /// True if the phone must not ring or be called.
    pub silent: bool,
    /// Who may see who reported.
    #[schema(schema_with = visibility_names, required = false)]
    pub visibility: Visibility,
    /// Fields of an SOS that could not be taken and were dropped.
    #[serde(skip)]
    #[schema(ignore)]
    pub dropped: Vec<&'static str>,
}

fn hex_digits<S: serde::Serializer>(id: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(id))
}

fn kind_name<S: serde::Serializer>(kind: &&'static Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name)
}

/// The kind that is never refused.
pub(super) const SOS: &str = "sos";

impl NewAlert {
    /// A report: every field must be right. An SOS: what is not right is dropped and noted; without
    /// an id it gets `fresh`, so only a retry of the same bytes by a broken phone could make two.
    pub(super) fn parse(fields: &Fields, fresh: [u8; 32]) -> Result<Self, Fault> {
        let kind = Fields::required("kind", fields.line("kind")?)?;
        let kind = Kind::by_name(&kind).ok_or(Fault { field: "kind", why: Why::Wrong })?;
        if kind.name == SOS {
            return Ok(Self::salvage(fields, kind, fresh));
        }
        Ok(Self {
            alert: Fields::required("alert", fields.id("alert")?)?,
            kind,
            urgency: fields.choice("urgency")?,
            point: fields.point()?.map(Fix::new),
            text: fields.text("text")?,
            silent: fields.flag("silent")?,
            visibility: fields.choice("visibility")?.unwrap_or_default(),
            dropped: Vec::new(),
        })
    }

    /// An SOS from whatever could be read. Never fails.
    pub(super) fn sos(fields: &Fields, fresh: [u8; 32]) -> Self {
        let kind = Kind::by_name(SOS).expect("the federation's kinds have an SOS");
        Self::salvage(fields, kind, fresh)
    }

    fn salvage(fields: &Fields, kind: &'static Kind, fresh: [u8; 32]) -> Self {
        let mut dropped = Vec::new();
        let alert = kept(fields.id("alert"), &mut dropped).flatten().unwrap_or(fresh);
        let point = kept(fields.point(), &mut dropped).flatten().map(Fix::new);
        let silent = kept(fields.flag("silent"), &mut dropped).unwrap_or_default();
        let visibility = kept(fields.choice("visibility"), &mut dropped).flatten().unwrap_or_default();
        if let Err(fault) = fields.text("text") {
            dropped.push(fault.field);
        }
        let text = fields.text_beginning("text");
        Self { alert, kind, urgency: None, point, text, silent, visibility, dropped }
    }
}

fn kept<T>(read: Result<T, Fault>, dropped: &mut Vec<&'static str>) -> Option<T> {
    read.map_err(|fault| dropped.push(fault.field)).ok()
}

impl Fix {
    pub(super) fn new((point, accuracy_m): (PointView, Option<f64>)) -> Self {
        Self { lat: point.lat, lon: point.lon, accuracy_m }
    }

    fn for_desk(self) -> Option<desk::Fix> {
        let point = Point::from_degrees(self.lat, self.lon)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20,000,000 metres")]
        let accuracy_m = self.accuracy_m.map(|metres| metres.ceil() as u32);
        Some(desk::Fix { point, accuracy_m })
    }
}

impl NewAlert {
    /// As `desk` takes it.
    pub(super) fn for_desk(self) -> desk::NewAlert {
        desk::NewAlert {
            secret: self.alert,
            kind: self.kind,
            urgency: self.urgency,
            fix: self.point.and_then(Fix::for_desk),
            text: self.text.unwrap_or_default(),
            silent: self.silent,
            visibility: self.visibility,
        }
    }
}

impl NewCall {
    /// As `desk` takes it.
    pub(super) fn for_desk(self) -> desk::NewCall {
        desk::NewCall {
            secret: self.alert,
            kind: self.kind,
            urgency: self.urgency,
            address: self.address,
            point: self.point.and_then(|fix| Point::from_degrees(fix.lat, fix.lon)),
            text: self.text,
            phone: self.phone,
        }
    }
}

impl Join {
    /// As `desk` takes it.
    pub(super) fn for_desk(self, lang: Lang) -> desk::JoinForm {
        desk::JoinForm {
            code: self.code,
            name: self.name,
            address: self.address,
            lang: short_tag(lang).to_owned(),
            phone: self.phone,
            home: self.point.and_then(|point| Point::from_degrees(point.lat, point.lon)),
        }
    }
}

/// The language without its region, as the store keeps it.
fn short_tag(lang: Lang) -> &'static str {
    match lang {
        Lang::EsCl => "es",
        Lang::En => "en",
    }
}

/// A call that an operator takes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NewCall {
    /// 64 hex digits made by the form: the same call sent again makes nothing new.
    #[schema(value_type = Option<String>)]
    #[serde(serialize_with = "hex_digits")]
    pub alert: [u8; 32],
    /// The kind's name.
    #[schema(schema_with = kind_names)]
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static Kind,
    /// Where, in words.
    pub address: String,
    /// Where, on the map.
    pub point: Option<Fix>,
    /// What the caller says.
    pub text: String,
    /// The caller's number.
    pub phone: Option<String>,
    /// If it is not as the kind usually is.
    #[schema(schema_with = urgency_names, required = false)]
    pub urgency: Option<Urgency>,
}

impl NewCall {
    /// A program that sends no id gets `fresh`.
    pub(super) fn parse(fields: &Fields, fresh: [u8; 32]) -> Result<Self, Fault> {
        let kind = Fields::required("kind", fields.line("kind")?)?;
        Ok(Self {
            alert: fields.id("alert")?.unwrap_or(fresh),
            kind: Kind::by_name(&kind).ok_or(Fault { field: "kind", why: Why::Wrong })?,
            address: Fields::required("address", fields.line("address")?)?,
            point: fields.point()?.map(Fix::new),
            text: Fields::required("text", fields.text("text")?)?,
            phone: phone(fields)?,
            urgency: fields.choice("urgency")?,
        })
    }
}

/// Digits, spaces and the usual signs; at least three digits.
fn phone(fields: &Fields) -> Result<Option<String>, Fault> {
    let phone = fields.line("phone")?;
    let fits = |phone: &String| {
        let digits = phone.chars().filter(char::is_ascii_digit).count();
        (3..=20).contains(&digits) && phone.chars().all(|c| c.is_ascii_digit() || " +-()./".contains(c))
    };
    match phone {
        Some(phone) if !fits(&phone) => Err(Fault { field: "phone", why: Why::Wrong }),
        phone => Ok(phone),
    }
}

/// What a neighbour adds to somebody else's alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewContribution {
    /// What.
    #[schema(schema_with = contribution_names)]
    pub what: ContributionKind,
    /// In their words.
    pub text: Option<String>,
}

/// Those of the list that answer "was it solved?" have a route of their own.
const CONTRIBUTIONS: [ContributionKind; 4] = [
    ContributionKind::SawItToo,
    ContributionKind::Information,
    ContributionKind::Going,
    ContributionKind::CanHelp,
];

fn contribution_names() -> Object {
    names(&CONTRIBUTIONS)
}

impl NewContribution {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let what = Fields::required("what", fields.choice("what")?)?;
        if !CONTRIBUTIONS.contains(&what) {
            return Err(Fault { field: "what", why: Why::Wrong });
        }
        let text = fields.text("text")?;
        if what == ContributionKind::Information && text.is_none() {
            return Err(Fault { field: "text", why: Why::Missing });
        }
        Ok(Self { what, text })
    }
}

/// "Was it solved?"
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
pub struct Solved {
    /// The answer.
    #[schema(schema_with = solved_names)]
    pub answer: SolvedAnswer,
}

const ANSWERS: [(&str, SolvedAnswer); 3] =
    [("yes", SolvedAnswer::Yes), ("partly", SolvedAnswer::Partly), ("no", SolvedAnswer::No)];

fn solved_names() -> Object {
    names(&ANSWERS.map(|(name, _)| name))
}

impl Solved {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let answer = Fields::required("answer", fields.line("answer")?)?;
        let answer = ANSWERS.into_iter().find(|(name, _)| *name == answer).map(|(_, answer)| answer);
        Ok(Self { answer: answer.ok_or(Fault { field: "answer", why: Why::Wrong })? })
    }
}

/// The next step of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewStep {
    /// Which.
    #[schema(schema_with = step_names)]
    pub step: Step,
}

impl NewStep {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { step: Fields::required("step", fields.choice("step")?)? })
    }
}

/// What a crew does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewResponse {
    /// What.
    #[schema(schema_with = response_names)]
    pub response: Response,
    /// Which crew, as this node calls it.
    pub crew: String,
}

impl NewResponse {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self {
            response: Fields::required("response", fields.choice("response")?)?,
            crew: Fields::required("crew", fields.line("crew")?)?,
        })
    }
}

/// Words for the desks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewNote {
    /// The words.
    pub text: String,
    /// True if the neighbours of the incident may read it too.
    pub shared: bool,
}

impl NewNote {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { text: Fields::required("text", fields.text("text")?)?, shared: fields.flag("shared")? })
    }
}

/// Bringing another node in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewInvitation {
    /// Its member id.
    #[schema(value_type = String)]
    pub node: MemberId,
}

impl NewInvitation {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { node: fields.member("node")? })
    }
}

/// Offering the incident to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewOffer {
    /// Its member id.
    #[schema(value_type = String)]
    pub node: MemberId,
    /// Why.
    #[schema(schema_with = handoff_names)]
    pub reason: HandoffReason,
}

impl NewOffer {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let reason = Fields::required("reason", fields.choice("reason")?)?;
        Ok(Self { node: fields.member("node")?, reason })
    }
}

/// Declining an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Decline {
    /// Why.
    #[schema(schema_with = handoff_names)]
    pub reason: HandoffReason,
}

impl Decline {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { reason: Fields::required("reason", fields.choice("reason")?)? })
    }
}

/// Closing an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Close {
    /// How it ended.
    #[schema(schema_with = outcome_names)]
    pub outcome: Outcome,
}

impl Close {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { outcome: Fields::required("outcome", fields.choice("outcome")?)? })
    }
}

/// Opening an incident again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reopen {
    /// Why.
    #[schema(schema_with = reopen_names)]
    pub reason: ReopenReason,
}

impl Reopen {
    pub(super) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { reason: Fields::required("reason", fields.choice("reason")?)? })
    }
}

/// A month, `yyyymm`; absent is the newest with figures.
pub(super) fn period(text: Option<&str>) -> Result<Option<u32>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let period = text.parse().ok().filter(|period| (200_001..=999_912).contains(period));
    let period = period.filter(|period| (1..=12).contains(&(period % 100)));
    period.map(Some).ok_or(Fault { field: "period", why: Why::Wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: [u8; 32] = [9; 32];

    fn fields(json: &str) -> Fields {
        Fields::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn an_sos_is_read_whatever_its_fields_hold() {
        let broken = r#"{"kind":"sos","alert":"zz","point":{"lat":1e9,"lon":0},"silent":7,"visibility":"all",
            "text":["not words"],"urgency":"none"}"#;
        let alert = NewAlert::parse(&fields(broken), FRESH).unwrap();
        assert_eq!((alert.kind.name, alert.alert, alert.point, alert.text), (SOS, FRESH, None, None));
        assert_eq!(alert.dropped, ["alert", "point", "silent", "visibility", "text"]);
        assert_eq!(NewAlert::sos(&Fields::default(), FRESH).alert, FRESH);
        let long = format!(r#"{{"kind":"sos","text":"{}"}}"#, "a".repeat(9_000));
        let kept = NewAlert::parse(&fields(&long), FRESH).unwrap().text.unwrap();
        assert_eq!(kept.len(), crate::http::limits::TEXT_BYTES_MAX, "an SOS keeps the beginning of its text");
    }

    #[test]
    fn a_report_names_the_field_that_is_wrong() {
        let id = "07".repeat(32);
        let check = |json: &str, field: &str, why: Why| {
            let fault = NewAlert::parse(&fields(&json.replace("ID", &id)), FRESH).unwrap_err();
            assert_eq!((fault.field, fault.why), (field, why), "{json}");
        };
        check("{}", "kind", Why::Missing);
        check(r#"{"kind":"dragon"}"#, "kind", Why::Wrong);
        check(r#"{"kind":"noise"}"#, "alert", Why::Missing);
        check(r#"{"kind":"noise","alert":"12"}"#, "alert", Why::Wrong);
        check(r#"{"kind":"noise","alert":"ID","urgency":"huge"}"#, "urgency", Why::Wrong);
        check(r#"{"kind":"noise","alert":"ID","point":{"lat":1}}"#, "point", Why::Wrong);
        check(r#"{"kind":"noise","alert":"ID","text":"\u0000"}"#, "text", Why::Wrong);
        check(r#"{"kind":"noise","alert":"ID","visibility":"all"}"#, "visibility", Why::Wrong);
        check(r#"{"kind":"noise","alert":"ID","silent":"maybe"}"#, "silent", Why::Wrong);
        let whole =
            r#"{"kind":"noise","alert":"ID","urgency":"high","point":{"lat":-33.5,"lon":-70.6},"text":"x"}"#;
        let alert = NewAlert::parse(&fields(&whole.replace("ID", &id)), FRESH).unwrap();
        assert_eq!((alert.alert, alert.urgency, alert.silent), ([7; 32], Some(Urgency::High), false));
        assert_eq!(serde_json::to_value(&alert).unwrap()["alert"], id);
    }

    #[test]
    fn actions_take_only_what_is_in_their_lists() {
        assert_eq!(NewStep::parse(&fields(r#"{"step":"on_the_way"}"#)).unwrap().step, Step::OnTheWay);
        assert!(NewStep::parse(&fields(r#"{"step":"flown"}"#)).is_err());
        assert!(NewContribution::parse(&fields(r#"{"what":"solved_yes"}"#)).is_err());
        assert!(NewContribution::parse(&fields(r#"{"what":"information"}"#)).is_err());
        assert!(NewContribution::parse(&fields(r#"{"what":"going"}"#)).is_ok());
        assert_eq!(
            Close::parse(&fields(r#"{"outcome":"false_alarm"}"#)).unwrap().outcome,
            Outcome::FalseAlarm
        );
        assert!(NewInvitation::parse(&fields(r#"{"node":"7"}"#)).is_err());
        assert_eq!((period(None), period(Some("202401"))), (Ok(None), Ok(Some(202_401))));
        for wrong in ["2024", "202413", "x", "202400"] {
            assert_eq!(period(Some(wrong)), Err(Fault { field: "period", why: Why::Wrong }));
        }
        let join = |phone: &str| {
            Join::parse(&fields(&format!(r#"{{"code":"c","name":"n","address":"a","phone":"{phone}"}}"#)))
        };
        assert!(join("+56 9 1234 5678").is_ok() && join("call me").is_err());
    }
}
