//! A session: one client connection, one server connection, and what passes between them.
//!
//! Messages of the client are taken in order. Those that concern nothing protected are relayed; a
//! protected statement is planned once and runs as its plan says, always through the extended
//! protocol. Where a step must know something first (whose rows an UPDATE touches, what RETURNING
//! reports), it waits at a barrier: the server's answers go on to the client meanwhile, the client's
//! further messages stay in the buffer.

mod binding;
mod block;
mod broken;
mod candidates;
mod client;
mod copy_in;
mod copy_out;
mod copy_pass;
mod current;
mod cursor;
mod detail;
mod encoding;
mod evaluate;
mod expect;
mod extended;
mod failing;
mod failure;
mod hidden;
mod keep;
mod moves;
mod names;
mod outcome;
mod params;
mod plan;
mod prepare;
mod query;
mod rewrite;
mod rows;
mod run;
mod running;
mod script;
mod server;
mod sql_names;
mod statements;
mod subject;
#[cfg(test)]
mod tests;
mod trust;
mod units;
mod values;
mod when;
mod whose;
mod woken;

use aho_corasick::AhoCorasick;
use copy_pass::Passing;

use super::catalog::{Database, Snapshot, Unseen};
use super::net::backends::Backend;
use super::net::duplex::{Duplex, Ended, Read, Side};
use super::sql::Shape;
use super::value::Settings;
use super::wire::simple::Status;
use crate::config::Limits;
use crate::net::drain::Drain;
use crate::pg::metrics::Metrics;
use crate::protect::{Door, InUse, Mark, Missing, Peer};
use expect::Expects;
pub(crate) use failure::Failure;
use moves::{Following, Moves};
use names::Names;
pub(crate) use rewrite::follow;
use running::Running;
use statements::{NameChange, Statements};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use trust::{Change, Trust};
use units::{Control, Units};
use woken::Woken;

/// What a session shares with the others of its listener.
pub(crate) struct Shared {
    /// The door to keys.
    pub door: Door,
    /// Bounds.
    pub limits: Limits,
    /// Counters.
    pub metrics: Metrics,
    /// Finds in a text what the search path hangs on.
    pub search_path: AhoCorasick,
}

impl Shared {
    /// Whether a text may change which relation an unqualified name means.
    fn moves_search_path(&self, text: &[u8]) -> bool {
        self.search_path.is_match(text) && super::sql::moves_search_path(text)
    }

    /// The same for one connection: what it opens goes on record under its peer.
    pub(crate) fn of(&self, peer: &Peer<'_>) -> Self {
        Self {
            door: self.door.witnessed(peer),
            limits: self.limits.clone(),
            metrics: Metrics::new(),
            search_path: self.search_path.clone(),
        }
    }
}

/// How a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// A leg ended.
    Leg(Ended),
    /// The client broke the protocol, or something can't go on: it is told this and disconnected.
    Fatal(Box<Failure>),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self::Leg(ended)
    }
}

/// A protected statement that was prepared under a name, or one that controls the transaction.
#[derive(Clone)]
enum Prepared {
    Run {
        /// As it was bound last, or all text.
        run: Arc<Running>,
        made: Arc<Made>,
    },
    /// It names what the policy protects elsewhere, and touches nothing protected as it was decided.
    Passed {
        made: Arc<Made>,
    },
    Control(Control),
    /// It changes the schema.
    Ddl(Change),
    /// It changes the names of prepared statements, or runs one that is not kept here.
    Tied {
        tie: Tie,
        made: Arc<Made>,
    },
    /// It was refused; so is whatever is bound to the name.
    Refused(Arc<Failure>),
}

impl Prepared {
    fn rolls_back(&self) -> bool {
        matches!(self, Self::Control(Control::Rollback))
    }
}

