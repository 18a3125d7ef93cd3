//! One reading of a body, whether it is JSON or a form without JavaScript: a flat or nested map of
//! fields, taken one by one. A field that is not taken is named; an empty form field is absent.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Map, Value};

use super::error::{Code, Fault, Problem, Why};
use super::limits::{IDS_MAX, LINE_BYTES_MAX, TEXT_BYTES_MAX};
use crate::views::PointView;

/// The fields of a body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// From a JSON object.
    ///
    /// # Errors
    /// `Malformed` if it is not one.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Problem::new(Code::Malformed)),
            // The error's text quotes the body, which may hold names: it is not logged.
            Err(_) => Err(Problem::new(Code::Malformed)),
        }
    }

    /// From a form; fields that came empty are absent.
    ///
    /// # Errors
    /// `Malformed` if it is not one.
    pub fn from_form(body: &[u8]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(body).map_err(|_| Problem::new(Code::Malformed))?;
        let present = pairs.into_iter().filter(|(_, value)| !value.trim().is_empty());
        Ok(Self(present.map(|(name, value)| (name, Value::String(value))).collect()))
    }

    /// Puts a field in, in place of what was there.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), Value::String(value));
    }

    /// What a person had typed, to show a form again.
    #[must_use]
    pub(super) fn typed(&self) -> crate::pages::Filled {
        self.0.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Words of at most `bytes_max` bytes; `None` if absent or blank.
    ///
    /// # Errors
    /// If it is not words, is longer, or has control characters other than line ends.
    pub fn words(&self, name: &'static str, bytes_max: usize) -> Result<Option<String>, Fault> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.as_str().ok_or(Fault { field: name, why: Why::Wrong })?.trim();
        if text.len() > bytes_max {
            return Err(Fault { field: name, why: Why::TooLong });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(Fault { field: name, why: Why::Wrong });
        }
        Ok(Some(text).filter(|text| !text.is_empty()).map(|text| text.replace("\r\n", "\n")))
    }

    /// One line: a name, an address, a phone number.
    ///
    /// # Errors
    /// As [`Fields::words`], and for a line end.
    pub fn line(&self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.words(name, LINE_BYTES_MAX)? {
            Some(line) if line.contains(['\n', '\r']) => Err(Fault { field: name, why: Why::Wrong }),
            line => Ok(line),
        }
    }

    /// Free text.
    ///
    /// # Errors
    /// As [`Fields::words`].
    pub fn text(&self, name: &'static str) -> Result<Option<String>, Fault> {
        self.words(name, TEXT_BYTES_MAX)
    }

    /// The first characters of a text, whatever it holds: for an SOS, which keeps what it can.
    #[must_use]
    pub fn text_beginning(&self, name: &str) -> Option<String> {
        let text = self.value(name)?.as_str()?;
        let mut kept = String::new();
        for c in text.chars().filter(|c| !c.is_control() || *c == '\n') {
            if kept.len() + c.len_utf8() > TEXT_BYTES_MAX {
                break;
            }
            kept.push(c);
        }
        Some(kept.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A tick box or a JSON boolean; absent is false.
    ///
    /// # Errors
    /// If it is neither.
    pub fn flag(&self, name: &'static str) -> Result<bool, Fault> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if matches!(text.as_str(), "on" | "true" | "1" | "yes") => Ok(true),
            Some(Value::String(text)) if matches!(text.as_str(), "off" | "false" | "0" | "no") => Ok(false),
            Some(_) => Err(Fault { field: name, why: Why::Wrong }),
        }
    }

    /// 32 bytes as 64 hex digits.
    ///
    /// # Errors
    /// If it is not that.
    pub fn id(&self, name: &'static str) -> Result<Option<[u8; 32]>, Fault> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = Fault { field: name, why: Why::Wrong };
        let text = value.as_str().ok_or_else(|| wrong.clone())?;
        let bytes = hex::decode(text.trim()).map_err(|_| wrong.clone())?;
        bytes.try_into().map(Some).map_err(|_| wrong)
    }

    /// A whole number, in JSON or in digits.
    ///
    /// # Errors
    /// If it is not that.
    pub fn whole(&self, name: &'static str) -> Result<Option<u64>, Fault> {
        let wrong = Fault { field: name, why: Why::Wrong };
        match self.value(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_u64().map(Some).ok_or(wrong),
            Some(Value::String(digits)) => digits.trim().parse().map(Some).map_err(|_| wrong),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Null) => Err(wrong),
        }
    }

    /// Several ids: a list in JSON, one in a form.
    ///
    /// # Errors
    /// If one of them is none, or there are more than a person would name.
    pub fn ids(&self, name: &'static str) -> Result<Vec<[u8; 32]>, Fault> {
        let Some(Value::Array(list)) = self.value(name) else {
            return Ok(self.id(name)?.into_iter().collect());
        };
        let wrong = || Fault { field: name, why: Why::Wrong };
        if list.len() > IDS_MAX {
            return Err(wrong());
        }
        let id = |value: &Value| hex::decode(value.as_str()?).ok()?.try_into().ok();
        list.iter().map(|value| id(value).ok_or_else(wrong)).collect()
    }

    /// A point and its accuracy in metres: `point {lat, lon, accuracy_m}` in JSON, `lat`, `lon` and
    /// `accuracy_m` in a form. Only within the ranges of WGS84.
    ///
    /// # Errors
    /// If one of the two is missing, or a number is wrong.
    pub fn point(&self) -> Result<Option<(PointView, Option<f64>)>, Fault> {
        let wrong = || Fault { field: "point", why: Why::Wrong };
        let inner = match self.value("point") {
            Some(Value::Object(map)) => map,
            Some(_) => return Err(wrong()),
            None => &self.0,
        };
        let number = |name: &str| match inner.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => number(value).map(Some).ok_or_else(wrong),
        };
        let (lat, lon) = match (number("lat")?, number("lon")?) {
            (None, None) if self.value("point").is_none() => return Ok(None),
            (Some(lat), Some(lon)) => (lat, lon),
            _ => return Err(wrong()),
        };
        let accuracy = number("accuracy_m")?;
        let fits = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        if !fits || accuracy.is_some_and(|metres| !(0.0..=20_000_000.0).contains(&metres)) {
            return Err(wrong());
        }
        Ok(Some((PointView { lat, lon }, accuracy)))
    }

    /// What a required field holds.
    ///
    /// # Errors
    /// If it is absent.
    pub fn required<T>(name: &'static str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or(Fault { field: name, why: Why::Missing })
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        // A person in Chile may write a comma.
        Value::String(text) => text.trim().replace(',', ".").parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// How a body was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Urlencoded,
}

