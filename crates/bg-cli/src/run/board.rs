//! The live lines at the bottom of a terminal: one for each task that works, one for what is typed.
//!
//! What is printed meanwhile goes above them. They are drawn while we are in front alone: in the
//! background the terminal is somebody else's.

mod place;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bg_agents::core::{Kind, TaskId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
pub(crate) use place::Place;

use super::live::Happened;
use super::screen::{count, one_line, time};
use super::typed::terminal;

/// Most tasks that have a line. The others are counted.
const MAX_LINES: usize = 12;

/// How often the lines are drawn anew, at least.
pub(crate) const TICK: Duration = Duration::from_millis(200);

const HINT: &str = "/status  /steer N TEXT  /stop N  /cancel N  /quit";

pub(crate) struct Board {
    multi: MultiProgress,
    place: Place,
    is_shown: bool,
    tasks: BTreeMap<TaskId, Row>,
    sum: ProgressBar,
    typed: ProgressBar,
}

/// A task that works.
struct Row {
    label: String,
    what: String,
    since: Instant,
    /// Nothing while there are too many.
    bar: Option<ProgressBar>,
}

impl Board {
    /// Draws on a terminal; returns nothing if there is none that can move its cursor.
    pub(crate) fn new(place: Place) -> Option<Self> {
        if !place.is_live() {
            return None;
        }
        let multi = MultiProgress::with_draw_target(place.target());
        let below = || multi.add(ProgressBar::new_spinner().with_style(style("{wide_msg}")));
        let (sum, typed) = (below(), below());
        Some(Self { place, is_shown: true, tasks: BTreeMap::new(), sum, typed, multi })
    }

    /// What has to be used to print above the lines.
    pub(crate) fn multi(&self) -> MultiProgress {
        self.multi.clone()
    }

    /// Shows what happened to a task in its line. A session is shown by its prompts.
    pub(crate) fn tell(&mut self, told: Happened) {
        let Happened { task, label, what, age, is_over } = told;
        if task.kind() == Kind::SESSION {
            return;
        }
        if is_over {
            return self.remove(task);
        }
        let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let row = self.tasks.entry(task);
        let row = row.or_insert_with(|| Row { label, what: String::new(), since, bar: None });
        row.what = what;
        self.draw(task);
    }

    /// Takes the line of a task away.
    fn remove(&mut self, task: TaskId) {
        let row = self.tasks.remove(&task);
        if let Some(bar) = row.and_then(|row| row.bar) {
            self.multi.remove(&bar);
        }
    }

    /// Takes the lines of tasks away that do not work any more.
    pub(crate) fn keep(&mut self, works: impl Fn(TaskId) -> bool) {
        let over: Vec<TaskId> = self.tasks.keys().copied().filter(|id| !works(*id)).collect();
        for id in over {
            self.remove(id);
        }
    }

    /// Brings all lines up to date.
    pub(crate) fn tick(&mut self, tokens: Option<u64>, typed: &str) {
        self.show(terminal::is_in_front());
        let tasks: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in tasks {
            self.draw(id);
        }
        self.sum.set_message(self.sum_words(tokens));
        let typed = if typed.is_empty() { HINT.to_owned() } else { one_line(typed) };
        self.typed.set_message(format!("> {typed}"));
    }

    fn show(&mut self, is_shown: bool) {
        if std::mem::replace(&mut self.is_shown, is_shown) != is_shown {
            let target = if is_shown { self.place.target() } else { ProgressDrawTarget::hidden() };
            self.multi.set_draw_target(target);
        }
    }

    fn sum_words(&self, tokens: Option<u64>) -> String {
        let hidden = self.tasks.values().filter(|row| row.bar.is_none()).count();
        let tokens = tokens.map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let parts = [
            Some(format!("{} at work", count(self.tasks.len(), "task"))),
            (hidden > 0).then(|| format!("{hidden} of them not shown")),
            tokens.map(|tokens| count(tokens, "token")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn draw(&mut self, task: TaskId) {
        let lines = self.tasks.values().filter(|row| row.bar.is_some()).count();
        let Some(row) = self.tasks.get_mut(&task) else { return };
        if row.bar.is_none() && lines < MAX_LINES {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}"));
            row.bar = Some(self.multi.insert_before(&self.sum, bar));
        }
        let Some(bar) = &row.bar else { return };
        let (age, task) = (time(row.since.elapsed()), task.to_string());
        bar.set_message(format!("{age:>9}  {task:<10} {}: {}", row.label, row.what));
        bar.tick();
    }
}

impl Drop for Board {
    /// Takes all lines away: what comes now is printed.
    fn drop(&mut self) {
        self.keep(|_| false);
        self.multi.remove(&self.sum);
        self.multi.remove(&self.typed);
        // The terminal may be gone.
        let _ = self.multi.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours, and right.
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}
