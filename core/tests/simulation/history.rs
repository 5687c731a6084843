//! What happened, for people; and what the database was told, for PostgreSQL to be told the same.

use serde_json::{Value, json};

use crate::database::Database;

enum Kind {
    Silent,
    Told,
    Recorded,
}

pub(crate) struct History {
    kind: Kind,
    pub(crate) lines: Vec<String>,
    pub(crate) steps: Vec<Value>,
}

impl History {
    pub(crate) fn silent() -> Self {
        Self { kind: Kind::Silent, lines: Vec::new(), steps: Vec::new() }
    }

    pub(crate) fn told() -> Self {
        Self { kind: Kind::Told, ..Self::silent() }
    }

    pub(crate) fn recorded() -> Self {
        Self { kind: Kind::Recorded, ..Self::silent() }
    }

    pub(crate) fn is_told(&self) -> bool {
        matches!(self.kind, Kind::Told)
    }

    /// Whether anybody wants to know what happens.
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(self.kind, Kind::Silent)
    }

    pub(crate) fn line(&mut self, since: i64, text: String) {
        let (seconds, ms) = (since / 1_000, since % 1_000);
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        self.lines.push(format!("{hours:02}:{minutes:02}:{:02}.{ms:03}  {text}", seconds % 60));
    }

    /// Keeps what a transaction did, with the rows that it left; not what changed nothing and found nothing.
    pub(crate) fn record(&mut self, db: &Database, now: i64) {
        if !matches!(self.kind, Kind::Recorded) {
            return;
        }
        for (at, said) in db.said.iter().enumerate() {
            let idle = said["op"] == "end_tests" || (said["op"] == "stranded" && said["jobs"] == json!([]));
            if idle && db.touched.is_empty() {
                continue;
            }
            let mut step = said.clone();
            step["at"] = json!(now);
            let last = at + 1 == db.said.len();
            let rows = db.touched.iter().filter(|_| last).map(|id| (id.to_string(), row(db, *id)));
            step["rows"] = Value::Object(rows.collect());
            self.steps.push(step);
        }
    }
}

fn row(db: &Database, id: usize) -> Value {
    let row = &db.mails[&id];
    json!({
        "standing": db.standing(id), "attempts": row.attempts, "faults": row.faults, "fence": row.fence,
        "finished_at": row.finished_at, "queued_at": row.queued_at, "reason": row.reason, "class": row.class,
    })
}

/// A statement in a line.
pub(crate) fn readable(said: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut line = text(&said["op"]);
    if let Some(members) = said.as_object() {
        for (name, value) in members.iter().filter(|(name, value)| *name != "op" && !value.is_null()) {
            line.push_str(&format!(" {name} {}", text(value)));
        }
    }
    line
}
