//! Messages of a planned statement as the client is to see them, and settings that the server reports.

use super::End;
use super::detail::Detail;
use super::expect::{Expect, Show, What};
use super::failure::Failure;
use crate::pg::plan::{ClientParam, Plan};
use crate::pg::value::Settings;
use crate::pg::wire::error::{self, Change, field};
use crate::pg::wire::{WireError, describe, frame, simple};

/// Follows a setting that the server reports; refuses those under which texts would read otherwise.
pub(crate) fn follow(settings: &mut Settings, name: &[u8], value: &[u8]) -> Result<(), Failure> {
    let value = String::from_utf8_lossy(value);
    match name {
        b"DateStyle" => settings.date_style = value.into_owned(),
        b"TimeZone" => settings.time_zone = value.into_owned(),
        b"server_version" => settings.server = major(&value),
        b"standard_conforming_strings" if value != "on" => {
            return Err(Failure::new(
                "0A000",
                "standard-conforming-strings",
                "paravent: standard_conforming_strings is off",
                "set it on for the role and the database: with it off, literals can't be read reliably",
            ));
        }
        b"client_encoding" => {
            settings.charset = super::encoding::charset(&value).ok_or_else(|| Failure::encoding(&value))?;
        }
        _ => {}
    }
    Ok(())
}

