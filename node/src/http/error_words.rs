//! The words of every refusal, Spanish first. Each says what happened, what it means for the
//! person's alert, and what to do now.

use super::error::{Code, Fault, Text, Why};
use super::lang::Lang;

/// The words of one refusal.
pub(super) struct Words {
    /// What happened.
    pub title: Text,
    /// What it means and what to do now.
    pub detail: Text,
}

/// The words for this code, in this language.
pub(super) fn words(code: Code, fault: Option<&Fault>, lang: Lang, emergency: &str) -> Words {
    let (title, detail) = match lang {
        Lang::Es => spanish(code),
        Lang::En => english(code),
    };
    let title = match fault {
        Some(fault) => Text::Owned(fault_words(fault, lang)),
        None => Text::Borrowed(title),
    };
    let detail = match detail.contains("{emergency}") {
        true => Text::Owned(detail.replace("{emergency}", emergency)),
        false => Text::Borrowed(detail),
    };
    Words { title, detail }
}

fn spanish(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Malformed => (
            "No pudimos leer lo que llegó",
            "No se guardó nada. Vuelva a la página anterior e inténtelo otra vez.",
        ),
        Code::Field => {
            ("Falta corregir un dato", "No se guardó nada todavía. Corrija ese dato y envíe otra vez.")
        }
        Code::MediaType => (
            "Ese tipo de contenido no se puede recibir aquí",
            "No se guardó nada. Envíe el formulario desde esta página.",
        ),
        Code::TooLarge => (
            "Lo que envió es demasiado grande",
            "No se guardó. Si era una foto, envíe una más pequeña; su alerta sigue igual.",
        ),
        Code::NotSignedIn => (
            "Su sesión no está abierta",
            "No se guardó nada. Abra su enlace de ingreso o pida uno nuevo a su municipio. Un SOS \
             funciona también sin sesión.",
        ),
        Code::OtherSite => (
            "El envío vino desde otro sitio",
            "No se guardó nada. Abra esta página directamente y envíe otra vez. En una emergencia llame \
             al {emergency}.",
        ),
        Code::NotForYou => (
            "Esta parte no es para su cuenta",
            "No se cambió nada. Si necesita entrar aquí, pídalo a la persona a cargo del nodo.",
        ),
        Code::CodeUnusable => (
            "Ese código no sirve, ya se usó o venció",
            "Su cuenta y sus alertas siguen igual. Pida un código nuevo a su municipio.",
        ),
        Code::NotFound => (
            "No encontramos eso aquí",
            "Puede que ya no exista o que no sea visible para usted. Vuelva al inicio.",
        ),
        Code::Method => ("Esa acción no existe en esta dirección", "No se cambió nada. Vuelva al inicio."),
        Code::Timeout => (
            "Tardó demasiado",
            "No sabemos si alcanzó a guardarse. Envíe otra vez: la misma alerta nunca se guarda dos \
             veces. Si es urgente llame al {emergency}.",
        ),
        Code::NotNow => (
            "Eso no se puede hacer ahora",
            "El incidente cambió mientras tanto y sigue como estaba. Mire su estado actual y decida \
             otra vez.",
        ),
        Code::Picture => (
            "No pudimos leer esa foto",
            "La foto no se guardó; su alerta sigue igual. Envíe una foto JPEG, PNG o WebP.",
        ),
        Code::TooManyStreams => (
            "Hay demasiadas páginas abiertas",
            "Sus alertas siguen igual. Cierre otras pestañas; esta página se actualiza al recargar.",
        ),
        Code::StoreFull => (
            "Este nodo no tiene espacio y no pudo guardar",
            "Su alerta NO quedó guardada aquí. Llame ahora al {emergency}.",
        ),
        Code::StoreFailed => (
            "Este nodo no puede guardar en este momento",
            "Su alerta NO quedó guardada. Llame al {emergency}, o envíe otra vez en unos segundos.",
        ),
        Code::Internal => (
            "Falló algo de nuestro lado",
            "No sabemos si alcanzó a guardarse. Envíe otra vez; si es urgente llame al {emergency}.",
        ),
    }
}

