//! Arithmetic modulo 2^32.

use colo_packet::seq;
use proptest::prelude::*;

#[test]
fn zero_comes_after_the_largest_number() {
    assert!(seq::lt(u32::MAX, 0) && seq::gt(0, u32::MAX));
    assert_eq!(seq::max(u32::MAX, 3), 3);
    assert_eq!(seq::min(u32::MAX, 3), u32::MAX);
    assert_eq!(seq::distance(u32::MAX, 3), 4);
}

proptest! {
    #[test]
    fn the_order_follows_the_shorter_way_round(a in any::<u32>(), step in 1_u32..1 << 31) {
        let b = a.wrapping_add(step);
        prop_assert!(seq::lt(a, b) && seq::le(a, b) && seq::gt(b, a) && seq::ge(b, a));
        prop_assert!(!seq::lt(b, a) && !seq::le(b, a) && !seq::gt(a, b) && !seq::ge(a, b));
        prop_assert_eq!((seq::min(a, b), seq::max(a, b), seq::distance(a, b)), (a, b, step));
    }

    #[test]
    fn a_number_equals_itself(a in any::<u32>()) {
        prop_assert!(seq::le(a, a) && seq::ge(a, a) && !seq::lt(a, a) && !seq::gt(a, a));
    }
}
