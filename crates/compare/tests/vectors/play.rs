//! Plays a vector to the comparison.

use colo_compare::{Compare, Event, Limits};

use crate::notation::{Check, Input, Output, Step, Vector};

const MS: u64 = 1_000_000;

/// The first step that goes another way than the vector says.
pub fn failure(vector: &Vector) -> Option<String> {
    let mut compare = Compare::new(limits(vector));
    vector.steps.iter().find_map(|step| {
        play(&mut compare, step);
        let came = outputs(&mut compare);
        let why = if came == step.expected {
            let check = step.checks.iter().find(|check| !holds(&compare, check))?;
            format!("not so: {check:?}, {:?}", compare.stats())
        } else {
            format!("expected {}, came {}", shown(&step.expected), shown(&came))
        };
        Some(format!("line {}: {why}", step.line))
    })
}

fn limits(vector: &Vector) -> Limits {
    let limit = |key, default| vector.limits.get(key).copied().unwrap_or(default);
    let size = |key, default| usize::try_from(limit(key, default)).unwrap_or(usize::MAX);
    Limits {
        hold_ns: limit("hold", 100) * MS,
        held_bytes: size("held", 1 << 20),
        flows: size("flows", 1000),
        pending_bytes: size("pending", 1 << 16),
    }
}

fn play(compare: &mut Compare, step: &Step) {
    let now = step.time;
    match &step.input {
        Input::Primary(nic, frame) => compare.primary(*nic, frame.clone(), now),
        Input::Secondary(nic, epoch, frame) => compare.secondary(*nic, *epoch, frame, now),
        Input::Cut(checkpoint) => compare.cut(*checkpoint, now),
        Input::Commit(checkpoint) => compare.commit(*checkpoint, now),
        Input::Loaded(checkpoint) => compare.loaded(*checkpoint, now),
        Input::Alone => compare.alone(now),
        Input::Time => compare.on_time(now),
    }
}

fn outputs(compare: &mut Compare) -> Vec<Output> {
    let mut outputs = Vec::new();
    while let Some(event) = compare.pop_event() {
        outputs.push(Output::Event(in_words(&event)));
    }
    while let Some((nic, frame)) = compare.pop_release() {
        outputs.push(Output::Frame(nic, frame.bytes));
    }
    outputs
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Isn { isn, .. } => format!("isn {isn}"),
        Event::Divergence { kind, .. } => format!("divergence {kind}"),
        Event::HoldLimit { .. } => "hold".into(),
        Event::QueueLimit { .. } => "queue".into(),
    }
}

fn holds(compare: &Compare, check: &Check) -> bool {
    match check {
        Check::Held(frames) => compare.stats().held_frames == *frames,
        Check::Full(full) => compare.full() == *full,
    }
}

fn shown(outputs: &[Output]) -> String {
    let show = |output: &Output| match output {
        Output::Event(words) => words.clone(),
        Output::Frame(nic, frame) => {
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{nic} {hex}")
        }
    };
    format!("{:?}", outputs.iter().map(show).collect::<Vec<_>>())
}