/// What ties a statement that is let through to prepared statements of other names, or to cursors.
#[derive(Clone)]
enum Tie {
    /// PREPARE, DEALLOCATE, DISCARD ALL.
    Changes(NameChange),
    /// EXECUTE of that name, under which nothing protected is known.
    Calls(Box<str>),
    /// DECLARE of cursors that touch nothing protected, under the name of one that does.
    Declares(Vec<Box<str>>),
}

/// What a prepared statement was decided with.
struct Made {
    text: Box<str>,
    /// Parameter types that the client declared.
    declared: Arc<[u32]>,
    /// The search path, where anything in it hangs on that.
    path: Option<Path>,
    /// Of the catalog.
    version: u64,
    /// See [`sql::Planned::elsewhere`](super::sql::Planned).
    elsewhere: bool,
    /// Whenever it runs.
    moves: Moves,
    /// The same.
    alters: Option<Change>,
}

/// A portal that was bound from one of them.
struct Portal {
    prepared: Prepared,
    /// What protecting its values made.
    made: Option<(u64, Mark)>,
    /// Rows that a bound INSERT gave and the client has not fetched, and the tag that follows.
    kept: Option<run::Kept>,
    /// How many messages had been sent when it was bound.
    since: u64,
}

/// A session after its start-up.
pub(crate) struct Session {
    /// Goes first, before what waits for an outcome: from then on nobody knows what this process still carries out.
    _backend: Option<Backend>,
    /// Statements are on their way, or a transaction is open: keys that they may meet stay.
    in_use: Option<InUse>,
    io: Duplex,
    shared: Arc<Shared>,
    database: Arc<Database>,
    snapshot: Arc<Snapshot>,
    /// The snapshot is of this session alone: its transaction changed the schema.
    private: bool,
    /// The shared snapshot that was known when nothing was under way last: no transaction has an older one of its own.
    base: Arc<Snapshot>,
    /// What the private snapshot can't show, where its transaction keeps to an old snapshot of the database.
    unseen: Option<Box<Unseen>>,
    /// The schema was changed in this transaction, and the snapshot does not show it yet.
    dirty: bool,
    /// What was changed may touch what is protected under a name that is not watched yet.
    trust: Trust,
    /// What touches something protected since it was let pass.
    woken: Woken,
    expects: Expects,
    statements: Statements,
    /// Statements that were let pass since more names are protected than when the first of them was; none yet.
    passed_since: Option<hashbrown::HashSet<Box<[u8]>>>,
    portals: Names<Portal>,
    settings: Settings,
    /// Which of these a statement may have changed since they were last known.
    following: Following,
    search_path: SearchPath,
    /// The one that the last text was planned with; none where nothing in it hangs on that.
    planned_path: Option<Path>,
    /// The last text means what it does by that path alone.
    elsewhere: bool,
    /// What it moves.
    moves: Moves,
    /// How it changes the schema.
    alters: Option<Change>,
    status: Status,
    /// Extended messages have come since the last Sync.
    pipeline: bool,
    /// What must be answered before more is executed.
    order: Order,
    /// The server skips everything up to the next Sync.
    skipping: bool,
    /// The RowDescription of a simple Query that is being executed: it goes before what comes of it, unless it fails.
    owed: Vec<u8>,
    /// The server told the client why it ends the connection.
    said_goodbye: bool,
    /// A row could not be shown: the client was told, and the transaction must fail.
    poisoned: bool,
    /// Bytes of the client's current message that are still to come.
    client_rest: usize,
    /// They are dropped, not relayed.
    dropping: bool,
    /// They are data of a COPY.
    feeding: bool,
    /// A COPY FROM into a protected table that waits for data.
    copy_in: Option<Box<copy_in::CopyIn>>,
    /// The same of what is not protected.
    passing: Passing,
    /// The last one ended, or was refused: data that still comes is not for the server.
    copy_over: bool,
    /// Cursors on protected tables that were declared and may be open still.
    cursors: hashbrown::HashMap<Box<str>, Arc<super::plan::Cursor>>,
    /// A COPY TO of a protected table that runs.
    copy_out: Option<Box<copy_out::CopyOut>>,
    server_rest: usize,
    units: Units,
    /// How many statements have had values protected.
    writes: u64,
    /// What the last of them made.
    made: Option<(u64, Mark)>,
    captured: Option<hidden::Captured>,
    /// The last hidden statement failed: its name may still be taken on the server.
    hidden_left: bool,
    held: Vec<u8>,
    missing: Vec<Missing>,
    /// How much was to be written before the rows that are being opened.
    batch: Option<usize>,
    /// What the error at hand lacks was fetched.
    asked: bool,
    scratch: rows::Scratch,
    shape: Shape,
    /// The last simple Query was planned by its shape.
    shape_repeats: bool,
    /// The last planned statement that went as a simple Query: often the next is alike.
    last_query: Option<Arc<Running>>,
}