fn form_of(request: &Request) -> Option<Form> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    match value.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Form::Json),
        "application/x-www-form-urlencoded" => Some(Form::Urlencoded),
        _ => None,
    }
}

/// The bytes of a body within the route's limit.
async fn body_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::TooLarge),
        _ => Problem::new(Code::Malformed),
    })
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form = form_of(&request);
        let body = body_of(request, state).await?;
        match form {
            Some(Form::Json) => Self::from_json(&body),
            Some(Form::Urlencoded) => Self::from_form(&body),
            // An action without fields needs no content type.
            None if body.is_empty() => Ok(Self::default()),
            None => Err(Problem::new(Code::MediaType)),
        }
    }
}

/// A body that may be an SOS: what can be read of it, and what could not. Reading never fails.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// What could be read.
    pub fields: Fields,
    /// Why not all of it could be.
    pub problem: Option<Problem>,
    /// True if the bytes that could not be read speak of an SOS.
    pub names_sos: bool,
}

impl Salvaged {
    fn of(form: Option<Form>, body: &[u8]) -> Self {
        let read = match form {
            Some(Form::Json) => Fields::from_json(body),
            Some(Form::Urlencoded) => Fields::from_form(body),
            None if body.is_empty() => Ok(Fields::default()),
            None => Err(Problem::new(Code::MediaType)),
        };
        match read {
            Ok(fields) => Self { fields, problem: None, names_sos: false },
            Err(problem) => {
                let names_sos = [&b"\"sos\""[..], b"kind=sos"].iter().any(|sign| contains(body, sign));
                // A wrong content type may still hold what we know to read.
                let fields = Fields::from_json(body).or_else(|_| Fields::from_form(body)).unwrap_or_default();
                Self { fields, problem: Some(problem), names_sos }
            }
        }
    }
}

fn contains(body: &[u8], sign: &[u8]) -> bool {
    body.windows(sign.len()).any(|window| window == sign)
}

impl<S: Send + Sync> FromRequest<S> for Salvaged {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let form = form_of(&request);
        match body_of(request, state).await {
            Ok(body) => Ok(Self::of(form, &body)),
            Err(problem) => Ok(Self { fields: Fields::default(), problem: Some(problem), names_sos: false }),
        }
    }
}
