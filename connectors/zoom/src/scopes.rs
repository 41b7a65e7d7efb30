//! Zoom's scopes. An app has classic or granular ones, for the user's own account or, with `:admin`, for a whole account;
//! any one of the four will do.

/// Granular scopes of a user.
pub(crate) const GRANULAR: &str = "granular";
/// Granular scopes of an account.
pub(crate) const GRANULAR_ADMIN: &str = "granular_admin";
/// Classic scopes of a user.
pub(crate) const CLASSIC: &str = "classic";
/// Classic scopes of an account.
pub(crate) const CLASSIC_ADMIN: &str = "classic_admin";

/// The four alternatives, from the granular and the classic name.
macro_rules! scopes {
    (granular: $granular:literal, classic: $classic:literal) => {{
        use connector_api::ScopeSet;
        use $crate::scopes::{CLASSIC, CLASSIC_ADMIN, GRANULAR, GRANULAR_ADMIN};
        &[
            ScopeSet::new(&[$granular]).of(GRANULAR),
            ScopeSet::new(&[concat!($granular, ":admin")]).of(GRANULAR_ADMIN),
            ScopeSet::new(&[$classic]).of(CLASSIC),
            ScopeSet::new(&[concat!($classic, ":admin")]).of(CLASSIC_ADMIN),
        ]
    }};
}

pub(crate) use scopes;