/// A row that can't be shown fails its transaction, as any error does. So nothing that could outlive
/// that failure is executed before the rows of a protected statement are known to be good.
#[derive(Default)]
struct Order {
    /// Entries up to this one must be over before anything but another protected read is executed.
    rows: u64,
    /// Entries up to this one must be over before anything at all is executed.
    all: u64,
    /// Entries up to this one may end the transaction block.
    ends: u64,
    /// Since the last Sync nothing but protected reads was executed.
    pure: bool,
    /// How many statements have been executed since.
    executed: usize,
    /// The pipeline began outside a transaction, with nothing on its way.
    quiet: bool,
}

/// Schemas in the order in which unqualified names are searched in them.
type Path = Arc<[Arc<str>]>;

/// Which schemas unqualified names are searched in, asked for when it may have changed.
#[derive(Default)]
struct SearchPath {
    known: Option<Path>,
    /// A statement of this transaction may have changed it: any later one may change it back.
    moves: bool,
}

impl SearchPath {
    /// A text names what the search path hangs on.
    fn disturb(&mut self) {
        self.moves = true;
    }

    /// Something was executed.
    fn executed(&mut self) {
        if self.moves {
            self.known = None;
        }
    }

    /// The transaction is over: what was set stays or was undone; it is asked for once more. `last`: nothing that may change
    /// it again is on its way.
    fn settle(&mut self, last: bool) {
        if self.moves {
            self.known = None;
            self.moves = !last;
        }
    }
}

impl Session {
    pub(crate) fn new(
        io: Duplex,
        shared: Arc<Shared>,
        database: Arc<Database>,
        snapshot: Arc<Snapshot>,
        settings: Settings,
        backend: Option<Backend>,
    ) -> Self {
        Self {
            _backend: backend,
            in_use: None,
            io,
            shared,
            database,
            base: Arc::clone(&snapshot),
            snapshot,
            private: false,
            unseen: None,
            dirty: false,
            trust: Trust::default(),
            woken: Woken::default(),
            expects: Expects::default(),
            statements: Statements::default(),
            passed_since: None,
            portals: Names::default(),
            settings,
            following: Following::default(),
            search_path: SearchPath::default(),
            planned_path: None,
            elsewhere: false,
            moves: Moves::default(),
            alters: None,
            status: Status::Idle,
            pipeline: false,
            order: Order::default(),
            skipping: false,
            owed: Vec::new(),
            said_goodbye: false,
            poisoned: false,
            client_rest: 0,
            dropping: false,
            feeding: false,
            copy_in: None,
            passing: Passing::default(),
            copy_over: false,
            cursors: hashbrown::HashMap::new(),
            copy_out: None,
            server_rest: 0,
            units: Units::default(),
            writes: 0,
            made: None,
            captured: None,
            hidden_left: false,
            held: Vec::new(),
            missing: Vec::new(),
            batch: None,
            asked: false,
            scratch: rows::Scratch::default(),
            shape: Shape::default(),
            shape_repeats: false,
            last_query: None,
        }
    }

