//! What only the whole route shows, and several routes beside each other.

use super::Frame;
use crate::policy::model::{Pointer, Route, RoutePlace, RouteSubject, Segment, Spot, Step};
use crate::policy::raw::Problems;
use std::sync::Arc;

/// Members of one object that the policy can name: their duplicates are counted in one word.
const MAX_MEMBERS: usize = 64;

/// What only the whole route shows.
pub(super) fn whole(
    frame: &Frame<'_>,
    places: &[RoutePlace],
    links: &[Pointer],
    problems: &mut Problems,
) -> bool {
    let before = problems.0.len();
    let (at, path) = (frame.route.at, frame.path);
    if frame.route.places.is_empty()
        && frame.route.body.is_none()
        && links.is_empty()
        && frame.route.location.is_none()
    {
        problems.add(
            at,
            format!("route \"{path}\" declares nothing: it needs `fields`, `body`, `links` or `location`"),
        );
    }
    for (i, place) in places.iter().enumerate() {
        if places[..i].iter().any(|other| other.spot == place.spot) {
            problems.add(at, format!("route \"{path}\": a place is declared twice"));
        }
    }
    let operation = Pointer(vec![Step::Key("query".into())]);
    let mut tree: Vec<(&Pointer, bool)> = Vec::new();
    if frame.route.graphql.as_ref().is_some_and(|on| on.value) {
        tree.push((&operation, true));
    }
    let mut filters: Vec<(&str, Vec<(&Pointer, bool)>)> = Vec::new();
    for place in places {
        match &place.spot {
            Spot::Json(pointer) => tree.push((pointer, true)),
            Spot::Filter(name, pointer) => match filters.iter_mut().find(|(known, _)| *known == &**name) {
                Some((_, all)) => all.push((pointer, true)),
                None => filters.push((name, vec![(pointer, true)])),
            },
            Spot::Query(name)
                if places.iter().any(|p| matches!(&p.spot, Spot::Filter(other, _) if other == name)) =>
            {
                problems.add(
                    at,
                    format!("route \"{path}\": \"query:{name}\" is a value and holds JSON (#) at once"),
                );
            }
            _ => {}
        }
        for source in &place.owner.sources {
            if let RouteSubject::Json(pointer) | RouteSubject::Response(pointer) = source
                && !tree.iter().any(|(other, leaf)| !leaf && *other == pointer)
            {
                tree.push((pointer, false));
            }
        }
    }
    for link in links {
        tree.push((link, true));
    }
    tree_of(at, path, &tree, problems);
    for (_, filter) in &filters {
        tree_of(at, path, filter, problems);
    }
    problems.0.len() == before
}

/// Pointers that can stand side by side: none inside another, no item by number beside `*`.
fn tree_of(at: usize, path: &str, tree: &[(&Pointer, bool)], problems: &mut Problems) {
    for (i, (a, leaf_a)) in tree.iter().enumerate() {
        for (b, leaf_b) in &tree[..i] {
            let common = a.0.iter().zip(&b.0).take_while(|(a, b)| a == b).count();
            if common == a.0.len() || common == b.0.len() {
                if *leaf_a || *leaf_b {
                    problems.add(at, format!("route \"{path}\": \"{a}\" and \"{b}\" are one place, or one inside the other; a subject's id can't be protected"));
                }
                continue;
            }
            let number =
                |step: &Step| matches!(step, Step::Key(name) if name.bytes().all(|b| b.is_ascii_digit()));
            let (x, y) = (&a.0[common], &b.0[common]);
            if *x == Step::Deep || *y == Step::Deep {
                problems.add(
                    at,
                    format!("route \"{path}\": \"{a}\" and \"{b}\": what lies beside ** lies within it"),
                );
            }
            if (*x == Step::Each && number(y)) || (*y == Step::Each && number(x)) {
                problems.add(
                    at,
                    format!("route \"{path}\": \"{a}\" and \"{b}\" name the same items, by number and by *"),
                );
            }
        }
    }
    for (pointer, _) in tree {
        for depth in 0..pointer.0.len() {
            let mut names: Vec<&Step> = Vec::new();
            for (other, _) in tree {
                if other.0.len() > depth
                    && other.0[..depth] == pointer.0[..depth]
                    && !names.contains(&&other.0[depth])
                {
                    names.push(&other.0[depth]);
                }
            }
            if names.len() > MAX_MEMBERS {
                problems.add(
                    at,
                    format!("route \"{path}\": more than {MAX_MEMBERS} members of one object are named"),
                );
                return;
            }
        }
    }
}

/// Whether one takes a segment where the other takes all that is left.
pub(super) fn rivals(a: &Route, b: &Route) -> bool {
    let differ = |(a, b): &(&Segment, &Segment)| match (a, b) {
        (Segment::Literal(a), Segment::Literal(b)) => a != b,
        (Segment::Param(_), Segment::Param(_)) | (Segment::Rest(_), Segment::Rest(_)) => false,
        _ => true,
    };
    let first = a.segments.iter().zip(&b.segments).find(differ);
    matches!(first, Some((Segment::Param(_), Segment::Rest(_)) | (Segment::Rest(_), Segment::Param(_))))
}

/// Whether some request could belong to both equally well.
pub(super) fn overlap(a: &Route, b: &Route) -> bool {
    let same = a.segments.len() == b.segments.len()
        && a.segments.iter().zip(&b.segments).all(|pair| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a.eq_ignore_ascii_case(b),
            (Segment::Param(_), Segment::Param(_)) | (Segment::Rest(_), Segment::Rest(_)) => true,
            _ => false,
        });
    let covers = |methods: &[Arc<str>], method: &str| {
        methods.is_empty() || methods.iter().any(|m| **m == *method || (&**m == "GET" && method == "HEAD"))
    };
    same && (a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|m| covers(&b.methods, m))
        || b.methods.iter().any(|m| covers(&a.methods, m)))
}
