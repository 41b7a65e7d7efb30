//! The accounts that are connected: how a grant is asked for, got, renewed and given up. It does not know what a
//! connection is used for.

pub mod oauth;
