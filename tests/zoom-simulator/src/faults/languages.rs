//! Error messages in other languages: Zoom answers in the language of the account, and only the code stays the same.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::Answer;

/// A language other than English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Es,
    Ja,
}

/// Code, Spanish, Japanese.
const MESSAGES: [(i64, &str, &str); 10] = [
    (124, "El token de acceso no es válido.", "アクセストークンが無効です。"),
    (200, "Solo disponible para usuarios de pago.", "有料ユーザーのみご利用いただけます。"),
    (300, "Error de validación.", "検証に失敗しました。"),
    (429, "Ha alcanzado el límite de solicitudes de esta API.", "このAPIのレート制限に達しました。"),
    (1001, "El usuario no existe.", "ユーザーが存在しません。"),
    (2300, "No se reconoce este punto de conexión de la API.", "このAPIエンドポイントは認識されません。"),
    (3000, "No se puede acceder a la información.", "情報にアクセスできません。"),
    (3001, "La reunión no existe.", "ミーティングが存在しません。"),
    (
        3161,
        "Su cuenta de usuario no puede organizar reuniones.",
        "このアカウントではミーティングを開催できません。",
    ),
    (
        4711,
        "El token de acceso no contiene los ámbitos:",
        "アクセストークンに次のスコープが含まれていません:",
    ),
];

/// Replaces the message of an error body. Any other answer stays as it is.
pub(super) fn translate(mut answer: Answer, language: Language) -> Answer {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&answer.body) else {
        return answer;
    };
    let (Some(code), Some(english)) = (body.get("code").and_then(Value::as_i64), body.get("message")) else {
        return answer;
    };
    // The list of scopes is not translated.
    let scopes = english.as_str().and_then(|english| Some(english.split_once("scopes:")?.1.to_owned()));
    let found = MESSAGES.iter().find(|(known, ..)| *known == code);
    let message = match (found, language) {
        (Some((_, spanish, _)), Language::Es) => spanish,
        (Some((.., japanese)), Language::Ja) => japanese,
        (None, Language::Es) => "Se ha producido un error.",
        (None, Language::Ja) => "エラーが発生しました。",
    };
    let message = format!("{message}{}", scopes.unwrap_or_default());
    body.insert("message".to_owned(), Value::String(message));
    answer.body = Value::Object(body).to_string().into();
    answer
}
