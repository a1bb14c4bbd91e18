//! A body on its way: read, decoded, rewritten, encoded again, with its trailers.

use super::coding::{Encoder, Input, InputError};
use super::exchange::{Body, BodyError, Came, is_untrue};
use super::form_body::FormBody;
use super::head;
use super::json_body::Sealing;
use super::media::{MediaOpening, MediaSealing};
use super::multipart_body::MultipartBody;
use super::opening::Opening;
use super::problem::Problem;
use super::shield::Shield;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use std::collections::VecDeque;

/// What is read before the head goes on: a body that ends within it is refused, or sent, whole.
const AHEAD: usize = 256 << 10;

/// What becomes of the bytes.
pub(super) enum Stage {
    Sealing(Box<Sealing>),
    Opening(Box<Opening>),
    Form(Box<FormBody>),
    Multipart(Box<MultipartBody>),
    Sealed(Box<MediaSealing>),
    Opened(Box<MediaOpening>),
}

impl Stage {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Sealing(stage) => stage.feed(&chunk, out).await,
            Self::Opening(stage) => stage.feed(&chunk, out).await,
            Self::Form(stage) => stage.feed(&chunk),
            Self::Multipart(stage) => stage.feed(&chunk, out).await,
            Self::Sealed(stage) => stage.feed(&chunk, out).await,
            Self::Opened(stage) => stage.feed(&chunk, out).await,
        }
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Sealing(stage) => stage.finish(out).await,
            Self::Opening(stage) => stage.finish(out).await,
            Self::Form(stage) => stage.finish(out).await,
            Self::Multipart(stage) => stage.finish(),
            Self::Sealed(stage) => stage.finish(out).await,
            Self::Opened(stage) => stage.finish(out).await,
        }
    }

    /// Whether the rest of the body is not wanted.
    fn done(&self) -> bool {
        matches!(self, Self::Opened(stage) if stage.done())
    }
}

/// A body on its way.
pub(super) struct Pump {
    input: Input,
    stage: Stage,
    encoder: Encoder,
    /// A request's: told when all of it went on.
    sent: Option<Shield>,
    trailers: Option<HeaderMap>,
    state: State,
    ahead: usize,
    /// What can go on goes, whatever its coding would gain by waiting.
    at_once: bool,
}

#[derive(PartialEq, Eq)]
enum State {
    Open,
    Trailers,
    Ended,
}

/// A rewritten body, and its length where it is known.
pub(super) struct Pumped {
    pub(super) body: Body,
    pub(super) length: Option<usize>,
}

impl Pump {
    pub(super) fn new(input: Input, stage: Stage, encoder: Encoder, sent: Option<Shield>) -> Self {
        Self { input, stage, encoder, sent, trailers: None, state: State::Open, ahead: AHEAD, at_once: false }
    }

    /// Nothing is waited for once something can go on: lines that come one by one.
    pub(super) fn at_once(mut self) -> Self {
        (self.ahead, self.at_once) = (1, true);
        self
    }

    /// Reads ahead, so that most bodies are decided before anything goes on; the rest follows as it is read.
    pub(super) async fn start(mut self) -> Result<Pumped, Problem> {
        let mut ahead: VecDeque<Bytes> = VecDeque::new();
        let mut length = 0;
        while length < self.ahead {
            let read = self.data().await;
            match read.map_err(|error| self.refusal(error))? {
                Some(data) => {
                    length += data.len();
                    ahead.push_back(data);
                    // All of it, however long: its length is known.
                    if self.state == State::Trailers {
                        return Ok(self.whole(ahead, length));
                    }
                }
                None => return Ok(self.whole(ahead, length)),
            }
        }
        let stream = stream::unfold((ahead, self), |(mut ahead, mut pump)| async move {
            if let Some(data) = ahead.pop_front() {
                return Some((Ok(Frame::data(data)), (ahead, pump)));
            }
            let frame = pump.frame().await?;
            Some((frame, (ahead, pump)))
        });
        Ok(Pumped { body: StreamBody::new(stream).boxed_unsync(), length: None })
    }