/// Of `18.4 (Debian 18.4-1)` or `19devel`.
fn major(version: &str) -> u16 {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A planned statement's message as the client sees it.
pub(super) fn rewrite(
    tag: u8,
    body: &[u8],
    frame: &[u8],
    expect: &Expect,
    out: &mut Vec<u8>,
) -> Result<(), End> {
    let Some(run) = &expect.run else {
        out.extend_from_slice(frame);
        return Ok(());
    };
    match tag {
        b't' => parameters(&run.plan, &run.declared, body, out)?,
        b'T' if run.plan.swallow_rows => {
            if !expect.simple {
                simple::no_data(out);
            }
        }
        b'T' => described(&run.plan, body, frame, out)?,
        _ => out.extend_from_slice(frame),
    }
    Ok(())
}

/// Whether a RowDescription has as many columns as were planned: a change of the schema past the gateway may have got in
/// between.
pub(super) fn fits(expect: &Expect, body: &[u8]) -> bool {
    let Some(plan) = expect.run.as_ref().map(|run| &run.plan).filter(|plan| !plan.swallow_rows) else {
        return true;
    };
    let Some(count) = body.first_chunk().map(|count| usize::from(u16::from_be_bytes(*count))) else {
        return true;
    };
    plan.visible.map_or(count, usize::from) + plan.hidden.len() == count
}

/// RowDescription, mostly the same as the last time.
fn described(plan: &Plan, body: &[u8], frame: &[u8], out: &mut Vec<u8>) -> Result<(), End> {
    if let Some(shown) = plan.described.shown(frame) {
        out.extend_from_slice(shown);
        return Ok(());
    }
    let from = out.len();
    columns(plan, body, out)?;
    plan.described.keep(frame, &out[from..]);
    Ok(())
}

/// ParameterDescription: the client's own parameters, protected ones with their declared types.
fn parameters(plan: &Plan, declared: &[u32], body: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let server = describe::read_params(body)?;
    let shown: Vec<u32> = plan
        .client_params
        .iter()
        .enumerate()
        .map(|(i, param)| match (declared.get(i), param) {
            // 705, unknown, leaves it open as 0 does.
            (Some(&oid), ClientParam::Type(_)) if !matches!(oid, 0 | 705) => oid,
            (_, ClientParam::Type(oid)) => *oid,
            (_, ClientParam::AsServer) => server.get(i).copied().unwrap_or(0),
        })
        .collect();
    describe::write_params(out, &shown)
}

/// RowDescription: hidden columns taken off, protected ones with their declared types.
fn columns(plan: &Plan, body: &[u8], out: &mut Vec<u8>) -> Result<(), End> {
    let mut columns = describe::read(body)?;
    let visible = plan.visible.map_or(columns.len(), usize::from);
    columns.truncate(visible);
    for output in &plan.outputs {
        if let Some(column) = columns.get_mut(usize::from(output.column)) {
            // The server describes the column without the cast that the client wrote; a cast names no
            // table that its value comes from.
            if output.cast {
                (column.table, column.attnum) = (0, 0);
            }
            if let Some(origin) = output.origin {
                (column.table, column.attnum) = origin;
            }
            column.oid = output.shown.oid;
            column.len = output.shown.len;
            column.typmod = output.shown.typmod;
        }
    }
    describe::write(out, &columns)?;
    Ok(())
}

/// An error of a planned statement: the refusal that it stands for, or the server's own with its
/// position turned back and nothing of what is stored in it.
pub(super) fn error_for(
    expect: &Expect,
    body: &[u8],
    frame: &[u8],
    detail: &Detail,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let code = error::code(body)?;
    if let Some((refusal, stands)) =
        expect.context.as_ref().and_then(|c| Some((c.refusal.as_ref()?, c.stands)))
    {
        let copies = expect.run.as_ref().is_some_and(|run| run.plan.copy.is_some());
        let ours = match code {
            Some(b"57014") => copies,
            Some(b"42703" | b"42601" | b"08P01" | b"26000") => !copies,
            _ => stands,
        };
        out.extend_from_slice(if ours { refusal } else { frame });
        return Ok(());
    }
    let Some(plan) = expect.run.as_ref().map(|run| &run.plan) else {
        let before = expect.context.as_ref().map_or(0, |context| context.before);
        return error::rewrite(out, b'E', body, |kind, value| match kind {
            // It is about a statement of the gateway's own, which stands for the client's.
            field::POSITION | field::WHERE | field::INTERNAL_QUERY | field::INTERNAL_POSITION
                if expect.show == Show::Capture =>
            {
                Change::Drop
            }
            field::POSITION if before > 0 => moved(value, |position| Some(position.saturating_add(before))),
            _ => Change::Keep,
        });
    };
    // Where constants were put in, the text behind the first has moved.
    let same = plan.constants.as_ref().filter(|constants| !constants.values.is_empty());
    let same = same.and_then(|constants| constants.pieces.first()).map(|(text, _)| text.chars().count());
    let original = |position: u32| match same {
        Some(same) if usize::try_from(position).is_ok_and(|position| position > same) => None,
        _ => Some(plan.splices.original(position)),
    };
    // Of a script that touches nothing protected only its text is ours.
    let ours = !(expect.what == What::Query && expect.show == Show::Relay);
    let too_narrow = code == Some(b"22001") && (plan.write.is_some() || plan.copy.is_some());
    error::rewrite(out, b'E', body, |kind, value| match kind {
        field::POSITION => moved(value, original),
        field::DETAIL => match detail {
            Detail::Keep => Change::Keep,
            Detail::Drop => Change::Drop,
            Detail::Replace(shown) => Change::Replace(shown.clone()),
        },
        field::WHERE | field::INTERNAL_QUERY | field::INTERNAL_POSITION if ours => Change::Drop,
        _ => Change::Keep,
    })?;
    if too_narrow {
        add_hint(
            out,
            "an envelope is longer than the value: ALTER TABLE … ALTER COLUMN … TYPE text (see docs/errors.md#too-narrow)",
        );
    }
    Ok(())
}

/// A position in another text; it is left out where that is not known.
fn moved(value: &[u8], to: impl Fn(u32) -> Option<u32>) -> Change {
    let position = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).and_then(to);
    position.map_or(Change::Drop, |position| Change::Replace(position.to_string().into_bytes()))
}

/// Adds a hint to an ErrorResponse at the end of a buffer that holds nothing else.
fn add_hint(out: &mut Vec<u8>, hint: &str) {
    out.pop();
    out.push(field::HINT);
    frame::cstr(out, hint.as_bytes());
    out.push(0);
    let length = u32::try_from(out.len() - 1).unwrap_or(u32::MAX);
    out[1..5].copy_from_slice(&length.to_be_bytes());
}