fn english(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Malformed => {
            ("We could not read what arrived", "Nothing was saved. Go back to the page and try again.")
        }
        Code::Field => {
            ("One field needs correcting", "Nothing was saved yet. Correct that field and send again.")
        }
        Code::MediaType => {
            ("That kind of content cannot be taken here", "Nothing was saved. Send the form from this page.")
        }
        Code::TooLarge => (
            "What you sent is too large",
            "It was not saved. If it was a photo, send a smaller one; your alert is as it was.",
        ),
        Code::NotSignedIn => (
            "You are not signed in",
            "Nothing was saved. Open your sign-in link or ask your municipality for a new one. An SOS \
             also works without signing in.",
        ),
        Code::OtherSite => (
            "This was sent from another site",
            "Nothing was saved. Open this page directly and send again. In an emergency call \
             {emergency}.",
        ),
        Code::NotForYou => (
            "This part is not for your account",
            "Nothing was changed. If you need to enter here, ask the person who runs this node.",
        ),
        Code::CodeUnusable => (
            "That code is unknown, used or out of date",
            "Your account and your alerts are as they were. Ask your municipality for a new code.",
        ),
        Code::NotFound => (
            "We did not find that here",
            "It may no longer exist, or it is not visible to you. Go back to the start.",
        ),
        Code::Method => {
            ("There is no such action at this address", "Nothing was changed. Go back to the start.")
        }
        Code::Timeout => (
            "It took too long",
            "We do not know if it was saved. Send again: the same alert is never saved twice. If it is \
             urgent call {emergency}.",
        ),
        Code::NotNow => (
            "That cannot be done now",
            "The incident changed in the meantime and is as it was. Look at its state now and decide \
             again.",
        ),
        Code::Picture => (
            "We could not read that photo",
            "The photo was not saved; your alert is as it was. Send a JPEG, PNG or WebP photo.",
        ),
        Code::TooManyStreams => (
            "Too many pages are open",
            "Your alerts are as they were. Close other tabs; this page is up to date when you reload \
             it.",
        ),
        Code::StoreFull => (
            "This node has no room and could not save",
            "Your alert is NOT saved here. Call {emergency} now.",
        ),
        Code::StoreFailed => (
            "This node cannot save at this moment",
            "Your alert is NOT saved. Call {emergency}, or send again in a few seconds.",
        ),
        Code::Internal => (
            "Something failed on our side",
            "We do not know if it was saved. Send again; if it is urgent call {emergency}.",
        ),
    }
}

fn fault_words(fault: &Fault, lang: Lang) -> String {
    let name = field_name(fault.field, lang);
    match (lang, fault.why) {
        (Lang::Es, Why::Missing) => format!("Falta: {name}"),
        (Lang::Es, Why::Wrong) => format!("No es válido: {name}"),
        (Lang::Es, Why::TooLong) => format!("Es demasiado largo: {name}"),
        (Lang::En, Why::Missing) => format!("Missing: {name}"),
        (Lang::En, Why::Wrong) => format!("Not valid: {name}"),
        (Lang::En, Why::TooLong) => format!("Too long: {name}"),
    }
}

/// What people call a field; one that no form shows keeps its name in the API.
fn field_name(field: &'static str, lang: Lang) -> &'static str {
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
        "file" => ("foto", "photo"),
        "period" => ("mes", "month"),
        other => (other, other),
    };
    match lang {
        Lang::Es => es,
        Lang::En => en,
    }
}

/// A plain page with these words, for a browser.
pub(super) fn page(words: &Words, lang: Lang, code: Code) -> String {
    let (home, enter) = match lang {
        Lang::Es => ("Inicio", "Ingresar"),
        Lang::En => ("Home", "Sign in"),
    };
    let enter = match code {
        Code::NotSignedIn | Code::CodeUnusable => format!(" <a href=\"/enter\">{enter}</a>"),
        Code::Malformed
        | Code::Field
        | Code::MediaType
        | Code::TooLarge
        | Code::OtherSite
        | Code::NotForYou
        | Code::NotFound
        | Code::Method
        | Code::Timeout
        | Code::NotNow
        | Code::Picture
        | Code::TooManyStreams
        | Code::StoreFull
        | Code::StoreFailed
        | Code::Internal => String::new(),
    };
    let (title, detail) = (escaped(&words.title), escaped(&words.detail));
    format!(
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><main><h1>{title}</h1><p>{detail}</p><p><a href=\"/\">{home}</a>{enter}</p></main></html>",
        lang.tag()
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_in_both_languages_without_an_exclamation_mark() {
        for code in Code::ALL {
            for lang in [Lang::Es, Lang::En] {
                let words = words(code, None, lang, "133");
                assert!(words.title.len() > 8 && words.detail.len() > 20, "{code:?}");
                assert!(!words.detail.contains(['!', '{', '¡']), "{code:?}: {}", words.detail);
            }
        }
        let full = words(Code::StoreFull, None, Lang::Es, "133");
        assert!(full.detail.contains("133"), "a full store names whom to call");
    }
}
