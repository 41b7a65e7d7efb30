//! A stateful stand-in for Zoom on loopback.
