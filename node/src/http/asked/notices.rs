//! What the desk asks for about mass messages.

use protocol::ids::Code;
use protocol::kind::Urgency;
use protocol::operation::NoticeMode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::{names, urgency_names};
use crate::desk;
use crate::http::error::{Fault, Why};
use crate::http::fields::Fields;
use crate::store::NoticeWords;

fn mode_names() -> Object {
    names(NoticeMode::ALL)
}

/// Words of a mass message: Spanish always, English where somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Words {
    /// One line, at most 90 characters.
    pub headline: String,
    /// What it means and what to do.
    pub text: Option<String>,
    /// The headline in English.
    pub headline_en: Option<String>,
    /// The rest in English.
    pub text_en: Option<String>,
}

impl Words {
    fn parse(fields: &Fields) -> Result<Self, Fault> {
        let words = Self {
            headline: Fields::required("headline", fields.line("headline")?)?,
            text: fields.text("text")?,
            headline_en: fields.line("headline_en")?,
            text_en: fields.text("text_en")?,
        };
        if words.text_en.is_some() && words.headline_en.is_none() {
            return Err(Fault { field: "headline_en", why: Why::Missing });
        }
        Ok(words)
    }

    fn for_desk(self) -> Vec<NoticeWords> {
        let one = |lang: &str, headline: String, text: Option<String>| NoticeWords {
            lang: lang.to_owned(),
            headline,
            text: text.unwrap_or_default(),
        };
        let mut words = vec![one("es", self.headline, self.text)];
        words.extend(self.headline_en.map(|headline| one("en", headline, self.text_en)));
        words
    }
}

/// A new mass message, for a second person to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewNotice {
    /// Real or a drill; it cannot change later.
    #[schema(schema_with = mode_names)]
    pub mode: NoticeMode,
    /// Code of the area; number 0 is the country.
    #[schema(value_type = String)]
    pub code: Code,
    /// How pressing.
    #[schema(schema_with = urgency_names)]
    pub urgency: Urgency,
    /// For how many hours from when it is sent: 1 to 168.
    pub hours: u32,
    /// Its words.
    #[serde(flatten)]
    pub words: Words,
}

impl NewNotice {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let code = Fields::required("code", fields.line("code")?)?;
        Ok(Self {
            mode: Fields::required("mode", fields.choice("mode")?)?,
            code: code.parse().map_err(|_| Fault { field: "code", why: Why::Wrong })?,
            urgency: Fields::required("urgency", fields.choice("urgency")?)?,
            hours: hours(fields)?,
            words: Words::parse(fields)?,
        })
    }

    /// As `desk` takes it.
    pub(in crate::http) fn for_desk(self) -> desk::NewNotice {
        let Self { mode, code, urgency, hours, words } = self;
        desk::NewNotice { mode, code, urgency, hours, words: words.for_desk() }
    }
}

/// Other words and another end for a message, or that it is taken back; for a second person to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NoticeChange {
    /// `update` or `cancel`.
    pub what: String,
    /// How pressing; for an update.
    #[schema(schema_with = urgency_names, required = false)]
    pub urgency: Option<Urgency>,
    /// For how many hours from when the change is sent; for an update.
    pub hours: Option<u32>,
    /// Its words; of a cancel, why it is taken back.
    #[serde(flatten)]
    pub words: Words,
}

/// As `desk` takes a change.
pub(in crate::http) enum Change {
    Update(desk::NewWords),
    Cancel(Vec<NoticeWords>),
}

impl NoticeChange {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Change, Fault> {
        match Fields::required("what", fields.line("what")?)?.as_str() {
            "update" => Ok(Change::Update(desk::NewWords {
                urgency: Fields::required("urgency", fields.choice("urgency")?)?,
                hours: hours(fields)?,
                words: Words::parse(fields)?.for_desk(),
            })),
            "cancel" => Ok(Change::Cancel(Words::parse(fields)?.for_desk())),
            _ => Err(Fault { field: "what", why: Why::Wrong }),
        }
    }
}

/// Sending what somebody else drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Approval {
    /// What you believe to send: real or a drill.
    #[schema(schema_with = mode_names)]
    pub mode: NoticeMode,
    /// Must be true: everybody in the area is told.
    pub confirmed: bool,
}

impl Approval {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let confirmed = fields.flag("confirmed")?;
        Ok(Self {
            mode: Fields::required("mode", fields.choice("mode")?)?,
            confirmed: Fields::required("confirmed", confirmed.then_some(confirmed))?,
        })
    }
}

/// A message always ends: how many hours are asked for, and none is no answer.
fn hours(fields: &Fields) -> Result<u32, Fault> {
    let hours = Fields::required("hours", fields.whole("hours")?)?;
    u32::try_from(hours).map_err(|_| Fault { field: "hours", why: Why::Wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> (&'static str, Why) {
        let fields = Fields::from_json(json.as_bytes()).unwrap();
        let fault = NewNotice::parse(&fields).unwrap_err();
        (fault.field, fault.why)
    }

    #[test]
    fn a_notice_names_what_is_missing_its_end_above_all() {
        let whole =
            r#"{"mode":"live","code":"CL-13101","urgency":"high","hours":"6","headline":"Corte de agua"}"#;
        let asked = NewNotice::parse(&Fields::from_json(whole.as_bytes()).unwrap()).unwrap();
        assert_eq!((asked.hours, asked.words.for_desk().len()), (6, 1));
        assert_eq!(fault(&whole.replace(r#","hours":"6""#, "")), ("hours", Why::Missing));
        assert_eq!(fault(&whole.replace(r#""6""#, "-1")), ("hours", Why::Wrong));
        assert_eq!(fault(&whole.replace("live", "test")), ("mode", Why::Wrong));
        assert_eq!(fault(&whole.replace("CL-13101", "Santiago")), ("code", Why::Wrong));
        assert_eq!(fault(&whole.replace("Corte de agua", " ")), ("headline", Why::Missing));
        let english = whole.replace('}', r#","text_en":"No water"}"#);
        assert_eq!(fault(&english), ("headline_en", Why::Missing));
    }
}
