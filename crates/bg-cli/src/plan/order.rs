//! What comes after what: names become places in the plan, and nothing waits for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::Item;
use super::error::{PlanError, Source};
use super::work::Draft;

/// Puts what the names in `after` refer to in their place.
pub(super) fn ordered(source: Source<'_>, drafts: Vec<Draft>) -> Result<Vec<Item>, PlanError> {
    let names = Names::of(&drafts);
    let after = drafts.iter().map(|draft| names.places(source, &draft.after));
    let after: Vec<Vec<usize>> = after.collect::<Result<_, _>>()?;
    let mut spans = Vec::new();
    let mut items = Vec::new();
    for (draft, after) in drafts.into_iter().zip(after) {
        spans.push(draft.after.iter().map(Spanned::span).collect());
        items.push(Item { after, ..draft.item });
    }
    match circle(&items) {
        Some(circle) => Err(waits_for_itself(source, &items, &spans, &circle)),
        None => Ok(items),
    }
}

/// The items that others can name.
struct Names(BTreeMap<String, Named>);

struct Named {
    at: usize,
    serves: bool,
}

impl Names {
    fn of(drafts: &[Draft]) -> Self {
        let named = drafts.iter().enumerate().filter_map(|(at, draft)| {
            let name = draft.name.as_ref()?.get_ref().clone();
            Some((name, Named { at, serves: draft.item.serves() }))
        });
        Self(named.collect())
    }

    fn places(
        &self,
        source: Source<'_>,
        after: &[Spanned<String>],
    ) -> Result<Vec<usize>, PlanError> {
        let mut seen = BTreeSet::new();
        let place = |name: &Spanned<String>| {
            let wrong = |problem: String| source.wrong(&name.span(), problem);
            let at = self.place(name.get_ref()).map_err(wrong)?;
            let is_new = seen.insert(at);
            let twice = || wrong(format!("\"{}\" is there twice", name.get_ref()));
            is_new.then_some(at).ok_or_else(twice)
        };
        after.iter().map(place).collect()
    }

    fn place(&self, name: &str) -> Result<usize, String> {
        match self.0.get(name) {
            Some(Named { serves: false, at }) => Ok(*at),
            Some(_) => Err(format!(
                "\"{name}\" is stopped when the others are done, so nothing comes after it"
            )),
            None => Err(format!("unknown name \"{name}\"; {}", self.known())),
        }
    }

    fn known(&self) -> String {
        let names = self.0.iter().filter(|(_, named)| !named.serves);
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        match &names[..] {
            [] => "nothing in the plan has a name to come after".to_owned(),
            names => format!("the plan has: {}", names.join(", ")),
        }
    }
}

/// Finds items each of which waits for the next one, and the last one for the first.
fn circle(items: &[Item]) -> Option<Vec<usize>> {
    let mut stuck: BTreeSet<usize> = (0..items.len()).collect();
    // Whoever waits for nobody that is stuck is not stuck. The plan is no larger than a file that
    // somebody has written, so going over it again costs nothing.
    loop {
        let free = |at: &usize| !items[*at].waits_for().any(|other| stuck.contains(&other));
        let free: BTreeSet<usize> = stuck.iter().copied().filter(free).collect();
        if free.is_empty() {
            break;
        }
        stuck.retain(|at| !free.contains(at));
    }
    let mut path = vec![*stuck.first()?];
    loop {
        let next = items[*path.last()?].waits_for().find(|other| stuck.contains(other))?;
        if let Some(begin) = path.iter().position(|at| *at == next) {
            return Some(path.split_off(begin));
        }
        path.push(next);
    }
}

/// Tells of a circle, at the place of an `after` that is part of it: the first one in the plan.
fn waits_for_itself(
    source: Source<'_>,
    items: &[Item],
    spans: &[Vec<Range<usize>>],
    circle: &[usize],
) -> PlanError {
    let next = |index: usize| circle[(index + 1) % circle.len()];
    let span = |index: usize| {
        let at = circle[index];
        let place = items[at].after.iter().position(|other| *other == next(index))?;
        Some((spans[at][place].clone(), index))
    };
    let found = (0..circle.len()).filter_map(span).min_by_key(|(span, _)| span.start);
    let (span, first) = found.unwrap_or((0..0, 0));
    let label = |index: usize| &items[circle[index % circle.len()]].label;
    let others = (first + 1..=first + circle.len()).map(|index| format!("\"{}\"", label(index)));
    let chain = others.collect::<Vec<_>>().join(", which comes after ");
    let problem = format!("\"{}\" would wait for itself: it comes after {chain}", label(first));
    source.wrong(&span, problem)
}