    /// Runs until a leg ends, or the gateway drains and the session is idle.
    pub(crate) async fn run(mut self, drain: Arc<Drain>) {
        let _place = drain.join(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
        let end = loop {
            self.in_use.get_or_insert_with(|| self.shared.door.in_use());
            if let Err(end) = self.step().await {
                break end;
            }
            let idle = self.expects.is_empty() && self.status == Status::Idle && !self.pipeline;
            if idle {
                self.in_use = None;
            }
            let turned = poll_fn(|cx| match self.io.poll_turn(cx, Read::Both) {
                Poll::Pending if idle && drain.has_begun() => Poll::Ready(None),
                turned => turned.map(Some),
            });
            match turned.await {
                Some(Ok(())) => {}
                Some(Err(ended)) => break End::Leg(ended),
                None => break End::Fatal(Box::new(Failure::shutdown())),
            }
        };
        self.finish(end).await;
    }

    /// Treats all that has been read.
    async fn step(&mut self) -> Result<(), End> {
        self.answers().await?;
        while self.client_message().await? {}
        Ok(())
    }

    /// Treats what the server has sent, fetching the keys that it needs.
    async fn answers(&mut self) -> Result<(), End> {
        loop {
            let done = self.server_messages()?;
            if self.missing.is_empty() {
                if done {
                    return Ok(());
                }
                continue;
            }
            Box::pin(self.load_missing()).await;
        }
    }

    async fn load_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        if let Err(error) = self.shared.door.load(&missing).await {
            self.poison(&Failure::protect(&error));
        }
    }

    /// The first message of a pipeline.
    fn begin_pipeline(&mut self) {
        if !self.pipeline {
            self.order.pure = true;
            self.order.executed = 0;
            self.order.quiet = self.expects.is_empty() && self.status == Status::Idle;
        }
        self.pipeline = true;
    }

    /// Something was sent since the last Sync or Query.
    fn in_pipeline(&self) -> bool {
        self.pipeline && self.expects.is_within()
    }

    /// The entry up to which all must be over. `read`: before a protected read.
    fn due(&self, read: bool) -> u64 {
        if read { self.order.all } else { self.order.all.max(self.order.rows) }
    }

    /// Whether what a statement must not overtake is over.
    fn is_in_order(&self, read: bool) -> bool {
        self.expects.answered() >= self.due(read)
    }

    /// Waits until it is.
    async fn in_order(&mut self, read: bool) -> Result<(), End> {
        let due = self.due(read);
        if self.expects.answered() < due {
            if self.pipeline {
                self.io.server.output.append_with(super::wire::simple::flush);
            }
            self.wait_until(|s| s.expects.answered() >= due).await?;
        }
        Ok(())
    }

    /// Waits at a barrier until `done`, relaying answers meanwhile.
    async fn wait_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), End> {
        loop {
            self.answers().await?;
            if done(self) {
                return Ok(());
            }
            self.never_waits_in_data()?;
            self.io.turn(Read::Server).await?;
        }
    }

    /// Says goodbye to both legs.
    async fn finish(mut self, end: End) {
        // No commit of these was sent: the server rolls them back. Those whose COMMIT was on its way go
        // with what is due, and are left to recovery.
        self.units.rollback();
        match end {
            End::Leg(Ended { side: Side::Client, .. }) => {
                self.io.server.output.append_with(super::wire::simple::terminate);
                self.io.server.close().await;
            }
            End::Leg(Ended { side: Side::Server, error }) => {
                if !self.said_goodbye && (error.is_some() || !self.expects.is_empty()) {
                    let lost = Failure::backend_lost();
                    self.io.client.output.append_with(|out| lost.write(out, "FATAL"));
                }
                self.io.client.close().await;
            }
            End::Fatal(failure) => {
                self.io.client.output.append_with(|out| failure.write(out, "FATAL"));
                self.io.client.close().await;
                self.io.server.output.append_with(super::wire::simple::terminate);
                self.io.server.close().await;
            }
        }
        self.tell_last().await;
    }
}
