//! A job as it is kept and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// From one generation to the next.
    Rotate,
    /// From a subject's secrets to new ones.
    Rekey,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Asked for.
    Queued,
    /// Under way.
    Running,
    /// Goes on once somebody has done what `detail` says.
    Waiting,
    /// Over.
    Done,
}

impl JobState {
    /// Nothing more will come of it.
    pub fn is_over(self) -> bool {
        self == Self::Done
    }
}

/// A place that a re-keying can't reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Such as `http 127.0.0.1:8080 /people/{id}`.
    pub place: String,
    /// Why.
    pub why: String,
}

impl From<(String, String)> for Kept {
    fn from((place, why): (String, String)) -> Self {
        Self { place, why }
    }
}

/// A job: `GET /v1/jobs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Random.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// How far it is.
    pub state: JobState,
    /// Of a rotation: `begin`, `secrets`, `lookups`, `backup`, `destroy`; of a re-keying: `begin`, `reseal`, `wait`, `destroy`.
    pub stage: String,
    /// Of this stage: so many are done. Of a re-keying: values that were sealed again.
    pub done: u64,
    /// Of this stage: so many there are (0 where it isn't counted).
    pub total: u64,
    /// The generation that is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<u32>,
    /// The generation that is active since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<u32>,
    /// Of a re-keying: where values lie that can't be sealed again here. The old secrets stay for them, and only open.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kept: Vec<Kept>,
    /// RFC 3339, UTC.
    pub begun: String,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<String>,
    /// What it waits for, or what went wrong at the last try.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

impl Job {
    pub(super) fn new(kind: Kind, now: String) -> Self {
        Self {
            id: format!("job_{}", hex::encode(crate::crypto::random::<16>())),
            kind,
            state: JobState::Queued,
            stage: "begin".to_owned(),
            done: 0,
            total: 0,
            from: None,
            to: None,
            kept: Vec::new(),
            begun: now,
            ended: None,
            detail: None,
        }
    }
}
