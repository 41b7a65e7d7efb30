//! *Get a user*.

use axum::http::StatusCode;
use serde_json::json;

use super::Call;
use crate::directory::{ACCOUNT_ID, Role, User};
use crate::errors::ZoomResult;
use crate::exchange::Answer;

pub(super) fn get(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let user = call.named_user()?;
    let (role_id, role_name) = match user.role {
        Role::Owner => ("0", "Owner"),
        Role::Member => ("2", "Member"),
    };
    let mut body = json!({
        "id": user.id,
        "first_name": User::FIRST_NAME,
        "last_name": user.last_name,
        "display_name": user.display_name(),
        "email": user.email,
        "type": user.licence.number(),
        "role_id": role_id,
        "role_name": role_name,
        "use_pmi": false,
        "timezone": user.timezone,
        "verified": 1,
        "created_at": "2024-01-15T08:00:00Z",
        "last_login_time": "2024-01-15T08:00:00Z",
        "language": "en-US",
        "status": "active",
        "account_id": ACCOUNT_ID,
        "account_number": 10_000_001,
        "cluster": "sim",
    });
    if let Some(pmi) = user.pmi {
        body["pmi"] = json!(pmi);
        body["personal_meeting_url"] = json!(format!("https://zoom.example.com/j/{pmi}"));
    }
    Ok(Answer::json(StatusCode::OK, &body))
}
