//! What a field that was not taken is called, so that a person finds it. All other words of a refusal
//! are in the catalogues of the pages.

use super::error::{Fault, Why};
use crate::pages::Lang;

/// What is wrong with which field, in a few words.
pub(super) fn fault(fault: &Fault, lang: Lang) -> String {
    let name = name(fault.field, lang);
    match (lang, fault.why) {
        (Lang::EsCl, Why::Missing) => format!("Falta: {name}"),
        (Lang::EsCl, Why::Wrong) => format!("No es válido: {name}"),
        (Lang::EsCl, Why::TooLong) => format!("Es demasiado largo: {name}"),
        (Lang::En, Why::Missing) => format!("Missing: {name}"),
        (Lang::En, Why::Wrong) => format!("Not valid: {name}"),
        (Lang::En, Why::TooLong) => format!("Too long: {name}"),
    }
}

/// What people call a field; one that no form shows keeps its name in the API.
fn name(field: &'static str, lang: Lang) -> &'static str {
    let (es, en) = match field {
        "name" => ("nombre", "name"),
        "address" => ("dirección", "address"),
        "code" => ("código", "code"),
        "lang" => ("idioma", "language"),
        "phone" => ("teléfono", "phone"),
        "kind" => ("tipo de alerta", "kind of alert"),
        "urgency" => ("urgencia", "urgency"),
        "text" => ("texto", "text"),
        "point" => ("lugar", "place"),
        "visibility" => ("quién me ve", "who sees me"),
        "answer" => ("respuesta", "answer"),
        "what" => ("qué aporta", "what you add"),
        "step" => ("paso", "step"),
        "crew" => ("móvil", "crew"),
        "node" => ("nodo", "node"),
        "reason" => ("motivo", "reason"),
        "outcome" => ("resultado", "outcome"),
        "to" => ("quién responde", "who answers"),
        "until" => ("hasta cuándo", "until when"),
        "declined" => ("motivo", "reason"),
        "headline" | "headline_en" => ("titular", "headline"),
        "text_en" => ("texto en inglés", "text in English"),
        "hours" => ("hasta cuándo vale", "how long it holds"),
        "mode" => ("real o simulacro", "real or drill"),
        "confirmed" => ("confirmación", "confirmation"),
        "file" => ("foto", "photo"),
        "service" => ("servicio", "service"),
        "referral" => ("derivación", "referral"),
        "target" => ("el otro incidente", "the other incident"),
        "blobs" => ("qué compartir o borrar", "what to share or erase"),
        "period" => ("mes", "month"),
        other => (other, other),
    };
    match lang {
        Lang::EsCl => es,
        Lang::En => en,
    }
}