    /// A body that ended while it was read ahead.
    fn whole(mut self, mut ahead: VecDeque<Bytes>, length: usize) -> Pumped {
        let data = match ahead.len() {
            0 | 1 => ahead.pop_front().unwrap_or_default(),
            _ => ahead
                .iter()
                .fold(Vec::with_capacity(length), |mut all, part| {
                    all.extend_from_slice(part);
                    all
                })
                .into(),
        };
        Pumped { body: with_trailers(data, self.trailers.take()), length: Some(length) }
    }

    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        match self.data().await {
            Ok(Some(data)) => Some(Ok(Frame::data(data))),
            Ok(None) => self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => {
                self.state = State::Ended;
                Some(Err(error))
            }
        }
    }

    /// The next bytes that may go on.
    async fn data(&mut self) -> Result<Option<Bytes>, BodyError> {
        let refused = |problem| BodyError::Refused(Box::new(problem));
        while self.state == State::Open {
            let mut out = Vec::new();
            match self.input.next().await {
                Ok(Some(chunk)) => {
                    self.stage.feed(chunk, &mut out).await.map_err(refused)?;
                    if self.stage.done() {
                        self.state = State::Trailers;
                    }
                }
                Ok(None) => {
                    self.stage.finish(&mut out).await.map_err(refused)?;
                    self.state = State::Trailers;
                }
                Err(InputError::Body(error)) => return Err(error),
                Err(InputError::Coding) => return Err(refused(self.coding())),
                Err(InputError::Expansion) => return Err(refused(Problem::expansion())),
            }
            let internal = |_| refused(Problem::internal());
            let mut coded = self.encoder.push(out, self.at_once).await.map_err(internal)?;
            if self.state == State::Trailers {
                coded.extend(self.encoder.finish().await.map_err(internal)?);
                self.trailers = self.input.trailers();
                if let Some(trailers) = &mut self.trailers {
                    head::without(trailers, is_untrue);
                }
                if let Some(shield) = self.sent.take() {
                    shield.sent();
                }
            }
            if !coded.is_empty() {
                return Ok(Some(coded.into()));
            }
        }
        self.state = State::Ended;
        Ok(None)
    }

    /// Whether the body is the service's.
    fn is_answer(&self) -> bool {
        matches!(self.stage, Stage::Opening(_) | Stage::Opened(_))
    }

    fn coding(&self) -> Problem {
        match self.is_answer() {
            true => Problem::answer("it does not decode as its Content-Encoding says"),
            false => Problem::coding(),
        }
    }

    /// The answer to a body that failed before its head went on.
    fn refusal(&self, error: BodyError) -> Problem {
        refusal(error, self.is_answer())
    }
}

/// What stands for a body, the service's or the client's, that failed before its head went on.
pub(super) fn refusal(error: BodyError, answer: bool) -> Problem {
    match error {
        BodyError::Refused(problem) => *problem,
        BodyError::Peer(_) if answer => Problem::answer("its body ended before its time"),
        BodyError::Peer(_) => Problem::cut(),
    }
}

/// A body that is here, and what follows it.
pub(super) fn with_trailers(data: Bytes, trailers: Option<HeaderMap>) -> Body {
    let full = Full::new(data).map_err(|never| match never {});
    match trailers {
        None => full.boxed_unsync(),
        Some(trailers) => full.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync(),
    }
}

/// All of a body whose length is told and short, and what follows it. Mostly it comes in one piece.
pub(super) async fn all_of(body: &mut impl Came) -> Result<(Bytes, Option<HeaderMap>), BodyError> {
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let (mut first, mut all, mut trailers) = (Bytes::new(), Vec::new(), None);
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        match frame?.into_data() {
            Ok(data) if first.is_empty() => first = data,
            Ok(data) => {
                if all.is_empty() {
                    all.reserve(length);
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    if let Some(trailers) = &mut trailers {
        head::without(trailers, is_untrue);
    }
    Ok((if all.is_empty() { first } else { all.into() }, trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_s_way_is_small_enough_to_be_moved() {
        let size = size_of::<Pump>();
        assert!(size <= 512, "{size} bytes");
    }
}
