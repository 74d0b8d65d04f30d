//! Arithmetic of TCP sequence numbers, modulo 2^32 (RFC 9293 section 3.4, RFC 1982).
//!
//! An order exists only between numbers less than 2^31 apart. At exactly 2^31 each counts as less than the
//! other: comparisons stay total, the answer means nothing.

/// `a` comes before `b`.
#[must_use]
pub const fn lt(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// `a` comes before `b` or is `b`.
#[must_use]
pub const fn le(a: u32, b: u32) -> bool {
    a == b || lt(a, b)
}

/// `a` comes after `b`.
#[must_use]
pub const fn gt(a: u32, b: u32) -> bool {
    lt(b, a)
}

/// `a` comes after `b` or is `b`.
#[must_use]
pub const fn ge(a: u32, b: u32) -> bool {
    le(b, a)
}

/// The later one.
#[must_use]
pub const fn max(a: u32, b: u32) -> u32 {
    if lt(a, b) { b } else { a }
}

/// The earlier one.
#[must_use]
pub const fn min(a: u32, b: u32) -> u32 {
    if lt(a, b) { a } else { b }
}

/// Steps forward from `from` to `to`; nearly 2^32 when `to` comes before.
#[must_use]
pub const fn distance(from: u32, to: u32) -> u32 {
    to.wrapping_sub(from)
}
